"""Places in the Sequencer, and paint over a frame: what the artist drew, in pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blender_addon.core import canvas
from blender_addon.core.planning import Placement, bounding_box, canvas_to_image, image_to_canvas
from protocol.jobs import (
    JobError,
)

START, FRAMES = 20, 8

PLACEMENTS = [
    Placement(),
    Placement(offset_x=30, offset_y=-7, scale_x=2.0, scale_y=0.5),
    Placement(rotation=math.radians(30), origin=(0.1, 0.9), scale_x=1.5),
    Placement(flip_x=True, flip_y=True, offset_x=3, rotation=-1.0),
]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_there_and_back_again(placement: Placement) -> None:
    for point in ((0.0, 0.0), (63.0, 12.0), (-5.0, 70.0)):
        found = canvas_to_image(image_to_canvas(point, placement, (64, 48)), placement, (64, 48))
        assert found == pytest.approx(point)


def test_canvas_coordinates_start_at_the_centre_and_point_up() -> None:
    assert canvas_to_image((-32, 24), Placement(), (64, 48)) == pytest.approx((0, 0))
    assert canvas_to_image((0, 0), Placement(), (64, 48)) == pytest.approx((32, 24))
    assert canvas_to_image((-32, 24), Placement(flip_x=True), (64, 48)) == pytest.approx((64, 0))


def test_a_box_is_clipped_to_the_image() -> None:
    assert bounding_box([(-9, 70), (20, 10)], (64, 48)) == (0, 10, 20, 38)


def painting() -> tuple[np.ndarray, np.ndarray]:
    frame = np.random.default_rng(0).integers(0, 200, (6, 8, 3), np.uint8)
    picture = np.concatenate([frame, np.full((6, 8, 1), 255, np.uint8)], -1)
    return picture, frame


def test_paint_is_what_differs_from_the_frame() -> None:
    picture, frame = painting()
    picture[2, 3, 0] += 1
    picture[4, 5, :3] = (250, 1, 2)
    paint = canvas.extract_paint(picture, frame, "p")
    assert np.argwhere(paint[..., 3]).tolist() == [[2, 3], [4, 5]]
    assert paint[4, 5].tolist() == [250, 1, 2, 255]
    assert not paint[0, 0].any()
    assert np.argwhere(canvas.extract_mask(picture, frame, "p")[..., 0]).tolist() == [
        [2, 3],
        [4, 5],
    ]


def test_an_image_with_transparency_is_used_as_it_is() -> None:
    picture, frame = painting()
    picture[..., 3] = 0
    picture[1, 1, 3], picture[1, 2, 3] = 200, 20
    paint = canvas.extract_paint(picture, frame, "p")
    assert paint[1, 1].tolist() == picture[1, 1].tolist()
    assert (paint[..., 3] > 0).sum() == 2
    assert canvas.extract_mask(picture, frame, "p").sum() == 255


def test_an_unpainted_image_and_another_size_are_reported() -> None:
    picture, frame = painting()
    with pytest.raises(JobError, match="Nothing is painted on the image p"):
        canvas.extract_paint(picture, frame, "p")
    with pytest.raises(JobError, match="8x5, but the shot's frames are 8x6"):
        canvas.extract_paint(picture[:5], frame, "p")


def brushed(colours: np.ndarray, much: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A canvas painted with a brush, as Blender blends bytes with straight alpha; and its frame."""
    frame = np.random.default_rng(1).integers(0, 256, (*much.shape, 3), np.uint8)
    image = canvas.make_canvas(frame).astype(float)
    alpha = much[..., None] + image[..., 3:] / 255 * (1 - much[..., None])
    mixed = much[..., None] * colours + (1 - much[..., None]) * image[..., 3:] / 255 * frame
    image[..., :3], image[..., 3:] = mixed / alpha, alpha * 255
    return np.rint(image).astype(np.uint8), frame


def test_paint_keeps_its_softness_and_colour() -> None:
    much = np.linspace(0, 1, 60).reshape(6, 10)
    picture, frame = brushed(np.array([200.0, 40.0, 90.0]), much)
    paint = canvas.extract_paint(picture, frame, "p", canvas.GROUND).astype(float)
    assert not paint[0, 0].any()
    assert paint[-1, -1].tolist() == [200, 40, 90, 255]
    share = paint[..., 3:] / 255
    composed = paint[..., :3] * share + frame * (1 - share)
    assert np.abs(composed - picture[..., :3]).max() <= 1
    assert (np.diff(paint[..., 3].ravel()) >= 0).all()
    assert np.abs(paint[3:, :, :3] - [200, 40, 90]).max() <= 4


def test_smeared_and_erased_parts_keep_their_colour() -> None:
    picture, frame = brushed(np.array([200.0, 40.0, 90.0]), np.zeros((6, 8)))
    picture[1, 1, :3] = 255 - picture[1, 1, :3]  # smeared: no more alpha
    picture[2, 2, :3] ^= 1  # the last rim of a brush
    picture[3, 3] = (200, 40, 90, 200)  # painted fully, then erased for the most part
    picture[4, 4] = (200, 40, 90, 100)  # erased
    paint = canvas.extract_paint(picture, frame, "p", canvas.GROUND)
    assert paint[1, 1].tolist() == [*picture[1, 1, :3], 255]
    assert not paint[2, 2].any()
    assert paint[3, 3, :3].tolist() == [200, 40, 90]
    assert 0 < paint[3, 3, 3] < 255
    assert not paint[4, 4].any()
    with pytest.raises(JobError, match="Nothing is painted"):
        canvas.extract_paint(canvas.make_canvas(frame), frame, "p", canvas.GROUND)


def test_a_soft_eraser_leaves_no_rim_of_paint() -> None:
    """Where paint fades out, its alpha passes through every value, including GROUND."""
    frame = np.full((9, 160, 3), 90, np.uint8)
    picture = canvas.make_canvas(frame)
    picture[2:7] = (200, 40, 90, 255)
    picture[2:7, :, 3] = np.maximum(255 - np.arange(160), 100)
    paint = canvas.extract_paint(picture, frame, "p", canvas.GROUND).astype(int)
    assert paint[4, 0].tolist() == [200, 40, 90, 255]
    assert (np.diff(paint[4, :, 3]) <= 0).all()
    assert not paint[:, 255 - canvas.GROUND :, 3].any()


def test_smearing_beside_erased_paint_is_kept() -> None:
    picture, frame = painting()
    picture = canvas.make_canvas(frame)
    picture[1, 1, :3] ^= 128
    picture[1, 4, 3] = 0
    paint = canvas.extract_paint(picture, frame, "p", canvas.GROUND)
    assert np.argwhere(paint[..., 3]).tolist() == [[1, 1]]


# quality
