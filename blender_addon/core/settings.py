"""The panel's settings for one job, as plain values: saved in files, compared, sent.

A setting that the artist sees is declared once: here, or for a painter's own settings in
protocol/painters.py. The panel's properties and the job are derived from the declarations.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..wire import jobs, models, painters
from . import earlier_masks
from .mask_keys import MaskKey

LAYER_WORDS = {"foreground": "object", "background": "background"}
"""What the artist calls the layers."""

Kind = Literal["edit", "atlas", "mask", "paint"]
MaskMode = Literal["keys", "text", "auto", "mask", "strip", "all", "none"]
Choice = tuple[str, str, str]
"""A choice's identifier, label and description."""

LAYERS: tuple[Choice, ...] = (
    ("foreground", "Object", "Change the object in front"),
    ("background", "Background", "Change the background behind the object"),
    ("both", "Both", "Change the object and the background in one job"),
)
PRESETS: tuple[Choice, ...] = (
    ("draft", "Draft", "Fastest: minutes on a GPU. Use it to test the prompt"),
    ("preview", "Preview", "Close to the final result"),
    ("final", "Final", "Best quality, longest wait"),
)
ENGINES: tuple[Choice, ...] = (
    ("explicit", "Fast (Splines)", "Splines and images: fast, with a sharp atlas"),
    ("mlp", "Neural (Slow)", "The networks of Layered Neural Atlases: slow, for comparison"),
)


@dataclass(frozen=True)
class Shown:
    """How the panel shows a setting. choices: of a text that is one of them."""

    title: str
    description: str
    choices: tuple[Choice, ...] = ()


