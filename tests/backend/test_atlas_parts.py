"""The parts of the decomposition, one by one, against formulas and the synthetic clip's truth."""

import numpy as np
import pytest
import torch

from backend.atlas.explicit import losses
from backend.atlas.explicit.config import preset
from backend.atlas.explicit.splines import basis, surface, time_cells
from backend.atlas.explicit.start import starting_atlas
from backend.atlas.row_adam import RowAdam
from backend.atlas.sampling import push_pull, sample, splat
from backend.masks import grabcut, resolve
from backend.masks.prompts import MaskPrompts
from backend.motion import base_maps, fields, flow
from backend.progress import Silent
from protocol.jobs import JobError
from scripts.make_clip import SyntheticClip, make_clip

H, W, T = 96, 160, 10


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


@pytest.fixture(scope="module")
def flows(clip: SyntheticClip) -> flow.Flows:
    return flow.estimate(clip.frames, (1, 2, 4, 8), 1.0, Silent())


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


# Splines


def test_basis_is_a_partition_of_unity_and_clamps() -> None:
    x = torch.linspace(-1, 8, 91)
    weights = basis(x, 7)
    assert weights.shape == (91, 10)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(91))
    torch.testing.assert_close(weights[x >= 7], basis(torch.tensor([7.0]), 7).expand(11, -1))


def test_cubic_splines_reproduce_straight_lines() -> None:
    knots = (torch.arange(10.0) - 1)[None, None, None].expand(1, 1, 8, 10)
    x = torch.linspace(0, 7, 29)
    out = surface(knots, basis(torch.linspace(0, 5, 11), 5), basis(x, 7))
    torch.testing.assert_close(out[0, 0], x.expand(11, -1), atol=1e-5, rtol=1e-5)


def test_surface_with_its_own_basis_per_item() -> None:
    knots = torch.randn(3, 2, 5, 6)
    rows, columns = torch.rand(3, 7, 5), torch.rand(3, 9, 6)
    out = surface(knots, rows, columns)
    torch.testing.assert_close(out[1], rows[1] @ knots[1] @ columns[1].T)


def test_time_cells_reach_the_last_frame() -> None:
    assert [time_cells(n, 4) for n in (1, 2, 5, 6, 9, 10)] == [1, 1, 1, 2, 2, 3]


# Sampling


def test_splat_is_the_transpose_of_sample() -> None:
    torch.manual_seed(0)
    image, uv = torch.randn(1, 3, 9, 7), torch.rand(2, 5, 6, 2) * 2.2 - 1.1
    values = torch.randn(2, 3, 5, 6)
    left = (sample(image, uv) * values).sum()
    right = (image * splat(values, uv, (9, 7))).sum()
    torch.testing.assert_close(left, right)


def test_sample_keeps_batch_and_rows_apart() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    y, x = torch.meshgrid(
        (torch.arange(3) + 0.5) / 1.5 - 1, (torch.arange(4) + 0.5) / 2 - 1, indexing="ij"
    )
    uv = torch.stack([torch.stack([x, y], -1), torch.stack([-x, y], -1)])
    torch.testing.assert_close(sample(image, uv)[0], image[0])
    torch.testing.assert_close(sample(image, uv)[1], image[0].flip(-1))


