"""The two atlas engines, our explicit one and the paper's networks: decompose, load, identify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas import files
from backend.atlas.explicit import config as explicit_config
from backend.atlas.explicit import fit
from backend.atlas.explicit.model import Atlas
from backend.atlas.interface import LayeredAtlas
from backend.atlas.mlp import config as mlp_config
from backend.atlas.mlp import resume, train
from backend.atlas.mlp.model import MlpAtlas
from backend.checkpoint import Checkpoint
from backend.device_errors import is_device_broken, is_out_of_memory
from backend.masks.prompts import MaskPrompts
from backend.progress import Reporter
from protocol.layers import one_object_only

VERSIONS = {files.EXPLICIT: "explicit-8", files.MLP: "mlp-2"}
"""Part of an atlas's identity: raise one when its engine makes other atlases of the same config.

`masks.resolve.VERSION` does the same for masks.
"""


def settings(engine: str, preset: str, seed: int) -> dict[str, Any]:
    """All settings of an engine's preset. JobError unknown_preset."""
    if engine == files.MLP:
        return mlp_config.identity(mlp_config.preset(preset, seed))
    return asdict(explicit_config.preset(preset, seed))


def decompose(
    engine: str,
    preset: str,
    seed: int,
    frames: NDArray[np.uint8],
    objects: Sequence[MaskPrompts],
    device: torch.device,
    report: Reporter,
    checkpoint: Checkpoint | None = None,
) -> LayeredAtlas:
    """Decompose a clip with an engine: ``explicit`` or ``mlp``; the rest as `fit.decompose`.

    objects: front to back; mlp takes one (JobError one_object_only). checkpoint: where the state is
    saved and resumed from; the caller drops it. If the state does not fit, it is dropped, a note
    says so, and the fit starts over.
    """
    if engine == files.MLP:
        if len(objects) > 1:
            raise one_object_only()
        networks = mlp_config.preset(preset, seed)
        return train.decompose_mlp(frames, objects[0], networks, device, report, checkpoint)
    config = explicit_config.preset(preset, seed)
    checkpoint = checkpoint or Checkpoint()
    try:
        return fit.decompose(frames, objects, config, device, report, checkpoint)
    except (KeyError, ValueError, IndexError, TypeError, RuntimeError) as why:
        # The state is not the cause if a step was taken from it, or if the device failed.
        if not checkpoint.untried or is_out_of_memory(why) or is_device_broken(why):
            raise
    checkpoint.drop()
    report.note(resume.UNUSABLE)
    return fit.decompose(frames, objects, config, device, report, checkpoint)


def load_atlas(folder: Path, device: torch.device) -> LayeredAtlas:
    """Read an atlas saved by either engine. JobError atlas_unreadable."""
    kind = MlpAtlas if files.engine_of(folder) == files.MLP else Atlas
    return kind.load(folder, device)
