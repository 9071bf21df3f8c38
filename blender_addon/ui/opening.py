"""What operators that open an image to paint on have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ..blender import compat, handlers, image_editor, runtime
from ..blender.image_jobs import ImageJob
from ..wire import jobs
from .base import refuse
from .operators import NeedsStrip

Chooser = Callable[[Any, Any], None]
"""Sets a scene's settings to an image that is there."""


class OpenImageOperator(NeedsStrip):
    """An operator that opens an image to paint on."""

    def open(self, context: Any) -> tuple[ImageJob, Chooser]:
        """Begin; raises JobError. Also gives what is done to the scene's settings then."""
        raise NotImplementedError

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Begin and return; the image is shown when it is there."""
        return self._begin(context, wait=False)

    def execute(self, context: Any) -> set[str]:
        """Wait for the image (for scripts)."""
        return self._begin(context, wait=True)

    def _begin(self, context: Any, *, wait: bool) -> set[str]:
        state = runtime.current()
        state.problem = None
        name = compat.sequencer_scene(context).name
        try:
            with state.session.standing_still():
                opening, choose = self.open(context)
            if wait:
                _show(name, opening.image(), choose)
            else:
                state.image_jobs.add(opening, lambda image: _show(name, image, choose))
        except jobs.JobError as error:
            return refuse(self, error.problem)
        handlers.redraw()
        return {"FINISHED"}


def _show(scene_name: str, image: Any, choose: Chooser) -> None:
    scene = bpy.data.scenes.get(scene_name)
    if scene is not None:
        choose(scene.text2live, image)
    image_editor.show(image, paint=True)
