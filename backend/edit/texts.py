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

TEMPLATE_TOKENS = 7
"""Tokens that the longest sentence around a text takes of the model's length."""


@dataclass(frozen=True)
class Drawn:
    """One step's texts, each [N,D]; source n belongs to prompt n, None without a source text."""

    prompt: Tensor
    source: Tensor | None
    screen: Tensor


class TextTargets:
    """Embeddings of all texts in all templates, computed once.

    region_D, avoid_D: unit-length mean embeddings of where the edit goes and where it must not go,
    None without such a text. region_or_source_D: the source text stands in for a missing region.
    screen_templates: how many of the sentences about a green screen are used.
    Raises JobError("no_prompt") when the artist wrote nothing.
    """

    def __init__(
        self, model: TextImageModel, texts: EditTexts, screen_templates: int = len(SCREEN_TEMPLATES)
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
        self.region_or_source_D = _mean_direction(model, region or source)
        self.region_D = _mean_direction(model, region)
        self.avoid_D = _mean_direction(model, _clean(texts.avoid))

    def draw(self, share: float, generator: torch.Generator) -> Drawn:
        """The texts in a random share of the templates; prompt and source share theirs."""
        device = self.prompt_PKD.device
        templates = send(draw(self.prompt_PKD.shape[1], share, generator), device)
        prompt_PND = self.prompt_PKD[:, templates]
        source_ND = None
        if self.source_PKD is not None:
            mean_ND = self.source_PKD[:, templates].mean(dim=0)
            source_ND = mean_ND.repeat(len(prompt_PND), 1)
        screen = send(draw(self.screen_PKD.shape[1], share, generator), device)
        return Drawn(prompt_PND.flatten(0, 1), source_ND, self.screen_PKD[:, screen].flatten(0, 1))


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


def _mean_direction(model: TextImageModel, texts: tuple[str, ...]) -> Tensor | None:
    if not texts:
        return None
    unit_ND = torch.nn.functional.normalize(embed(model, texts, TEMPLATES).flatten(0, 1), dim=-1)
    return torch.nn.functional.normalize(unit_ND.mean(dim=0), dim=0)
