"""Short flashes are found, and masks are tracked over them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_masks_lost import Diary, ball

from backend.atlas.explicit import fit
from backend.atlas.explicit.config import preset
from backend.masks import confidence
from backend.masks.bridge import bridged
from backend.masks.prompts import MaskPrompts
from backend.masks.resolve import TRACKER, resolve_masks
from backend.masks.tracker.track import Tracker
from backend.motion import flow
from backend.motion.flashes import bridge_flashes, find_flashes
from backend.progress import Silent

Pixels = NDArray[np.uint8]
GAPS = (1, 2, 4, 8)


def flashed(kind: str, first: int, last: int, count: int = 8) -> tuple[Pixels, NDArray[np.bool_]]:
    """A ball that moves, and where it is; some frames are flashes."""
    frames, truth = ball(count)
    part = frames[first : last + 1]
    noise = np.random.default_rng(0).integers(0, 256, part.shape)
    kinds = {"white": 255, "black": 0, "half": np.clip(part * 1.6 + 60, 0, 255), "noise": noise}
    part[:] = kinds[kind]
    return frames, truth


@pytest.mark.parametrize("kind", ["white", "black", "half", "noise"])
@pytest.mark.parametrize("last", [2, 3, 4])
def test_flashes_are_found(kind: str, last: int) -> None:
    assert find_flashes(flashed(kind, 2, last)[0]) == [(2, last)]


def test_the_frames_between_two_flashes_are_none() -> None:
    frames, _ = ball(8)
    frames[[2, 5]] = 255
    assert find_flashes(frames) == [(2, 2), (5, 5)]
    frames, _ = ball(8)
    frames[[0, 3]] = 255
    assert find_flashes(frames) == [(3, 3)]


def test_what_goes_on_or_keeps_its_colours_is_no_flash() -> None:
    frames, _ = ball(8)
    assert find_flashes(frames) == []
    assert find_flashes(frames[:2]) == []
    bump = frames.copy()
    bump[3] = np.roll(bump[3], 25, 0)
    fade = (frames * np.linspace(1, 0, 8)[:, None, None, None]).astype(np.uint8)
    cut = frames.copy()
    cut[4:] = 255 - cut[4:]
    for other in (bump, fade, cut, flashed("white", 2, 5)[0], flashed("white", 6, 7)[0]):
        assert find_flashes(other) == []


@pytest.mark.parametrize(("kind", "last"), [("white", 3), ("white", 4), ("black", 4), ("half", 3)])
def test_masks_are_tracked_over_a_flash(kind: str, last: int) -> None:
    frames, truth = flashed(kind, 3, last)
    diary = Diary()
    bridge = bridge_flashes(frames, diary, first_frame=10)
    assert bridge.flashes == {*range(3, last + 1)}
    assert "from frame 13 to frame " + str(last + 12) in diary.notes[0]
    flows = flow.estimate(bridge.frames, GAPS, 1.0, Silent())
    prompts = MaskPrompts("key", {0: truth[0].astype(np.uint8) * 255})
    tracker = replace(TRACKER, blind=bridge.flashes)
    masks = resolve_masks(bridge.frames, prompts, flows, Silent(), tracker).masks > 0.5
    overlap = (masks & truth).sum((1, 2)) / (masks | truth).sum((1, 2))
    assert overlap.min() > 0.85
    assert overlap[last + 1 :].min() > 0.9


def test_only_flow_across_what_is_left_out_is_new() -> None:
    frames, _ = ball(6)
    flows = flow.estimate(frames, (1, 2), 1.0, Silent())
    part = flow.on_frames(flows, frames, [0, 1, 4, 5])
    assert {*part.between} == {(a, b) for a in range(4) for b in range(4) if 0 < abs(a - b) <= 2}
    np.testing.assert_array_equal(part.between[0, 1], flows.between[0, 1])
    np.testing.assert_array_equal(part.between[3, 2], flows.between[5, 4])
    assert (1, 4) not in flows.between
    assert part.between[1, 2].shape == flows.between[0, 1].shape


def test_a_mask_moves_steadily_over_a_gap() -> None:
    _, truth = ball(6)
    masks = truth.copy()
    masks[2:4] = False
    overlap = [
        (a & b).sum() / (a | b).sum() for a, b in zip(bridged(masks, {2, 3}), truth, strict=True)
    ]
    assert min(overlap) > 0.95
    np.testing.assert_array_equal(bridged(truth, {0})[0], truth[1])


def test_a_decomposition_bridges_flashes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Pixels, Tracker]] = []

    class StopError(Exception):
        pass

    def stop(
        frames: Pixels, _objects: object, _flows: object, _report: object, tracker: Tracker
    ) -> None:
        seen.append((frames, tracker))
        raise StopError

    monkeypatch.setattr(fit, "resolve_objects", stop)
    frames, truth = flashed("white", 3, 3)
    prompts = MaskPrompts("key", {0: truth[0].astype(np.uint8) * 255})
    with pytest.raises(StopError):
        fit.decompose(frames, [prompts], preset("draft", 0), torch.device("cpu"), Silent())
    ((steady, tracker),) = seen
    assert tracker.blind == {3}
    assert abs(float(steady[3].mean()) - float(steady[2].mean())) < 10


def test_a_frame_that_shows_nothing_is_doubtful() -> None:
    frames, truth = ball(8)
    frames[4:] = 0
    masks = np.concatenate([truth[:4], np.repeat(truth[3:4], 4, 0)])
    flows = flow.estimate(frames, GAPS, 1.0, Silent())
    judged = confidence.judge(frames, masks, flows, Silent(), given=[0])
    assert (judged.confidence[4:] < confidence.DOUBTFUL).all()
    assert judged.confidence[1] > confidence.DOUBTFUL


def test_a_small_object_is_carried_over_a_flash_of_a_textured_shot() -> None:
    rng = np.random.default_rng(1)
    wall = cv2.GaussianBlur(rng.integers(0, 256, (64, 96, 3), np.uint8), (0, 0), 1.5)
    frames = np.stack([np.roll(wall, 2 * t, 1) for t in range(7)])
    assert find_flashes(frames) == []
    frames[3:5] = 255
    bridge = bridge_flashes(frames, Silent())
    true = np.stack([np.roll(wall, 2 * t, 1) for t in range(7)]).astype(int)
    assert np.abs(bridge.frames[3:5] - true[3:5])[:, :, 8:-8].mean() < 5
