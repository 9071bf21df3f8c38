"""The base of operators that open an image to paint on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ..blender import compat, image_editor, runtime
from ..blender.image_jobs import ImageJob
from .base import reports_problems
from .operators import NeedsStrip

ImageSetter = Callable[[Any, Any], None]
"""Called with a scene's settings and the image: sets the settings to it."""


class OpenImageOperator(NeedsStrip):
    """An operator that opens an image to paint on."""

    def open(self, context: Any) -> tuple[ImageJob, ImageSetter]:
        """Start making the image; raises JobError. Also returns what to do with it then."""
        raise NotImplementedError

    @reports_problems
    def invoke(self, context: Any, _event: Any) -> None:
        """Start and return; the image is shown once it is finished."""
        self._begin(context, wait=False)

    @reports_problems
    def execute(self, context: Any) -> None:
        """Wait for the image (for scripts)."""
        self._begin(context, wait=True)

    def _begin(self, context: Any, *, wait: bool) -> None:
        state = runtime.current()
        state.problem = None
        name = compat.sequencer_scene(context).name
        with state.session.threads_paused():
            job, set_image = self.open(context)
        if wait:
            _show(name, job.image(), set_image)
        else:
            state.image_jobs.add(job, lambda image: _show(name, image, set_image))


def _show(scene_name: str, image: Any, set_image: ImageSetter) -> None:
    scene = bpy.data.scenes.get(scene_name)
    if scene is not None:
        set_image(scene.text2live, image)
    image_editor.show(image, paint=True)
