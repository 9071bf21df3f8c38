"""SAM 2 (Ravi et al., 2024) through transformers: a click or box for the whole clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.device_errors import is_out_of_memory
from backend.masks.segmenters.base import Segmented, SegmenterPrompts, damaged, missing
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Segmenting the object"
OBJECT = 1  # its number in the session


class Sam2:
    """SAM 2's video model and its processor, both of transformers."""

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.processor = processor
        self.device = device

    @torch.inference_mode()
    def segment(
        self, frames: NDArray[np.uint8], prompts: SegmenterPrompts, report: Reporter
    ) -> Segmented:
        """Masks of the prompted object, followed both ways from the prompted frames."""
        count, h, w, _ = frames.shape
        session = self.processor.init_video_session(
            video=list(frames), inference_device=self.device, dtype=torch.float32
        )
        marked = sorted({*prompts.boxes, *(click.frame for click in prompts.clicks)})
        for t in marked:
            self._prompt(session, t, prompts)
        masks = np.zeros((count, h, w), np.bool_)
        sure = np.zeros(count, np.float32)
        seen = 0
        # Memory spreads outwards from the first prompted frame: forwards, then backwards.
        for backwards in (False, True):
            for out in self.model.propagate_in_video_iterator(
                session, start_frame_idx=marked[0], reverse=backwards
            ):
                report.step(PHASE, min(seen, count), count)
                seen += 1
                logits = self.processor.post_process_masks(
                    [out.pred_masks], original_sizes=[[h, w]], binarize=False
                )[0]
                t = int(out.frame_idx)
                logit = logits.float().reshape(-1, h, w)[0].cpu().numpy()
                masks[t] = logit > 0
                sure[t] = _certainty(logit, getattr(out, "object_score_logits", None))
        return Segmented(masks, sure)

    def _prompt(self, session: Any, t: int, prompts: SegmenterPrompts) -> None:
        clicks = [click for click in prompts.clicks if click.frame == t]
        given: dict[str, Any] = {}
        if clicks:
            given["input_points"] = [[[[click.x, click.y] for click in clicks]]]
            given["input_labels"] = [[[int(click.inside) for click in clicks]]]
        if t in prompts.boxes:
            given["input_boxes"] = [[list(prompts.boxes[t])]]
        self.processor.add_inputs_to_inference_session(
            inference_session=session, frame_idx=t, obj_ids=OBJECT, **given
        )
        self.model(inference_session=session, frame_idx=t)


def _certainty(logit: NDArray[np.float32], score: Any) -> float:
    """Confidence of a mask from its logits and the model's object score: 0..1."""
    inside = logit[logit > 0]
    clear = float(np.tanh(inside.mean() / 4)) if inside.size else 1.0
    if score is None:
        return clear
    there = float(torch.sigmoid(torch.as_tensor(score).float().reshape(-1)[0]))
    return clear * max(there, 1 - there)


def load(path: Path, device: torch.device) -> Sam2:
    """SAM 2 from a folder of transformers weights; nothing is downloaded."""
    try:
        from transformers import Sam2VideoModel, Sam2VideoProcessor
    except ImportError as why:
        raise missing("transformers") from why
    try:
        # No pickles, and no code from the folder.
        model = Sam2VideoModel.from_pretrained(
            path, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        processor = Sam2VideoProcessor.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
    except JobError:
        raise
    except Exception as why:  # a damaged folder may raise anything
        if is_out_of_memory(why):
            raise
        raise damaged(path, why) from why
    return Sam2(model, processor, device)
