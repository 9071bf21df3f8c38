"""Reference images take their share of what the texts say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tiny_clip import tiny_model
from tiny_edit import CPU, TEXTS, TINY, disc

from backend.checkpoint import Checkpoint
from backend.edit.criterion import Criterion, Example
from backend.edit.pixels import to_tensor
from backend.edit.references import embed_references
from backend.edit.texts import TextTargets
from backend.painters import text2live
from backend.painters.base import Run, Task, WarmStart
from backend.progress import Silent
from protocol.jobs import Clip, EditJob, reference
from protocol.painters import Text2LiveSettings, packed_settings

GOLD = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
HALF = replace(TINY, reference=0.5)


def terms(output: np.ndarray, share: float) -> dict[str, float]:
    """The terms of an example whose output is this image. share: the reference's weight."""
    model, config = tiny_model(), replace(TINY, reference=share)
    images = embed_references(model, [GOLD], config)
    random = torch.Generator().manual_seed(0)
    criterion = Criterion(model, TextTargets(model, TEXTS), config, random, images)
    example = Example(
        source=to_tensor(disc(), CPU), output=to_tensor(output, CPU), screen=to_tensor(output, CPU),
        alpha=torch.ones(1, 1, 40, 56),
    )  # fmt: skip
    _, found = criterion([example], 0)
    return {name: float(value) for name, value in found.items()}


def test_references_are_embedded_once_the_same_way_each_time() -> None:
    first, again = (embed_references(tiny_model(), [GOLD, disc()], HALF) for _ in range(2))
    assert first is not None
    assert again is not None
    assert torch.equal(first, again)
    assert len(first) == 2 * HALF.views.count
    assert embed_references(tiny_model(), [], HALF) is None
    assert embed_references(tiny_model(), [GOLD], TINY) is None


def test_the_weight_shifts_from_the_texts_to_the_images() -> None:
    none, half, all_ = (terms(disc(), share) for share in (0.0, 0.5, 1.0))
    assert "reference" not in none
    assert half["composition"] == 0.5 * none["composition"]
    assert all_["composition"] == all_["direction"] == 0
    assert all_["reference"] == 2 * half["reference"]
    assert all_["structure"] == none["structure"]


def test_an_output_like_the_reference_is_closer_to_it() -> None:
    like, unlike = terms(GOLD, 0.5), terms(disc(), 0.5)
    assert like["reference"] < unlike["reference"]
    assert like["reference direction"] < unlike["reference direction"]


def test_text2live_gives_the_jobs_images_to_the_training() -> None:
    settings = packed_settings(Text2LiveSettings(reference=(reference(GOLD),)))
    job = EditJob(clip=Clip(frames=()), prompt=("gold",), preset="draft", settings=settings)
    painter = text2live.Text2Live.__new__(text2live.Text2Live)
    painter._clip = tiny_model()
    run = Run(report=Silent(), checkpoint=Checkpoint(), warm_start=WarmStart(), load=lambda _: GOLD)
    task = Task(job=job, layer="foreground", video=False, warm=False)
    setup = painter._setup(task, run)
    assert setup.config.reference == 0.5
    assert setup.criterion.references_ND is not None
    bare = replace(task, job=EditJob(clip=Clip(frames=()), prompt=("gold",), preset="draft"))
    assert painter._setup(bare, run).criterion.references_ND is None
    assert painter.plan(task).identity != painter.plan(bare).identity
