"""Sentences in a panel: Blender's labels do not wrap."""

from __future__ import annotations

import textwrap
from typing import Any

from ..wire import jobs

_PIXELS_A_LETTER = 6.3


def line_length(context: Any) -> int:
    """Letters that fit in a line of the sidebar."""
    region = getattr(context, "region", None)
    scale = context.preferences.system.ui_scale or 1.0
    pixels = region.width if region is not None and region.width > 100 else 320
    return max(24, int((pixels - 90) / (_PIXELS_A_LETTER * scale)))


def draw_paragraph(layout: Any, text: str, width: int, icon: str = "NONE") -> None:
    """One label a line, the icon before the first."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    rest = "NONE" if icon == "NONE" else "BLANK1"
    for index, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon=rest if index else icon)


def draw_problem(layout: Any, what: jobs.Problem, width: int) -> None:
    """What happened, and what to do about it."""
    draw_paragraph(layout, what.message, width, "ERROR")
    if what.hint:
        draw_paragraph(layout, what.hint, width, "INFO")
