"""The training of an edit: its set-up and its loop. Images, clips and the baselines share it.

A `Subject` supplies the training images of a step, made through its generator; `train` does the
rest, from the settings to the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.checkpoint import Checkpoint, State
from backend.clip.model import TextImageModel
from backend.device import computes_bfloat16
from backend.device_errors import is_out_of_memory
from backend.edit import resume
from backend.edit.config import EditConfig, EditTexts
from backend.edit.criterion import Criterion, Example
from backend.edit.generator import Generator
from backend.edit.loss_log import LossLog
from backend.edit.madgrad import Madgrad
from backend.edit.references import embed_references
from backend.edit.texts import TextTargets
from backend.edit.weights import load_weights, save_weights
from backend.progress import EDIT_PHASE, Reporter
from protocol.jobs import PRESETS, JobError

VERSION = "edit-10"
"""Raise it when the same settings train differently: edits under way then start over."""


class Progress:
    """Reports the step under way; `tick` is called inside it, so that a cancel is noticed there."""

    def __init__(self, report: Reporter, total: int) -> None:
        self.report, self.step, self.total = report, 0, total

    def tick(self) -> None:
        """Report the step, until the last one is done."""
        if self.step < self.total:
            self.report.step(EDIT_PHASE, self.step, self.total)


class Setup:
    """What every training needs, whatever it is trained on: texts, model, loss, random draws.

    clip: the text-image model, which other jobs may share; `self.clip` is a view of it with this
    training's settings. checkpoint: where an interrupted training is kept and resumed from.
    start_from: weights of an earlier edit. save_to: file for this edit's weights. references:
    images [H,W,3] of what the layer should look like.
    Raises JobError("no_prompt"), Cancelled.
    """

    def __init__(
        self,
        texts: EditTexts,
        clip: TextImageModel,
        config: EditConfig,
        report: Reporter,
        checkpoint: Checkpoint | None = None,
        start_from: Path | None = None,
        save_to: Path | None = None,
        references: Sequence[NDArray[np.uint8]] = (),
    ) -> None:
        self.texts, self.config, self.report, self.device = texts, config, report, clip.device
        self.checkpoint = checkpoint or Checkpoint()
        self.start_from, self.save_to = start_from, save_to
        self.progress = Progress(report, config.steps)
        self.random = torch.Generator().manual_seed(config.seed)
        self.bfloat16 = uses_bfloat16(config, self.device)
        self.clip = clip.configured(bfloat16=self.bfloat16, tick=self.progress.tick)
        self.targets = TextTargets(
            self.clip, texts, config.screen_templates, paired=config.paired_texts,
            relevancy_templates=config.relevancy_templates,
        )  # fmt: skip
        references_ND = embed_references(self.clip, references, config)
        self.criterion = Criterion(self.clip, self.targets, config, self.random, references_ND)
        self.green_1311 = torch.tensor(config.green, device=self.device).reshape(1, 3, 1, 1)
        if self.targets.source_PKD is None and config.direction:
            report.note("No source text was given; only the prompt guides the edit.")

    def generator(self, side: int) -> Generator:
        """The network to train. side: shorter side of the smallest image it will see, pixels.

        Raises JobError if the weights to start from do not fit.
        """
        config = self.config
        network = Generator(
            channels=config.channels, scales=config.scales, skip_channels=config.skip_channels,
            last_norm=config.last_norm, side=side, seed=config.seed, tick=self.progress.tick,
            # On CPUs oneDNN's bfloat16 gradient of a convolution's weights returned NaN at random
            # (torch 2.15, AMX, two threads on a busy machine).
            bfloat16=self.bfloat16 and self.device.type == "cuda",
        ).to(self.device)  # fmt: skip
        if self.start_from is not None:
            load_weights(network, self.start_from)
        return network


class Subject(Protocol):
    """What an edit is trained on: an image, a layer of a clip, or a baseline's frames."""

    network: Generator

    def examples(self, step: int) -> list[Example]:
        """The training images of a step, made through the network; draws from Setup.random."""

    def preview(self) -> NDArray[np.uint8]:
        """A small image of the layer so far."""


