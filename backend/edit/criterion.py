"""The loss of a training step.

Shapes: B images, V views, C channels, H×W pixels, D embedding width, L tokens, E token width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig
from backend.edit.losses import (
    bootstrap_loss,
    direction_loss,
    opaque_loss,
    sparsity_loss,
    structure_loss,
    text_distance,
)
from backend.edit.pixels import resize
from backend.edit.scoring import Scorer
from backend.edit.texts import TextTargets
from backend.edit.views import Views, draw_views

# The structure loss looks at the whole image, its long side at most this multiple of the short.
MAX_STRUCTURE_ASPECT = 380 / 224


@dataclass(frozen=True, kw_only=True)
class Example:
    """One training image of a step; all tensors are [1,C,H,W] in 0..1.

    source: the image without the layer. output: with the layer over it. screen: the layer over the
    green screen. alpha: the layer's matte. relevancy, avoid: where the bootstrap wants the layer
    and where it does not, or None. name: identifies a source that recurs unchanged; empty for one
    that does not. views: the fixed views of a source that recurs; None: draw new ones.
    """

    source: Tensor
    output: Tensor
    screen: Tensor
    alpha: Tensor
    relevancy: Tensor | None = None
    avoid: Tensor | None = None
    name: str = ""
    views: Views | None = None


class Criterion:
    """The whole loss of a step: texts, structure, sparsity, opacity and bootstrap.

    random: drives the draws of views and texts. references_ND: embeddings of reference images,
    which take config.reference of the texts' weight.
    """

    def __init__(
        self,
        model: TextImageModel,
        targets: TextTargets,
        config: EditConfig,
        random: torch.Generator,
        references_ND: Tensor | None = None,
    ) -> None:
        self.references_ND = references_ND
        self.model, self.targets, self.config, self.random = model, targets, config, random
        self.scorer = Scorer(model)
        self._sigmoid = model.sigmoid
        self._tokens: dict[str, Tensor] = {}
        self._embedded: dict[str, Tensor] = {}

    def __call__(self, examples: Sequence[Example], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss (a scalar with gradient) and its weighted terms, detached."""
        config = self.config
        terms = self._text_terms(examples)
        if config.structure:
            terms["structure"] = config.structure * self._structure(examples)
        terms["sparsity"] = config.sparsity * _mean(
            sparsity_loss(one.alpha, config.sparsity_l1, config.sparsity_l0) for one in examples
        )
        if config.opaque:
            terms["opaque"] = config.opaque * _mean(
                opaque_loss(one.alpha, config.opaque_above) for one in examples
            )
        remaining = 1 - step / config.bootstrap_steps if config.bootstrap_steps else 0.0
        maps = [
            bootstrap_loss(
                one.alpha,
                one.relevancy,
                one.avoid,
                config.bootstrap_negative,
                config.bootstrap_avoid,
            )
            for one in examples
            if one.relevancy is not None
        ]
        if maps and config.bootstrap * remaining > 0:
            terms["bootstrap"] = config.bootstrap * remaining * _mean(maps)
        total = torch.stack(list(terms.values())).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def _text_terms(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Composition, direction and screen.

        Outputs and screens go through the model in one batch with gradient, sources in one without.
        """
        config = self.config
        share = config.templates if config.template_draws == "share" else None
        texts = self.targets.draw(share, self.random)
        views = [one.views or self._draw(one.source) for one in examples]
        viewed = [(v, one.output) for v, one in zip(views, examples, strict=True)]
        if config.screen:
            viewed += [(self._draw(one.screen), one.screen) for one in examples]
        embedded_VD = self.scorer.embed(viewed)
        output_VD = embedded_VD[: len(examples) * config.views.count]
        screen_VD = embedded_VD[len(output_VD) :]
        distance = text_distance(config.distance, output_VD, texts.prompt, self._sigmoid)
        terms = {"composition": config.composition * distance}
        by_text = texts.source is not None and texts.partner is not None
        if config.direction and (by_text or self.references_ND is not None):
            if not config.same_views:
                views = [self._draw(one.source) for one in examples]
            source_VD = self._sources(views, examples)
            if texts.source is not None and texts.partner is not None:
                terms["direction"] = config.direction * direction_loss(
                    output_VD, source_VD, texts.partner, texts.source
                )
            if self.references_ND is not None:
                self._add_references(terms, output_VD, source_VD, self.references_ND)
        if config.screen:
            terms["screen"] = config.screen * text_distance(
                config.distance, screen_VD, texts.screen, self._sigmoid
            )
        return terms

    def _add_references(
        self,
        terms: dict[str, Tensor],
        output_VD: Tensor,
        source_VD: Tensor,
        references_ND: Tensor,
    ) -> None:
        """Give reference images their share of composition and direction.

        Texts and images lie apart in CLIP's space, so images are compared with images: the output
        with the references, and its change with the change from the source to the references.
        """
        config, share = self.config, self.config.reference
        terms |= {name: (1 - share) * term for name, term in terms.items()}
        distance = text_distance(config.distance, output_VD, references_ND)
        terms["reference"] = share * config.composition * distance
        terms["reference direction"] = (share * config.direction) * direction_loss(
            output_VD, source_VD, references_ND, source_VD.mean(0, keepdim=True)
        )

    @torch.no_grad()
    def _sources(self, views: Sequence[Views], examples: Sequence[Example]) -> Tensor:
        """Embeddings of the sources' views; sources with fixed views are embedded once.

        Those are embedded alone, for the same reason as in `_source_tokens`.
        """
        viewed = [(v, one.source) for v, one in zip(views, examples, strict=True)]
        recurs = [self.config.same_views and bool(one.views) for one in examples]
        for pair, one, again in zip(viewed, examples, recurs, strict=True):
            if again and one.name not in self._embedded:
                self._embedded[one.name] = self.scorer.embed([pair])
        fresh = [pair for pair, again in zip(viewed, recurs, strict=True) if not again]
        count = self.config.views.count
        made = iter(torch.split(self.scorer.embed(fresh), count) if fresh else ())
        return torch.cat(
            [
                self._embedded[one.name] if again else next(made)
                for one, again in zip(examples, recurs, strict=True)
            ]
        )

    def _draw(self, image: Tensor) -> Views:
        height, width = image.shape[-2:]
        return draw_views(self.config.views, height, width, self.random)

    def _structure(self, examples: Sequence[Example]) -> Tensor:
        groups: dict[tuple[int, int], list[Example]] = {}
        for one in examples:
            size = structure_size(self.model, *one.source.shape[-2:])
            groups.setdefault(size, []).append(one)
        losses = []
        for size, group in groups.items():
            source = self._source_tokens(group, size)
            output = self.scorer.tokens(_resized([one.output for one in group], size))
            losses.append(len(group) * structure_loss(output, source, self.config.structure_norm))
        return torch.stack(losses).sum() / len(examples)

    @torch.no_grad()
    def _source_tokens(self, group: Sequence[Example], size: tuple[int, int]) -> Tensor:
        """Tokens of the sources; those of a source that recurs are computed once.

        They are computed alone: in a batch, their rounding would depend on the other images of the
        step, and a resumed edit would give different bytes.
        """
        for one in group:
            if one.name and one.name not in self._tokens:
                self._tokens[one.name] = self.model.tokens(_resized([one.source], size))
        fresh = [one.source for one in group if not one.name]
        made = iter(self.scorer.tokens(_resized(fresh, size)) if fresh else ())
        return torch.stack([self._tokens[one.name][0] if one.name else next(made) for one in group])


def structure_size(model: TextImageModel, height: int, width: int) -> tuple[int, int]:
    """Size at which structure is compared: short side the model's own, both in whole patches."""
    short = model.image_size / min(height, width)
    limit = model.image_size * MAX_STRUCTURE_ASPECT
    sides = [
        max(1, round(min(n * short, limit) / model.patch)) * model.patch for n in (height, width)
    ]
    return sides[0], sides[1]


def _resized(images: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    return torch.cat([resize(image, size) for image in images]).clamp(0, 1)


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
