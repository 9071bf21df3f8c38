"""Load a text-image model, or say in one sentence what is missing.

Nothing stands in for missing weights: the job fails and says so. How models are named and found:
backend.clip.places.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from backend.clip import families
from backend.clip.model import TextImageModel
from backend.clip.places import Recipe, find
from backend.clip.tokenizers import tokenizer_for
from backend.clip.trimmed import trimmed
from backend.clip.weights_files import DEMO_HINT, read_weights
from backend.clip.words import KnownWords
from protocol.jobs import ClipModel, JobError

# Entries of OpenAI's archives besides the weights.
OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")


def load_clip(model: ClipModel, device: torch.device | str) -> TextImageModel:
    """Load the model a job asks for; frozen, float32.

    Raises JobError: those of `places.find`; ``weights_broken`` (the file cannot be read),
    ``weights_mismatch`` (it fits another model, or fits two and they would read it differently),
    ``weights_missing`` (its tokenizer is not there).
    """
    recipe = find(model)
    families.check_architecture(recipe.name, recipe.cfg)
    weights = read_weights(recipe.weights)
    if all(key in weights for key in OPENAI_EXTRAS):
        weights = {k: v for k, v in weights.items() if k not in OPENAI_EXTRAS}
        recipe = replace(recipe, cfg={**recipe.cfg, "quick_gelu": True}, ambiguous=())
    if recipe.ambiguous:
        quick, plain = recipe.ambiguous
        raise JobError(
            "weights_mismatch",
            f"The file {recipe.weights.name} does not say whether its weights were trained with "
            f"QuickGELU, as OpenAI's were, or with GELU; with the wrong one they read images and "
            "texts wrongly.",
            f"Name the model {quick} for QuickGELU, or {plain} for GELU.",
        )
    return _build(recipe, weights, device)


def _build(
    recipe: Recipe, weights: dict[str, Tensor], device: torch.device | str
) -> TextImageModel:
    clip = families.build(recipe.cfg)
    try:
        clip.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        detail = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise JobError(
            "weights_mismatch",
            f"The weights in {recipe.weights} do not fit {recipe.name}: {detail[:300]}",
            "Choose the architecture that the checkpoint was made for.",
        ) from error
    kind = families.kind_of(recipe.name, clip)
    if recipe.vocabulary is not None:
        clip.token_embedding = trimmed(clip.token_embedding, recipe.vocabulary)
    tokenize = tokenizer_for(
        recipe.cfg.get("text_cfg", {}), int(clip.context_length), recipe.tokenizer
    )
    words = _known_words(recipe.words) if recipe.words is not None else None
    return kind(
        clip, tokenize, mean=recipe.mean, std=recipe.std, name=recipe.name, device=device,
        words=words,
    )  # fmt: skip


def _known_words(path: Path) -> KnownWords:
    try:
        return KnownWords.read(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(
            "weights_broken", f"The list of words {path} cannot be used: {error}.", DEMO_HINT
        ) from error
