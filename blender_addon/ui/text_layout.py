"""Text in panels: columns of labelled properties, and wrapped paragraphs."""

from __future__ import annotations

import textwrap
from typing import Any

from ..wire import jobs

_PIXELS_PER_CHARACTER = 6.3


def form(layout: Any) -> Any:
    """A column of properties with their labels in front, as in Blender's own panels."""
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    return column


def line_length(context: Any) -> int:
    """How many characters fit in a line of the sidebar."""
    region = getattr(context, "region", None)
    scale = context.preferences.system.ui_scale or 1.0
    pixels = region.width if region is not None and region.width > 100 else 320
    return max(24, int((pixels - 90) / (_PIXELS_PER_CHARACTER * scale)))


def draw_paragraph(layout: Any, text: str, width: int, icon: str = "NONE") -> None:
    """Draw wrapped text as one label per line, with the icon before the first.

    Blender's labels do not wrap.
    """
    column = layout.column(align=True)
    column.scale_y = 0.8
    rest = "NONE" if icon == "NONE" else "BLANK1"
    for index, line in enumerate(textwrap.wrap(text, width)):
        column.label(text=line, icon=rest if index else icon)


def draw_problem(layout: Any, problem: jobs.Problem, width: int) -> None:
    """Draw what went wrong, and what to do about it."""
    draw_paragraph(layout, problem.message, width, "ERROR")
    if problem.hint:
        draw_paragraph(layout, problem.hint, width, "INFO")
