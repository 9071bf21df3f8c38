"""Edited frames become a layer: what was edited, without its flicker, and nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from flat_atlas import FlatAtlas
from jobs import Job
from msgspec.structs import replace

from backend.checkpoint import Checkpoint
from backend.executors.base import AnyReport, Step
from backend.media import composite
from backend.methods import edit
from backend.painters import from_frames
from backend.progress import EDIT_PHASE, Cancelled, Silent
from protocol.jobs import EditJob, JobError, KeyMask, Masks, Result
from protocol.painters import FromFramesSettings, PaintedFrame, packed_settings
from protocol.validate import check

T, H, W = 6, 72, 96
OBJECT = (8, 8, 80, 64)
STEP = 1.0  # pixels that the scene moves to the left from frame to frame


class Textured(FlatAtlas):
    """A wall that moves by whole pixels; the edit paints a disc on it."""

    def __init__(self) -> None:
        super().__init__((T, H, W), (H + T, W + T), shift=STEP, object=OBJECT)
        random = np.random.default_rng(0)
        rough = random.uniform(0.2, 0.8, ((H + T) // 3, (W + T) // 3, 3)).astype(np.float32)
        self.wall = cv2.resize(rough, (W + T, H + T), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        y, x = np.mgrid[: H + T, : W + T]
        self.disc = np.hypot(x - 46, y - 38) < 14
        stripes = 0.5 + 0.3 * np.sin(x / 2.0)[..., None] * np.array([1, 0.5, 0.2])
        self.edited = np.where(self.disc[..., None], stripes, self.wall).astype(np.float32)

    def image(self, layer: str) -> torch.Tensor:
        return torch.from_numpy(self.wall).permute(2, 0, 1)[None]

    def frames_of(self, texture: np.ndarray) -> np.ndarray:
        moved = [texture[t : t + H, t : t + W] for t in range(T)]
        return np.rint(np.stack(moved) * 255).astype(np.uint8)


SCENE = Textured()
FRAMES = SCENE.frames_of(SCENE.wall)
EDIT = SCENE.frames_of(SCENE.edited)
DISC = np.stack([SCENE.disc[t : t + H, t : t + W] for t in range(T)])
FAR = np.stack([cv2.dilate(one.astype(np.uint8), np.ones((7, 7))) == 0 for one in DISC])


def flickering(seed: int = 0) -> np.ndarray:
    """The edit with another gain, shift and noise in every frame."""
    random = np.random.default_rng(seed)
    made = []
    for frame in EDIT:
        gain, (dx, dy) = 1 + random.uniform(-0.1, 0.1), random.uniform(-1, 1, 2)
        move = np.array([[1, 0, dx], [0, 1, dy]])
        image = cv2.warpAffine(
            frame.astype(np.float32), move, (W, H), flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        image = image * gain + random.normal(0, 4, image.shape)
        made.append(np.rint(image).clip(0, 255).astype(np.uint8))
    return np.stack(made)


class Painting(Job):
    """An edit by edited frames, on an atlas that is known."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch, **more: object) -> None:
        super().__init__(data, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(edit, "atlas_of", lambda *_, **__: SCENE)

    def spec(self, images: dict[int, np.ndarray], **settings: object) -> EditJob:
        painted = tuple(
            PaintedFrame(frame=frame, image=self.ctx.store(np.ascontiguousarray(image)))
            for frame, image in images.items()
        )
        made = FromFramesSettings(painted_frames=painted, **settings)  # type: ignore[arg-type]
        spec = EditJob(
            clip=self.clip_of(FRAMES), masks=Masks(mode="auto"), painter="from_frames",
            preset="draft", settings=packed_settings(made),
        )  # fmt: skip
        check(spec)
        return spec

    def run(self, images: dict[int, np.ndarray], **settings: object) -> Result:
        return edit.run(self.spec(images, **settings), self.ctx)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Painting:
    return Painting(tmp_path, monkeypatch)


def shown(layer: np.ndarray) -> np.ndarray:
    return np.stack([composite(*pair) for pair in zip(FRAMES, layer, strict=True)]).astype(float)


def psnr(image: np.ndarray, wanted: np.ndarray, where: np.ndarray) -> float:
    error = ((image.astype(float) - wanted)[where] ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_flicker_goes_and_the_footage_stays(job: Painting) -> None:
    given = flickering()
    result = job.run(dict(enumerate(given)))
    layer = job.layer(result)
    out = shown(layer)
    assert psnr(out, EDIT, DISC) > 30
    before = ((given.astype(float) - EDIT)[DISC] ** 2).mean()
    assert ((out - EDIT)[DISC] ** 2).mean() < 0.25 * before
    assert not layer[FAR].any()
    numbers = result.numbers
    assert numbers["flicker_after"] < 0.5 * numbers["flicker_before"]
    assert numbers["edit_psnr"] > 28
    assert numbers["untouched"] == pytest.approx((layer[..., 3] == 0).mean(), abs=0.01)


def test_one_edited_frame_reaches_every_other(job: Painting) -> None:
    layer = job.layer(job.run({1: EDIT[1]}))
    assert psnr(shown(layer)[T - 1], EDIT[T - 1], DISC[T - 1]) > 30
    assert not layer[FAR].any()


@pytest.mark.parametrize("kind", ["larger", "cropped", "layer alone"])
def test_any_size_and_form_of_an_edited_frame_finds_its_place(job: Painting, kind: str) -> None:
    image = EDIT[1]
    if kind == "larger":
        image = cv2.resize(image, (2 * W, 2 * H + 10), interpolation=cv2.INTER_CUBIC)
    elif kind == "cropped":
        image = cv2.resize(image[4:70, 6:94], (3 * 88, 3 * 66), interpolation=cv2.INTER_CUBIC)
    else:
        image = np.dstack([image, DISC[1] * np.uint8(255)])
    layer = job.layer(job.run({1: image}))
    assert psnr(shown(layer), EDIT, DISC) > 27
    assert not layer[FAR].any()


def test_a_grade_of_the_whole_frame_goes_or_stays(job: Painting) -> None:
    graded = np.rint(EDIT * 0.8).astype(np.uint8)
    images = dict(enumerate(graded))
    matched = job.layer(job.run(images))
    assert psnr(shown(matched), EDIT, DISC) > 30
    kept = job.layer(job.run(images, colours="keep"))
    inside = np.zeros(FRAMES.shape[:3], bool)
    inside[:, 14:58, 14:74] = True
    assert psnr(shown(kept), graded, inside) > 30


def test_frames_of_something_else_are_refused(job: Painting) -> None:
    other = np.random.default_rng(9).uniform(0, 255, (H // 4, W // 4, 3)).astype(np.float32)
    image = cv2.resize(other, (W, H), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    with pytest.raises(JobError) as why:
        job.run({0: image, 3: np.roll(image, 9, 1)})
    assert why.value.problem.code == "other_content"


def test_unchanged_frames_are_refused(job: Painting) -> None:
    with pytest.raises(JobError) as why:
        job.run({2: FRAMES[2]})
    assert why.value.problem.code == "nothing_changed"


def test_a_layer_without_proportions_of_the_clip_is_refused(job: Painting) -> None:
    with pytest.raises(JobError) as why:
        job.run({2: np.zeros((50, 50, 4), np.uint8)})
    assert why.value.problem.code == "painted_aspect_differs"


def test_a_still_takes_its_edit(job: Painting) -> None:
    spec = job.spec({0: EDIT[0]})
    still = replace(spec, clip=job.clip_of(FRAMES[:1]))
    result = edit.run(still, job.ctx)
    (layer,) = job.layer(result)
    assert np.array_equal(composite(FRAMES[0], layer)[DISC[0]], EDIT[0][DISC[0]])
    assert not layer[FAR[0]].any()
    assert result.numbers["edit_psnr"] > 60


def test_one_of_a_stills_two_layers_may_be_unchanged(job: Painting) -> None:
    mask = job.ctx.store(np.ascontiguousarray(~FAR[0][..., None] * np.uint8(255)))
    still = replace(
        job.spec({0: EDIT[0]}), clip=job.clip_of(FRAMES[:1]), layer="both",
        masks=Masks(mode="all", keys=(KeyMask(frame=0, mask=mask),)),
    )  # fmt: skip
    result = edit.run(still, job.ctx)
    front, back = (job.ctx.load(result.parts[name][0]) for name in ("foreground", "background"))
    assert front[DISC[0], 3].all()
    assert not back.any()


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interrupted_painting_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    images = dict(enumerate(flickering()[:3]))
    whole = Painting(tmp_path / "whole", monkeypatch)
    wanted = whole.run(images)

    def reached(reports: list[AnyReport]) -> bool:
        steps = [one.done for one in reports if isinstance(one, Step) and one.phase == EDIT_PHASE]
        return bool(steps) and steps[-1] >= step

    monkeypatch.setattr(Checkpoint.__init__, "__defaults__", (None, 0.0, Silent(), "atlas"))
    stopped = Painting(tmp_path / "cut", monkeypatch, stop=reached)
    with pytest.raises(Cancelled):
        stopped.run(images)
    registered = []
    monkeypatch.setattr(from_frames, "register", lambda *_: registered.append(1))
    resumed = Painting(tmp_path / "cut", monkeypatch)
    assert resumed.run(images).layer == wanted.layer
    assert not registered
