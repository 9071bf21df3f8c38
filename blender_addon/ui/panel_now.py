"""What a button will do, and the progress of running jobs: parts of several panels."""

from __future__ import annotations

from typing import Any

from ..blender import analyses, compat, runtime
from ..core.outlook import outlook
from ..core.settings import Kind
from . import text_layout
from .base import subject
from .preferences import longest

RUNNING_SHOWN = 3
BUTTON = 4  # characters in whose place a button of an icon fits
PERCENT = 7  # characters of a percentage after a text


def draw_outlook(layout: Any, context: Any, kind: Kind, width: int) -> None:
    """What a job on the active strip will do and how long it takes, or what to do first."""
    strip = subject(context)
    if strip is None or strip.type not in compat.SOURCE_TYPES:
        text_layout.draw_paragraph(layout, "Select a movie or image strip first.", width, "INFO")
        return
    settings = compat.sequencer_scene(context).text2live.collect(longest(context), kind, strip)
    start, end = compat.span(strip)
    seconds = runtime.current().expected_seconds(strip, settings)
    analysed = analyses.known(strip, settings)
    text = outlook(kind, end - start, analysed, seconds)
    text_layout.draw_paragraph(layout, text, width, "TIME")


def draw_running(layout: Any, width: int) -> None:
    """Progress, time left and cancel button of the running jobs."""
    running = runtime.current().running
    for job in running[:RUNNING_SHOWN]:
        row, text = layout.row(align=True), f"{job.title}: {job.progress_text()}"
        on_one_line = len(text) + PERCENT <= width - BUTTON
        if on_one_line:
            compat.show_progress(row, job.fraction, text)
        else:
            row.label(text=job.title)
        row.operator("text2live.cancel", text="", icon="X").job_id = job.id
        if not on_one_line:
            draw_progress(layout, job.fraction, job.progress_text(), width)
    if len(running) > RUNNING_SHOWN:
        layout.label(text=f"and {len(running) - RUNNING_SHOWN} more jobs, see Jobs")


def draw_progress(layout: Any, fraction: float, text: str, width: int) -> None:
    """Progress with its text on one line if it fits, or else with the text above it."""
    if len(text) + PERCENT > width:
        text_layout.draw_paragraph(layout, text, width)
        text = ""
    compat.show_progress(layout, fraction, text)
