"""The painters that an edit can name, and the settings of each, declared once for both ends.

The panel and the command line build their controls from these declarations, and the backend reads a
job's settings through them. To add a setting, add a field here with its default, range and
description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import fields

from .jobs import EditJob, JobError, ObjectRef

Recipe = Literal["texture", "effect", "style"]
RECIPES: tuple[str, ...] = get_args(Recipe)


class PaintedFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of the clip that was edited elsewhere: uint8 RGB or RGBA, of any size."""

    frame: int
    image: ObjectRef


class PainterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every painter's settings. A field is a text list, float, choice or painted frames.

    label, summary: the painter's name and what it does, as controls show them. prompted: an edit
    needs a prompt. continues: an edit can start from an earlier one.
    """

    label: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    prompted: ClassVar[bool] = True
    continues: ClassVar[bool] = True

    def for_background(self) -> PainterSettings:
        """These settings for the background, if an edit of both layers gives it its own prompt."""
        return self

    def within(self, first: int, last: int) -> PainterSettings:
        """These settings for the shot of frames first to last−1."""
        return self

    @property
    def images(self) -> tuple[ObjectRef, ...]:
        """The images that they refer to."""
        return ()


class Text2LiveSettings(PainterSettings, frozen=True):
    """Text2LIVE: a generator trained against a text-image model paints the layer."""

    label: ClassVar[str] = "Text2LIVE"
    summary: ClassVar[str] = "Train a generator on the shot, guided by a text-image model"

    screen: Annotated[
        tuple[str, ...],
        Meta(
            title="Layer Prompt",
            description="What the layer shows on its own, for example: fire. Empty: the prompt",
        ),
    ] = ()
    recipe: Annotated[
        Recipe,
        Meta(
            title="Kind",
            description="The kind of change",
            extra={
                "texture": "A new material or look for an object, for example: golden swan",
                "effect": "Something translucent over it, such as fire, smoke, snow or fog",
                "style": "A new look for everything, for example: stained glass",
            },
        ),
    ] = "texture"
    strength: Annotated[
        float,
        Meta(
            ge=0.25,
            le=2.0,
            title="Strength",
            description="How far the edit may go; 1 is normal",
        ),
    ] = 1.0
    detail: (
        Annotated[
            float,
            Meta(
                ge=0.0,
                le=2.0,
                title="Detail",
                description="How much of the footage's fine detail the layer keeps; 0 is none. "
                "Not set: 1, but 0 for effects",
            ),
        ]
        | None
    ) = None

    reference: Annotated[
        tuple[ObjectRef, ...],
        Meta(
            title="Reference",
            description="An image of what the layer should look like: a photo of the material, a "
            "style frame. Repeatable",
        ),
    ] = ()
    reference_weight: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            title="Reference Weight",
            description="How much the reference images count against the prompt; 1: they alone",
            extra={"of": "reference"},
        ),
    ] = 0.5

    def for_background(self) -> PainterSettings:
        """Without screen and references, which describe the object's layer."""
        return msgspec.structs.replace(self, screen=(), reference=())

    @property
    def images(self) -> tuple[ObjectRef, ...]:
        """The reference images."""
        return self.reference


class FromFramesSettings(PainterSettings, frozen=True):
    """Edited frames: frames or a movie of the shot that were edited elsewhere make the layer."""

    label: ClassVar[str] = "Edited Frames"
    summary: ClassVar[str] = "Make a layer of frames or a movie of this shot edited elsewhere"
    prompted: ClassVar[bool] = False
    continues: ClassVar[bool] = False

    painted_frames: Annotated[
        tuple[PaintedFrame, ...],
        Meta(
            title="Edited Frames",
            description="Edited frames of the clip, of any size: a folder of images named by their "
            "frames' numbers, one such image, or a movie as long as the clip",
        ),
    ] = ()
    colours: Annotated[
        Literal["match", "keep"],
        Meta(
            title="Colours",
            description="What to do about a grade of the whole frame",
            extra={
                "match": "Remove it, so that what was not edited equals the footage",
                "keep": "Keep it as a part of the edit, and remove only its flicker",
            },
        ),
    ] = "match"
    threshold: (
        Annotated[
            float,
            Meta(
                ge=0.0,
                le=128.0,
                title="Threshold",
                description="Difference to the footage from which a pixel counts as changed, in "
                "1/255. Not set: by the noise of the edit",
            ),
        ]
        | None
    ) = None

    def within(self, first: int, last: int) -> FromFramesSettings:
        """With the frames of the shot alone."""
        inside = tuple(
            msgspec.structs.replace(one, frame=one.frame - first)
            for one in self.painted_frames
            if first <= one.frame < last
        )
        return msgspec.structs.replace(self, painted_frames=inside)

    @property
    def images(self) -> tuple[ObjectRef, ...]:
        """The edited frames."""
        return tuple(one.image for one in self.painted_frames)


