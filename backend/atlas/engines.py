"""The two engines: our own, explicit one, and the paper's networks. Made, named and loaded here."""

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
from backend.atlas.mlp import train
from backend.atlas.mlp.model import MlpAtlas
from backend.checkpoint import Checkpoint
from backend.masks.prompts import MaskPrompts
from backend.progress import Reporter
from protocol.layers import one_object_only

VERSIONS = {files.EXPLICIT: "explicit-7", files.MLP: "mlp-1"}
"""Part of an atlas' identity: raise one when its engine makes other atlases of the same config.

What the masks are is `masks.VERSION`'s to say.
"""


def settings(engine: str, preset: str, seed: int) -> dict[str, Any]:
    """Every constant of an engine's preset. JobError unknown_preset."""
    if engine == files.MLP:
        return asdict(mlp_config.preset(preset, seed))
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

    objects: front to back; mlp knows one (JobError one_object_only). checkpoint: where the state is
    kept meanwhile, and gone on from; the caller drops it. One that does not fit is dropped, told,
    and the fit begun anew.
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
        # Once a step was taken from it, the state is not to blame; nor is it for too little memory.
        if not checkpoint.untried or isinstance(why, torch.OutOfMemoryError):
            raise
    checkpoint.drop()
    report.note("What was kept of the interrupted atlas does not fit: it is begun anew.")
    return fit.decompose(frames, objects, config, device, report, checkpoint)


def load_atlas(folder: Path, device: torch.device) -> LayeredAtlas:
    """Read an atlas that either engine saved. JobError atlas_unreadable."""
    kind = MlpAtlas if files.engine_of(folder) == files.MLP else Atlas
    return kind.load(folder, device)
