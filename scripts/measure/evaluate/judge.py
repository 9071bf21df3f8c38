"""The judge: a text-image model that took no part in any loss; it sees close-ups of the object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from backend.clip.templates import TEMPLATES, embed
from protocol.jobs import ClipModel
from scripts.measure.evaluate.metrics import F32, Bools, Pixels

MARGIN = 0.15  # around the object, as a share of its longer side
AT_ONCE = 64  # images


@dataclass(frozen=True)
class Seen:
    """What the judge sees in images: embeddings [T,D]; tokens [T,L,E] without the class token."""

    embeddings: F32
    tokens: F32


class Judge:
    """Embeds images and texts, independently of the edit.

    place: a folder or file of weights, or one of open_clip's names with a tag (``ViT-B-32 openai``)
    or a file of weights (``ViT-B-32 FILE``). Raises JobError.
    """

    def __init__(self, place: str, device: torch.device) -> None:
        self.model: TextImageModel = load_clip(model_at(place), device)
        self.device = device
        self._texts: dict[str, F32] = {}

    def read(self, text: str) -> F32:
        """Embeddings of a text in every template, [N,D]."""
        if text not in self._texts:
            made = embed(self.model, [text], TEMPLATES)[0]
            self._texts[text] = np.asarray(made.float().cpu().numpy(), np.float32)
        return self._texts[text]

    @torch.no_grad()
    def look(self, pictures: Pixels) -> Seen:
        """Embed squares uint8 [T,S,S,3], as `close_ups` cuts them."""
        embeddings, tokens = [], []
        for first in range(0, len(pictures), AT_ONCE):
            some = torch.from_numpy(pictures[first : first + AT_ONCE]).to(self.device)
            x_BCHW = some.permute(0, 3, 1, 2).float() / 255
            embeddings.append(self.model.encode_image(x_BCHW).cpu().numpy())
            tokens.append(self.model.tokens(x_BCHW)[:, self.model.prefix :].cpu().numpy())
        return Seen(np.concatenate(embeddings), np.concatenate(tokens))

    def close_ups(self, frames: Pixels, inside: Bools) -> Pixels:
        """The square around the object in every frame that shows it, at the judge's own size."""
        side = self.model.image_size
        cut = [_close_up(f, m, side) for f, m in zip(frames, inside, strict=True) if m.any()]
        return np.stack(cut)


def model_at(place: str) -> ClipModel:
    """The model that a place names; see `Judge`."""
    name, _, more = place.partition(" ")
    if Path(place).exists():
        return ClipModel(checkpoint=place)
    if Path(more).exists() and more:
        return ClipModel(name=name, checkpoint=more)
    return ClipModel(name=name, pretrained=more)


def _close_up(frame: Pixels, mask: NDArray[np.bool_], side: int) -> Pixels:
    """[side,side,3]; the square is moved into the frame, and squeezed if it is larger."""
    rows, columns = np.nonzero(mask)
    height, width = frame.shape[:2]
    wanted = (1 + 2 * MARGIN) * (1 + max(np.ptp(rows), np.ptp(columns)))
    spans = []
    for found, limit in ((rows, height), (columns, width)):
        length = min(limit, round(wanted))
        first = round((found.min() + found.max() + 1 - length) / 2)
        first = min(max(0, first), limit - length)
        spans.append(slice(first, first + length))
    piece = frame[spans[0], spans[1]]
    shrinks = side < min(piece.shape[:2])
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(piece, (side, side), interpolation=method), np.uint8)
