"""Errors of a device: too little memory, and a device that refuses all further work."""

from __future__ import annotations

import pytest

from backend.device_errors import is_device_broken, is_out_of_memory
from protocol.jobs import JobError


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


class AcceleratorError(RuntimeError):
    """Named as torch's is."""


HINT = "\nCUDA kernel errors might be asynchronously reported at some other API call."
FULL = [
    MemoryError(),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB."),
    OutOfMemoryError("HIP out of memory. Tried to allocate 9.00 GiB."),
    RuntimeError("CUDA error: out of memory" + HINT),
    AcceleratorError("CUDA error: out of memory" + HINT),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate`"),
    RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    RuntimeError("miopenStatusAllocFailed"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
]
BROKEN = [
    AcceleratorError("CUDA error: an illegal memory access was encountered" + HINT),
    AcceleratorError("something new"),
    RuntimeError("CUDA error: device-side assert triggered" + HINT),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("HIP error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]
OTHER = [
    ValueError("out of memory"),
    KeyError("CUDA error: "),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    RuntimeError("Expected all tensors to be on the same device, but found cuda:0 and cpu!"),
    JobError("own", "Words of its own."),
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_memory_ran_out(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_device_broken(error)


@pytest.mark.parametrize("error", BROKEN, ids=str)
def test_a_device_refuses_further_work(error: Exception) -> None:
    assert is_device_broken(error)
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_are_neither(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert not is_device_broken(error)


def test_a_broken_device_is_found_behind_the_error_it_caused() -> None:
    error = JobError("own", "Words of its own.")
    error.__cause__ = BROKEN[0]
    assert is_device_broken(error)


def test_torchs_own_classes_are_known_by_name() -> None:
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError("no room"))
    assert is_device_broken(torch.AcceleratorError("gone"))
