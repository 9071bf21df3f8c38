"""What machine it is: the device, its driver, the libraries and their settings."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from typing import Any

import torch

from backend.edit.config import preset
from backend.edit.train import uses_bfloat16
from scripts.gpu_check.bench import Bench

LIBRARIES = ("open_clip_torch", "madgrad", "opencv-python-headless", "safetensors", "msgspec", "av")
SMI = "name,driver_version,clocks.sm,clocks.mem,power.limit,temperature.gpu,pcie.link.gen.current"


def check_machine(bench: Bench) -> str:
    """Record device, driver, memory, libraries and arithmetic settings."""
    bench.put("torch", torch.__version__)
    bench.put("python", platform.python_version())
    bench.put("cores", len(os.sched_getaffinity(0)))
    bench.put("threads", torch.get_num_threads())
    bench.put("commit", _output(["git", "rev-parse", "--short", "HEAD"]))
    for name in LIBRARIES:
        bench.put(f"libraries.{name}", _version(name))
    config = preset("final", video=False, layer="background")
    bench.put("bfloat16", uses_bfloat16(config, bench.device))
    if not bench.on_cuda:
        bench.put("name", f"{platform.machine()} CPU")
        return f"{platform.machine()} CPU, torch {torch.__version__}"
    found = _gpu(bench.device)
    for key, value in found.items():
        bench.put(key, value)
    if not found["arch_known"]:
        bench.problem(f"this torch has no code for {found['capability']}: {found['arch_list']}")
    return f"{found['name']}, driver {found['driver']}, torch {torch.__version__}"


def _gpu(device: torch.device) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    arch = torch.cuda.get_arch_list()
    name = f"sm_{properties.major}{properties.minor}"
    smi = _output(["nvidia-smi", f"--query-gpu={SMI}", "--format=csv,noheader"])
    values = dict(zip(SMI.split(","), (part.strip() for part in smi.split(",")), strict=False))
    return {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_gb": total / 1e9,
        "free_gb": free / 1e9,
        "driver": values.get("driver_version", ""),
        "nvidia_smi": values,
        "cuda": str(torch.version.cuda),
        "hip": str(torch.version.hip),
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "arch_list": arch,
        "arch_known": any(one.startswith(name[:-1]) for one in arch),
        "bf16_reported": torch.cuda.is_bf16_supported(),
        "tf32_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_products": torch.backends.cuda.matmul.allow_tf32,
        "alloc_conf": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", ""),
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _output(command: list[str]) -> str:
    """A command's first line, or nothing where it is missing."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    return (done.stdout.strip().splitlines() or [""])[0]
