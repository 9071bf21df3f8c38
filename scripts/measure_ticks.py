"""How long the add-on holds Blender's main thread: every tick of whole jobs, by phase.

A movie strip of each size is edited by a stand-in backend, the add-on's timer function is called as
Blender would call it, and every call is timed. Rendering a frame of the strip is Blender's own work
and is shown beside it. Run it in a Python that has bpy:

    .venv-blender/bin/python -m scripts.measure_ticks --backend-python .venv/bin/python
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender_addon.blender import extract, handlers, runtime
from blender_addon.ui.operators import begin
from scripts import blender_studio as studio

SIZES = {"768x432": (768, 432), "1920x1080": (1920, 1080)}
LIMIT_S = 300.0


def main() -> int:
    """Measure every size and print a table."""
    options = _parser().parse_args()
    print(f"Blender {bpy.app.version_string}, {options.frames} frames; ticks in milliseconds")
    print("size       phase       ticks  median    95 %   worst  of which render")
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="text2live-ticks-") as scratch:
        data = Path(scratch) / "data"
        with studio.Backend(options.backend_python, data, "--mock", "ok") as backend:
            for name in options.sizes:
                folder = Path(scratch) / name
                folder.mkdir()
                for phase, ticks in measure(SIZES[name], options.frames, folder, backend).items():
                    own = [tick - render for tick, render in ticks]
                    worst = max(worst, *own)
                    print(f"{name:10} {phase:10} {_row(own, max(r for _, r in ticks))}")
    print(f"longest without Blender's own rendering: {worst * 1000:.1f} ms")
    return 0


def measure(
    size: tuple[int, int], frames: int, folder: Path, backend: studio.Backend
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of every tick and of the rendering in it, by the phase the job was in before."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    movie = studio.encode_movie(studio.moving_square(frames, *size), folder / "shot.mkv")
    studio.enable_addon().connection_file = str(backend.file)
    scene = bpy.context.scene
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    studio.editor(scene).active_strip = studio.movie_strip(scene, movie)
    scene.text2live.prompt, scene.text2live.mask_mode = "a red square", "auto"
    rendered = _Stopwatch(extract, "render_frame")
    ticks: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        with studio.sequencer(scene):
            job = begin(bpy.context)
        deadline = time.monotonic() + LIMIT_S
        while not job.ended and time.monotonic() < deadline:
            phase, before, began = job.phase, rendered.seconds, time.perf_counter()
            pause = handlers.on_timer()
            took = time.perf_counter() - began
            ticks[phase].append((took, rendered.seconds - before))
            time.sleep(min(pause, 0.02))
        if job.problem is not None or not job.ended:
            raise SystemExit(f"the job did not end well: {job.problem}")
    finally:
        rendered.stop()
        runtime.current().session.disconnect()
        studio.disable_addon()
    return ticks


class _Stopwatch:
    """Adds up the time spent in one function of a module."""

    def __init__(self, module: Any, name: str) -> None:
        self.seconds = 0.0
        self._module, self._name, self._function = module, name, getattr(module, name)
        setattr(module, name, self._call)

    def _call(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.perf_counter() - began

    def stop(self) -> None:
        """Leave the function alone again."""
        setattr(self._module, self._name, self._function)


def _row(own: list[float], render: float) -> str:
    half, most, worst = (np.quantile(own, q) * 1000 for q in (0.5, 0.95, 1.0))
    return f"{len(own):6d} {half:7.1f} {most:7.1f} {worst:7.1f} {render * 1000:10.1f}"


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m scripts.measure_ticks")
    result.add_argument("--backend-python", type=Path, default=Path(sys.executable))
    result.add_argument("--frames", type=int, default=24)
    result.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=list(SIZES))
    return result


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the bpy module may crash or hang at its own exit
