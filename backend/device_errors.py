"""Which errors mean that a device is out of memory, or that its driver has given it up.

By name and text: torch may not be imported here, and many of these errors have no class of their
own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_OUT_OF_MEMORY = re.compile(
    r"""out\ of\ memory | not\ enough\ memory | can(not|'t)\ allocate\ memory
    | alloc_?failed | (host|device)_allocation_failed  # cuBLAS, cuDNN, cuSOLVER, cuFFT, MIOpen
    # What the libraries report where they find no memory for their own work:
    | cublas_status_not_initialized | cudnn_status_not_initialized | cusolver_status_not_initialized
    | cudnn_status_internal_error | unable\ to\ find\ an\ engine""",
    re.IGNORECASE | re.VERBOSE,
)
_BROKEN = re.compile(
    r"\b(CUDA|HIP|cuda runtime|CUDA driver|cuDNN|cuBLAS|MIOpen|NCCL) error\b"
    r"|device-side assert|illegal memory access|STATUS_EXECUTION_FAILED|unspecified launch failure",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the host or on a device, in torch or in a library it calls."""
    if isinstance(error, MemoryError) or "OutOfMemoryError" in _names(error):
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def is_device_broken(error: BaseException) -> bool:
    """Whether a device refuses all further work of this process, itself or behind this error.

    After such an error (an illegal memory access, a failed assertion in a kernel), every later call
    fails too, until the process ends.
    """
    return any(
        isinstance(one, RuntimeError)
        and not is_out_of_memory(one)
        and ("AcceleratorError" in _names(one) or _BROKEN.search(str(one)) is not None)
        for one in _chain(error)
    )


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
