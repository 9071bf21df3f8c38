"""What the confidence of a mask on every frame means for the artist."""

from __future__ import annotations

import numpy as np
import pytest

from backend.masks import confidence as backend
from blender_addon.core import doubt, quality


def test_runs_and_the_sentence() -> None:
    assert doubt.doubtful_runs((0.9, 0.5, 0.5, 0.6, 0.1)) == [(1, 2), (4, 4)]
    assert doubt.verdict((0.9, 0.7), 20) == (
        True,
        "Object mask: good on every frame (at least 70% confident).",
    )
    assert (
        doubt.verdict((0.9, 0.5, 0.5, 0.6, 0.5), 20)[1] == "The mask is doubtful on 3 of 5 frames."
    )
    assert doubt.verdict((0.9, 0.8, 0.2, 0.1), 20)[1] == "The object is lost from frame 22."


def test_the_most_helpful_frame_is_the_backends() -> None:
    assert doubt.most_helpful((0.9, 0.6)) is None
    for seed in range(20):
        values = np.random.default_rng(seed).uniform(0, 1, 30).astype(np.float32)
        assert doubt.most_helpful(values.tolist()) == backend.most_helpful(values)


@pytest.mark.parametrize(("frame", "step", "found"), [(3, 1, 5), (5, 1, None), (3, -1, 2)])
def test_the_next_doubtful_frame(frame: int, step: int, found: int | None) -> None:
    assert doubt.neighbour((2, 5), frame, step) == found


def test_the_limits_are_the_backends() -> None:
    assert doubt.HELPS == backend.HELPS
    assert doubt.LOST == backend.LOST
    assert quality.DOUBTFUL == backend.DOUBTFUL
