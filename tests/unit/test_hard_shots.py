"""Drawn shots that lose masks: their masks are exact, and each has what it is named after."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.measure import hard_shots
from scripts.measure.hard_shots import SHOTS, expose, make_shot


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard_shots, "SHUTTER", 1)


@pytest.mark.parametrize("name", SHOTS)
def test_a_shot_is_the_same_on_every_call_and_starts_with_the_object(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(hard_shots, "FRAMES", 2)
    one, other = make_shot(name), make_shot(name)
    assert np.array_equal(one.frames, other.frames)
    assert one.frames.shape == (2, 216, 384, 3)
    assert one.masks.shape == (2, 216, 384)
    assert one.masks[0].sum() > 300


def areas(name: str, *times: int) -> list[float]:
    """Pixels of the object that are seen at these frames."""
    return [float(expose(SHOTS[name], t)[1].sum()) for t in times]


def test_what_is_hidden_or_outside_is_not_in_the_mask() -> None:
    whole, hidden = areas("occluder", 0, 20)
    assert hidden < 0.6 * whole
    first, away, back = areas("leaves", 0, 20, 39)
    assert away == 0
    assert back > 0.9 * first
    light, dark = areas("fade", 0, 20)
    assert dark == pytest.approx(light, rel=0.1)


def test_light_changes_where_it_should() -> None:
    before, lit = (float(expose(SHOTS["flash"], t)[0].mean()) for t in (11, 12))
    assert lit > 1.5 * before
    bright, dark = (float(expose(SHOTS["fade"], t)[0].mean()) for t in (0, 20))
    assert dark < 0.35 * bright
