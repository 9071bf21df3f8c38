"""Whether the demo CLIP's relevancy map of a thing's word lies on the thing, as an edit asks it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts
from backend.edit.regions import relevancy_map
from backend.edit.texts import TextTargets
from scripts.demo_model.things import THINGS
from scripts.demo_model.views import Example
from scripts.demo_model.vocabulary import THING_WORDS

THRESHOLD = 0.5
"""Share of a map's maximum from which a pixel counts as the thing's."""


def region(clip: TextImageModel, thing: str) -> Tensor:
    """The embedding an edit seeks a thing's place with, its word as the region text."""
    word = (THING_WORDS[thing][0],)
    found = TextTargets(clip, EditTexts(prompt=word, region=word)).region_D
    assert found is not None
    return found


def scores(clip: TextImageModel, drawn: Sequence[Example]) -> dict[str, float]:
    """Share of highest points on the thing, mean IoU with its mask, and what chance would give.

    drawn: examples with a thing. Layers and windows are an edit's defaults. "area": mean share of
    the picture that the thing covers, the share of hits of a point placed anywhere.
    """
    config = EditConfig()
    hits, overlaps, areas = [], [], []
    embeddings = {name: region(clip, name) for name in {THINGS[e.seen.thing] for e in drawn}}
    for example in drawn:
        picture = torch.from_numpy(example.image).permute(2, 0, 1)[None].float() / 255
        text_D = embeddings[THINGS[example.seen.thing]]
        found = relevancy_map(clip, picture.to(clip.device), text_D, config)
        relevancy = found[0, 0].cpu().numpy()
        hits.append(bool(example.mask.flat[int(relevancy.argmax())]))
        marked = relevancy >= THRESHOLD * relevancy.max()
        overlaps.append((marked & example.mask).sum() / (marked | example.mask).sum())
        areas.append(example.mask.mean())
    return {
        "highest point on the thing": float(np.mean(hits)),
        "mean IoU": float(np.mean(overlaps)),
        "area": float(np.mean(areas)),
    }
