"""The families of text-image models that can steer an edit, and why others cannot.

An edit needs three things of the image side: an embedding with a gradient, the tokens that enter
the last block, and the attention of the last block, which says where a text is. Transformers give
them; so does FastViT, whose last stage attends. Convolutional networks have no attention, and
windowed ones only attend within their windows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn

from backend.clip.fastvit_model import FastVitModel
from backend.clip.model import TextImageModel
from backend.clip.timm_model import TimmTransformerModel
from backend.clip.timm_tower import TimmTower
from protocol.jobs import JobError

_REFUSED_TRUNKS = {
    "convnext": "a ConvNeXt, which has no attention to read where a text is",
    "swin": "a Swin transformer, which only attends within windows",
    "vit_relpos": "a transformer with relative positions, which reads only one image size",
}
_TRANSFORMERS = re.compile(r"vit_|eva|vitamin_")
_FASTVIT = re.compile(r"fastvit_mci")
# open_clip builds an image side with every model; this placeholder is replaced by timm's.
_PLACEHOLDER = {"image_size": 8, "layers": 1, "width": 8, "head_width": 8, "patch_size": 8}


def check_architecture(name: str, cfg: dict[str, Any]) -> None:
    """Raise JobError ``unknown_model`` for a model that cannot steer an edit, and say why."""
    reason = _reason_against(cfg)
    if reason:
        raise JobError(
            "unknown_model",
            f"{name} cannot steer an edit: {reason}.",
            "Choose a model whose image side is a vision transformer or a MobileCLIP, such as "
            "ViT-B-32, ViT-L-14, ViT-B-16-SigLIP2 or MobileCLIP2-S0.",
        )


def _reason_against(cfg: dict[str, Any]) -> str:
    vision, text = cfg.get("vision_cfg", {}), cfg.get("text_cfg", {})
    trunk = vision.get("timm_model_name", "")
    if "multimodal_cfg" in cfg:
        return "it is a captioning model"
    for start, what in _REFUSED_TRUNKS.items():
        if trunk.startswith(start):
            return f"its image side is {what}"
    if trunk and not (_TRANSFORMERS.match(trunk) or _FASTVIT.match(trunk)):
        return f"its image side is timm's {trunk}, which is not a supported family"
    if trunk and str(vision.get("timm_pool", "")).endswith("_attn"):
        return "its image side pools by a custom attention"
    if not trunk and not isinstance(vision.get("layers"), int):
        return "its image side is a ResNet, which has attention only in its pooling"
    if vision.get("attentional_pool"):
        return "its image side pools by attention"
    if "hf_model_name" in text:
        return f"its text side is {text['hf_model_name']}, which is not part of open_clip"
    return ""


def build(cfg: dict[str, Any]) -> Any:
    """open_clip's model with random weights; its image side takes images of any size."""
    cfg = dict(cfg)
    kind: Callable[..., nn.Module] = CustomTextCLIP if cfg.pop("custom_text", False) else CLIP
    vision = cfg.get("vision_cfg", {})
    if "timm_model_name" not in vision:
        return kind(**cfg)
    clip: Any = kind(**{**cfg, "vision_cfg": _PLACEHOLDER})
    clip.visual = TimmTower(vision, cfg["embed_dim"])
    return clip


def kind_of(name: str, clip: Any) -> type[TextImageModel]:
    """How to read the image side of a model. Raises JobError ``unknown_model``."""
    visual = clip.visual
    if isinstance(visual, VisionTransformer):
        if all(isinstance(one, ResidualAttentionBlock) for one in visual.transformer.resblocks):
            return TextImageModel
    elif isinstance(visual, TimmTower):
        for kind in (TimmTransformerModel, FastVitModel):
            if kind.reads(visual.trunk):
                return kind
    raise JobError(
        "unknown_model",
        f"{name} cannot steer an edit: its image side has unusual attention blocks.",
        "Choose a plain CLIP such as ViT-B-32.",
    )
