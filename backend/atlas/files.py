"""An atlas on disk: a folder with its tensors, and everything else as JSON."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from protocol.jobs import JobError

FORMAT = 3
READABLE = (1, 2, 3)  # 2 has one object only, 1 no colours that change over time
EXPLICIT, MLP = "explicit", "mlp"


def write(folder: Path, engine: str, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write the folder atomically, replacing an existing one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        safetensors.torch.save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            fresh / "atlas.safetensors",
        )
        whole = {"format": FORMAT, "engine": engine, **about}
        (fresh / "atlas.json").write_text(json.dumps(whole, indent=1, sort_keys=True))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def engine_of(folder: Path) -> str:
    """The engine that made the atlas in a folder. JobError atlas_unreadable."""
    try:
        about = json.loads((folder / "atlas.json").read_text())
        engine = about.get("engine", EXPLICIT)
        if engine not in (EXPLICIT, MLP):
            raise ValueError(f"it was made by the unknown engine {engine!r}")
    except (OSError, ValueError, AttributeError) as problem:
        raise unreadable(problem) from problem
    return str(engine)


def read(
    folder: Path, engine: str, device: torch.device
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write` wrote for that engine. Raises the errors of `UNREADABLE`."""
    about = json.loads((folder / "atlas.json").read_text())
    if about["format"] not in READABLE:
        raise ValueError(f"format {about['format']} instead of {FORMAT}")
    if about.get("engine", EXPLICIT) != engine:
        raise ValueError(f"it was made by the engine {about['engine']!r}, not {engine!r}")
    return about, safetensors.torch.load_file(folder / "atlas.safetensors", str(device))


UNREADABLE = (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError)
"""What reading a damaged folder may raise."""


def unreadable(problem: Exception) -> JobError:
    """Turn the error into a JobError."""
    return JobError(
        "atlas_unreadable", f"The stored atlas cannot be read: {problem}.", "Make the atlas again."
    )
