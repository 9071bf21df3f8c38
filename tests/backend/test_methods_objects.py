"""Jobs about several objects: each layer's pictures, edits and paint, shots, stills, a live job."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from brief import make_brief
from crossing import Crossing
from jobs import Job

from backend.cli.arrays import JobArrays
from backend.cli.local_backend import local_backend
from backend.context import Context
from backend.methods import atlas, edit, mask_prompts, paint
from backend.methods.dispatch import with_defaults
from backend.methods.shots import each_shot, worst
from backend.painters import text2live
from protocol.client import new_job_id
from protocol.jobs import (
    AtlasJob,
    Clip,
    ClipModel,
    EditJob,
    JobError,
    KeyMask,
    Masks,
    PaintJob,
    Result,
)
from protocol.layers import objects_of

T, H, W = 6, 64, 96


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_brief(monkeypatch, (6, 6, 4), edit_steps=4)


class Pair(Job):
    """A crossing of two objects as a job's clip."""

    def __init__(self, data: Path, shots: int = 1) -> None:
        super().__init__(data)
        self.truth = Crossing(2, T, H, W)
        frames = [self.truth.frames]
        if shots > 1:  # another place in other colours
            frames.append(255 - np.roll(self.truth.frames[:, ::-1], 1, -1))
        self.frames = np.ascontiguousarray(np.concatenate(frames))
        self.clip = self.clip_of(self.frames)

    def masks(self, layer: str, *frames: int) -> Masks:
        found = self.truth.masks(layer)
        return Masks(mode="key", keys=self.keys_of({t: found[t] for t in frames}))

    @property
    def both(self) -> dict[str, object]:
        return {
            "masks": self.masks("foreground", *range(T)),
            "behind": (self.masks("foreground_2", *range(T)),),
        }

    def edit(self, layer: str, **fields: object) -> EditJob:
        made: dict[str, object] = {**self.both, **fields}
        return EditJob(clip=self.clip, prompt=("gold",), preset="draft", layer=layer, **made)  # type: ignore[arg-type]

    def alphas(self, result: Result) -> np.ndarray:
        return self.layer(result)[..., 3]


@pytest.mark.slow
def test_an_atlas_job_gives_a_picture_of_every_layer(tmp_path: Path) -> None:
    job = Pair(tmp_path)
    spec = AtlasJob(clip=job.clip, preset="draft", **job.both)  # type: ignore[arg-type]
    result = atlas.run(spec, job.ctx)
    names = {"foreground_atlas", "foreground_2_atlas", "background_atlas", "report"}
    assert set(result.pictures) == names
    assert {"psnr_fg2", "mask_iou_2", "mask_confidence_2", "folds_fg2"} <= result.numbers.keys()
    (folder,) = (tmp_path / "atlases").iterdir()
    assert (folder / "foreground_2.png").exists()
    again = Pair(tmp_path)
    atlas.run(spec, again.ctx)
    assert "from an earlier job" in again.notes()


def test_the_objects_are_part_of_what_an_atlas_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    monkeypatch.setattr(atlas.atlas_cache, "find", lambda folder, *_: folders.append(folder) or 1)
    job = Pair(tmp_path)
    first, (second,) = job.both["masks"], job.both["behind"]  # type: ignore[misc]
    for objects in ((first,), (first, second), (second, first)):
        spec = AtlasJob(clip=job.clip, masks=objects[0], behind=objects[1:], preset="draft")
        atlas.atlas_of(spec, job.frames, job.ctx)
    assert len(set(folders)) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("shared_atlases")
@pytest.mark.parametrize("layer", ["foreground", "foreground_2", "background"])
def test_an_edit_of_a_layer_stays_on_what_is_seen_of_it(tmp_path: Path, layer: str) -> None:
    job = Pair(tmp_path)
    result = edit.run(job.edit(layer), job.ctx)
    alpha, share = job.alphas(result), job.truth.share(layer)
    assert alpha.shape == (T, H, W)
    assert alpha[share > 0.999].mean() > 20
    assert alpha[share < 0.001].mean() < 12  # so short a fit leaves soft edges