PAINTER_SETTINGS: dict[str, type[PainterSettings]] = {
    "text2live": Text2LiveSettings,
    "from_frames": FromFramesSettings,
}
"""Each painter's settings, by the name that an edit gives it."""


@dataclass(frozen=True)
class Setting:
    """One declared setting, for building a control.

    kind ``texts``: a list of alternatives. ``number``: from least to most, or None if optional.
    ``choice``: one of choices, each with its description. ``frames``: a list of PaintedFrame.
    ``images``: a list of ObjectRef, of RGB images. of: the setting that this one qualifies.
    """

    name: str
    kind: Literal["texts", "number", "choice", "frames", "images"]
    default: Any
    title: str
    description: str
    least: float = 0.0
    most: float = 0.0
    optional: bool = False
    choices: dict[str, str] = field(default_factory=dict)
    of: str = ""


def declared(painter: str) -> tuple[Setting, ...]:
    """A painter's settings, in the order of their declaration. Raises JobError unknown_painter."""
    return _declared(settings_type(painter))


@cache
def _declared(kind: type[PainterSettings]) -> tuple[Setting, ...]:
    """Cached: panels ask at every redraw, and resolving annotations takes a millisecond."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_setting(one.name, one.default, hints[one.name]) for one in fields(kind))


def _setting(name: str, default: Any, hint: Any) -> Setting:
    optional = get_origin(hint) in (Union, UnionType)
    if optional:
        hint = next(one for one in get_args(hint) if one is not type(None))
    kind, meta = get_args(hint)
    title, description = meta.title or name, meta.description or ""
    if get_origin(kind) is Literal:
        choices = {one: (meta.extra or {}).get(one, title) for one in get_args(kind)}
        return Setting(name, "choice", default, title, description, choices=choices)
    if kind is float:
        of = (meta.extra or {}).get("of", "")
        return Setting(
            name, "number", default, title, description, meta.ge, meta.le, optional, of=of
        )
    if kind == tuple[str, ...]:
        return Setting(name, "texts", default, title, description)
    if kind == tuple[ObjectRef, ...]:
        return Setting(name, "images", default, title, description)
    if kind == tuple[PaintedFrame, ...]:
        return Setting(name, "frames", default, title, description)
    raise TypeError(f"the setting {name} cannot be a {kind}")


def settings_type(painter: str) -> type[PainterSettings]:
    """The struct of a painter's settings. Raises JobError("unknown_painter")."""
    try:
        return PAINTER_SETTINGS[painter]
    except KeyError:
        raise JobError(
            "unknown_painter",
            f"There is no painter {painter!r}.",
            f"Choose one of: {', '.join(PAINTER_SETTINGS)}.",
        ) from None


def settings_of(spec: EditJob) -> PainterSettings:
    """An edit's settings as its painter's struct.

    Raises JobError: ``unknown_painter``; ``bad_NAME`` for a number out of range, ``unknown_NAME``
    for a choice that does not exist, ``bad_settings`` for anything else.
    """
    kind = settings_type(spec.painter)
    try:
        return msgspec.convert(spec.settings, kind)
    except msgspec.ValidationError as why:
        raise _bad_setting(spec, str(why)) from why


def images_of(spec: EditJob) -> tuple[ObjectRef, ...]:
    """The images that an edit's settings refer to; none if they cannot be read."""
    kind = PAINTER_SETTINGS.get(spec.painter)
    if kind is None or not spec.settings:
        return ()
    try:
        return msgspec.convert(spec.settings, kind).images
    except msgspec.ValidationError:  # the check of the job reports it
        return ()


def packed_settings(settings: PainterSettings) -> dict[str, Any]:
    """Settings as an edit job carries them: only those that differ from the default."""
    plain: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(settings))
    defaults = {one.name: one.default for one in fields(settings)}
    return {name: plain[name] for name in plain if getattr(settings, name) != defaults[name]}


def _bad_setting(spec: EditJob, why: str) -> JobError:
    named = re.search(r"`\$\.(\w+)", why)
    for one in declared(spec.painter):
        value = spec.settings.get(one.name)
        if named is None or one.name != named[1]:
            continue
        if one.kind == "number" and isinstance(value, int | float):
            return JobError(
                f"bad_{one.name}",
                f"The {one.name} {value:g} is out of range.",
                f"Use {one.least:g} to {one.most:g}.",
            )
        if one.kind == "choice" and isinstance(value, str):
            return JobError(
                f"unknown_{one.name}",
                f"There is no {one.name} {value[:80]!r}.",
                f"Choose one of: {', '.join(one.choices)}.",
            )
    return JobError(
        "bad_settings",
        f"The settings of the painter {spec.painter} cannot be read: {why[:200]}.",
        "Update the backend and the add-on to the same version.",
    )
