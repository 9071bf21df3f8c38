"""A painter's settings as options of the command line, from their declarations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from protocol.jobs import ObjectRef
from protocol.painters import (
    PAINTER_SETTINGS,
    PaintedFrame,
    declared,
    packed_settings,
    settings_type,
)

DEFAULT_PAINTER = next(iter(PAINTER_SETTINGS))
FROM_FRAMES = "from_frames"


class Reader(Protocol):
    """Reads files of the command line into a job."""

    def frames(self, path: Path) -> tuple[PaintedFrame, ...]:
        """The edited frames of a path."""

    def image(self, path: Path) -> ObjectRef:
        """One image."""


def chosen_painter(argv: list[str] | None) -> str:
    """The painter that the words of a command line name, read before its options are known.

    Edited frames alone mean the painter that reads them.
    """
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    p.add_argument("--painter")
    p.add_argument("--painted-frames")
    found = p.parse_known_args(argv)[0]
    painter: str = found.painter or (FROM_FRAMES if found.painted_frames else DEFAULT_PAINTER)
    return painter


def add_painter_options(p: argparse.ArgumentParser, painter: str) -> None:
    """--painter, and an option for every setting of this one. Raises JobError unknown_painter."""
    names = ", ".join(PAINTER_SETTINGS)
    p.add_argument(
        "--painter", default=painter, help=f"how to paint: {names} (default: {DEFAULT_PAINTER})"
    )
    group = p.add_argument_group(f"painter {painter}")
    for one in declared(painter):
        option = f"--{one.name.replace('_', '-')}"
        help = _as_clause(one.description)
        if one.kind == "frames":
            group.add_argument(option, type=Path, required=True, metavar="PATH", help=help)
        elif one.kind == "images":
            group.add_argument(
                option, action="append", type=Path, default=[], metavar="IMAGE", help=help
            )
        elif one.kind == "texts":
            group.add_argument(option, action="append", default=[], metavar="TEXT", help=help)
        elif one.kind == "number":
            default = "" if one.default is None else f", default: {one.default:g}"
            help = f"{help} ({one.least:g} to {one.most:g}{default})"
            group.add_argument(option, type=float, default=one.default, help=help)
        else:
            choices = "; ".join(f"{name}: {_as_clause(text)}" for name, text in one.choices.items())
            help = f"{help}. {choices} (default: {one.default})"
            group.add_argument(option, default=one.default, help=help)


def _as_clause(text: str) -> str:
    """A description of the panel as help on the command line, which starts in lower case."""
    return f"{text[:1].lower()}{text[1:]}".replace("%", "%%")


def painter_settings(
    args: argparse.Namespace, painter: str, read: Reader | None = None
) -> dict[str, Any]:
    """The painter's settings as an edit job carries them. The check of the job validates them.

    read: for painters that have images among their settings.
    """
    given: dict[str, Any] = {}
    for one in declared(painter):
        value = getattr(args, one.name)
        if one.kind == "frames":
            value = read.frames(value) if read is not None else ()
        if one.kind == "images":
            value = tuple(map(read.image, value)) if read is not None else ()
        given[one.name] = tuple(value) if one.kind == "texts" else value
    return packed_settings(settings_type(painter)(**given))
