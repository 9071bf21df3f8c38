"""Run views through the text-image model: all of a step at once, or in batches to save memory.

In batches, the activations of a batch are dropped and computed again on the backward pass: the
result is the same, with the memory of one batch.

Shapes: V views, C channels, H×W image, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from backend.clip.model import TextImageModel
from backend.edit.views import Views, apply_views

Viewed = tuple[Views, Tensor]
"""Views, and the image [1,C,H,W] they are views of."""


class Scorer:
    """Embeds views and reads tokens of images.

    at_once: the most views in one batch; 0: all. largest: the most views of a call so far.
    """

    def __init__(self, model: TextImageModel) -> None:
        self.model = model
        self.at_once = 0
        self.largest = 0

    def halve(self) -> bool:
        """Halve the views in a batch from now on; False if it holds one view already."""
        now = min(self.at_once or self.largest, self.largest)
        if now < 2:
            return False
        self.at_once = now // 2
        return True

    def embed(self, viewed: Sequence[Viewed]) -> Tensor:
        """Embeddings of all views of all images in their order, float32 [V,D]."""
        self.largest = max(self.largest, sum(len(views) for views, _ in viewed))
        batches = _batches(viewed, self.at_once)
        return torch.cat([self._through(self._embed, batch) for batch in batches])

    def tokens(self, images: Tensor) -> Tensor:
        """Tokens of images [B,C,H,W], as `TextImageModel.tokens`; one by one if in batches."""
        batches = images.unsqueeze(1) if self.at_once else [images]
        return torch.cat([self._through(self.model.tokens, batch) for batch in batches])

    def _embed(self, batch: Sequence[Viewed]) -> Tensor:
        side, patch = self.model.image_size, self.model.patch
        made = [apply_views(views, image, side, patch) for views, image in batch]
        runs = groupby(made, key=lambda one: one.shape[1:])  # views of one shape are one batch
        return torch.cat([self.model.encode_image(torch.cat(list(run))) for _, run in runs])

    def _through(self, compute: Callable[..., Tensor], batch: object) -> Tensor:
        if not self.at_once or not torch.is_grad_enabled():
            return compute(batch)
        made: Tensor = checkpoint(compute, batch, use_reentrant=False, preserve_rng_state=False)
        return made


def _batches(viewed: Sequence[Viewed], at_once: int) -> Iterator[list[Viewed]]:
    """The views in batches of at most this many; 0: all in one."""
    left, batch = at_once, list[Viewed]()
    for views, image in viewed:
        first = 0
        while first < len(views):
            taken = min(len(views) - first, left) if at_once else len(views)
            batch.append((views.some(first, first + taken), image))
            first, left = first + taken, left - taken
            if at_once and left == 0:
                yield batch
                left, batch = at_once, []
    if batch:
        yield batch