@pytest.mark.slow
@pytest.mark.usefixtures("shared_atlases")
def test_paint_of_a_frame_on_the_object_behind(tmp_path: Path) -> None:
    job = Pair(tmp_path)
    image = job.ctx.store(np.full((H, W, 4), 255, np.uint8))
    layers = {}
    for layer in job.truth.layers:
        spec = PaintJob(
            clip=job.clip,
            image=image,
            frame=2,
            layer=layer,
            preset="draft",
            **job.both,  # type: ignore[arg-type]
        )
        layers[layer] = job.alphas(paint.run(spec, job.ctx))
    shown = sum(alpha[2].astype(int) for alpha in layers.values())
    assert np.abs(shown - 255).max() <= 2, "each pixel belongs to the layers that it shows"
    for layer, alpha in layers.items():
        assert alpha[job.truth.share(layer) < 0.001].mean() < 12, layer
    assert "lies off the foreground_2 on that frame" in job.notes()


def test_an_object_that_is_nowhere_fails_the_job_by_name(tmp_path: Path) -> None:
    job = Pair(tmp_path)
    empty = KeyMask(frame=0, mask=job.ctx.store(np.zeros((H, W, 1), np.uint8)))
    spec = job.edit("foreground", behind=(Masks(mode="key", keys=(empty,)),))
    with pytest.raises(JobError, match=r"Object 2 \(foreground_2\)") as caught:
        edit.run(spec, job.ctx)
    assert caught.value.problem.code == "no_foreground_2"


# One frame


