"""What a profiler's trace says: kernels, their time, copies, waits."""

from __future__ import annotations

from typing import Any

from torch.profiler import ProfilerActivity, profile

SHOWN = 16  # costliest kernels to list
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")


def started_profile(cuda: bool) -> profile:
    """A profiler that runs. On a GPU without the host's operators, which take seconds to read."""
    seen = profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU])
    seen.start()
    return seen


def traced(seen: profile, steps: int) -> dict[str, Any]:
    """Per step: kernels and their milliseconds, copies, launches, waits; the costliest kernels."""
    averages = seen.key_averages()
    kernels: list[tuple[float, float, str]] = []
    copies: list[tuple[float, float, str]] = []
    calls: dict[str, float] = {}
    for one in averages:
        if str(one.device_type).endswith("CUDA"):
            place = copies if one.key.startswith(("Memcpy", "Memset")) else kernels
            place.append((one.self_device_time_total / 1e3 / steps, one.count / steps, one.key))
        else:
            calls[one.key] = one.count / steps
    kernels.sort(reverse=True)
    return {
        "kernels_per_step": sum(count for _, count, _ in kernels),
        "kernel_ms_per_step": sum(ms for ms, _, _ in kernels),
        "copies_per_step": sum(count for _, count, _ in copies),
        "copy_ms_per_step": sum(ms for ms, _, _ in copies),
        "copies": {key: count for _, count, key in copies},
        "launches_per_step": sum(calls.get(name, 0) for name in LAUNCHES),
        "graphs_per_step": calls.get("cudaGraphLaunch", 0),
        "waits_per_step": sum(calls.get(name, 0) for name in WAITS),
        "costliest": {
            f"{rank}. {key[:90]}": f"{ms:.3f} ms, {count:.1f} times"
            for rank, (ms, count, key) in enumerate(kernels[:SHOWN], 1)
        },
    }
