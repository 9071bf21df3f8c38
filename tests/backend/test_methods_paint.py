"""Painting by hand: the painted frame as it was painted, the others glued, the rest untouched."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from flat_atlas import FlatAtlas
from jobs import Job

from backend.atlas.brush import expand_to_atlas, paint_into_atlas
from backend.edit.pixels import to_tensor
from backend.media import composite
from backend.methods import paint
from backend.progress import Silent
from protocol.jobs import JobError, PaintJob, Result

SIZE = (5, 60, 80)
OBJECT = (20, 10, 60, 50)


@pytest.fixture
def atlas() -> FlatAtlas:
    return FlatAtlas(SIZE, (45, 60), scale=0.5, shift=0.8, object=OBJECT)


def stroke(x: float, y: float, radius: float = 6.0) -> np.ndarray:
    """A red disc with a soft rim on a clear frame, a line of one pixel across it."""
    yy, xx = np.mgrid[: SIZE[1], : SIZE[2]] + 0.5
    out = np.zeros((*SIZE[1:], 4), np.uint8)
    out[..., 0] = 230
    out[..., 3] = np.rint(np.clip(radius - np.hypot(xx - x, yy - y) + 0.5, 0, 1) * 255)
    out[int(y), :, :3] = 255
    return out


class Noise(Job):
    """Paint on a clip of noise whose atlas is given."""

    def __init__(self, data: Path, atlas: FlatAtlas, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(data)
        rng = np.random.default_rng(0)
        self.frames = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        self.clip = self.clip_of(self.frames)
        monkeypatch.setattr(paint, "atlas_of", lambda *_, **__: atlas)

    def run(self, image: np.ndarray, **fields: object) -> Result:
        spec = PaintJob(clip=self.clip, image=self.ctx.store(image), **fields)  # type: ignore[arg-type]
        return paint.run(spec, self.ctx)

    def painted(self, image: np.ndarray, **fields: object) -> np.ndarray:
        return self.layer(self.run(image, **fields))


@pytest.fixture
def job(tmp_path: Path, atlas: FlatAtlas, monkeypatch: pytest.MonkeyPatch) -> Noise:
    return Noise(tmp_path, atlas, monkeypatch)


def test_the_painted_frame_comes_back_as_painted_and_the_rest_is_untouched(job: Noise) -> None:
    image = stroke(40, 30)
    layer = job.painted(image, frame=2)
    assert layer.shape == (*SIZE, 4)
    wanted = composite(job.frames[2], image).astype(int)
    assert np.abs(composite(job.frames[2], layer[2]) - wanted).max() <= 2
    far = cv2.dilate((image[..., 3] > 0).astype(np.uint8), np.ones((15, 15))) == 0
    for frame, one in zip(job.frames, layer, strict=True):
        assert np.array_equal(composite(frame, one)[far], frame[far])


def test_the_painting_alone_gives_the_frame_back_too(atlas: FlatAtlas) -> None:
    image = stroke(40, 30)
    image[..., 1:3] = 30  # lines of one pixel are softer: texels do not overshoot
    painting = paint_into_atlas(atlas, "foreground", to_tensor(image, atlas.device), 2, Silent())  # type: ignore[arg-type]
    assert painting.error < 2.5
    assert painting.inside == 1
    rows = painting.rgba.shape[-2] / (painting.window[3] - painting.window[1]) * 2
    assert rows / 45 * atlas.scale == pytest.approx(2, abs=0.1), "texels a pixel"
    shown = expand_to_atlas(painting, (180, 240))
    assert shown.shape == (1, 4, 180, 240)
    assert 0.01 < (shown[:, 3] > 0.5).float().mean() < 0.1


def test_paint_moves_with_its_layer(job: Noise, atlas: FlatAtlas) -> None:
    layer = job.painted(stroke(40, 30), frame=2).astype(float)
    y, x = np.mgrid[: SIZE[1], : SIZE[2]] + 0.5
    for t in range(5):
        weight = layer[t, ..., 3]
        moved = (2 - t) * atlas.shift / atlas.scale
        assert (weight * x).sum() / weight.sum() == pytest.approx(40 + moved, abs=0.3)
        assert (weight * y).sum() / weight.sum() == pytest.approx(30 + moved, abs=0.3)


def test_only_what_the_frame_shows_of_the_layer_is_painted(job: Noise) -> None:
    image = stroke(20, 30)  # half of it on the object
    front = job.painted(image, frame=2)
    behind = job.painted(image, frame=2, layer="background")
    x0, y0, x1, y1 = OBJECT
    inside = np.zeros(SIZE[1:], bool)
    inside[y0:y1, x0:x1] = True
    assert not front[:, ~inside].any()
    assert not behind[:, inside].any()
    both = np.maximum(front[2, ..., 3], behind[2, ..., 3])
    assert np.array_equal(both, image[..., 3])
    assert "lies off the foreground" in job.notes()


def test_a_picture_over_the_atlas_of_any_size_is_laid_over_all_frames(job: Noise) -> None:
    for k in (1, 3):
        image = np.zeros((45 * k, 60 * k, 4), np.uint8)
        image[10 * k : 20 * k, 20 * k : 30 * k] = (10, 200, 30, 255)
        layer = job.painted(image)
        assert (layer[0, 24:36, 44:56] == (10, 200, 30, 255)).all()
        assert (layer[:, :8] == 0).all()


def test_what_equals_the_atlas_is_not_painted(job: Noise, atlas: FlatAtlas) -> None:
    image = paint.picture(atlas, "foreground").copy()  # type: ignore[arg-type]
    image[12:16, 24:28, :3] = 255
    layer = job.painted(image)
    assert (layer[0, 25:31, 49:55, 3] == 255).all()
    assert (layer[0, 38:, :, 3] == 0).all()
    image[12:16, 24:28] = paint.picture(atlas, "foreground")[0, 0]  # type: ignore[arg-type]
    with pytest.raises(JobError, match="Nothing is painted") as why:
        job.run(image)
    assert why.value.problem.code == "paint_empty"


def test_bad_paint_is_said_in_a_sentence(job: Noise) -> None:
    outside = {
        "foreground": (stroke(8, 8), "choose the background"),
        "background": (stroke(40, 30), "choose the foreground"),
    }
    for layer, (image, hint) in outside.items():
        with pytest.raises(JobError) as why:
            job.run(image, frame=2, layer=layer)
        assert why.value.problem.code == "paint_outside"
        assert hint in why.value.problem.hint
    with pytest.raises(JobError, match="transparent"):
        job.run(np.zeros((*SIZE[1:], 4), np.uint8), frame=1)
    with pytest.raises(JobError, match="80×40") as why:
        job.run(np.full((40, 80, 4), 255, np.uint8))
    assert why.value.problem.code == "paint_aspect_differs"


def test_paint_to_the_very_rim_and_of_one_pixel(job: Noise) -> None:
    whole = np.full((*SIZE[1:], 4), 200, np.uint8)
    layer = job.painted(whole, frame=0)
    x0, y0, x1, y1 = OBJECT
    assert (layer[0, y0:y1, x0:x1] == 200).all()
    speck = np.zeros((*SIZE[1:], 4), np.uint8)
    speck[30, 40] = 255
    assert job.painted(speck, frame=0)[0, 30, 40, 3] == 255


def test_paint_on_a_map_that_is_one_point_stays_finite() -> None:
    atlas = FlatAtlas(SIZE, (45, 60), scale=0.0, shift=0.0, object=OBJECT)
    image = to_tensor(stroke(40, 30), torch.device("cpu"))
    painting = paint_into_atlas(atlas, "foreground", image, 0, Silent())
    assert bool(painting.rgba.isfinite().all())
    assert np.isfinite([*painting.window, painting.inside, painting.error]).all()
