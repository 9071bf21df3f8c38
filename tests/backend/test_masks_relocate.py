"""A small object that moves further per frame than flow can follow is not lost."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.masks import relocate
from backend.masks.carry import carry
from backend.motion import flow
from backend.progress import Silent

H, W, T = 100, 180, 9
PAN = 2  # pixels a frame that the camera moves
Pixels = np.ndarray


def wall() -> Pixels:
    """An image of soft, greenish stains, wider than the frame: uint8 [H,W+60,3]."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(40, 150, (H // 5, (W + 60) // 5, 1)) + rng.integers(0, 40, (20, 48, 3))
    coarse[..., 1] += 40
    return cv2.resize(coarse.astype(np.uint8), (W + 60, H), interpolation=cv2.INTER_CUBIC)


def flown(
    step: tuple[float, float],
    grow: float = 1.0,
    start: tuple[float, float] = (20, 30),
    turns: float = 1e9,
) -> tuple[Pixels, Pixels]:
    """A red and blue bird of about 18×10 pixels before a panned wall: frames and its masks.

    turns: x at which it turns back.
    """
    frames, masks = [], []
    for t in range(T):
        frame = wall()[:, PAN * t : PAN * t + W].copy()
        mask = np.zeros((H, W), np.uint8)
        size = 16 * grow**t  # sixteenths of a pixel
        x = start[0] + step[0] * t
        at = round(16 * min(x, 2 * turns - x)), round(16 * (start[1] + step[1] * t))
        body = at, (round(9 * size), round(5 * size)), 0, 0, 360
        head = (at[0] + round(4 * size), at[1]), round(3 * size)
        for picture, colour, blue in ((frame, (200, 30, 40), (30, 40, 190)), (mask, 255, 255)):
            cv2.ellipse(picture, *body, colour, -1, cv2.LINE_AA, 4)
            cv2.circle(picture, *head, blue, -1, cv2.LINE_AA, 4)
        frames.append(frame)
        masks.append(mask > 127)
    return np.stack(frames), np.stack(masks)


def overlap(one: Pixels, other: Pixels) -> float:
    return float((one & other).sum()) / float((one | other).sum())


@pytest.mark.parametrize("step", [(15, 3), (-14, 4)], ids=["against the pan", "with the pan"])
def test_a_small_fast_object_is_followed_both_ways(step: tuple[int, int]) -> None:
    frames, truth = flown(step, start=(20 if step[0] > 0 else 150, 25))
    flows = flow.estimate(frames, (1, 2, 4), 1.0, Silent())
    middle = T // 2
    found = carry(frames, {middle: truth[middle]}, flows, Silent())
    assert min(overlap(found[t], truth[t]) for t in range(T)) > 0.75


def still() -> Pixels:
    return np.zeros((H, W, 2), np.float32)


def pan() -> Pixels:
    return np.full((H, W, 2), (-PAN, 0), np.float32)


def test_how_it_moves_and_grows_is_found() -> None:
    frames, masks = flown((16, 5), grow=1.1)
    step = relocate.find_moved(frames[3], frames[4], masks[3], pan(), pan(), None)
    assert step is not None
    own = relocate.motion_field(step, (H, W))
    assert np.abs(own[masks[3]].mean(0) - (16, 5)).max() < 0.7
    assert 1.05 < np.sqrt(np.linalg.det(step)) < 1.15
    back = (
        flow.pull(masks[3].astype(np.float32), relocate.motion_field(np.linalg.inv(step), (H, W)))
        > 0.5
    )
    assert overlap(back, masks[4]) > 0.85


def test_what_flow_follows_is_left_to_it() -> None:
    frames, masks = flown((16, 5))
    right = np.full((H, W, 2), (16, 5), np.float32)
    assert relocate.find_moved(frames[3], frames[4], masks[3], right, pan(), None) is None


def test_what_is_not_there_is_not_found() -> None:
    frames, masks = flown((16, 5))
    empty = wall()[:, PAN * 4 : PAN * 4 + W]
    assert relocate.find_moved(frames[3], empty, masks[3], pan(), pan(), None) is None
    nothing = np.zeros((H, W), np.bool_)
    assert relocate.find_moved(frames[3], frames[4], nothing, pan(), pan(), None) is None


