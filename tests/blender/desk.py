"""An artist's desk: a scene with a strip, a prompt, and a backend."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_addon.blender import compat, handlers, runtime
from blender_addon.core.jobs import Job
from blender_addon.ui import operators
from scripts.blender import studio

REAL_PYTHON = os.environ.get("TEXT2LIVE_BACKEND_PYTHON", "")
PYTHON = Path(REAL_PYTHON or sys.executable)
LIMIT_S = 60.0


class Desk:
    """A scene with a movie strip, a prompt, and a backend."""

    def __init__(self, movie: Path, folder: Path, backend: studio.Backend) -> None:
        self.backend = backend
        self.blend = folder / "film.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(self.blend))
        self.set_up(bpy.context.scene, movie)
        self.preferences = bpy.context.preferences.addons[studio.ADDON].preferences
        self.preferences.connection_file = str(self.backend.file)

    @staticmethod
    def set_up(scene: Any, movie: Path) -> None:
        strip = studio.movie_strip(scene, movie, frame_start=20)
        studio.editor(scene).active_strip = strip
        scene.text2live.prompt, scene.text2live.mask_mode = "a red car", "auto"
        studio.show_exactly(scene, (96, 64))

    @property
    def scene(self) -> Any:
        return bpy.context.scene

    @property
    def strip(self) -> Any:
        return compat.all_strips(self.scene.sequence_editor)["shot"]

    def press(self) -> Job:
        """Press the button: start a job and return."""
        button = types.SimpleNamespace(
            report=lambda _level, text: pytest.fail(text), begin=operators.begin
        )
        with studio.sequencer(self.scene):
            assert operators.T2L_OT_edit.invoke(button, bpy.context, None) == {"FINISHED"}
        return runtime.current().jobs[-1]

    def until(self, condition: Any, limit: float = LIMIT_S) -> None:
        """Tick until the condition holds."""
        if not studio.tick_until(handlers.on_timer, condition, limit):
            state = runtime.current()
            seen = [(job.status_text(), job.note, job.problem) for job in state.jobs]
            pytest.fail(f"never happened: {state.session.status}, {seen}, {self.log()}")

    def log(self) -> str:
        return self.backend.log.read_text() if self.backend.log.exists() else ""


def mock(kind: str) -> Any:
    return pytest.mark.parametrize("desk", [kind], indirect=True)
