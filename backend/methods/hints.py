"""What a job says about its object, made ready for the atlas: pixels, texts and models loaded."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.flow import F32
from backend.atlas.hints import Hints, Relevancy
from backend.atlas.segmenters.base import Click, load_segmenter
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig
from backend.worker import Context
from protocol.jobs import EditJob, Masks


def masks_of_edit(spec: EditJob) -> Masks:
    """An edit's masks with what its texts and model fill in."""
    masks = spec.masks
    if masks.mode != "text":
        return masks
    return msgspec.structs.replace(
        masks,
        texts=masks.texts or spec.region or spec.source,
        model=masks.model if masks.model.name else spec.model,
    )


def with_model(masks: Masks, ctx: Context) -> Masks:
    """Masks whose texts name the model they are read by: part of what an atlas is known by."""
    if not masks.texts or masks.model.name:
        return masks
    return msgspec.structs.replace(masks, model=ctx.model)


def hints_of(masks: Masks, size: tuple[int, int], ctx: Context) -> Hints:
    """Hints of a job's masks. size: height and width of the clip. JobError of a model's loading."""
    segmenter = None
    if masks.mode == "segment":
        segmenter = load_segmenter(masks.segmenter, masks.weights, ctx.device)
    return Hints(
        mode=masks.mode,
        boxes={box.frame: (box.x0, box.y0, box.x1, box.y1) for box in masks.boxes},
        strokes={stroke.frame: ctx.load(stroke.mask)[..., 0] for stroke in masks.strokes},
        clicks=tuple(Click(one.frame, one.x, one.y, one.inside) for one in masks.clicks),
        relevancy=_relevancy_of(masks, ctx),
        segmenter=segmenter,
        size=size,
    )


def _relevancy_of(masks: Masks, ctx: Context) -> Relevancy | None:
    texts = tuple(text for text in masks.texts if text.strip())
    if masks.mode not in ("text", "auto") or not texts:
        return None
    from backend.methods.text2live import text_image_model

    model = masks.model if masks.model.name else ctx.model
    return Looker(text_image_model(model, str(ctx.device)), texts, ctx)


@dataclass
class Looker:
    """Where one of several texts is in a frame; may be called again and again."""

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