def test_of_two_lookalikes_the_one_with_the_same_motion_wins() -> None:
    frames, masks = flown((22, 0), start=(0, 30))
    twin = flown((-22, 0), start=(2 * 22 * 4, 30))[0][5]  # as far on the other side
    seen = twin != wall()[:, PAN * 5 : PAN * 5 + W]
    both = np.where(seen, twin, frames[5])
    for way in (22, -22):
        before = np.full((H, W, 2), (way, 0), np.float32)
        step = relocate.find_moved(frames[4], both, masks[4], pan(), pan(), before)
        assert step is not None
        assert relocate.motion_field(step, (H, W))[masks[4]].mean(0)[0] == pytest.approx(way, abs=1)


def test_one_that_leaves_is_followed_as_far_as_it_is_seen() -> None:
    frames, masks = flown((16, 0), start=(W - 3 - 16 * 5, 40))
    step = relocate.find_moved(frames[4], frames[5], masks[4], pan(), pan(), None)
    assert masks[5].any()
    assert masks[5].sum() < 0.75 * masks[4].sum()
    assert step is not None
    assert relocate.motion_field(step, (H, W))[masks[4]].mean(0)[0] == pytest.approx(16, abs=1.5)


def test_a_large_object_is_searched_for_in_small_images() -> None:
    frames, masks = flown((18, 6))
    large = [cv2.resize(one, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC) for one in frames]
    mask = cv2.resize(masks[2].astype(np.uint8), None, fx=5, fy=5) > 0
    size = (mask.shape[0], mask.shape[1], 2)
    rest = np.full(size, (-5 * PAN, 0), np.float32)
    step = relocate.find_moved(large[2], large[3], mask, rest, rest, None)
    assert step is not None
    moved = relocate.motion_field(step, size[:2])[mask].mean(0)
    assert np.abs(moved - (90, 30)).max() < 3
    whole = np.ones((300, 400), np.bool_)  # more pixels than OpenCV looks up in a row
    grey = np.full((300, 400, 3), 90, np.uint8)
    own = np.zeros((300, 400, 2), np.float32)
    assert relocate.find_moved(grey, grey + 60, whole, own, own, None) is None


def test_what_is_painted_on_the_wall_is_not_the_object() -> None:
    frames, masks = flown((16, 5))
    bird = frames[3][masks[3]]
    y, x = np.nonzero(masks[3])
    first, empty = frames[3].copy(), wall()[:, PAN * 4 : PAN * 4 + W].copy()
    first[y + 12, x + 14], empty[y + 12, x + 14 - PAN] = bird, bird
    assert relocate.find_moved(first, empty, masks[3], pan(), pan(), None) is None


@pytest.mark.parametrize("turns", [W + 30, W + 400], ids=["comes back", "stays away"])
def test_an_object_that_left_is_known_again(turns: int) -> None:
    frames, truth = flown((22, 3), start=(W - 56, 30), turns=turns)
    assert not truth[3].any()
    assert truth[6:].any() == (turns == W + 30)
    flows = flow.estimate(frames, (1, 2, 4), 1.0, Silent())
    found = carry(frames, {0: truth[0]}, flows, Silent())
    for t in range(T):
        if truth[t].sum() > 100:
            assert overlap(found[t], truth[t]) > 0.6, t
        elif not truth[t].any():
            assert not found[t].any(), t


@pytest.mark.parametrize(("x", "back"), [(12, True), (90, False)], ids=["at the border", "inside"])
def test_what_comes_back_comes_from_outside(x: int, back: bool) -> None:
    frames, masks = flown((16, 5))
    there = flown((0, 0), start=(x, 40))[0][4]
    empty = wall()[:, PAN * 3 : PAN * 3 + W].copy()
    step = relocate.find_returned(frames[2], masks[2], empty, there, pan(), 10.0)
    assert (step is not None) == back
    other = np.where(there != wall()[:, PAN * 4 : PAN * 4 + W], there[..., ::-1], there)
    assert relocate.find_returned(frames[2], masks[2], empty, other, pan(), 10.0) is None
