"""Views against OpenCV's geometry and against colour arithmetic in numpy."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from backend.edit.config import ViewConfig
from backend.edit.views import (
    MAX_ASPECT,
    MAX_LENGTH,
    Views,
    affine,
    apply_colour,
    apply_views,
    crop_matrix,
    draw_views,
    homography_grid,
    jitter,
    perspective,
)

STILL = ViewConfig(count=1, flip=0, affine=0, perspective=0, jitter=0, grey=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(height=40, width=40, seed=0):
    """Smooth, so that resampling hardly changes it."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    return torch.from_numpy(cv2.GaussianBlur(noise, (0, 0), 3)).permute(2, 0, 1)[None]


def only(matrix, fill=1.0):
    return Views(matrix[None], torch.eye(3)[None], torch.ones(1), fill)


def to_pixels(matrix, side):
    """A homography of −1..1 coordinates as one of OpenCV's pixel indices."""
    pixels_from_unit = np.array(
        [[side / 2, 0, (side - 1) / 2], [0, side / 2, (side - 1) / 2], [0, 0, 1]]
    )
    return pixels_from_unit @ matrix.double().numpy() @ np.linalg.inv(pixels_from_unit)


def warped(x, matrix, fill):
    side = x.shape[-1]
    return cv2.warpPerspective(
        x[0].permute(1, 2, 0).numpy(), to_pixels(matrix, side), (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(fill, fill, fill),
    )  # fmt: skip


@pytest.mark.parametrize(
    "matrix",
    [affine(0.2, 0.15, -0.1), perspective(torch.rand(4, 2, generator=seeded(3)) * 0.4),
     affine(-0.25, 0.1, 0.05) @ perspective(torch.rand(4, 2, generator=seeded(4)) * 0.4)],
    ids=["affine", "perspective", "both"],
)  # fmt: skip
@pytest.mark.parametrize("fill", [1.0, 0.0])
def test_warps_equal_opencv(matrix, fill):
    x = picture()
    made = apply_views(only(matrix, fill), x, 40)[0].permute(1, 2, 0).numpy()
    # OpenCV mixes the fill into the outermost pixel; ours ends where the picture ends.
    share = warped(torch.ones_like(x), matrix, 0.0)
    clear = (share < 1e-3) | (share > 1 - 1e-3)
    assert clear.mean() > 0.9
    assert (share < 1e-3).mean() > 0.02
    made, wanted = made[clear], warped(x, matrix, fill)[clear]
    # OpenCV rounds coordinates to 1/32 pixel.
    assert np.abs(made - wanted).mean() < 2e-3
    assert np.abs(made - wanted).max() < 0.06


def test_perspective_takes_the_moved_corners_to_the_squares():
    inward = torch.rand(4, 2, generator=seeded(5)) * 0.4
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    wanted = cv2.getPerspectiveTransform(corners * (1 - inward.numpy()), corners)
    np.testing.assert_allclose(perspective(inward).numpy(), wanted, atol=1e-5)


def test_affine_turns_and_shifts_within_its_bounds():
    config = replace(STILL, count=300, affine=1.0, crop=(1.0, 1.0))
    m = draw_views(config, 32, 32, seeded()).homography.numpy()
    degrees = np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0]))
    assert 13 < np.abs(degrees).max() <= 15
    # ±10 % of the side is ±0.2 of half a side.
    assert 0.18 < np.abs(m[:, :2, 2]).max() <= 0.2


def test_crop_shows_the_rectangle_it_names():
    x = picture(40, 80)
    made = apply_views(only(crop_matrix(0.25, 0.5, 0.5, 0.5)), x, 20)[0]
    wanted = x[0, :, 20:40, 20:60]
    shrunk = torch.nn.functional.interpolate(
        wanted[None], (20, 20), mode="bilinear", antialias=True
    )
    torch.testing.assert_close(made, shrunk[0], atol=0.04, rtol=0)


