"""A worker's device: found by name with no fallback, its memory, and what it computes fast."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from backend.executors.base import Memory
from backend.memory import give_back
from protocol.jobs import JobError

if TYPE_CHECKING:
    import torch

MEMORY_STEP = 2**26  # bytes; smaller changes are not reported
MEMINFO = Path("/proc/meminfo")


def find_device(wanted: str) -> tuple[str, str]:
    """Torch's name of the device, and a readable one. Raises JobError; never falls back.

    A CUDA device becomes the current one of the calling thread.
    """
    if wanted == "none":
        return "cpu", "none (no torch: a stand-in makes the layers)"
    import torch

    try:
        device = torch.device(wanted if wanted != "auto" else _best(torch.cuda.is_available()))
    except RuntimeError as why:
        raise JobError("bad_device", f"There is no device {wanted!r}.", _advice(wanted)) from why
    if device.type == "cpu":
        torch.set_num_threads(_threads())
        threads = torch.get_num_threads()
        return "cpu", f"cpu ({threads} thread{'' if threads == 1 else 's'})"
    if device.type != "cuda":
        raise JobError("bad_device", f"The device {wanted!r} is not supported.", _advice(wanted))
    index = device.index or 0
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        raise JobError(
            "no_cuda",
            f"{wanted} was requested, but torch sees {torch.cuda.device_count()} CUDA devices.",
            "Check nvidia-smi, and that torch was installed with CUDA; or use --device cpu.",
        )
    torch.cuda.set_device(index)  # for calls that take no device, such as a kernel's set-up
    memory = torch.cuda.get_device_properties(index).total_memory / 2**30
    return f"cuda:{index}", f"cuda:{index} ({torch.cuda.get_device_name(index)}, {memory:.0f} GiB)"


def _advice(wanted: str) -> str:
    """What to use instead of a device that cannot be used."""
    kind = wanted.partition(":")[0].lower()
    if kind == "mps":
        return "A Mac's GPU is not supported: use cpu, or a backend on another machine."
    if kind in ("hip", "rocm"):
        return "With PyTorch for ROCm, AMD cards are named cuda:0, cuda:1 and so on."
    return "Use auto, cpu, cuda or cuda:0."


def _threads() -> int:
    """All cores but one: torch's threads spin while they wait, and Blender needs a core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 2) - 1)


def _best(cuda: bool) -> str:
    return "cuda:0" if cuda else "cpu"


def computes_bfloat16(device: torch.device) -> bool:
    """Whether this very device multiplies bfloat16 faster than float32.

    torch.cuda.is_bf16_supported() asks the current device, and says yes to cards that only emulate
    bfloat16 (before compute capability 8.0).
    """
    import torch

    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def memory_of(device: str) -> Memory | None:
    """Free and total memory of a device, in steps of MEMORY_STEP; None if it cannot be read."""
    if device != "cpu":
        import torch

        free, total = torch.cuda.mem_get_info(torch.device(device))
    else:
        try:
            lines = MEMINFO.read_text().splitlines()
        except OSError:  # not Linux
            return None
        kib = {name: int(rest.split()[0]) for name, _, rest in (li.partition(":") for li in lines)}
        free, total = kib["MemAvailable"] * 1024, kib["MemTotal"] * 1024
    return Memory(free=free // MEMORY_STEP * MEMORY_STEP, total=total)


def free_memory() -> None:
    """Return the memory of the last job to the system, on the host and on a GPU."""
    give_back()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
