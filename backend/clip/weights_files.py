"""Read weights from a file as tensors, without running any code that it holds."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from backend.clip import torchscript
from backend.device_errors import is_out_of_memory
from protocol.jobs import JobError

DEMO_HINT = "The built-in model “demo” always works, at toy quality."


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from .safetensors, a pickled .pt (tensors only) or a TorchScript archive."""
    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        elif torchscript.is_torchscript(path):
            loaded = torchscript.read_tensors(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, torchscript.Refused) as error:
        raise JobError(
            "weights_broken",
            f"The checkpoint {path} is damaged, or contains more than weights.",
            f"Copy or download it again, or save it as .safetensors. {DEMO_HINT}",
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise JobError(
            "weights_broken",
            f"The checkpoint {path} cannot be read: {first.rstrip('.')}.",
            f"Copy or download it again. {DEMO_HINT}",
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    entries = loaded.items() if isinstance(loaded, dict) else ()
    weights = {str(k).removeprefix("module."): v for k, v in entries if isinstance(v, Tensor)}
    if not weights:
        raise JobError(
            "weights_broken",
            f"The checkpoint {path} contains no weights.",
            f"Choose another. {DEMO_HINT}",
        )
    return weights
