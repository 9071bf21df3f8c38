"""The panel's settings for one job, as plain values: saved in files, compared, sent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from ..wire import jobs, models

LAYER_WORDS = {"foreground": "object", "background": "background"}
"""What the artist calls the layers."""

Kind = Literal["edit", "atlas", "paint"]
MaskMode = Literal["box", "image", "text", "auto", "key", "mask", "strip", "all", "none"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one job. Alternatives in a text are separated by semicolons.

    kind: edit, atlas (analyse the shot) or paint. mask_path: the image (mode key) or the folder of
    images (mode all). mask_name: an image, mask or mask strip in this file. mask_frame: the
    timeline frame of the mask or box. mask_box: x, y of its upper left corner, width, height, in
    pixels of the strip's frame, y down. mask_every: render the mask on every frame, not only on
    mask_frame.
    paint_frame: the timeline frame that was painted on; None: the atlas. detail: how much of the
    footage's fine detail the layer takes on; None: the backend decides. longest: long side that
    frames are scaled down to; 0: never. after: id of the edit to start from.
    """

    kind: Kind = "edit"
    prompt: str = ""
    source: str = ""
    screen: str = ""
    region: str = ""
    avoid: str = ""
    background: str = ""
    background_source: str = ""
    recipe: str = "texture"
    layer: str = "foreground"
    preset: str = "preview"
    strength: float = 1.0
    detail: float | None = None
    seed: int = 0
    model: str = ""
    engine: str = "explicit"
    after: str = ""
    mask_mode: MaskMode = "auto"
    mask_path: str = ""
    mask_name: str = ""
    mask_frame: int = 0
    mask_box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    mask_every: bool = True
    mask_text: str = ""
    paint_frame: int | None = None
    longest: int = 0

    @property
    def title(self) -> str:
        """Title in the list of jobs."""
        if self.kind == "atlas":
            return "Analysis"
        if self.kind == "paint":
            if self.paint_frame is not None:
                return f"Paint on frame {self.paint_frame}"
            return f"Paint on {LAYER_WORDS[self.layer]} atlas"
        return alternatives(self.prompt)[0]

    @property
    def mask_texts(self) -> tuple[str, ...]:
        """Texts that name the object, for the modes text and auto.

        Mode text needs one, so it falls back on the edit's texts. Mode auto does not: otherwise
        every new edit would find another object and need another analysis.
        """
        names = alternatives(self.mask_text)
        if self.mask_mode != "text":
            return names
        return names or alternatives(self.region) or alternatives(self.source)

    @property
    def clip_model(self) -> jobs.ClipModel:
        """The text-image model to use."""
        return models.parse_clip_model(self.model)

    def to_plain(self) -> dict[str, Any]:
        """Plain values for the record beside the layer; they hold no secret."""
        return {**dataclasses.asdict(self), "mask_box": list(self.mask_box)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Settings:
        """From plain values; ignores keys of later versions."""
        known = {field.name for field in dataclasses.fields(cls)}
        kept = {key: value for key, value in plain.items() if key in known}
        if "mask_box" in kept:
            kept["mask_box"] = tuple(kept["mask_box"])
        return cls(**kept)

    def decomposition(self) -> str:
        """Fingerprint of the settings that the shot's atlas depends on."""
        used: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("preset", "seed", "engine", "longest", "mask_mode")
        }
        if self.mask_mode in ("key", "all"):
            used["path"] = self.mask_path
        if self.mask_mode in ("image", "mask", "strip"):
            used |= {"name": self.mask_name, "every": self.mask_every}
        if self.mask_mode in ("box", "image", "key") or not used.get("every", True):
            used["frame"] = self.mask_frame
        if self.mask_mode == "box":
            used["box"] = list(self.mask_box)
        if self.mask_mode == "text" or (self.mask_mode == "auto" and self.mask_texts):
            used |= {"texts": self.mask_texts, "model": self.model}
        return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:16]


def alternatives(text: str) -> tuple[str, ...]:
    """Split a text at semicolons into trimmed, non-empty alternatives."""
    return tuple(part for part in (piece.strip() for piece in text.split(";")) if part)
