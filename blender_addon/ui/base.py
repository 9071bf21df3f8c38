"""Shared parts of the panels and operators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..blender import compat, handlers, runtime
from ..blender.timeline import layers
from ..wire import jobs

PARENT = "T2L_PT_sequencer"


class InSequencer:
    """A panel in the Sequencer's sidebar."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Text2LIVE"


def subject(context: Any) -> Any:
    """The strip to work on: the active strip, or the source strip of an active layer."""
    strip = compat.active_strip(context)
    if strip is None or layers.JOB not in strip:
        return strip
    try:
        return layers.source_of_layer(compat.sequencer_scene(context), strip)
    except jobs.JobError:
        return strip


def require(operator: Any, condition: object, reason: str) -> bool:
    """Whether an operator's button can be pressed; if not, its tooltip gives the reason."""
    if not condition:
        operator.poll_message_set(reason)
    return bool(condition)


Outcome = set[str]
"""What an operator returns: FINISHED, CANCELLED, RUNNING_MODAL."""


def reports_problems(method: Callable[..., Outcome | None]) -> Callable[..., Outcome]:
    """Decorate an operator's execute or invoke: report a JobError, and redraw.

    A method that returns nothing has finished. Blender checks the number of arguments of execute
    (context) and invoke (context, event), so each has a wrapper of its own.
    """

    def run(operator: Any, *args: Any) -> Outcome:
        try:
            outcome = method(operator, *args)
        except jobs.JobError as error:
            return refuse(operator, error.problem)
        handlers.redraw()
        return outcome or {"FINISHED"}

    def execute(self: Any, context: Any) -> Outcome:
        return run(self, context)

    def invoke(self: Any, context: Any, event: Any) -> Outcome:
        return run(self, context, event)

    wrapper: Callable[..., Outcome] = invoke if method.__name__ == "invoke" else execute
    return functools.wraps(method)(wrapper)


def refuse(operator: Any, problem: jobs.Problem) -> set[str]:
    """Show a problem in the panel and as Blender's own report; scripts get an exception."""
    state = runtime.current()
    # The Connection panel already shows a problem of the connection.
    state.problem = None if problem == state.session.status.problem else problem
    handlers.redraw()
    operator.report({"ERROR"}, f"{problem.message} {problem.hint}".strip())
    return {"CANCELLED"}
