"""The painters by name. A new one needs a file, a line in PAINTERS and settings in the protocol."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from backend.painters.base import Painter
from protocol.jobs import EditJob, JobError
from protocol.painters import PAINTER_SETTINGS, PainterSettings

PAINTERS: dict[str, str] = {
    "text2live": "backend.painters.text2live:Text2Live",
    "from_frames": "backend.painters.from_frames:FromFrames",
}
"""Each painter's class as ``module:name``, loaded when a job asks for it."""


def register(name: str, settings: type[PainterSettings], painter: str) -> None:
    """Add a painter that is not part of this package. painter: ``module:name`` of its class."""
    PAINTER_SETTINGS[name], PAINTERS[name] = settings, painter


def load_painter(spec: EditJob, device: torch.device) -> Painter:
    """The painter of an edit, its models loaded. Raises JobError("unknown_painter") and its own."""
    if spec.painter not in PAINTERS:
        raise JobError(
            "unknown_painter",
            f"This backend has no painter {spec.painter!r}.",
            f"Choose one of: {', '.join(PAINTERS)}.",
        )
    module, _, name = PAINTERS[spec.painter].partition(":")
    made: Any = getattr(import_module(module), name)
    painter: Painter = made(spec, device)
    return painter
