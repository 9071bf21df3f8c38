"""The generator's weights of a finished edit, for a later one to start from."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from backend.edit.generator import Generator
from protocol.jobs import JobError


@dataclass(frozen=True)
class Weights:
    """Files of one layer of one shot: what its training starts from, and where it is kept.

    earlier: of another edit, or None to start afresh. kept: None to keep nothing.
    """

    earlier: Path | None = None
    kept: Path | None = None

    def start(self, network: Generator) -> None:
        """Give the network the earlier weights, if there are any.

        Raises JobError("other_generator") if they are another network's, ("generator_damaged").
        """
        if self.earlier is None:
            return
        try:
            tensors = load_file(self.earlier)
        except (OSError, SafetensorError) as why:
            raise JobError(
                "generator_damaged",
                "What was kept of the edit to start from cannot be read.",
                "Start afresh, without an earlier edit.",
            ) from why
        own = dict(network.named_parameters())
        if {name: one.shape for name, one in tensors.items()} != {
            name: one.shape for name, one in own.items()
        }:
            raise JobError(
                "other_generator",
                "The edit to start from was made at another size, so nothing fits.",
                "Use the preset and masks it was made with, or start afresh.",
            )
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(tensors[name])

    def keep(self, network: Generator) -> None:
        """Write the network's weights, whole or not at all."""
        if self.kept is None:
            return
        tensors = {
            name: weight.detach().cpu().contiguous() for name, weight in network.named_parameters()
        }
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=self.kept.parent)
        os.close(handle)
        try:
            save_file(tensors, name)
            os.replace(name, self.kept)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