@pytest.mark.parametrize("layer", ["foreground", "foreground_2", "background"])
def test_a_still_is_edited_where_it_shows_the_layer(
    tmp_path: Path, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caught: list[np.ndarray] = []

    def edit_image(image: np.ndarray, setup: object, mask: np.ndarray) -> np.ndarray:
        caught.append(mask)
        return np.zeros((H, W, 4), np.uint8)

    monkeypatch.setattr(text2live, "edit_image", edit_image)
    job = Pair(tmp_path)
    whole = np.full((H, W, 1), 255, np.uint8)
    behind = Masks(mode="key", keys=(KeyMask(frame=0, mask=job.ctx.store(whole)),))
    spec = job.edit(layer, masks=job.masks("foreground", 0), behind=(behind,))
    still = msgspec.structs.replace(spec, clip=Clip(frames=job.clip.frames[:1]))
    front = job.truth.masks("foreground")[0]
    if layer == "background":
        edit.run(still, job.ctx)
        assert not caught[0].any(), "the objects fill the frame"
        return
    edit.run(still, job.ctx)
    assert np.array_equal(caught[0], front if layer == "foreground" else 255 - front)


def test_a_still_whose_object_is_hidden_says_which(tmp_path: Path) -> None:
    job = Pair(tmp_path)
    masks = job.masks("foreground", 0)
    objects = (masks, masks)
    with pytest.raises(JobError, match=r"foreground_2\): The object is not visible") as caught:
        mask_prompts.mask_of_layer(objects, "foreground_2", job.frames[0], 96, job.ctx)
    assert caught.value.problem.code == "no_foreground_2"


def test_texts_of_an_edit_stand_in_for_the_foremost_object_alone() -> None:
    text = Masks(mode="text")
    own = Masks(mode="text", texts=("boat",))
    spec = EditJob(clip=Clip(frames=()), prompt=("x",), source=("car",), masks=text, behind=(own,))
    first, second = objects_of(with_defaults(spec, ClipModel()))
    assert (first.texts, second.texts) == (("car",), ("boat",))
    assert first.model == second.model == spec.model


# Shots


def ran(job: Pair, spec: EditJob | AtlasJob, absent: dict[int, str]) -> list[tuple[int, list[str]]]:
    """Runs as first frame and modes. absent: codes that shots of these first frames fail with."""
    runs: list[tuple[int, list[str]]] = []

    def run_one(shot: EditJob, frames: np.ndarray, ctx: Context) -> Result:
        first = ctx.first_frame
        objects = (shot.masks, *shot.behind)
        runs.append((first, [masks.mode for masks in objects]))
        code = absent.get(first, "")
        number = int(code[-1]) if code[-1:].isdigit() else 1
        if code and objects[number - 1].mode != "none":
            raise JobError(code, f"Object {number} is nowhere.", "Give a mask.")
        return Result(layer=shot.clip.frames)

    result = each_shot(spec, job.frames, job.ctx, run_one)  # type: ignore[type-var]
    assert len(result.layer) in (0, 2 * T)
    return runs


def test_an_object_without_a_hint_in_a_shot_is_absent_there(tmp_path: Path) -> None:
    job = Pair(tmp_path, shots=2)
    both = {"masks": job.masks("foreground", 0), "behind": (job.masks("foreground_2", 1),)}
    assert ran(job, job.edit("background", **both), {}) == [
        (0, ["key", "key"]),
        (T, ["none", "none"]),
    ]
    assert job.notes().count("it has no mask, box or strokes in this shot") == 2
    other = Pair(tmp_path, shots=2)
    assert ran(other, other.edit("foreground_2", **both), {}) == [(0, ["key", "key"])]
    assert (
        "Object 2 (foreground_2): The object is not in this shot. Its layer stays empty."
        in other.notes()
    )


def test_an_object_that_is_not_found_in_a_shot_is_left_out_of_it(tmp_path: Path) -> None:
    job = Pair(tmp_path, shots=2)
    text = Masks(mode="text", texts=("boat",))
    both = {"masks": Masks(mode="text", texts=("car",)), "behind": (text,)}
    runs = ran(job, job.edit("foreground", **both), {T: "no_foreground_2"})
    assert runs == [(0, ["text", "text"]), (T, ["text", "text"]), (T, ["text", "none"])]
    assert "Object 2 is nowhere. The shot is edited without it." in job.notes()
    again = Pair(tmp_path, shots=2)
    runs = ran(again, again.edit("foreground_2", **both), {T: "no_foreground_2"})
    assert runs == [(0, ["text", "text"]), (T, ["text", "text"])]
    assert "Its layer stays empty" in again.notes()
    with pytest.raises(JobError, match="Object 2 is nowhere"):
        ran(job, job.edit("foreground_2", **both), {0: "no_foreground_2", T: "no_foreground_2"})


def test_the_worst_mask_of_each_object_is_its_own() -> None:
    joined = worst(
        [
            {"mask_confidence_worst": 0.9, "mask_worst_frame": 1, "mask_confidence_worst_2": 0.2,
             "mask_worst_frame_2": 3},
            {"mask_confidence_worst": 0.4, "mask_worst_frame": 7, "mask_confidence_worst_2": 0.8,
             "mask_worst_frame_2": 8},
        ]
    )  # fmt: skip
    assert (joined["mask_worst_frame"], joined["mask_worst_frame_2"]) == (7, 3)


# Through a worker


@pytest.mark.slow
def test_a_live_job_paints_the_object_behind(tmp_path: Path) -> None:
    truth, objects = Crossing(2, 4, 48, 72), JobArrays()
    each = [
        Masks(
            mode="all",
            keys=tuple(
                KeyMask(frame=t, mask=objects.add(mask[..., None]))
                for t, mask in truth.masks(layer).items()
            ),
        )
        for layer in truth.layers[:-1]
    ]
    spec = PaintJob(
        clip=Clip(frames=tuple(objects.add(frame) for frame in truth.frames)),
        image=objects.add(np.full((48, 72, 4), 255, np.uint8)),
        frame=1, layer="foreground_2", masks=each[0], behind=(each[1],), preset="draft",
    )  # fmt: skip
    with local_backend(tmp_path / "data", device="cpu") as client:
        result = client.run(new_job_id(), spec, objects, timeout=120)
        alpha = np.stack([one[..., 3] for one in client.fetch_all(list(result.layer))])
        wrong = msgspec.structs.replace(spec, engine="mlp")
        with pytest.raises(JobError, match="takes one object"):
            client.run(new_job_id(), wrong, objects, timeout=30)
    assert alpha[truth.share("foreground_2") > 0.999].mean() > 200
    assert alpha[truth.share("foreground_2") < 0.001].mean() < 10
