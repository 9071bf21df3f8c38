"""Find everything that a text-image model is built from, without building it.

A model is asked for in one of five ways (protocol.jobs.ClipModel):

- ``demo``: the small built-in model, always available;
- an open_clip architecture and a pretrained tag (``ViT-B-32``, ``openai``): from this machine's
  Hugging Face cache, else downloaded;
- an open_clip architecture and a checkpoint file (a state dict, or one of OpenAI's own .pt
  archives); a tag with it selects the activation and the pixel statistics;
- a checkpoint folder in open_clip's format: ``open_clip_config.json`` beside the weights;
- ``hf-hub:OWNER/NAME``: such a folder on the Hugging Face hub.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import open_clip
from open_clip.constants import (
    HF_SAFE_WEIGHTS_NAME,
    HF_WEIGHTS_NAME,
    OPENAI_DATASET_MEAN,
    OPENAI_DATASET_STD,
)

from backend.clip import hub
from backend.clip.families import check_architecture
from backend.clip.weights_files import DEMO_HINT
from backend.clip.words import FILE_NAME as WORDS_NAME
from protocol.jobs import ClipModel, JobError
from protocol.models import HUB, spelling, with_weights

DEMO_FOLDER = Path(__file__).parent / "demo"
CONFIG_NAME = "open_clip_config.json"
VOCABULARY_NAME = "vocab.json"
WEIGHTS_NAMES = (HF_SAFE_WEIGHTS_NAME, "model.safetensors", HF_WEIGHTS_NAME)
TOKENIZER_NAMES = ("tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.txt")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything needed to build a model: architecture, weights file, pixel statistics.

    tokenizer: folder with the files of a Hugging Face tokenizer, None if it comes from the hub.
    ambiguous: spellings that say with which activation the weights were trained, where only the
    weights themselves can still tell.
    """

    name: str
    cfg: dict[str, Any]
    weights: Path
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD
    vocabulary: Path | None = None
    words: Path | None = None
    tokenizer: Path | None = None
    ambiguous: tuple[str, ...] = ()


def find(model: ClipModel) -> Recipe:
    """Find what a job asks for.

    Raises JobError: ``unknown_model`` (no such architecture or tag, or one that cannot steer an
    edit), ``weights_missing`` (nothing at that place, and no way to fetch it), ``weights_broken``
    (a folder's configuration cannot be read).
    """
    model = with_weights(model.name, model.pretrained, model.checkpoint)
    if model.name.startswith(HUB):
        if model.pretrained or model.checkpoint:
            raise JobError(
                "unknown_model",
                f"{model.name} comes with its own weights; a tag or a file does not go with it.",
                "Leave the tag and the file out.",
            )
        return _on_the_hub(model.name.removeprefix(HUB))
    if model.checkpoint:
        path = Path(model.checkpoint).expanduser()
        if not path.exists():
            raise JobError(
                "weights_missing",
                f"There is no CLIP checkpoint at {path}.",
                f"Put the file there on the backend's machine or correct the path. {DEMO_HINT}",
            )
        return _folder(path) if path.is_dir() else _file(model, path)
    if model.name == "demo":
        if model.pretrained:
            raise JobError(
                "unknown_model",
                f"The built-in model “demo” has no pretrained tag “{model.pretrained}”.",
                "Leave the tag empty, or name the architecture it belongs to, such as ViT-B-32.",
            )
        return _folder(DEMO_FOLDER)
    cfg = _architecture(model.name)
    check_architecture(model.name, cfg)
    if not model.pretrained:
        raise JobError(
            "weights_missing",
            f"{model.name} was requested without weights.",
            f"Give a pretrained tag ({_tags(model.name)}) or a checkpoint file. {DEMO_HINT}",
        )
    tag = _tag(model)
    repository, _, given = tag.get("hf_hub", "").rpartition("/")
    what = f"The weights “{model.pretrained}” of {model.name}"
    names = (given,) if given else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    weights = hub.fetch(repository, names, what)
    return _with_tag(Recipe(name=f"{model.name} {model.pretrained}", cfg=cfg, weights=weights), tag)


def _on_the_hub(repository: str) -> Recipe:
    what = f"The files of {repository}"
    cfg, preprocess = _read_config(hub.fetch(repository, (CONFIG_NAME,), what))
    check_architecture(repository, cfg)
    return Recipe(
        name=repository, cfg=cfg, weights=hub.fetch(repository, WEIGHTS_NAMES, what),
        **_statistics(preprocess),
    )  # fmt: skip


