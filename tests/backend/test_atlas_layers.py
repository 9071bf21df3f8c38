"""How layers cover each other, and what becomes of an object where it is hidden."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from backend.atlas.explicit import losses
from backend.atlas.explicit.reacquire import reacquire
from backend.atlas.layers import over, shares
from backend.masks import occlusion
from backend.masks.confidence import judge
from backend.motion.base_maps import _interpolated
from backend.motion.flow import Flows, without
from backend.progress import Silent


def disc(x: float, y: float, radius: float, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    yy, xx = np.mgrid[: size[0], : size[1]] + 0.5
    return np.hypot(xx - x, yy - y) < radius


def test_what_is_laid_over_is_what_the_shares_say() -> None:
    torch.manual_seed(0)
    layers = ("foreground", "foreground_2", "foreground_3", "background")
    colours = {layer: torch.rand(2, 3, 4, 5) for layer in layers}
    alphas = {layer: torch.rand(2, 1, 4, 5) for layer in layers[:-1]}
    parts = shares(alphas)
    assert list(parts) == list(layers)
    torch.testing.assert_close(sum(parts.values()), torch.ones(2, 1, 4, 5))
    mixed = sum(parts[layer] * colours[layer] for layer in layers)
    torch.testing.assert_close(over(colours, alphas), mixed)
    alphas["foreground"][:] = 1
    assert all(float(part.max()) == 0 for part in list(shares(alphas).values())[1:])


def test_one_object_and_the_rest() -> None:
    alpha = torch.rand(1, 1, 3, 3)
    parts = shares({"foreground": alpha})
    assert torch.equal(parts["foreground"], alpha)
    assert torch.equal(parts["background"], 1 - alpha)


def test_the_front_one_wins() -> None:
    front, behind = (disc(x, 24, 12).astype(np.float32)[None] for x in (24, 36))
    first, second = occlusion.visible([front, behind])
    assert np.array_equal(first, front)
    assert not (second[front > 0.5]).any()
    assert np.array_equal(second[front < 0.5], behind[front < 0.5])


def test_a_mask_continues_behind_what_hides_it_and_nowhere_else() -> None:
    whole, front = disc(36, 24, 14), disc(20, 24, 12)
    shown = whole & ~front
    (found,) = occlusion.continue_behind(shown[None], front[None], 6)
    assert np.array_equal(found & ~front, shown | (found & ~front & ~shown))
    assert (found & ~front & ~shown).sum() < 12, "only where the edges of the two meet"
    under = found & front
    assert under.any()
    assert (under & whole).sum() > 0.9 * (whole & disc(20, 24, 12) & ~disc(20, 24, 7)).sum()
    assert not (found & disc(20, 24, 4)).any(), "not deeper than asked"
    assert not (found & disc(8, 24, 4)).any(), "not on the other side"


def test_a_narrow_gap_between_two_masks_is_not_background() -> None:
    front, shown = np.zeros((2, 20, 40), bool)
    front[:, :18], shown[:, 20:] = True, True
    (found,) = occlusion.continue_behind(shown[None], front[None], 5)
    assert found[:, 15:].all()
    assert not found[:, :14].any()
    shown[:, :24] = False  # six pixels are no gap
    (apart,) = occlusion.continue_behind(shown[None], front[None], 5)
    assert np.array_equal(apart, shown)


def test_where_something_is_in_front_the_mask_does_not_pull() -> None:
    alpha = torch.full((1, 1, 1, 4), 0.5)
    distance = torch.tensor([[[[-9.0, 9, -9, 9]]]])
    known = torch.tensor([[[[True, True, False, False]]]])
    pull, outside = losses.mask_pull(alpha, distance, 3, known)
    whole, all_outside = losses.mask_pull(alpha, distance, 3)
    torch.testing.assert_close(pull * 2, whole)
    torch.testing.assert_close(outside * 2, all_outside)


def test_flow_that_starts_in_front_tells_nothing_of_what_is_behind() -> None:
    sure = np.ones((4, 6), bool)
    flows = Flows((8, 12), (1,), {}, {(0, 1): sure, (1, 0): sure})
    front = np.zeros((2, 8, 12), bool)
    front[0, :, :6] = True
    trusted = without(flows, front).trusted
    assert not trusted[0, 1][:, :2].any()
    assert trusted[0, 1][:, 4:].all()
    assert trusted[1, 0].all()


def test_a_hidden_objects_motion_is_interpolated() -> None:
    first, last = np.eye(3), np.eye(3)
    first[0, 2], last[0, 2] = 2, 5
    steps = _interpolated([None, first, None, None, last, None])
    assert [s is None for s in steps] == [True, False, False, False, False, True]
    assert [float(s[0, 2]) for s in steps[1:-1] if s is not None] == pytest.approx([2, 3, 4, 5])
    assert _interpolated([None, None]) == [None, None]


@pytest.fixture(scope="module")
def passing() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured disc that moves 3 pixels a frame and is hidden on three; frames, masks, maps."""
    texture = np.random.default_rng(0).integers(0, 255, (48, 96), dtype=np.uint8)
    frames, masks, maps = [], [], []
    for t in range(9):
        mask = disc(28 + 3 * t, 24, 14, (48, 96)) & (t not in (3, 4, 5))
        frame = np.where(mask, np.roll(texture, 3 * t, 1), np.uint8(128))
        frames.append(np.repeat(frame[..., None], 3, -1))
        masks.append(mask)
        maps.append(np.array([[1, 0, -3.0 * t], [0, 1, 0], [0, 0, 1]]))
    return np.stack(frames), np.stack(masks), np.stack(maps)


