"""A pretended GPU: tensors that say they are on cuda:0, hold a CPU tensor, and refuse to be mixed.

It finds what would fail on a real GPU: operations on tensors of both devices, CPU generators for
draws on the GPU, `numpy()` without `cpu()`. It also records what would make the host wait.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

from backend.edit import memory_plan, train
from backend.to_device import constant

GPU = torch.device("cuda", 0)
ACROSS = ("_to_copy", "copy_")  # copy between devices
BY_INDEX = ("index", "index_put", "index_put_", "_index_put_impl_")  # take indices of the host
READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim")


class OnGpu(torch.Tensor):
    """A CPU tensor that says it is on the GPU."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=held.device,
        )  # fmt: skip
        made.held = held
        return made

    @property
    def device(self) -> torch.device:
        return GPU

    @property
    def is_cuda(self) -> bool:
        return True

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnGpu({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _on_gpu(func, args, kwargs or {})


def to_gpu(x: torch.Tensor) -> torch.Tensor:
    return x if isinstance(x, OnGpu) else OnGpu(x.detach())


def from_gpu(x: torch.Tensor) -> torch.Tensor:
    return x.held if isinstance(x, OnGpu) else x


def _on_gpu(func: Any, args: Any, kwargs: Any) -> Any:
    inner_args, inner_kwargs = tree_map_only(OnGpu, from_gpu, (args, kwargs))
    made = tree_map_only(torch.Tensor, to_gpu, func(*inner_args, **inner_kwargs))
    return return_and_correct_aliasing(func, args, kwargs, made)


class Gpu(TorchDispatchMode):
    """Checks every operation, those of the backward pass too. waits: what, and the line of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[tuple[str, str]] = []
        self.operations = 0

    def wait(self, what: str) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and not str(frame.f_globals["__name__"]).startswith("backend."):
            frame = frame.f_back
        if frame is not None:
            self.waits.append((what, f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if not any(isinstance(x, OnGpu) for x in tensors):
            made = func(*args, **kwargs)
            # Zeros and ones that autograd makes for a gradient: their device is the C++ one.
            inside = not tensors and torch._C._current_autograd_node() is not None
            return tree_map_only(torch.Tensor, to_gpu, made) if inside else made
        self.operations += 1
        on_host = [x for x in tensors if not isinstance(x, OnGpu) and x.dim() > 0]
        if on_host and name not in ACROSS + BY_INDEX:
            raise AssertionError(f"{func} mixes cuda:0 and cpu")
        if name in READS:
            self.wait(name)
        if on_host:
            self.wait(f"{name} from the host")
        elif name in BY_INDEX and any(x.dtype in (torch.bool, torch.uint8) for x in tensors[1:]):
            self.wait(f"{name} by mask")
        return _on_gpu(func, args, kwargs)


class Calls(TorchFunctionMode):
    """Keeps torch from looking for a real GPU: handles whatever names a device."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        own: Callable[..., Any] | None = getattr(self, f"_{name}", None)
        if own is not None:
            return own(func, *args, **kwargs)
        device = kwargs.get("device")
        if device is None or torch.device(device).type != "cuda":
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise AssertionError(f"{name} draws on cuda:0 with a generator of the CPU")
        if name in ("tensor", "as_tensor"):
            self.gpu.wait("torch.tensor")
        trains = kwargs.pop("requires_grad", False)
        made = to_gpu(func(*args, **{**kwargs, "device": "cpu"}))
        return made.requires_grad_() if trains else made

    def _to(self, func: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        other = next((one for one in args if isinstance(one, torch.Tensor)), None)
        if other is not None:
            args = (other.device, other.dtype)
        place = next((one for one in args if isinstance(one, str | torch.device)), None)
        place = kwargs.get("device", place)
        wanted = x.device if place is None else torch.device(place)
        args = tuple("cpu" if isinstance(one, str | torch.device) else one for one in args)
        kwargs |= {"device": "cpu"} if "device" in kwargs else {}
        if wanted.type == x.device.type:
            return func(x, *args, **kwargs)
        if wanted.type == "cpu":
            self.gpu.wait("copy to the host")
            return func(from_gpu(x.detach()).clone(), *args, **kwargs)
        if not getattr(x, "pinned", False):
            self.gpu.wait("pageable copy")
        return to_gpu(func(x.detach().clone(), *args, **kwargs))

    def _cpu(self, func: Any, x: torch.Tensor) -> Any:
        return self._to(torch.Tensor.to, x, "cpu")

    def _pin_memory(self, func: Any, x: torch.Tensor) -> Any:
        pinned: Any = x.clone()
        pinned.pinned = True
        return pinned

    def _new_tensor(self, func: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, OnGpu):
            return func(x, *args, **kwargs)
        self.gpu.wait("new_tensor")
        return to_gpu(func(x.held, *args, **kwargs))

    def _tolist(self, func: Any, x: torch.Tensor) -> Any:
        if isinstance(x, OnGpu):
            self.gpu.wait("tolist")
        return func(from_gpu(x))

    def _numpy(self, func: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if isinstance(x, OnGpu):
            raise AssertionError("numpy() of a tensor on cuda:0")
        return func(x, *args, **kwargs)


@contextlib.contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """Within it, cuda:0 is there."""
    load, autocast = safetensors.torch.load_file, torch.autocast

    def load_file(path: Any, device: str = "cpu") -> dict[str, torch.Tensor]:
        on_gpu = torch.device(device).type == "cuda"
        return {k: to_gpu(v) if on_gpu else v for k, v in load(path).items()}

    monkeypatch.setattr(safetensors.torch, "load_file", load_file)
    monkeypatch.setattr(torch, "autocast", lambda kind, **kw: autocast("cpu", **kw))
    monkeypatch.setattr(train, "computes_bfloat16", lambda device: True)
    # Its tensors have no storage to tell apart: bytes cannot be counted on it.
    monkeypatch.setattr(memory_plan, "memory_of", lambda device: None)
    constant.cache_clear()
    # Module.to() then makes new parameters, instead of giving the old ones another tensor's data.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    gpu = Gpu()
    try:
        with Calls(gpu), gpu:
            yield gpu
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        constant.cache_clear()
