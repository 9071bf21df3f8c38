"""Turn a job's masks into mask prompts, loading images and models; mask single frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.clip import cache
from backend.clip.model import TextImageModel
from backend.context import Context
from backend.edit.config import EditConfig
from backend.masks.prompts import MaskPrompts, Relevancy
from backend.masks.resolve import resolve_masks
from backend.masks.segmenters import load_segmenter
from backend.masks.segmenters.base import Click
from backend.motion.flow import F32, Flows, working_size
from protocol.jobs import OBJECTS, JobError, Masks
from protocol.layers import error_of_object, suffix


def prompts_of(masks: Masks, size: tuple[int, int], ctx: Context) -> MaskPrompts:
    """What a job says about one object, with its images and models loaded.

    size: height and width of the clip. Raises JobError if a model cannot be loaded.
    """
    if masks.mode == "none":
        return MaskPrompts("none")
    segmenter = None
    if masks.mode == "segment":
        segmenter = load_segmenter(masks.segmenter, masks.weights, ctx.device)
    return MaskPrompts(
        mode=masks.mode,
        keys={key.frame: ctx.load(key.mask)[..., 0] for key in masks.keys},
        boxes={box.frame: (box.x0, box.y0, box.x1, box.y1) for box in masks.boxes},
        strokes={stroke.frame: ctx.load(stroke.mask)[..., 0] for stroke in masks.strokes},
        clicks=tuple(Click(one.frame, one.x, one.y, one.inside) for one in masks.clicks),
        relevancy=_relevancy_of(masks, ctx),
        segmenter=segmenter,
        size=size,
        first_frame=ctx.first_frame,
    )


def mask_of_layer(
    objects: tuple[Masks, ...],
    layer: str,
    frame: NDArray[np.uint8],
    side: int,
    ctx: Context,
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """Mask of a layer on a single frame, uint8 [H,W], 0 outside, and its measures.

    objects: front to back. The rest as `mask_of_still`; errors name the object they are about.
    """
    covered = np.zeros(frame.shape[:2], np.uint8)  # by the objects in front
    numbers: dict[str, float] = {}
    for number, (masks, name) in enumerate(zip(objects, OBJECTS, strict=False), 1):
        if masks.mode == "none":
            mask = np.zeros_like(covered)
        else:
            try:
                mask, found = mask_of_still(masks, frame, side, ctx)
            except JobError as why:
                raise error_of_object(why, number, len(objects)) from why
            numbers |= {f"{key}{suffix(number)}": value for key, value in found.items()}
        mask = np.minimum(mask, 255 - covered)
        if layer == name:
            if not mask.any():
                raise error_of_object(_not_visible_error(), number, len(objects))
            return mask, numbers
        covered = np.maximum(covered, mask)
    return 255 - covered, numbers


def _not_visible_error() -> JobError:
    return JobError(
        "no_foreground",
        "The object is not visible: its mask is empty, or objects in front cover it.",
        "Check the masks, and that the objects are listed front to back.",
    )


def mask_of_still(
    masks: Masks, frame: NDArray[np.uint8], side: int, ctx: Context
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """The object's mask on a single frame, uint8 [H,W], 0 outside, and its measures.

    side: long side in pixels at which a box, strokes or a text is turned into a mask.
    Raises JobError("no_foreground") and those of `resolve_masks`.
    """
    h, w = frame.shape[:2]
    numbers: dict[str, float] = {}
    if masks.keys:
        mask = ctx.load(masks.keys[0].mask)[..., 0]
    else:
        prompts = prompts_of(masks, (h, w), ctx)
        size = working_size(h, w, side)
        small = np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        flows = Flows(size, gaps=(), between={}, trusted={})
        resolved = resolve_masks(small[None], prompts, flows, ctx)
        numbers = resolved.numbers
        mask = np.where(cv2.resize(resolved.masks[0], (w, h)) > 0.5, np.uint8(255), np.uint8(0))
    if not mask.any():
        raise JobError(
            "no_foreground",
            "The mask is empty, so there is no foreground object.",
            "Paint the object into the mask, or edit the background instead.",
        )
    return mask, numbers


def _relevancy_of(masks: Masks, ctx: Context) -> Relevancy | None:
    texts = tuple(text for text in masks.texts if text.strip())
    if masks.mode not in ("text", "auto") or not texts:
        return None
    return TextRelevancy(cache.text_image_model(masks.model, str(ctx.device)), texts, ctx)


@dataclass
class TextRelevancy:
    """Where a frame shows one of several texts; call it for each frame."""

    model: TextImageModel
    texts: tuple[str, ...]
    ctx: Context

    def __post_init__(self) -> None:
        each = torch.nn.functional.normalize(self.model.encode_text(self.texts), dim=-1)
        self._text = torch.nn.functional.normalize(each.mean(0), dim=-1)

    def __call__(self, frame: NDArray[np.uint8]) -> F32:
        """Relevancy of a frame uint8 [h,w,3]: float32 [h,w], 0..1. Raises Cancelled."""
        self.ctx.check()
        x = torch.from_numpy(np.ascontiguousarray(frame)).to(self.model.device)
        picture = (x.permute(2, 0, 1)[None].float() / 255).contiguous()
        found = self.model.relevancy(
            picture,
            self._text,
            layers=EditConfig.relevancy_layers,
            windows=EditConfig.relevancy_windows,
        )
        return np.asarray(found[0, 0].cpu().numpy(), np.float32)
