"""Reference images of an edit, as embeddings that stand beside those of the texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig
from backend.edit.pixels import fit_size, resize, to_tensor
from backend.edit.scoring import Scorer
from backend.edit.views import draw_views


@torch.no_grad()
def embed_references(
    model: TextImageModel, images: Sequence[NDArray[np.uint8]], config: EditConfig
) -> Tensor | None:
    """Embeddings of views of all images [H,W,3], float32 [N,D]; None without images or weight.

    The views are those of the config without its changes of colour, from draws of their own.
    """
    if not images or not config.reference:
        return None
    random = torch.Generator().manual_seed(config.seed)
    views = replace(config.views, jitter=0.0, grey=0.0)
    viewed = []
    for image in images:
        size = fit_size(image.shape[0], image.shape[1], config.size)
        tensor = resize(to_tensor(image, model.device), size)
        viewed.append((draw_views(views, *size, random), tensor))
    return Scorer(model).embed(viewed)
