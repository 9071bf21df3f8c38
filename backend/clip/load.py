"""Find a text-image model's weights and load them, or say in one sentence what is missing.

A model is asked for in one of four ways (protocol.jobs.ClipModel):

- ``demo``: the small built-in model, always available;
- an open_clip architecture and a pretrained tag (``ViT-B-32``, ``openai``): from this machine's
  Hugging Face cache, else downloaded;
- an open_clip architecture and a checkpoint file (a state dict as .safetensors or .pt, or one of
  OpenAI's own .pt archives); a tag with it selects the activation and the pixel statistics;
- a checkpoint folder in open_clip's format: ``open_clip_config.json`` beside the weights.

Nothing stands in for missing weights: the job fails and says so.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import open_clip
import torch
from open_clip.constants import (
    HF_SAFE_WEIGHTS_NAME,
    HF_WEIGHTS_NAME,
    OPENAI_DATASET_MEAN,
    OPENAI_DATASET_STD,
)
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from safetensors.torch import load_file
from torch import Tensor, nn

from backend.clip import torchscript
from backend.clip.model import TextImageModel
from backend.clip.words import FILE_NAME as WORDS_NAME
from backend.clip.words import KnownWords
from backend.device_errors import is_out_of_memory
from protocol.jobs import ClipModel, JobError

DEMO_FOLDER = Path(__file__).parent / "demo"
CONFIG_NAME = "open_clip_config.json"
VOCABULARY_NAME = "vocab.json"
DEMO_HINT = "The built-in model “demo” always works, at toy quality."
HUB_TIMEOUT_S = 4.0
# Entries of OpenAI's archives besides the weights.
OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """Everything needed to build a model: architecture, weights file, pixel statistics."""

    name: str
    cfg: dict[str, Any]
    weights: Path
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD
    vocabulary: Path | None = None
    words: Path | None = None


def load_clip(model: ClipModel, device: torch.device | str) -> TextImageModel:
    """Load the model a job asks for; frozen, float32.

    Raises JobError: ``unknown_model`` (no such architecture or tag, or one without a plain
    VisionTransformer), ``weights_missing`` (nothing at that place, and no way to fetch it),
    ``weights_broken`` (the file cannot be read), ``weights_mismatch`` (it fits another model).
    """
    recipe = _find(model)
    _check_architecture(recipe.name, recipe.cfg)
    weights = _read_weights(recipe.weights)
    if all(key in weights for key in OPENAI_EXTRAS):
        weights = {k: v for k, v in weights.items() if k not in OPENAI_EXTRAS}
        recipe = replace(recipe, cfg={**recipe.cfg, "quick_gelu": True})
    return _build(recipe, weights, device)


# --- where the weights are -----------------------------------------------------------------------


def _find(model: ClipModel) -> _Recipe:
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
    _check_architecture(model.name, cfg)
    if not model.pretrained:
        raise JobError(
            "weights_missing",
            f"{model.name} was requested without weights.",
            f"Give a pretrained tag ({_tags(model.name)}) or a checkpoint file. {DEMO_HINT}",
        )
    tag = _tag(model)
    return _with_tag(
        _Recipe(name=f"{model.name} {model.pretrained}", cfg=cfg, weights=_fetch(model, tag)), tag
    )


def _folder(folder: Path) -> _Recipe:
    """A folder in open_clip's format: configuration and weights side by side."""
    try:
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        cfg = dict(config["model_cfg"])
        preprocess = dict(config.get("preprocess_cfg", {}))
    except FileNotFoundError as error:
        raise JobError(
            "weights_missing",
            f"The folder {folder} has no {CONFIG_NAME}.",
            f"Choose a folder in open_clip's format, or a single checkpoint file. {DEMO_HINT}",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobError(
            "weights_broken", f"{folder / CONFIG_NAME} cannot be read: {error}.", DEMO_HINT
        ) from error
    for name in (HF_SAFE_WEIGHTS_NAME, "model.safetensors", HF_WEIGHTS_NAME):
        if (folder / name).is_file():
            vocabulary, words = folder / VOCABULARY_NAME, folder / WORDS_NAME
            return _Recipe(
                name=folder.name, cfg=cfg, weights=folder / name,
                mean=tuple(preprocess.get("mean", OPENAI_DATASET_MEAN)),
                std=tuple(preprocess.get("std", OPENAI_DATASET_STD)),
                vocabulary=vocabulary if vocabulary.is_file() else None,
                words=words if words.is_file() else None,
            )  # fmt: skip
    raise JobError(
        "weights_missing",
        f"The folder {folder} has no {HF_SAFE_WEIGHTS_NAME}.",
        f"Put the weights beside {CONFIG_NAME}. {DEMO_HINT}",
    )


def _file(model: ClipModel, path: Path) -> _Recipe:
    """A single checkpoint file; it needs the name of its architecture."""
    if model.name == "demo":
        raise JobError(
            "unknown_model",
            f"The checkpoint {path.name} was given without the name of its architecture.",
            "Add open_clip's name for it, such as ViT-B-32 or ViT-L-14.",
        )
    recipe = _Recipe(name=f"{model.name} {path.name}", cfg=_architecture(model.name), weights=path)
    return _with_tag(recipe, _tag(model)) if model.pretrained else recipe


def _architecture(name: str) -> dict[str, Any]:
    cfg: dict[str, Any] | None = (
        open_clip.get_model_config(name) if name in open_clip.list_models() else None
    )
    if cfg is None:
        known = [n for n in open_clip.list_models() if n.startswith("ViT-") and "SigLIP" not in n]
        raise JobError(
            "unknown_model",
            f"There is no text-image model named “{name}”.",
            f"Use “demo” or one of open_clip's, such as {', '.join(known[:6])}.",
        )
    return cfg


def _tag(model: ClipModel) -> dict[str, Any]:
    tag: dict[str, Any] = open_clip.get_pretrained_cfg(model.name, model.pretrained)
    if not tag:
        raise JobError(
            "unknown_model",
            f"{model.name} has no pretrained tag “{model.pretrained}”.",
            f"Known tags: {_tags(model.name)}. {DEMO_HINT}",
        )
    return tag


def _tags(name: str) -> str:
    tags = open_clip.list_pretrained_tags_by_model(name)
    return ", ".join(tags[:5]) + (" …" if len(tags) > 5 else "") if tags else "none"


def _with_tag(recipe: _Recipe, tag: dict[str, Any]) -> _Recipe:
    """Weights trained with QuickGELU (such as OpenAI's) need it under any architecture name."""
    cfg = {**recipe.cfg, "quick_gelu": bool(tag.get("quick_gelu", False))}
    return replace(recipe, cfg=cfg, mean=tuple(tag["mean"]), std=tuple(tag["std"]))


def _fetch(model: ClipModel, tag: dict[str, Any]) -> Path:
    """The tag's weights file: from the Hugging Face cache, else downloaded."""
    from huggingface_hub import constants, hf_hub_download

    repository, _, given = tag.get("hf_hub", "").rpartition("/")
    names = [given] if given else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    for name in names:
        try:
            return Path(hf_hub_download(repository, name, local_files_only=True))
        except (OSError, ValueError):
            continue
    trouble = "offline mode is on" if constants.HF_HUB_OFFLINE else _unreachable(constants.ENDPOINT)
    if not trouble:
        for name in names:
            try:
                return Path(hf_hub_download(repository, name, etag_timeout=HUB_TIMEOUT_S))
            except Exception as error:
                trouble = str(error).splitlines()[0].rstrip(".") if str(error) else repr(error)
    raise JobError(
        "weights_missing",
        f"The weights “{model.pretrained}” of {model.name} are not on this machine and could not "
        f"be downloaded: {trouble}.",
        f"Download {names[0]} of {repository} on a connected machine and give it as the "
        f"checkpoint, or fill the Hugging Face cache. {DEMO_HINT}",
        retryable=True,
    )


def _unreachable(endpoint: str) -> str:
    """Why the hub cannot be reached, or "". (The hub's own client retries for half a minute.)"""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        return ""
    parts = urlsplit(endpoint)
    try:
        address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
        with socket.create_connection(address, timeout=HUB_TIMEOUT_S):
            return ""
    except OSError as error:
        return f"{parts.hostname} cannot be reached ({error.strerror or error})"


# --- what the weights are ------------------------------------------------------------------------


def _check_architecture(name: str, cfg: dict[str, Any]) -> None:
    """Accept a plain CLIP with a VisionTransformer; refuse others before looking for weights."""
    vision, text = cfg.get("vision_cfg", {}), cfg.get("text_cfg", {})
    reason = ""
    if "multimodal_cfg" in cfg:
        reason = "it is a captioning model"
    elif "timm_model_name" in vision:
        reason = f"its image side is timm's {vision['timm_model_name']}"
    elif not isinstance(vision.get("layers"), int):
        reason = "its image side is a ResNet"
    elif vision.get("attentional_pool"):
        reason = "its image side pools by attention"
    elif "hf_model_name" in text:
        reason = f"its text side is {text['hf_model_name']}"
    elif "hf_tokenizer_name" in text:
        reason = f"it reads texts with {text['hf_tokenizer_name']}"
    if reason:
        raise JobError(
            "unknown_model",
            f"{name} cannot steer an edit: {reason}.",
            "Choose a CLIP whose image side is a plain vision transformer, such as ViT-B-32 or "
            "ViT-L-14.",
        )


def _read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from .safetensors, a pickled .pt (tensors only) or a TorchScript archive."""
    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        elif torchscript.is_torchscript(path):
            loaded = torchscript.read_tensors(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, torchscript.Refused) as error:
        raise JobError(
            "weights_broken",
            f"The checkpoint {path} is damaged, or contains more than weights.",
            f"Copy or download it again, or save it as .safetensors. {DEMO_HINT}",
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise JobError(
            "weights_broken",
            f"The checkpoint {path} cannot be read: {first.rstrip('.')}.",
            f"Copy or download it again. {DEMO_HINT}",
        ) from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    entries = loaded.items() if isinstance(loaded, dict) else ()
    weights = {str(k).removeprefix("module."): v for k, v in entries if isinstance(v, Tensor)}
    if not weights:
        raise JobError(
            "weights_broken",
            f"The checkpoint {path} contains no weights.",
            f"Choose another. {DEMO_HINT}",
        )
    return weights


def _build(
    recipe: _Recipe, weights: dict[str, Tensor], device: torch.device | str
) -> TextImageModel:
    cfg = dict(recipe.cfg)
    kind: Callable[..., nn.Module] = CustomTextCLIP if cfg.pop("custom_text", False) else CLIP
    clip: Any = kind(**cfg)
    try:
        clip.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        detail = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise JobError(
            "weights_mismatch",
            f"The weights in {recipe.weights} do not fit {recipe.name}: {detail[:300]}",
            "Choose the architecture that the checkpoint was made for.",
        ) from error
    visual = clip.visual
    if not isinstance(visual, VisionTransformer) or not all(
        isinstance(block, ResidualAttentionBlock) for block in visual.transformer.resblocks
    ):
        raise JobError(
            "unknown_model",
            f"{recipe.name} cannot steer an edit: its image side has unusual attention blocks.",
            "Choose a plain CLIP such as ViT-B-32.",
        )
    if recipe.vocabulary is not None:
        clip.token_embedding = _trimmed(clip.token_embedding, recipe.vocabulary)
    tokenize = open_clip.SimpleTokenizer(
        context_length=clip.context_length, **cfg["text_cfg"].get("tokenizer_kwargs", {})
    )
    words = _known_words(recipe.words) if recipe.words is not None else None
    return TextImageModel(
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


class TrimmedEmbedding(nn.Module):
    """A token table with only the words that its training used.

    Token ids stay open_clip's own, as its pooling looks for the end token's id. The look-up goes
    through a map from id to row; ids without a row share the unknown one.
    """

    def __init__(self, table: nn.Embedding, rows: dict[int, int], unknown: int) -> None:
        super().__init__()
        self.table = table
        size = max(rows, default=0) + 1
        row_of_V = torch.full((size + 1,), unknown, dtype=torch.long)
        for token, row in rows.items():
            row_of_V[token] = row
        self.register_buffer("row_of_V", row_of_V, persistent=False)

    def forward(self, ids_NL: Tensor) -> Tensor:
        """ids: int64 [N,L] → embeddings [N,L,E]."""
        row_of_V: Tensor = self.get_buffer("row_of_V")
        embedded: Tensor = self.table(row_of_V[ids_NL.clamp(max=len(row_of_V) - 1)])
        return embedded


def _trimmed(table: nn.Embedding, path: Path) -> TrimmedEmbedding:
    """Read ``{"rows": {"<token id>": row, ...}, "unknown": row}``."""
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))
        rows = {int(token): int(row) for token, row in vocabulary["rows"].items()}
        unknown = int(vocabulary["unknown"])
        if not all(0 <= row < table.num_embeddings for row in (*rows.values(), unknown)):
            raise ValueError(f"a row lies outside the table's {table.num_embeddings}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise JobError(
            "weights_broken", f"The token map {path} cannot be used: {error}.", DEMO_HINT
        ) from error
    return TrimmedEmbedding(table, rows, unknown)
