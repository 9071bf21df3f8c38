"""The generator's weights of a finished edit, kept for a later edit to start from."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from backend.edit.generator import Generator
from protocol.jobs import JobError


def load_weights(network: Generator, path: Path) -> None:
    """Give the network the weights of an earlier edit.

    Raises JobError("generator_damaged"), or ("other_generator") if they are another network's.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as why:
        raise JobError(
            "generator_damaged",
            "The saved weights of the edit to start from cannot be read.",
            "Start from scratch instead.",
        ) from why
    own = dict(network.named_parameters())
    if {name: one.shape for name, one in tensors.items()} != {
        name: one.shape for name, one in own.items()
    }:
        raise JobError(
            "other_generator",
            "The edit to start from was made at another size, so its weights do not fit.",
            "Use the preset and masks it was made with, or start from scratch.",
        )
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(tensors[name])


def save_weights(network: Generator, path: Path) -> None:
    """Write the network's weights; an existing file is replaced atomically."""
    tensors = {
        name: weight.detach().cpu().contiguous() for name, weight in network.named_parameters()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    os.close(handle)
    try:
        save_file(tensors, name)
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
