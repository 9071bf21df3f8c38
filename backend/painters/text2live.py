"""The painter `text2live`: a generator trained against CLIP (Bar-Tal et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.clip import cache
from backend.edit import recipes, train
from backend.edit.config import EditConfig, EditTexts
from backend.edit.image import edit_image
from backend.edit.texts import remarks_on
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.painters.base import Plan, Run, Task
from protocol.jobs import EditJob
from protocol.painters import Text2LiveSettings, settings_of


class Text2Live:
    """Trains a generator on the layer, steered by the job's text-image model."""

    def __init__(self, spec: EditJob, device: torch.device) -> None:
        self._clip = cache.text_image_model(spec.model, str(device))

    def remarks(self, spec: EditJob) -> Sequence[str]:
        """Words that the text-image model does not know, and texts that are too long for it."""
        settings = settings_of(spec)
        assert isinstance(settings, Text2LiveSettings)
        texts = (
            *spec.prompt, *spec.source, *settings.screen, *spec.region, *spec.avoid,
            *spec.background, *spec.background_source,
        )  # fmt: skip
        return remarks_on(self._clip, texts)

    def plan(self, task: Task) -> Plan:
        """Steps of the training, and everything that decides its result."""
        config = config_of(task)
        return Plan(
            steps=config.steps, identity=(train.VERSION, asdict(config), self._clip.fingerprint)
        )

    def prepare(self, task: Task, frames: NDArray[np.uint8], run: Run) -> None:
        """Nothing: texts do not depend on the shot."""

    def paint_still(
        self, task: Task, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, run: Run
    ) -> NDArray[np.uint8]:
        """As `Painter.paint_still`."""
        return edit_image(image, self._setup(task, run), mask)

    def paint_atlas(
        self, task: Task, frames: NDArray[np.uint8], atlas: LayeredAtlas, run: Run
    ) -> Tensor:
        """As `Painter.paint_atlas`."""
        return edit_atlas(frames, atlas, task.layer, self._setup(task, run))

    def _setup(self, task: Task, run: Run) -> Setup:
        return Setup(
            texts_of(task.job), self._clip, config_of(task), run.report, run.checkpoint,
            start_from=run.warm_start.earlier, save_to=run.warm_start.kept,
            references=[run.load(ref) for ref in settings_of(task.job).images],
        )  # fmt: skip


def config_of(task: Task) -> EditConfig:
    """The training's config for a task."""
    return recipes.config_of(task.job, video=task.video, layer=task.layer, warm=task.warm)


def texts_of(spec: EditJob) -> EditTexts:
    """The texts of an edit of one layer."""
    settings = settings_of(spec)
    assert isinstance(settings, Text2LiveSettings)
    return EditTexts(
        prompt=spec.prompt,
        source=spec.source,
        screen=settings.screen,
        region=spec.region,
        avoid=spec.avoid,
    )