def _folder(folder: Path) -> Recipe:
    """A folder in open_clip's format: configuration and weights side by side."""
    if not (folder / CONFIG_NAME).is_file():
        raise JobError(
            "weights_missing",
            f"The folder {folder} has no {CONFIG_NAME}.",
            f"Choose a folder in open_clip's format, or a single checkpoint file. {DEMO_HINT}",
        )
    cfg, preprocess = _read_config(folder / CONFIG_NAME)
    weights = next((folder / n for n in WEIGHTS_NAMES if (folder / n).is_file()), None)
    if weights is None:
        raise JobError(
            "weights_missing",
            f"The folder {folder} has no {HF_SAFE_WEIGHTS_NAME}.",
            f"Put the weights beside {CONFIG_NAME}. {DEMO_HINT}",
        )
    vocabulary, words = folder / VOCABULARY_NAME, folder / WORDS_NAME
    has_tokenizer = any((folder / name).is_file() for name in TOKENIZER_NAMES)
    return Recipe(
        name=folder.name, cfg=cfg, weights=weights, **_statistics(preprocess),
        vocabulary=vocabulary if vocabulary.is_file() else None,
        words=words if words.is_file() else None,
        tokenizer=folder if has_tokenizer else None,
    )  # fmt: skip


def _read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The architecture and the preprocessing of a configuration file."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return dict(config["model_cfg"]), dict(config.get("preprocess_cfg", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError("weights_broken", f"{path} cannot be read: {error}.", DEMO_HINT) from error


def _statistics(preprocess: dict[str, Any]) -> dict[str, Any]:
    return {
        "mean": tuple(preprocess.get("mean", OPENAI_DATASET_MEAN)),
        "std": tuple(preprocess.get("std", OPENAI_DATASET_STD)),
    }


def _file(model: ClipModel, path: Path) -> Recipe:
    """A single checkpoint file; it needs the name of its architecture."""
    if model.name == "demo":
        raise JobError(
            "unknown_model",
            f"The checkpoint {path.name} was given without the name of its architecture.",
            "Add open_clip's name for it, such as ViT-B-32 or ViT-L-14.",
        )
    recipe = Recipe(name=f"{model.name} {path.name}", cfg=_architecture(model.name), weights=path)
    if model.pretrained:
        return _with_tag(recipe, _tag(model))
    if path.name in WEIGHTS_NAMES and (path.parent / CONFIG_NAME).is_file():
        own = _folder(path.parent)  # its configuration says how it was trained
        return replace(own, name=recipe.name, weights=path)
    return _with_origin(recipe, model)


def _with_origin(recipe: Recipe, model: ClipModel) -> Recipe:
    """Take the activation of a file without a tag from where its weights come from."""
    tags = {name: _pretrained(model.name, name) for name in _tag_names(model.name)}
    repository = hub.repository_of(recipe.weights)
    for tag in tags.values():
        if repository and tag.get("hf_hub", "").startswith(f"{repository}/"):
            return _with_tag(recipe, tag)
    quick = {_is_quick(tag) for tag in tags.values()}
    if recipe.cfg.get("quick_gelu") or not quick:
        return recipe
    if len(quick) == 1:
        return replace(recipe, cfg={**recipe.cfg, "quick_gelu": quick.pop()})
    first = [next(n for n, tag in tags.items() if _is_quick(tag) == one) for one in (True, False)]
    typed = tuple(spelling(msgspec.structs.replace(model, pretrained=name)) for name in first)
    return replace(recipe, ambiguous=typed)


def _architecture(name: str) -> dict[str, Any]:
    cfg: dict[str, Any] | None = (
        open_clip.get_model_config(name) if name in open_clip.list_models() else None
    )
    if cfg is None:
        known = [n for n in open_clip.list_models() if n.startswith("ViT-") and "SigLIP" not in n]
        raise JobError(
            "unknown_model",
            f"There is no text-image model named “{name}”.",
            f"Use “demo”, hf-hub:OWNER/NAME, the path of a folder on the backend's machine, or one "
            f"of open_clip's, such as {', '.join(known[:6])}.",
        )
    return cfg


def _tag(model: ClipModel) -> dict[str, Any]:
    tag = _pretrained(model.name, model.pretrained)
    if not tag:
        raise JobError(
            "unknown_model",
            f"{model.name} has no pretrained tag “{model.pretrained}”.",
            f"Known tags: {_tags(model.name)}. {DEMO_HINT}",
        )
    return tag


def _pretrained(name: str, tag: str) -> dict[str, Any]:
    found: dict[str, Any] = open_clip.get_pretrained_cfg(name, tag) or {}
    return found


def _is_quick(tag: dict[str, Any]) -> bool:
    return bool(tag.get("quick_gelu", False))


def _tag_names(name: str) -> list[str]:
    found: list[str] = open_clip.list_pretrained_tags_by_model(name)
    return found


def _tags(name: str) -> str:
    tags = _tag_names(name)
    return ", ".join(tags[:5]) + (" …" if len(tags) > 5 else "") if tags else "none"


def _with_tag(recipe: Recipe, tag: dict[str, Any]) -> Recipe:
    """Weights trained with QuickGELU (such as OpenAI's) need it under any architecture name."""
    cfg = {**recipe.cfg, "quick_gelu": _is_quick(tag)}
    return replace(recipe, cfg=cfg, mean=tuple(tag["mean"]), std=tuple(tag["std"]))
