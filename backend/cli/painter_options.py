"""A painter's settings as options of the command line, from their declarations."""

from __future__ import annotations

import argparse
from typing import Any

from protocol.painters import declared, packed_settings, settings_type


def add_painter_options(p: argparse.ArgumentParser, painter: str) -> None:
    """An option for every setting; those not given keep their defaults."""
    group = p.add_argument_group(f"painter {painter}")
    for one in declared(painter):
        option = f"--{one.name.replace('_', '-')}"
        words = one.description.replace("%", "%%")
        if one.kind == "texts":
            group.add_argument(option, action="append", default=[], help=words)
        elif one.kind == "number":
            words = f"{words} ({one.least:g} to {one.most:g})"
            group.add_argument(option, type=float, default=one.default, help=words)
        else:
            choices = "; ".join(f"{name}: {text}" for name, text in one.choices.items())
            words = f"{words}. {choices}"
            group.add_argument(option, default=one.default, help=words)


def painter_settings(args: argparse.Namespace, painter: str) -> dict[str, Any]:
    """The settings that were given, as an edit job carries them; the job's check judges them."""
    given: dict[str, Any] = {}
    for one in declared(painter):
        value = getattr(args, one.name)
        given[one.name] = tuple(value) if one.kind == "texts" else value
    return packed_settings(settings_type(painter)(**given))
