"""The evaluation's measures, against their formulas and on images with known results."""

import cv2
import numpy as np
import pytest

from backend.motion.flow import Flows
from scripts.measure.evaluate import metrics

H, W, T = 24, 32, 3


def object_at(top=6, left=8, bottom=18, right=24, frames=T):
    inside = np.zeros((frames, H, W), bool)
    inside[:, top:bottom, left:right] = True
    return inside


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def layer(alpha, colour=255, frames=T):
    made = np.full((frames, H, W, 4), colour, np.uint8)
    made[..., 3] = alpha
    return made


# --- texts ---------------------------------------------------------------------------------------


def test_similarity_is_the_mean_cosine_of_all_pairs():
    pictures = np.array([[2.0, 0, 0], [0, 3, 0]], np.float32)
    texts = np.array([[1.0, 1, 0], [0, 0, 5]], np.float32)
    assert metrics.similarity(pictures, texts) == pytest.approx((2 * np.sqrt(0.5)) / 4)


def test_direction_is_the_cosine_of_the_two_changes():
    before, after = np.array([[1.0, 0, 0]], np.float32), np.array([[0, 2.0, 0]], np.float32)
    told_before, told = np.array([[0, 0, 1.0]], np.float32), np.array([[0, 1.0, 0]], np.float32)
    # change of pictures (-1, 1, 0), of texts (0, 1, -1): their cosine is a half
    assert metrics.direction(after, before, told, told_before) == pytest.approx(0.5)
    assert metrics.direction(after, before, after, before) == pytest.approx(1)
    assert metrics.direction(before, after, after, before) == pytest.approx(-1)
    assert metrics.direction(before, before, told, told_before) == 0


def test_named_counts_the_images_nearest_to_the_wanted_text():
    texts = [np.eye(3, dtype=np.float32)[[k]] for k in range(3)]
    pictures = np.array([[1, 0.2, 0], [0.1, 1, 0], [0.9, 0, 0.3], [0, 0, 1]], np.float32)
    assert [metrics.named(pictures, texts, k) for k in range(3)] == [0.5, 0.25, 0.25]


# --- structure -----------------------------------------------------------------------------------


def test_self_similarity_distance_against_its_formula():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 2, 4, 5)).astype(np.float32)
    gaps = []
    for a, b in zip(one, other, strict=True):
        for i in range(4):
            for j in range(4):
                gaps.append(
                    a[i] @ a[j] / np.linalg.norm(a[i]) / np.linalg.norm(a[j])
                    - b[i] @ b[j] / np.linalg.norm(b[i]) / np.linalg.norm(b[j])
                )
    wanted = np.sqrt(np.mean(np.square(gaps)))
    assert metrics.self_similarity_distance(one, other) == pytest.approx(wanted, rel=1e-5)
    assert metrics.self_similarity_distance(one, 3 * one) == pytest.approx(0, abs=1e-6)


def test_edges_that_stay_and_edges_that_vanish():
    frames, inside = noise(T, H, W, 3), object_at()
    assert metrics.edge_distance(frames, frames, inside) == pytest.approx(0, abs=1e-6)
    assert metrics.edge_distance(frames, 255 - frames, inside) < 0.01
    assert metrics.edge_distance(frames, noise(T, H, W, 3, seed=1), inside) > 0.6
    assert metrics.edge_distance(frames, np.full_like(frames, 90), inside) == 1
    elsewhere = np.where(inside[..., None], frames, noise(T, H, W, 3, seed=2))
    assert metrics.edge_distance(frames, elsewhere, inside) < 0.35
    assert metrics.edge_distance(frames, elsewhere, np.zeros_like(inside)) == 0


