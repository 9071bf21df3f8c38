"""Names of text-image models as people type them."""

from __future__ import annotations

import re

from .jobs import ClipModel

WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
HUB, FOLDER = "hf-hub:", "local-dir:"
# OpenAI's own spelling, which Text2LIVE's configuration uses too: ViT-B/32, ViT-L/14@336px.
_OPENAI = re.compile(r"(ViT-[A-Za-z]+)/(\d+)(?:@(\d+)px)?")
_ROOTED = re.compile(r"[/~\\]|\.{1,2}[/\\]|[A-Za-z]:[/\\]")


def parse_clip_model(text: str) -> ClipModel:
    """Read the name of a model; empty text means the backend's default.

    ``NAME``, ``NAME:TAG`` (open_clip's tag of the weights), ``NAME:FILE``, ``NAME:TAG:FILE``: an
    architecture of open_clip, or ``ViT-B/32``, which without weights means OpenAI's.
    ``hf-hub:OWNER/NAME``: a model on the Hugging Face hub. A path, or ``local-dir:PATH``: a folder.
    """
    text = text.strip()
    if text.startswith(HUB):
        return ClipModel(name=text)
    if text.startswith(FOLDER):
        return ClipModel(checkpoint=text.removeprefix(FOLDER))
    if _ROOTED.match(text):
        return ClipModel(checkpoint=text)
    name, _, weights = text.partition(":")
    if _is_path(name) and not _OPENAI.fullmatch(name):
        return ClipModel(checkpoint=text)
    if not name:
        return ClipModel(name="")
    if _is_path(weights.partition(":")[0]) or _ROOTED.match(weights):
        return with_weights(name, checkpoint=weights)
    tag, _, file = weights.partition(":")
    return with_weights(name, tag, file)


def with_weights(name: str, pretrained: str = "", checkpoint: str = "") -> ClipModel:
    """The model of this name with these weights.

    OpenAI's spelling becomes open_clip's; without a tag and a file it means OpenAI's weights.
    """
    spelt = _OPENAI.fullmatch(name)
    if not spelt:
        return ClipModel(name=name, pretrained=pretrained, checkpoint=checkpoint)
    if not pretrained and not checkpoint:
        pretrained = "openai"
    known = "-".join(part for part in spelt.groups() if part)
    return ClipModel(name=known, pretrained=pretrained, checkpoint=checkpoint)


def spelling(model: ClipModel) -> str:
    """How to type a model so that `parse_clip_model` reads it."""
    return ":".join(part for part in (model.name, model.pretrained, model.checkpoint) if part)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.endswith(WEIGHTS)