@pytest.mark.parametrize("size", [(16, 16), (13, 21), (1, 5), (1, 1)])
def test_push_pull_keeps_what_is_known_and_fills_the_rest(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    weight = (torch.rand(1, 1, *size, generator=generator) > 0.7).float()
    weight[..., 0, 0] = 1
    image = torch.rand(1, 3, *size, generator=generator) * weight
    out = push_pull(image, weight)
    torch.testing.assert_close(out * weight, image)
    low, high = image[weight.expand_as(image) > 0].min(), image.max()
    assert out.min() >= low - 1e-5
    assert out.max() <= high + 1e-5


# Flow


def test_flow_composition_adds_translations() -> None:
    first = np.full((20, 30, 2), (1.5, -0.5), np.float32)
    ramp = np.zeros((20, 30, 2), np.float32)
    ramp[..., 0] = np.arange(30) * 0.1
    out = flow.compose(first, ramp)
    np.testing.assert_allclose(out[10, 10], [1.5 + 1.15, -0.5], atol=1e-5)


def test_agreement_needs_the_way_back_and_the_frame() -> None:
    there = np.full((12, 16, 2), (3.0, 0.0), np.float32)
    good = flow.agreement(there, -there, 1.0)
    assert good[:, :12].all()
    assert not good[:, 13:].any()
    assert not flow.agreement(there, there, 1.0).any()


@pytest.mark.parametrize("gap", [1, 8])
@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_flow_agrees_with_the_truth(
    clip: SyntheticClip, flows: flow.Flows, gap: int, layer: str
) -> None:
    inside = clip.alpha[0] > 0.99 if layer == "foreground" else clip.alpha[0] < 0.01
    field, sure = flows.full(0, gap)
    y, x = np.nonzero(inside & sure)
    assert len(x) > 400
    start = np.stack([x, y], -1) + 0.5
    error = np.linalg.norm(start + field[y, x] - clip.track(start, 0, gap, layer), axis=-1)
    assert np.median(error) < 0.35


def test_flow_of_few_frames_has_only_the_gaps_that_fit(clip: SyntheticClip) -> None:
    two = flow.estimate(clip.frames[:2], (1, 2, 4, 8), 1.0, Silent())
    assert two.gaps == (1,)
    assert set(two.between) == {(0, 1), (1, 0)}


# Base maps


def test_background_chain_agrees_with_the_truth(clip: SyntheticClip, flows: flow.Flows) -> None:
    rough = (clip.alpha > 0.5).astype(np.float32)
    bg, (fg,) = base_maps.base_maps(flows, [rough], Silent())
    np.testing.assert_allclose(bg[T // 2], np.eye(3), atol=1e-12)
    points = np.array([[20.5, 20.5], [140.5, 20.5], [20.5, 80.5], [140.5, 80.5]])
    for t in (0, T - 1):
        rays = np.c_[points, np.ones(4)] @ bg[t].T
        truth = clip.track(points, t, T // 2, "background")
        assert np.abs(rays[:, :2] / rays[:, 2:] - truth).max() < 1.0
    reference = int(rough.sum((1, 2)).argmax())
    y, x = np.nonzero(clip.alpha[0] > 0.99)
    start = np.stack([x, y], -1) + 0.5
    mapped = np.c_[start, np.ones(len(start))] @ fg[0].T
    error = np.linalg.norm(mapped[:, :2] - clip.track(start, 0, reference, "foreground"), axis=-1)
    assert np.median(error) < 2.5, "a similarity cannot follow the bend, but the whole"


def test_chain_of_steps_meets_its_reference() -> None:
    rng = np.random.default_rng(0)
    steps = [np.eye(3) + rng.normal(0, 0.01, (3, 3)) * [[1, 1, 9], [1, 1, 9], [0, 0, 0]]
             for _ in range(4)]  # fmt: skip
    maps = base_maps.chain(steps, 2)
    np.testing.assert_allclose(maps[2], np.eye(3))
    np.testing.assert_allclose(maps[0], steps[1] @ steps[0])
    np.testing.assert_allclose(maps[3] @ steps[2], np.eye(3), atol=1e-12)


def test_wild_or_missing_fits_are_refused() -> None:
    rng = np.random.default_rng(0)
    few = rng.uniform(0, 100, (5, 2))
    assert base_maps.homography(few, few, (100, 100)) is None
    assert base_maps.similarity(few, few) is None
    many = rng.uniform(0, 100, (200, 2))
    assert base_maps.similarity(many, many * 3) is None
    assert base_maps.homography(many, many * 3, (100, 100)) is None
    np.testing.assert_allclose(base_maps.homography(many, many + 2, (100, 100)),
                               [[1, 0, 2], [0, 1, 2], [0, 0, 1]], atol=1e-6)  # fmt: skip


# Masks


def test_signed_distance_is_negative_inside_and_crosses_at_the_edge() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    distance = fields.signed_distance(mask)
    assert (distance < 0).tolist() == mask.tolist()
    assert distance[10, 4] == pytest.approx(0.5, abs=0.1)
    assert distance[10, 5] == pytest.approx(-0.5, abs=0.1)
    assert fields.signed_distance(np.zeros((3, 3), bool)).min() > 100


def test_grabcut_pulls_a_rough_mask_onto_the_edge(clip: SyntheticClip) -> None:
    truth = clip.alpha[0] > 0.5
    rough = np.roll(truth, 2, axis=1)
    assert _overlap(rough, truth) < 0.88
    assert _overlap(grabcut.refine(clip.frames[0], rough), truth) > 0.93


def test_grabcut_returns_what_it_cannot_improve() -> None:
    flat = np.full((40, 40, 3), 90, np.uint8)
    for rough in (np.zeros((40, 40), bool), np.ones((40, 40), bool)):
        assert np.array_equal(grabcut.refine(flat, rough), rough)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [(0,), (5,), (0, 9)])
def test_key_masks_are_carried_both_ways(
    clip: SyntheticClip, flows: flow.Flows, keys: tuple[int, ...]
) -> None:
    given = {t: clip.masks()[t] for t in keys}
    out = resolve.resolve_masks(clip.frames, MaskPrompts("key", given), flows, Silent()).masks
    assert out.shape == (T, H, W)
    assert out.dtype == np.float32
    overlap = [_overlap(out[t] > 0.5, clip.alpha[t] > 0.5) for t in range(T)]
    assert min(overlap) > 0.93


@pytest.mark.slow
def test_a_mask_tracked_far_on_a_still_stays_and_is_not_doubtful(clip: SyntheticClip) -> None:
    still = np.repeat(clip.frames[:1], 30, 0)
    flows = flow.estimate(still, (1,), 1.0, Silent())
    notes = Notes()
    out = resolve.resolve_masks(still, MaskPrompts("key", {1: clip.masks()[0]}), flows, notes).masks
    assert _overlap(out[29] > 0.5, clip.alpha[0] > 0.5) > 0.95
    assert notes.texts == []


@pytest.mark.slow
def test_automatic_masks_find_the_swan() -> None:
    clip = make_clip(15, 90, 160)
    frames, alpha = clip.frames[::2], clip.alpha[::2]
    flows = flow.estimate(frames, (1, 2, 4), 1.0, Silent())
    notes = Notes()
    out = resolve.resolve_masks(frames, MaskPrompts("auto"), flows, notes).masks
    overlap = [_overlap(out[t] > 0.5, alpha[t] > 0.5) for t in range(len(frames))]
    assert np.mean(overlap) > 0.8
    assert not notes.texts, "nothing is doubtful"


@pytest.mark.slow
def test_automatic_masks_say_when_nothing_moves(clip: SyntheticClip) -> None:
    still = np.repeat(clip.frames[:1], 4, 0)
    flows = flow.estimate(still, (1, 2), 1.0, Silent())
    with pytest.raises(JobError) as caught:
        resolve.resolve_masks(still, MaskPrompts("auto"), flows, Silent())
    assert caught.value.problem.code == "no_foreground"
    assert "mask" in caught.value.problem.hint


def test_missing_masks_of_mode_all_are_carried_with_a_note(
    clip: SyntheticClip, flows: flow.Flows
) -> None:
    notes = Notes()
    given = {t: clip.masks()[t] for t in range(T) if t != 4}
    out = resolve.resolve_masks(clip.frames, MaskPrompts("all", given), flows, notes).masks
    assert _overlap(out[4] > 0.5, clip.alpha[4] > 0.5) > 0.95
    assert notes.texts == [
        "1 of 10 frames have no mask: theirs were tracked from the nearest frames that have one."
    ]


# Losses and optimiser


def test_colour_loss_has_the_gradient_autograd_would_find() -> None:
    torch.manual_seed(0)
    error = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(2, 1, 5, 6) > 0.2).double()
    losses.colour(error, weight, 0.5).backward()
    plain = error.detach().clone().requires_grad_(True)
    e = plain * weight
    value = e.abs().mean() + 0.25 * (e.diff(dim=2).abs().mean() + e.diff(dim=3).abs().mean())
    value.backward()
    torch.testing.assert_close(error.grad, plain.grad)
    torch.testing.assert_close(losses.colour(error, weight, 0.5), value)


def test_rigidity_is_zero_for_turns_and_grows_with_stretch_and_fold() -> None:
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    turn = torch.stack([0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y])[None]
    one = torch.ones(1)
    assert losses.rigidity(turn, one, (1.0, 1.0)) == pytest.approx(0, abs=1e-4)
    assert losses.rigidity(turn * 2, one * 2, (1.0, 1.0)) == pytest.approx(0, abs=1e-4)
    stretched = losses.rigidity(turn * 1.3, one, (1.0, 1.0))
    folded = losses.rigidity(torch.stack([x, 0 * y])[None], one, (1.0, 1.0))
    assert 0.1 < stretched < folded


def test_flow_loss_is_capped() -> None:
    here, far = torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 100.0)
    weight = torch.ones(1, 1, 2, 2)
    assert losses.along_flow(here, far, weight, 5.0) == pytest.approx(4.5)
    assert losses.along_flow(here, here, weight, 5.0) == pytest.approx(0, abs=1e-6)


def test_rows_that_are_not_drawn_rest() -> None:
    tensor = torch.zeros(4, 3, requires_grad=True)
    adam = RowAdam({"x": tensor}, {"x": 0.1}, (0.9, 0.99))
    for rows in ([0, 2], [2]):
        (tensor[rows] - 1).pow(2).sum().backward()
        adam.step({"x": torch.tensor(rows)}, 1.0)
    torch.testing.assert_close(tensor[[1, 3]], torch.zeros(2, 3))
    torch.testing.assert_close(tensor[0], torch.full((3,), 0.1))
    assert (tensor[2] > 0.19).all(), "its second step was not dampened by rows at rest"
    assert tensor.grad is None


def test_all_rows_at_once_is_adam() -> None:
    torch.manual_seed(0)
    mine, its = (torch.ones(3, 4, requires_grad=True) for _ in range(2))
    adam = RowAdam({"x": mine}, {"x": 0.05}, (0.9, 0.99))
    reference = torch.optim.Adam([its], lr=0.05, betas=(0.9, 0.99))
    for _ in range(5):
        pull = torch.randn(3, 4)
        (mine * pull).sum().backward()
        (its * pull).sum().backward()
        adam.step({"x": None}, 1.0)
        reference.step()
        reference.zero_grad()
    torch.testing.assert_close(mine, its, atol=1e-5, rtol=1e-5)


def test_gradients_of_maps_do_not_depend_on_the_order_of_threads() -> None:
    config, size = preset("preview"), (24, 36, 64)
    mask, still = np.zeros(size, np.float32), np.tile(np.eye(3), (24, 1, 1))
    mask[:, 10:20, 20:40] = 1
    atlas = starting_atlas(size, [mask], still, [still], config, torch.device("cpu"))
    knots = atlas.tensors["bg_knots1"].requires_grad_(True)
    t, pull = torch.arange(24), torch.randn(24, 2, 36, 64)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        found = [
            torch.autograd.grad((atlas.reference("background", t, size[1:]) * pull).sum(), knots)[0]
            for _ in range(40)
        ]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, found[0]) for one in found)
