"""The painters that an edit can name, and the settings of each, declared once for both ends.

The panel and the command line build their controls from these declarations, and the backend reads a
job's settings through them. To add a setting, add a field here with its default, range and
description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import fields

from .jobs import EditJob, JobError

Recipe = Literal["texture", "effect", "style"]
RECIPES: tuple[str, ...] = get_args(Recipe)


class PainterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every painter's settings. A field is a text list, a float or a choice.

    label, summary: the painter's name and what it does, as controls show them.
    """

    label: ClassVar[str] = ""
    summary: ClassVar[str] = ""

    def for_background(self) -> PainterSettings:
        """These settings for the background, if an edit of both layers gives it its own prompt."""
        return self


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

    def for_background(self) -> PainterSettings:
        """Without screen, which describes the object's layer."""
        return msgspec.structs.replace(self, screen=())


PAINTER_SETTINGS: dict[str, type[PainterSettings]] = {"text2live": Text2LiveSettings}
"""Each painter's settings, by the name that an edit gives it."""


@dataclass(frozen=True)
class Setting:
    """One declared setting, for building a control.

    kind ``texts``: a list of alternatives. ``number``: from least to most, or None if optional.
    ``choice``: one of choices, each with its description.
    """

    name: str
    kind: Literal["texts", "number", "choice"]
    default: Any
    title: str
    description: str
    least: float = 0.0
    most: float = 0.0
    optional: bool = False
    choices: dict[str, str] = field(default_factory=dict)


def declared(painter: str) -> tuple[Setting, ...]:
    """A painter's settings, in the order of their declaration. Raises JobError unknown_painter."""
    kind = settings_type(painter)
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
        return Setting(
            name, "number", default, title, description, meta.ge, meta.le, optional=optional
        )
    if kind == tuple[str, ...]:
        return Setting(name, "texts", default, title, description)
    raise TypeError(f"the setting {name} is no list of texts, float or choice, but {kind}")


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
