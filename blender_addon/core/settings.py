"""What the artist set for one job, as plain values: kept in files, compared, sent."""

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
    """One job as the panel holds it. Alternatives in a text are separated by semicolons.

    kind: edit, atlas (analyse the shot) or paint. mask_path: the picture (mode key) or the folder
    of pictures (mode all). mask_name: the image, mask or mask strip of this file. mask_frame: the
    frame on the timeline that the mask or box is for. mask_box: x, y of its upper left corner,
    width, height, in pixels of the strip's picture, y downwards. mask_every: draw the mask on every
    frame, not on mask_frame alone. paint_frame: the frame on the timeline that was painted over;
    None: the atlas. detail: of the footage's own that the layer takes on; None: as the backend has
    it. longest: long side frames are reduced to; 0: never. after: id of the edit to
    start from.
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
        """What a list of jobs calls it."""
        if self.kind == "atlas":
            return "Analysis"
        if self.kind == "paint":
            if self.paint_frame is not None:
                return f"Paint on frame {self.paint_frame}"
            return f"Paint on {LAYER_WORDS[self.layer]} atlas"
        return alternatives(self.prompt)[0]

    @property
    def mask_texts(self) -> tuple[str, ...]:
        """What the object is called, where it is found by text or a text may help.

        A text alone must say something, and takes the edit's. The automatic search may not: with
        every other edit it would find another object, and analyse the shot anew.
        """
        called = alternatives(self.mask_text)
        if self.mask_mode != "text":
            return called
        return called or alternatives(self.region) or alternatives(self.source)

    @property
    def clip_model(self) -> jobs.ClipModel:
        """The text-image model asked for."""
        return models.parse_clip_model(self.model)

    def to_plain(self) -> dict[str, Any]:
        """Plain values, for keeping beside the layer; no secret is among them."""
        return {**dataclasses.asdict(self), "mask_box": list(self.mask_box)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Settings:
        """Back from plain values; unknown keys of a later version are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        kept = {key: value for key, value in plain.items() if key in known}
        if "mask_box" in kept:
            kept["mask_box"] = tuple(kept["mask_box"])
        return cls(**kept)

    def decomposition(self) -> str:
        """Fingerprint of what decides about the shot's atlas, the strip's own pictures aside."""
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
    """Texts separated by semicolons, trimmed, empty ones dropped."""
    return tuple(part for part in (piece.strip() for piece in text.split(";")) if part)