def train(setup: Setup, subject: Subject) -> list[float]:
    """Train the subject's network and keep its weights; returns the loss of every step.

    Resumes from the checkpoint if that holds a state, and leaves the last state there: the caller
    drops it. Raises JobError: "diverged" when the loss is not a number, "out_of_memory" when
    memory is too small even for one view at a time. Lets Cancelled pass.
    """
    config, report, checkpoint = setup.config, setup.report, setup.checkpoint
    network, random = subject.network, setup.random
    optimizer = Madgrad(
        network.parameters(), lr=config.lr, momentum=config.momentum,
        weight_decay=config.weight_decay,
    )  # fmt: skip
    done = resume.restore(checkpoint, network, optimizer, random, setup.device, report)
    losses, first = LossLog(done, setup.device), len(done)

    def state() -> State:
        return resume.pack(network, optimizer, random, losses.read())

    try:
        for step in range(first, config.steps):
            setup.progress.step = step
            setup.progress.tick()
            for group in optimizer.param_groups:
                group["lr"] = max(config.lr_min, config.lr * config.decay**step)
            losses.add(*_forward_backward(setup, subject, optimizer, step))
            optimizer.step()
            checkpoint.keep(state)
            if _preview_is_due(step + 1, config):
                losses.read()
                report.preview(subject.preview())
        setup.progress.step = config.steps
        checkpoint.keep(state, now=True)  # what follows may be interrupted too
        report.step(EDIT_PHASE, config.steps, config.steps)
        history = losses.read()
    except JobError as why:
        if why.problem.code == "diverged":
            checkpoint.drop()
        raise
    if setup.save_to is not None:
        save_weights(network, setup.save_to)
    return history


def _forward_backward(
    setup: Setup, subject: Subject, optimizer: Madgrad, step: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a step and its terms, detached; the gradient is left in the network's weights.

    Where memory runs out, the step is repeated with the same draws and fewer views at once.
    """
    draws = setup.random.get_state()
    while (result := _attempt(setup, subject, optimizer, step)) is None:
        setup.random.set_state(draws)
        _halve_views(setup)
    return result


def _attempt(
    setup: Setup, subject: Subject, optimizer: Madgrad, step: int
) -> tuple[Tensor, dict[str, Tensor]] | None:
    """As `_forward_backward`, once; None if memory ran out. Returning frees the tensors."""
    optimizer.zero_grad(set_to_none=True)
    try:
        loss, terms = setup.criterion(subject.examples(step), step)
        loss.backward()  # type: ignore[no-untyped-call]
    except (RuntimeError, MemoryError) as why:
        if not is_out_of_memory(why):
            raise
        return None
    return loss.detach(), terms


def _halve_views(setup: Setup) -> None:
    """Score half as many views at once, with a note.

    Raises JobError("out_of_memory") where they are scored one by one already.
    """
    on_gpu = setup.device.type != "cpu"
    if setup.device.type == "cuda":
        torch.cuda.empty_cache()
    owner = "The GPU" if on_gpu else "The backend's machine"
    scorer, preset = setup.criterion.scorer, setup.config.preset
    if scorer.halve():
        setup.report.note(
            f"{owner} does not have enough memory for all views at once. From here on "
            f"{scorer.at_once} are scored at a time: the result is the same, but it takes longer."
        )
        return
    smaller = PRESETS[: PRESETS.index(preset)] if preset in PRESETS else PRESETS
    less = f"Use the preset {smaller[-1]}, which needs far less, or c" if smaller else "C"
    raise JobError(
        "out_of_memory",
        f"{owner} does not have enough memory for this edit, even with one view at a time.",
        f"{less}lose other programs{' that use the GPU' if on_gpu else ''}.",
        retryable=True,
    )


def _preview_is_due(done: int, config: EditConfig) -> bool:
    """Whether to show a preview after this many steps: one comes within the first 4 %."""
    return done == max(1, config.steps // 25) or done % config.preview_every == 0


def uses_bfloat16(config: EditConfig, device: torch.device) -> bool:
    """Whether the config wants bfloat16 and this device computes it faster than float32."""
    return config.precision == "bfloat16" and computes_bfloat16(device)