def test_a_blur_takes_the_fine_edges_and_leaves_the_coarse_ones():
    coarse = cv2.resize(noise(8, 10, 3, seed=2), (100, 80), interpolation=cv2.INTER_NEAREST)
    knit = np.stack([coarse // 2 + 60 * (np.arange(100) // 2 % 2)[:, None].astype(np.uint8)] * 2)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in knit])
    inside = np.ones((2, 80, 100), bool)
    assert metrics.edge_distance(knit, smooth, inside) < 0.1
    assert metrics.edge_distance(knit, smooth, inside, 0.0) > 0.2


# --- outside and inside --------------------------------------------------------------------------


def test_psnr_counts_what_changed_outside_alone():
    frames, inside = np.full((T, H, W, 3), 100, np.uint8), object_at()
    assert metrics.psnr_outside(frames, frames, inside) == metrics.UNCHANGED_DB
    brighter = np.where(inside[..., None], 255, frames + 10).astype(np.uint8)
    wanted = 20 * np.log10(255 / 10)
    assert metrics.psnr_outside(frames, brighter, inside) == pytest.approx(wanted, abs=1e-4)
    rim = frames.copy()
    rim[:, 5, 8:24] = 0  # the row next to the object may be its edge
    assert metrics.psnr_outside(frames, rim, inside) == metrics.UNCHANGED_DB


def test_alpha_inside_and_outside():
    inside = object_at()
    outside = metrics.outside_of(inside)
    assert not (outside & inside).any()
    assert outside.sum() == T * (H * W - 14 * 18)
    alpha = np.where(inside, 255, np.where(outside, 51, 0)).astype(np.uint8)
    assert metrics.coverage(layer(alpha), inside) == 1
    weight = 0.2 * outside.sum()
    share = weight / (weight + inside.sum())
    assert metrics.alpha_outside(layer(alpha), inside) == pytest.approx(share)
    assert metrics.alpha_outside(layer(0), inside) == 0
    assert metrics.coverage(layer(102), inside) == pytest.approx(0.4)
    assert metrics.coverage(layer(102), np.zeros_like(inside)) == 0


def test_presence_is_how_much_is_covered_and_how_densely():
    alpha = np.zeros((T, H, W), np.uint8)
    alpha[:, : H // 4] = 153
    alpha[:, -1] = 20  # hardly there
    assert metrics.presence(layer(alpha)) == pytest.approx((0.25, 0.6))
    assert metrics.presence(layer(0)) == (0, 0)


# --- motion --------------------------------------------------------------------------------------


def panning(speed, frames=T, gap=1):
    """The flow of footage that moves to the right by `speed` pixels a frame, trusted everywhere."""
    between, trusted = {}, {}
    for t in range(frames - gap):
        between[t, t + gap] = np.zeros((H // 2, W // 2, 2), np.float16)
        between[t, t + gap][..., 0] = speed * gap
        trusted[t, t + gap] = np.ones((H // 2, W // 2), bool)
    return Flows((H, W), (gap,), between, trusted)


def test_every_pair_of_frames_has_a_motion_of_its_own():
    wide = np.zeros((H, W + 20, 4), np.uint8)
    wide[4:20, 10:26] = noise(16, 16, 4)
    hurrying = np.stack([wide[:, 8 - x : 8 - x + W] for x in (0, 2, 6)])
    flows = panning(2)
    assert metrics.warp_error(hurrying, flows, 1) > 0.1
    flows.between[1, 2][..., 0] = 4
    assert metrics.warp_error(hurrying, flows, 1) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("gap", [1, 2])
def test_a_layer_that_moves_with_the_footage_is_steady(gap):
    wide = np.zeros((H, W + 20, 4), np.uint8)
    wide[4:20, 10:26] = noise(16, 16, 4)
    moving = np.stack([wide[:, 8 - 2 * t : 8 - 2 * t + W] for t in range(T)])
    standing = np.stack([wide[:, 8 : 8 + W]] * T)
    assert metrics.warp_error(moving, panning(2, gap=gap), gap) == pytest.approx(0, abs=1e-6)
    assert metrics.warp_error(standing, panning(2, gap=gap), gap) > 0.1
    assert metrics.warp_error(standing, panning(0, gap=gap), gap) == 0


def test_warp_error_is_the_root_mean_square_of_premultiplied_rgba():
    flickering = np.concatenate([layer(255, frames=1), layer(204, frames=1)])
    assert metrics.warp_error(flickering, panning(0, frames=2), 1) == pytest.approx(0.2, abs=1e-6)


def test_pixels_without_reliable_flow_or_layer_do_not_count():
    flows = panning(0, frames=2)
    half = np.concatenate([layer(255, frames=1), layer(0, frames=1)])
    half[:, :, W // 2 :] = 0
    assert metrics.warp_error(half, flows, 1) == pytest.approx(1, abs=1e-6)
    flows.trusted[0, 1][:, : W // 2] = False
    assert metrics.warp_error(half, flows, 1) == 0