def shown(default: Any, title: str, description: str, choices: tuple[Choice, ...] = ()) -> Any:
    """A field of Settings that the panel shows under a title, with a tooltip."""
    metadata = {"shown": Shown(title, description, choices)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one job. Alternatives in a text are separated by semicolons.

    kind: edit, atlas (analyse the shot), mask (preview the mask) or paint. painter_settings: the
    painter's own settings by name, as the panel holds them; those left out have their defaults.
    mask_keys: the key frames (mode keys). mask_path: the folder of images (mode all). mask_name: a
    mask or mask strip in this file. mask_frame: its timeline frame. mask_every: render the mask on
    every frame, not only on mask_frame. paint_frame: the timeline frame that was painted on; None:
    the atlas. longest: long side that frames are scaled down to; 0: never. after: id of the edit to
    start from.
    """

    kind: Kind = "edit"
    prompt: str = shown(
        "",
        "Prompt",
        "What the edited shot shows, for example: a red car on fire. Separate alternatives with "
        "semicolons",
    )
    source: str = shown(
        "",
        "Currently Shows",
        "What the shot shows now, for example: a car. It tells the edit where it belongs",
    )
    background: str = shown(
        "",
        "Background",
        "What the background shows after an edit of both layers. Empty: the prompt",
    )
    background_source: str = shown(
        "", "Background Now", "What the background shows now, for an edit of both layers"
    )
    region: str = shown(
        "",
        "Region",
        "The part of the object that the edit belongs to, for example: the roof. Empty: what the "
        "shot currently shows",
    )
    avoid: str = shown(
        "",
        "Avoid",
        "Where the edit must not go, in a shot of one frame. In longer shots the mask decides",
    )
    layer: str = shown("foreground", "Change", "Which part of the shot to change", LAYERS)
    preset: str = shown(
        "preview", "Quality", "How much time to spend on the analysis and the edit", PRESETS
    )
    variant: int = shown(
        0, "Variant", "Another number gives another result for the same prompt and analysis"
    )
    seed: int = shown(
        0, "Seed", "Another number gives another analysis, and with it another result"
    )
    model: str = shown(
        "",
        "Model",
        "The text-image model that guides the edit: an open_clip name such as ViT-B-32:openai, "
        "with a file on the backend's machine ViT-B-32:openai:/path/file.pt, hf-hub:OWNER/NAME, or "
        "the path of a folder. Empty: the backend's default",
    )
    engine: str = shown("explicit", "Atlas", "How to separate the shot into layers", ENGINES)
    after: str = shown(
        "",
        "Start From",
        "Id of a finished edit to start from. It takes fewer steps and stays close to it",
    )
    painter: str = "text2live"
    painter_settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mask_mode: MaskMode = "auto"
    mask_keys: tuple[MaskKey, ...] = ()
    mask_path: str = ""
    mask_name: str = ""
    mask_frame: int = 0
    mask_every: bool = shown(
        True,
        "On Every Frame",
        "Render the mask on every frame, with its animation. Off: on one frame, and track it "
        "through the shot",
    )
    mask_text: str = shown(
        "",
        "Called",
        "What the object is called, for example: black swan. Empty: a text search uses what the "
        "shot currently shows; the automatic search uses motion and colours alone",
    )
    paint_frame: int | None = None
    longest: int = 0

    @property
    def title(self) -> str:
        """Title in the list of jobs."""
        if self.kind == "atlas":
            return "Analysis"
        if self.kind == "mask":
            return "Mask preview"
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
        """Plain values for the record beside the layer; they hold no secret.

        The painter's settings lie among the others, as in files of earlier versions.
        """
        plain = dataclasses.asdict(self)
        painter_settings = plain.pop("painter_settings")
        keys = [key.to_plain() for key in self.mask_keys]
        return {**plain, **painter_settings, "mask_keys": keys}

    @classmethod
    def from_plain(cls, plain: dict[str, Any], content: float = 0.0) -> Settings:
        """From plain values; ignores names of later versions, and masks that cannot be read.

        content: the timeline frame on which the strip's content started, for masks of earlier
        versions.
        """
        own = {field.name for field in dataclasses.fields(cls)} - {"painter_settings"}
        kept = {key: value for key, value in plain.items() if key in own}
        kept["mask_keys"] = _mask_keys(plain, content)
        if kept.get("mask_mode", cls.mask_mode) not in get_args(MaskMode):
            kept["mask_mode"] = "keys"
        names = {one.name for one in painter_declarations(kept.get("painter", cls.painter))}
        painting = {key: value for key, value in plain.items() if key in names}
        return cls(**kept, painter_settings=painting)

    def decomposition(self) -> str:
        """Fingerprint of the settings that the shot's atlas depends on."""
        return _fingerprint({**self._mask_facts(), "seed": self.seed, "engine": self.engine})

    def mask_identity(self) -> str:
        """Fingerprint of the settings that the masks depend on."""
        return _fingerprint(self._mask_facts())

    def _mask_facts(self) -> dict[str, Any]:
        used: dict[str, Any] = {
            name: getattr(self, name) for name in ("preset", "longest", "mask_mode")
        }
        if self.mask_mode == "all":
            used["path"] = self.mask_path
        if self.mask_mode in ("mask", "strip"):
            used |= {"name": self.mask_name, "every": self.mask_every}
        if not used.get("every", True):
            used["frame"] = self.mask_frame
        if self.mask_mode == "keys":
            used["keys"] = [key.to_plain() for key in self.mask_keys]
        if self.mask_mode == "text" or (self.mask_mode == "auto" and self.mask_texts):
            used |= {"texts": self.mask_texts, "model": self.model}
        return used


def _mask_keys(plain: dict[str, Any], content: float) -> tuple[MaskKey, ...]:
    """The key frames that can be read, or the one mask of an earlier version."""
    found = []
    for one in plain.get("mask_keys", ()):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found.append(MaskKey.from_plain(one))
    with contextlib.suppress(TypeError, ValueError):
        earlier = earlier_masks.key_from(plain, content)
        found += [earlier] if earlier is not None else []
    return tuple(found)


def _fingerprint(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def shown_fields() -> dict[str, tuple[Any, Shown]]:
    """The default and the declaration of every setting the panel shows as it is, by name."""
    return {
        one.name: (one.default, one.metadata["shown"])
        for one in dataclasses.fields(Settings)
        if "shown" in one.metadata
    }


def painter_declarations(painter: str) -> tuple[painters.Setting, ...]:
    """The settings of a painter that the panel shows; none for an unknown painter."""
    known = painters.declared(painter) if painter in painters.PAINTER_SETTINGS else ()
    files = {one.name for one in known if one.kind in ("frames", "images")}
    return tuple(one for one in known if one.name not in files and one.of not in files)


def alternatives(text: str) -> tuple[str, ...]:
    """Split a text at semicolons into trimmed, non-empty alternatives."""
    return tuple(part for part in (piece.strip() for piece in text.split(";")) if part)
