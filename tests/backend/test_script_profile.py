"""What the atlas profile counts, and how it goes from a short run to a whole one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.atlas.explicit.config import preset
from scripts.measure.profile_atlas import (
    BANDWIDTH,
    LAUNCH,
    USED,
    Estimate,
    Phases,
    Traffic,
    Work,
    estimates,
)


def test_operations_are_counted_by_phase_and_views_are_not() -> None:
    phases = Phases()
    a, b = torch.zeros(10, 10), torch.zeros(10, 10)
    with Traffic(phases) as traffic:
        phases.step("one", 0, 1)
        a.reshape(100)
        a + b
        phases.step("two", 0, 1)
        a.add_(b)
    assert traffic.work["one"] == Work(1, 3 * 400)
    assert traffic.work["two"].operations == 1


def test_gradients_are_counted_too() -> None:
    phases = Phases()
    weight = torch.ones(10, requires_grad=True)
    with Traffic(phases) as traffic:
        total = (weight * weight).sum()
        before = traffic.work[phases.phase].operations
        total.backward()
    assert traffic.work[phases.phase].operations > before


def test_steps_scale_with_steps_and_the_rest_with_frames() -> None:
    whole = preset("final")
    short = replace(whole, half_steps=whole.half_steps // 10, full_steps=whole.full_steps // 10)
    counted = {"Fitting the atlas": Work(100, 1000), "Filling the atlas": Work(10, 100)}
    found = estimates({**counted, "Computing motion": Work(9, 9)}, short, whole, growth=7)
    assert set(found) == set(counted), "what the GPU does not compute is left out"
    assert found["Fitting the atlas"].operations == pytest.approx(1000)
    assert found["Filling the atlas"].nbytes == pytest.approx(700)


def test_a_phase_is_bound_by_bytes_or_by_launches() -> None:
    assert Estimate(1, BANDWIDTH).seconds == pytest.approx(1 / USED)
    assert Estimate(1e6, 1).seconds == pytest.approx(1e6 * LAUNCH)