def test_views_before_and_after_a_gap_are_laid_over_each_other(
    passing: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    frames, masks, truth = passing
    drifted = truth.copy()
    drifted[4:, 0, 2] += 4
    drifted[4:, 1, 2] -= 2
    found = reacquire(frames, masks, drifted, Silent())
    assert np.abs(found[6:] - truth[6:])[:, :2, 2].max() < 1.5
    middle = np.array([42.0, 24, 1])
    for t in (6, 7, 8):
        at = middle + np.array([3 * t, 0, 0])
        assert np.linalg.norm((found[t] @ at - truth[t] @ at)[:2]) < 0.3
    assert np.array_equal(found[:3], truth[:3])
    x = found[:, 0, 2]
    assert max(abs(b - a) for a, b in pairwise(x)) < 6, "no jump in the gap"


def test_where_nothing_tells_better_the_maps_stay(
    passing: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    frames, masks, truth = passing
    other = frames.copy()
    other[6:] = np.random.default_rng(1).integers(0, 255, other[6:].shape)
    assert np.array_equal(reacquire(other, masks, truth, Silent()), truth)
    nothing = np.zeros_like(masks)
    assert np.array_equal(reacquire(frames, nothing, truth, Silent()), truth)


def test_a_mask_is_judged_by_what_is_seen_of_it() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60, (4, 48, 64, 3), dtype=np.uint8)
    whole = np.stack([disc(34, 24, 14)] * 4)
    frames[whole] += 150
    front = np.zeros_like(whole)
    front[1, :, :38] = True  # most of it is hidden, on one frame
    frames[front] = 90
    still = np.zeros((24, 32, 2), np.float16)
    pairs = [(a, b) for a in range(4) for b in range(4) if abs(a - b) == 1]
    sure = np.ones((24, 32), bool)
    flows = Flows((48, 64), (1,), dict.fromkeys(pairs, still), dict.fromkeys(pairs, sure))
    shown = whole & ~front
    alone = judge(frames, shown, flows, Silent()).confidence
    told = judge(frames, shown, flows, Silent(), hidden=front).confidence
    assert alone.min() < 0.5
    assert told.min() > 0.8