def test_crops_lie_inside_and_keep_their_share_and_shape():
    config = replace(STILL, count=200)
    for height, width in ((60, 60), (40, 100), (100, 40)):
        m = draw_views(config, height, width, seeded(1)).homography[1:].numpy()
        w, h = m[:, 0, 0], m[:, 1, 1]
        assert (np.abs(m[:, 0, 2]) + w <= 1 + 1e-5).all()
        assert (np.abs(m[:, 1, 2]) + h <= 1 + 1e-5).all()
        ratio = (w * width) / (h * height)
        assert (ratio <= MAX_ASPECT + 1e-4).all()
        assert (ratio >= 1 / MAX_ASPECT - 1e-4).all()
    m = draw_views(config, 60, 60, seeded(1)).homography[1:].numpy()
    assert m[:, 0, 0].max() <= 1
    assert 0.6 <= min(m[:, 0, 0].min(), m[:, 1, 1].min()) < 0.65


def test_the_first_view_is_the_whole_image():
    x = picture(32, 32)
    made = apply_views(draw_views(replace(STILL, count=3), 32, 32, seeded()), x, 32)
    torch.testing.assert_close(made[:1], x, atol=1e-5, rtol=0)
    assert float((made[1] - x[0]).abs().max()) > 0.01


def test_a_certain_flip_mirrors():
    x = picture(32, 32)
    made = apply_views(draw_views(replace(STILL, flip=1.0), 32, 32, seeded()), x, 32)
    torch.testing.assert_close(made, x.flip(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["flip", "affine", "perspective", "jitter", "grey"])
def test_each_change_comes_with_its_probability_and_of_itself(name):
    config = replace(STILL, count=3000, crop=(1.0, 1.0), **{name: 0.3})
    views = draw_views(config, 32, 32, seeded(8))
    moved = ~torch.isclose(views.homography, torch.eye(3), atol=1e-6).all((1, 2))
    coloured = ~torch.isclose(views.colour, torch.eye(3), atol=1e-6).all((1, 2))
    contrasted = views.contrast != 1
    found = {
        "flip": moved, "affine": moved, "perspective": moved, "jitter": coloured & contrasted,
        "grey": coloured,
    }  # fmt: skip
    # Five standard deviations of 3000 draws.
    assert abs(float(found[name].float().mean()) - 0.3) < 0.042
    others = {"geometry": moved, "colour": coloured, "contrast": contrasted}
    for kind in ("geometry",) if name in ("jitter", "grey") else ("colour", "contrast"):
        assert not others[kind].any()


def test_different_changes_fall_together_by_chance_alone():
    """Numbers of one draw, each used once."""
    config = replace(STILL, count=3000, crop=(1.0, 1.0), flip=0.5, grey=0.5)
    views = draw_views(config, 32, 32, seeded(9))
    flipped = views.homography[:, 0, 0] < 0
    grey = views.colour[:, 0, 1] > 0
    assert abs(float((flipped & grey).float().mean()) - 0.25) < 0.04


def test_all_images_get_the_same_views():
    x = picture()
    views = draw_views(ViewConfig(count=6), 40, 40, seeded(2))
    made = apply_views(views, torch.cat([x, x]), 24).reshape(6, 2, 3, 24, 24)
    torch.testing.assert_close(made[:, 0], made[:, 1])
    torch.testing.assert_close(apply_views(views, x, 24), made[:, 0])


def test_views_follow_their_generator():
    draws = [draw_views(ViewConfig(), 40, 50, seeded(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0].homography, draws[1].homography)
    assert torch.equal(draws[0].colour, draws[1].colour)
    assert not torch.equal(draws[0].homography, draws[2].homography)


def test_shrinking_averages_instead_of_skipping():
    checker = (torch.arange(256)[:, None] + torch.arange(256)[None]) % 2
    x = checker.float().expand(1, 3, 256, 256)
    made = apply_views(only(torch.eye(3)), x, 32)
    torch.testing.assert_close(made, torch.full_like(made, 0.5), atol=0.05, rtol=0)


def test_gradient_passes():
    x = picture().requires_grad_()
    apply_views(draw_views(ViewConfig(count=4), 40, 40, seeded()), x, 24).sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert torch.isfinite(x.grad).all()


def test_grid_of_the_identity_is_every_pixels_centre():
    grid = homography_grid(torch.eye(3)[None], 2, 4)[0]
    assert grid[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert grid[:, 0, 1].tolist() == [-0.5, 0.5]


# --- colours -------------------------------------------------------------------------------------


def test_contrast_and_matrix_in_numpy():
    x = picture(8, 8)
    matrix = torch.tensor([[0.9, 0.1, 0.0], [0.0, 1.1, -0.1], [0.2, 0.0, 0.8]])
    made = apply_colour(x, matrix[None], torch.full((1, 1, 1, 1), 1.3))
    pixels = x[0].permute(1, 2, 0).double().numpy()
    mean = (pixels @ [0.299, 0.587, 0.114]).mean()
    wanted = np.clip((mean + (pixels - mean) * 1.3) @ matrix.double().numpy().T, 0, 1)
    np.testing.assert_allclose(made[0].permute(1, 2, 0).numpy(), wanted, atol=1e-5)


def test_grey_views_have_one_colour_of_the_right_luminance():
    x = picture(32, 32)
    made = apply_views(draw_views(replace(STILL, grey=1.0), 32, 32, seeded()), x, 32)[0]
    wanted = (x[0] * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(0)
    torch.testing.assert_close(made, wanted.expand(3, -1, -1), atol=1e-5, rtol=0)


def test_jitter_leaves_grey_grey_and_stays_within_its_strength():
    for seed in range(50):
        matrix, contrast = jitter(0.1, seeded(seed))
        grey = matrix @ torch.ones(3)
        # Brightness alone acts on greys; the rounded YIQ matrix tints them by a thousandth.
        assert float(grey.max() - grey.min()) < 5e-3
        assert 0.895 < float(grey.mean()) < 1.105
        assert 0.9 <= contrast <= 1.1


def test_no_jitter_is_the_identity():
    matrix, contrast = jitter(0.0, seeded())
    torch.testing.assert_close(matrix, torch.eye(3), atol=1e-6, rtol=0)
    assert contrast == 1


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(40, 40, (32, 32)), (40, 50, (32, 40)), (50, 40, (40, 32)), (30, 90, (32, 48))],
    ids=["square", "wide", "tall", "limited"],
)
def test_views_in_their_images_shape(height, width, size):
    config = ViewConfig(count=3, shape="picture")
    views = draw_views(config, height, width, seeded())
    assert apply_views(views, picture(height, width), 32, 8).shape == (3, 3, *size)
    assert views.some(1, 3).size(32, 8) == size
    assert views.aspect == pytest.approx(min(width / height, MAX_LENGTH))


def test_the_whole_image_is_squeezed_no_further_than_its_shape_needs():
    x = picture(40, 50)
    first = apply_views(draw_views(replace(STILL, shape="picture"), 40, 50, seeded()), x, 40)
    torch.testing.assert_close(first, x, atol=1e-5, rtol=0)


def test_a_turn_in_a_wide_view_keeps_right_angles():
    config = replace(STILL, count=6, affine=1.0, shape="picture", crop=(1.0, 1.0), translate=0.0)
    views = draw_views(config, 40, 50, seeded(3))
    to_pixels = torch.tensor([50.0, 40.0])
    for matrix in views.homography[1:]:
        across, down = matrix[:2, 0] / 1.25 * to_pixels, matrix[:2, 1] * to_pixels
        assert abs(float(across @ down)) < 1e-3
        assert float(across.norm()) == pytest.approx(float(down.norm()), rel=1e-4)
        assert abs(float(across[1])) > 1e-2
