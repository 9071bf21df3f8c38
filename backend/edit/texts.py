"""The artist's texts as embeddings, in random templates at every step.

Shapes: P alternatives, K templates, N drawn texts, D embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.clip.model import TextImageModel
from backend.clip.templates import SCREEN_TEMPLATES, TEMPLATES, draw, embed
from backend.edit.config import EditTexts
from backend.to_device import send
from protocol.jobs import JobError

PLAIN = ("{}",)
TEMPLATE_TOKENS = 7
"""Tokens that the longest sentence around a text takes of the model's length."""


@dataclass(frozen=True)
class Drawn:
    """One step's texts, each [N,D] with its own N.

    source n is compared with partner n, a prompt; both are None without a source text.
    """

    prompt: Tensor
    partner: Tensor | None
    source: Tensor | None
    screen: Tensor


class TextTargets:
    """Embeddings of all texts in all templates, computed once.

    region_D, avoid_D: unit-length embeddings of where the edit goes and where it must not go, None
    without such a text: means over all templates, or with relevancy_templates false of the text
    alone. region_or_source_D: the source text stands in for a missing region.
    screen_templates: how many of the sentences about a green screen are used. paired: alternative
    i of the prompt has alternative i of the source as its partner, rather than their mean.
    Raises JobError("no_prompt") when the artist wrote nothing.
    """

    def __init__(
        self,
        model: TextImageModel,
        texts: EditTexts,
        screen_templates: int = len(SCREEN_TEMPLATES),
        *,
        paired: bool = False,
        relevancy_templates: bool = True,
    ) -> None:
        prompt = _clean(texts.prompt)
        if not prompt:
            raise JobError(
                "no_prompt",
                "The edit has no prompt.",
                "Describe the edited image, such as “golden car”.",
            )
        region = _clean(texts.region)
        source = _clean(texts.source) or region
        self.prompt_PKD = embed(model, prompt, TEMPLATES)
        self.source_PKD = embed(model, source, TEMPLATES) if source else None
        screen = _clean(texts.screen) or prompt
        self.screen_PKD = embed(model, screen, SCREEN_TEMPLATES[:screen_templates])
        self.paired = paired
        sentences = TEMPLATES if relevancy_templates else PLAIN
        self.region_or_source_D = _mean_direction(model, region or source, sentences)
        self.region_D = _mean_direction(model, region, sentences)
        self.avoid_D = _mean_direction(model, _clean(texts.avoid), sentences)

    def draw(self, share: float | None, generator: torch.Generator) -> Drawn:
        """The texts of a step.

        share: of the templates, drawn for prompt and source together. None: random numbers of
        sentences with replacement, drawn separately for prompt, prompt with partner, and screen.
        """
        device = self.prompt_PKD.device
        if share is None:
            prompt_ND = _some(self.prompt_PKD.flatten(0, 1), generator)
            partner_ND, source_ND = self._partners(slice(None))
            if partner_ND is not None and source_ND is not None:
                pairs_N2D = torch.stack([partner_ND, source_ND], dim=1)
                partner_ND, source_ND = _some(pairs_N2D, generator).unbind(1)
            screen_ND = _some(self.screen_PKD.flatten(0, 1), generator)
            return Drawn(prompt_ND, partner_ND, source_ND, screen_ND)
        templates = send(draw(self.prompt_PKD.shape[1], share, generator), device)
        screen = send(draw(self.screen_PKD.shape[1], share, generator), device)
        return Drawn(
            self.prompt_PKD[:, templates].flatten(0, 1),
            *self._partners(templates),
            self.screen_PKD[:, screen].flatten(0, 1),
        )

    def _partners(self, templates: Tensor | slice) -> tuple[Tensor | None, Tensor | None]:
        """Prompts and the sources they are compared with, [N,D] each, in these templates."""
        if self.source_PKD is None:
            return None, None
        prompt_PND, source_PND = self.prompt_PKD[:, templates], self.source_PKD[:, templates]
        if self.paired:
            count = min(len(prompt_PND), len(source_PND))
            return prompt_PND[:count].flatten(0, 1), source_PND[:count].flatten(0, 1)
        return prompt_PND.flatten(0, 1), source_PND.mean(dim=0).repeat(len(prompt_PND), 1)


def _some(texts_NxD: Tensor, generator: torch.Generator) -> Tensor:
    """A random number of rows, drawn with replacement: at least one, at most all."""
    count = len(texts_NxD)
    number = int(torch.randint(1, count + 1, (), generator=generator))
    return texts_NxD[send(torch.randint(count, (number,), generator=generator), texts_NxD.device)]


def remarks_on(model: TextImageModel, texts: Sequence[str]) -> list[str]:
    """What a model cannot read of the artist's texts, in sentences; empty if it reads them all."""
    remarks = []
    unknown = model.words.unknown(texts) if model.words is not None else []
    if unknown:
        remarks.append(
            f"{model.name} does not know: {', '.join(unknown)}. These words do nothing. "
            "text2live-edit --list-looks shows the words that it knows."
        )
    for text in dict.fromkeys(texts):
        read = model.readable(text, spare=TEMPLATE_TOKENS)
        if read != text:
            remarks.append(
                f"{model.name} cannot read a text of this length: “{text}” is cut after “{read}”."
            )
    return remarks


def _clean(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())


def _mean_direction(
    model: TextImageModel, texts: tuple[str, ...], templates: Sequence[str]
) -> Tensor | None:
    if not texts:
        return None
    unit_ND = torch.nn.functional.normalize(embed(model, texts, templates).flatten(0, 1), dim=-1)
    return torch.nn.functional.normalize(unit_ND.mean(dim=0), dim=0)
