"""torchvision's Mask R-CNN: instances of each frame, the prompted one followed by overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.device_errors import is_out_of_memory
from backend.masks.segmenters.base import Segmented, SegmenterPrompts, damaged, missing
from backend.progress import Reporter

PHASE = "Segmenting the object"
MIN_SCORE = 0.3  # instances below this are ignored
MIN_OVERLAP = 0.2  # with the last mask, or the object is not there


class MaskRcnn:
    """A torchvision MaskRCNN."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.device = device

    @torch.inference_mode()
    def segment(
        self, frames: NDArray[np.uint8], prompts: SegmenterPrompts, report: Reporter
    ) -> Segmented:
        """Masks of the instance under the box or the clicks, followed by overlap both ways."""
        count, h, w, _ = frames.shape
        found = []
        for t in range(count):
            report.step(PHASE, t, count)
            x = torch.from_numpy(np.ascontiguousarray(frames[t])).to(self.device)
            out = self.model([x.permute(2, 0, 1).float() / 255])[0]
            good = out["scores"] >= MIN_SCORE
            found.append((
                (out["masks"][good, 0] > 0.5).cpu().numpy(), out["scores"][good].cpu().numpy()
            ))  # fmt: skip
        masks, sure = np.zeros((count, h, w), np.bool_), np.zeros(count, np.float32)
        first = min((*prompts.boxes, *(click.frame for click in prompts.clicks)))
        fits = [_fit(one, first, prompts) for one in found[first][0]]
        if not fits or max(fits) <= 0:
            return Segmented(masks, sure)
        best = int(np.argmax(fits))
        masks[first], sure[first] = found[first][0][best], found[first][1][best]
        for order in (range(first + 1, count), range(first - 1, -1, -1)):
            last = masks[first]
            for t in order:
                overlaps = [_overlap(one, last) for one in found[t][0]]
                if overlaps and max(overlaps) >= MIN_OVERLAP:
                    best = int(np.argmax(overlaps))
                    last = masks[t] = found[t][0][best]
                    sure[t] = found[t][1][best]
        return Segmented(masks, sure)


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = float((one | other).sum())
    return float((one & other).sum()) / union if union else 0.0


def _fit(mask: NDArray[np.bool_], t: int, prompts: SegmenterPrompts) -> float:
    """How well a mask fits the prompts of a frame."""
    h, w = mask.shape
    score = 0.0
    if t in prompts.boxes and mask.any():
        ys, xs = np.nonzero(mask)
        x0, y0, x1, y1 = prompts.boxes[t]
        wide = max(0.0, min(x1, xs.max() + 1) - max(x0, xs.min()))
        high = max(0.0, min(y1, ys.max() + 1) - max(y0, ys.min()))
        own = float((xs.max() + 1 - xs.min()) * (ys.max() + 1 - ys.min()))
        score += wide * high / (own + (x1 - x0) * (y1 - y0) - wide * high)
    for click in prompts.clicks:
        if click.frame == t:
            hit = bool(mask[min(h - 1, int(click.y)), min(w - 1, int(click.x))])
            score += 1.0 if hit == click.inside else -1.0
    return score


def load(path: Path, device: torch.device) -> MaskRcnn:
    """Mask R-CNN (ResNet-50 FPN) with the state dictionary of a file; nothing is downloaded."""
    try:
        from torchvision.models.detection import maskrcnn_resnet50_fpn
    except ImportError as why:
        raise missing("torchvision") from why
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
        model.load_state_dict(state)
    except Exception as why:  # a damaged file may raise anything
        if is_out_of_memory(why):
            raise
        raise damaged(path, why) from why
    return MaskRcnn(model, device)
