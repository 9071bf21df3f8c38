"""What every panel and operator of ours has in common."""

from __future__ import annotations

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
    """The strip that is worked on: the active one; for a layer, the one it was made for."""
    strip = compat.active_strip(context)
    if strip is None or layers.JOB not in strip:
        return strip
    try:
        return layers.source_of_layer(compat.sequencer_scene(context), strip)
    except jobs.JobError:
        return strip


def field(layout: Any, owner: Any, name: str, **options: Any) -> None:
    """A property with its name in front, which leaves it more room than Blender's own split."""
    split = layout.split(factor=0.33)
    left = split.row()
    left.alignment = "RIGHT"
    left.label(text=owner.bl_rna.properties[name].name)
    shown = {} if options.get("expand") else {"text": ""}
    split.row(align=True).prop(owner, name, **shown, **options)


def refuse(operator: Any, problem: jobs.Problem) -> set[str]:
    """Show a problem in the panel and as Blender's own report; a script gets an exception."""
    state = runtime.current()
    # What the connection says in its own words is not said twice.
    state.problem = None if problem == state.session.view.problem else problem
    handlers.redraw()
    operator.report({"ERROR"}, f"{problem.message} {problem.hint}".strip())
    return {"CANCELLED"}
