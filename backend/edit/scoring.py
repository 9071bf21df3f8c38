"""Views through the text-image model: all of a step at once, or fewer where memory is short.

Scored in parts, a part is forgotten and computed again on the way back: the result is the same,
the memory that of one part. Shapes: V views, C channels, H×W picture, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from backend.clip.model import TextImageModel
from backend.edit.views import Views, apply_views

Seen = tuple[Views, Tensor]
"""Views, and the picture [1,C,H,W] they are of."""


class Scorer:
    """Embeds views and reads tokens of pictures.

    at_once: the most views in one pass; 0: all. largest: the most that were asked for so far.
    """

    def __init__(self, model: TextImageModel) -> None:
        self.model = model
        self.at_once = 0
        self.largest = 0

    def halve(self) -> bool:
        """From now on half as many views a pass; False where there is nothing to halve."""
        now = min(self.at_once or self.largest, self.largest)
        if now < 2:
            return False
        self.at_once = now // 2
        return True

    def embed(self, seen: Sequence[Seen]) -> Tensor:
        """Embeddings of all views of all pictures in their order, float32 [V,D]."""
        self.largest = max(self.largest, sum(len(views) for views, _ in seen))
        parts = _parts(seen, self.at_once)
        return torch.cat([self._through(self._embed, part) for part in parts])

    def tokens(self, pictures: Tensor) -> Tensor:
        """Tokens of pictures [B,C,H,W] as `TextImageModel.tokens`; scored in parts, one by one."""
        parts = pictures.unsqueeze(1) if self.at_once else [pictures]
        return torch.cat([self._through(self.model.tokens, part) for part in parts])

    def _embed(self, part: Sequence[Seen]) -> Tensor:
        side, patch = self.model.image_size, self.model.patch
        made = [apply_views(v, p, side, patch) for v, p in part]
        runs = groupby(made, key=lambda one: one.shape[1:])  # pictures of one shape are one batch
        return torch.cat([self.model.encode_image(torch.cat(list(run))) for _, run in runs])

    def _through(self, compute: Callable[..., Tensor], part: object) -> Tensor:
        if not self.at_once or not torch.is_grad_enabled():
            return compute(part)
        made: Tensor = checkpoint(compute, part, use_reentrant=False, preserve_rng_state=False)
        return made


def _parts(seen: Sequence[Seen], at_once: int) -> Iterator[list[Seen]]:
    """The views in passes of at most so many; 0: all in one."""
    room, part = at_once, list[Seen]()
    for views, picture in seen:
        first = 0
        while first < len(views):
            taken = min(len(views) - first, room) if at_once else len(views)
            part.append((views.some(first, first + taken), picture))
            first, room = first + taken, room - taken
            if at_once and room == 0:
                yield part
                room, part = at_once, []
    if part:
        yield part
