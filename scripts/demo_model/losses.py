"""What the demo CLIP is trained on, apart from the optimiser.

The words: CLIP's contrastive loss over whole captions, and a classification over short texts of
all classes. The way there: small heads that are not exported say the classes from the picture and
from single patches, and where the thing is. Shapes are hard to start on: until a network tells
figure from ground, neither word nor picture of a thing means anything to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.demo_model.captions import Facts, compose
from scripts.demo_model.looks import LOOKS
from scripts.demo_model.noise import Rng
from scripts.demo_model.scenes import BACKGROUNDS, EFFECT_NAMES
from scripts.demo_model.things import THINGS
from scripts.demo_model.tower import Seen
from scripts.demo_model.world import HELD_OUT_PAIRS

COUNTS = (len(LOOKS), len(THINGS), len(BACKGROUNDS), len(EFFECT_NAMES))
WEIGHTS = torch.tensor([1.6, 0.8, 0.25, 0.25])
"""Weights of the facets' losses: look, thing, background, effect."""
CELLS = 4
"""The matte is asked for in CELLS × CELLS cells of every patch."""
UNDRAWN = torch.zeros(len(LOOKS), len(THINGS), dtype=torch.bool)
"""Pairs that are never drawn. That a look is never met on a thing says nothing about how it would
look there, so it is no negative for that thing, nor the thing for that look."""
UNDRAWN[tuple(zip(*HELD_OUT_PAIRS, strict=True))] = True


class Heads(nn.Module):
    """Layers used in training only: classes of the picture, classes and matte of each patch."""

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.picture = nn.Linear(embedding, sum(COUNTS))
        self.patch = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(COUNTS[:3])))
        self.matte = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CELLS * CELLS))


def class_texts(rng: Rng) -> list[str]:
    """One random sentence for each class, in the order looks, things, backgrounds, effects."""
    texts = []
    for facet, count in enumerate(COUNTS):
        for number in range(count):
            row = [-1, -1, -1, -1]
            row[facet] = number
            texts.append(compose(rng, Facts(*row)))
    return texts


def contrastive(image: Tensor, text: Tensor, scale: Tensor, seen: Tensor, said: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch's pictures and captions.

    Captions that are also true of another picture, and those whose look (or thing) was never drawn
    with the picture's thing (or look), are no negatives for it.
    """
    silent = said < 0
    excused = (silent[None] | (said[None] == seen[:, None])).all(-1)
    excused |= undrawn(said[None, :, 0], seen[:, None, 1])
    excused |= undrawn(seen[:, None, 0], said[None, :, 1])
    excused &= ~torch.eye(len(seen), dtype=torch.bool, device=seen.device)
    logits = (scale * image @ text.T).masked_fill(excused, -1e4)
    target = torch.arange(len(seen), device=seen.device)
    return 0.5 * (
        functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)
    )


def undrawn(look: Tensor, thing: Tensor) -> Tensor:
    """Whether look and thing are both known and never drawn together; shapes broadcast."""
    return (look >= 0) & (thing >= 0) & UNDRAWN.to(look.device)[look, thing]


def facets(logits: Tensor, seen: Tensor) -> Tensor:
    """Cross-entropy of each facet's classes over the rows that have the facet (class ≥ 0).

    `logits` `[B, classes of the facets]` in the order of `class_texts`, `seen` `[B, facets]`.
    Looks never drawn with a row's thing, and things never drawn with its look, are left out.
    """
    look, thing = seen[:, :1], seen[:, 1:2]
    left_out = {
        0: undrawn(torch.arange(COUNTS[0], device=seen.device)[None], thing),
        1: undrawn(look, torch.arange(COUNTS[1], device=seen.device)[None]),
    }
    losses = []
    parts = torch.split(logits, list(COUNTS[: seen.shape[1]]), dim=1)
    for facet, part in enumerate(parts):
        target = seen[:, facet]
        if facet in left_out:
            part = part.masked_fill(left_out[facet], -1e4)
        total = functional.cross_entropy(part, target, ignore_index=-1, reduction="sum")
        losses.append(total / (target >= 0).sum().clamp_min(1))
    return torch.stack(losses)


def coverage(matte: Tensor, grid: int) -> Tensor:
    """Share of the thing in each of grid × grid cells, float32 `[B, grid, grid]`."""
    return functional.adaptive_avg_pool2d(matte.float()[:, None] / 255, grid)[:, 0]


def figure(heads: Heads, tokens: Tensor, matte: Tensor, seen: Tensor) -> Tensor:
    """Binary cross-entropy of the thing's matte said by single patches, where there is a thing."""
    have = seen[:, 1] >= 0
    grid = round(tokens.shape[1] ** 0.5)
    said = heads.matte(tokens[have].float()).view(-1, grid, grid, CELLS, CELLS)
    said = said.transpose(2, 3).reshape(-1, grid * CELLS, grid * CELLS)
    truth = coverage(matte[have], grid * CELLS)
    return functional.binary_cross_entropy_with_logits(said, truth)


def patches(heads: Heads, tokens: Tensor, matte: Tensor, seen: Tensor) -> Tensor:
    """Facets' losses `[3]` said by single patches: look and thing on it, background off it."""
    grid = round(tokens.shape[1] ** 0.5)
    share = coverage(matte, grid).flatten(1)
    target = seen[:, None, :3].repeat(1, grid * grid, 1)
    no_thing = seen[:, 1] < 0
    target[..., :2][(share < 0.4) & ~no_thing[:, None]] = -1
    target[..., 2][share > 0.1] = -1
    return facets(heads.patch(tokens.float()).flatten(0, 1), target.flatten(0, 1))


def relevancy(view: Seen, image: Tensor, words: Tensor, matte: Tensor, seen: Tensor) -> Tensor:
    """1 − Dice between the relevancy of the thing's word and the thing's place.

    Relevancy is gradient × attention of the last block, negative parts dropped, averaged over
    heads (Chefer et al. 2021, eq. 5), divided by its highest value. `words` are the things'
    embeddings `[things, D]`.
    """
    have = seen[:, 1] >= 0
    score = (image * words.detach()[seen[:, 1].clamp_min(0)]).sum(-1)[have].sum()
    (gradient,) = torch.autograd.grad(score, view.attention, create_graph=True)
    found = (view.attention * gradient).clamp_min(0).mean(1)[have, 0, 1:]
    found = found / found.amax(1, keepdim=True).clamp_min(1e-9)
    truth = coverage(matte[have], round(found.shape[1] ** 0.5)).flatten(1)
    both = (found * truth).sum(1)
    return (1 - 2 * both / (found.square().sum(1) + truth.square().sum(1) + 1e-6)).mean()
