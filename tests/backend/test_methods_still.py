"""A clip of one frame: every way to say where the object is decides where it is edited."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from jobs import Job
from msgspec.structs import replace
from tiny_clip import tiny_model

from backend.clip import cache
from backend.context import Context
from backend.masks.segmenters.base import Segmented, SegmenterPrompts
from backend.methods import mask_prompts
from backend.methods.dispatch import run_job, with_defaults
from backend.painters import text2live
from protocol.jobs import (
    BoxKey,
    ClickKey,
    Clip,
    ClipModel,
    EditJob,
    JobError,
    KeyMask,
    Masks,
    Result,
    StrokeKey,
)
from protocol.layers import objects_of
from scripts.make_clip import make_clip

H, W = 120, 200
SHOT = make_clip(frames=1, height=H, width=W, seed=3)
TRUTH = SHOT.alpha[0] > 0.5
YS, XS = np.nonzero(TRUTH)


class Still(Job):
    """Edits one frame, and keeps the mask that the edit was given."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(data)
        self.mask: np.ndarray | None = None
        monkeypatch.setattr(text2live, "edit_image", self._edit)
        monkeypatch.setattr(cache, "text_image_model", lambda model, device: tiny_model())
        monkeypatch.setattr(mask_prompts, "_relevancy_of", self._relevancy_of)
        monkeypatch.setattr(mask_prompts, "load_segmenter", lambda *_: self)

    def _edit(self, image: np.ndarray, setup: object, mask: np.ndarray | None) -> np.ndarray:
        self.mask = mask
        return np.zeros((H, W, 4), np.uint8)

    def _relevancy_of(self, masks: Masks, ctx: Context) -> object:
        if not masks.texts:
            return None
        blob = cv2.GaussianBlur(TRUTH.astype(np.float32), (0, 0), 5)
        return lambda frame: cv2.resize(blob, (frame.shape[1], frame.shape[0]))

    def segment(self, frames: np.ndarray, prompts: SegmenterPrompts, report: object) -> Segmented:
        size = (frames.shape[2], frames.shape[1])
        return Segmented(cv2.resize(TRUTH.astype(np.uint8), size)[None] > 0, np.ones(1, np.float32))

    def run(self, masks: Masks, layer: str = "foreground") -> Result:
        clip = self.clip_of(SHOT.frames)
        spec = EditJob(
            clip=clip, prompt=("golden swan",), source=("swan",), preset="draft", masks=masks,
            layer=layer,
        )  # fmt: skip
        return run_job(spec, self.ctx)

    def picture(self, values: np.ndarray) -> StrokeKey:
        return StrokeKey(frame=0, mask=self.ctx.store(values.astype(np.uint8)[..., None]))


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Still:
    return Still(tmp_path, monkeypatch)


def strokes() -> np.ndarray:
    deep = cv2.erode(TRUTH.astype(np.uint8), np.ones((9, 9))) > 0
    far = cv2.dilate(TRUTH.astype(np.uint8), np.ones((15, 15))) == 0
    lines = np.zeros((H, W), bool)
    lines[::6], lines[:, ::6] = True, True
    return np.where(deep & lines, 255, np.where(far & lines, 64, 0))


BOX = BoxKey(
    frame=0, x0=float(XS.min()) - 2, y0=float(YS.min()) - 2, x1=float(XS.max()) + 3,
    y1=float(YS.max()) + 3,
)  # fmt: skip
CLICK = ClickKey(frame=0, x=float(XS.mean()), y=float(YS.mean()))


@pytest.mark.parametrize(
    "masks",
    [
        Masks(mode="key", boxes=(BOX,)),
        Masks(mode="key"),  # with strokes
        Masks(mode="text"),
        pytest.param(Masks(mode="auto", texts=("swan",)), marks=pytest.mark.slow),
        Masks(mode="segment", clicks=(CLICK,)),
    ],
    ids=["box", "strokes", "text", "auto with a text", "segment"],
)
@pytest.mark.parametrize("layer", ["foreground", "background"])
def test_every_hint_makes_the_mask_of_one_frame(still: Still, masks: Masks, layer: str) -> None:
    if masks == Masks(mode="key"):
        masks = replace(masks, strokes=(still.picture(strokes()),))
    result = still.run(masks, layer)
    assert still.mask is not None
    assert still.mask.shape == (H, W)
    found = (still.mask > 0) == (layer == "foreground")
    assert (found & TRUTH).sum() / (found | TRUTH).sum() > 0.7
    assert 0 < result.numbers["mask_confidence"] <= 1
    assert result.numbers["mask_worst_frame"] == 0


def test_without_any_hint_all_of_the_picture_may_change(still: Still) -> None:
    still.run(Masks())
    assert still.mask is None
    still.run(Masks(mode="none"), "background")
    assert still.mask is None


def test_a_mask_is_used_as_it_is_and_an_empty_one_is_refused(still: Still) -> None:
    given = np.where(TRUTH, 255, 0).astype(np.uint8)[..., None]
    still.run(Masks(mode="key", keys=(KeyMask(frame=0, mask=still.ctx.store(given)),)))
    assert still.mask is not None
    assert np.array_equal(still.mask, given[..., 0])
    empty = still.ctx.store(np.zeros_like(given))
    with pytest.raises(JobError) as caught:
        still.run(Masks(mode="key", keys=(KeyMask(frame=0, mask=empty),)))
    assert caught.value.problem.code == "no_foreground"


def found(job: EditJob) -> tuple[Masks, ...]:
    return objects_of(with_defaults(job, ClipModel(name="the backend's")))


def test_texts_of_masks_are_read_by_the_jobs_own_model() -> None:
    own, other = ClipModel(name="ViT-B-32", pretrained="openai"), ClipModel(name="ViT-L-14")
    job = EditJob(clip=Clip(frames=()), prompt=("x",), source=("swan",), model=own)
    for mode in ("auto", "text"):
        masks = Masks(mode=mode, texts=("bird",))  # type: ignore[arg-type]
        assert found(replace(job, masks=masks))[0].model == own
        named = replace(masks, model=other)
        assert found(replace(job, masks=named))[0].model == other
    assert found(replace(job, masks=Masks(mode="text")))[0].texts == ("swan",)
    assert found(job) == (Masks(),), "no text, no model"


def test_two_models_are_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[ClipModel] = []
    monkeypatch.setattr(cache, "load_clip", lambda model, device: loaded.append(model))
    cache.text_image_model.cache_clear()
    for name in ("a", "b", "a", "b"):
        cache.text_image_model(ClipModel(name=name), "cpu")
    assert [model.name for model in loaded] == ["a", "b"]
    cache.text_image_model.cache_clear()
