"""What every panel and operator of ours has in common."""

from __future__ import annotations

from typing import Any

from ..blender import handlers, runtime
from ..wire import jobs

PARENT = "T2L_PT_sequencer"


class InSequencer:
    """A panel in the Sequencer's sidebar."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Text2LIVE"


def refuse(operator: Any, problem: jobs.Problem) -> set[str]:
    """Show a problem in the panel and as Blender's own report; a script gets an exception."""
    state = runtime.current()
    # What the connection says in its own words is not said twice.
    state.problem = None if problem == state.session.view.problem else problem
    handlers.redraw()
    operator.report({"ERROR"}, f"{problem.message} {problem.hint}".strip())
    return {"CANCELLED"}
