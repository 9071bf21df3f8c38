"""Measure how long the add-on holds Blender's main thread: every tick of whole jobs, by phase.

A movie strip of each size, with a Mask on every frame, is edited by a mock backend, and the layer
is baked to a movie. The add-on's timer function is called as Blender would call it, and every call
is timed. Shown beside it is the time of Blender's own calls that cannot be divided: rendering a
frame of the strip or of the Mask, and opening the baked movie, whose first images it reads
(--noise: images that cannot be compressed, the slowest case). CPU time is what a tick takes on a
machine that is not busy. Run it in a Python that has bpy:

    .venv-blender/bin/python -m scripts.measure.ticks --backend-python .venv/bin/python
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
from numpy.typing import NDArray

from blender_addon.blender import baking, extract, handlers, masks, runtime
from blender_addon.blender.timeline import layers
from blender_addon.core import png
from blender_addon.ui.operators import begin
from scripts.blender import studio

SIZES = {"768x432": (768, 432), "1920x1080": (1920, 1080)}
LIMIT_S = 300.0
Times = NDArray[np.float64]  # wall seconds, CPU seconds of the main thread


def main() -> int:
    """Measure every size and print a table."""
    options = _parser().parse_args()
    print(f"Blender {bpy.app.version_string}, {options.frames} frames; ticks in milliseconds")
    print("size       phase       ticks  median    95 %   worst     worst CPU time  Blender's own")
    worst = np.zeros(2)
    with tempfile.TemporaryDirectory(prefix="text2live-ticks-") as scratch:
        data = Path(scratch) / "data"
        with studio.Backend(options.backend_python, data, "--mock", "ok") as backend:
            for name in options.sizes:
                folder = Path(scratch) / name
                folder.mkdir()
                took = measure(SIZES[name], options.frames, folder, backend, options.noise)
                for phase, ticks in took.items():
                    own = np.stack([tick - blender for tick, blender in ticks])
                    worst = np.maximum(worst, own.max(axis=0))
                    blender = max(blender[0] for _tick, blender in ticks)
                    print(f"{name:10} {phase:10} {_row(own)} {blender * 1000:14.1f}")
    wall, processor = worst * 1000
    print(f"our longest tick: {wall:.1f} ms, {processor:.1f} ms of CPU time")
    return 0


def measure(
    size: tuple[int, int], frames: int, folder: Path, backend: studio.Backend, noise: bool
) -> dict[str, list[tuple[Times, Times]]]:
    """Times of every tick and of Blender's own calls in it, by the job's phase before it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    movie = studio.encode_movie(studio.moving_square(frames, *size), folder / "shot.mkv")
    studio.enable_addon().connection_file = str(backend.file)
    scene = bpy.context.scene
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "shot.blend"))
    studio.editor(scene).active_strip = studio.movie_strip(scene, movie)
    scene.text2live.prompt, scene.text2live.mask_mode = "a red square", "mask"
    scene.text2live.mask_data = square_mask()
    calls = ((extract, "render_frame"), (masks, "render_frame"), (baking, "open_movie"))
    blender = [_Stopwatch(*call) for call in calls]
    ticks: dict[str, list[tuple[Times, Times]]] = defaultdict(list)

    def total() -> Times:
        return np.asarray(np.sum([one.times for one in blender], axis=0), np.float64)

    def tick(phase: str) -> None:
        before, began = total(), _now()
        pause = handlers.on_timer()
        ticks[phase].append((_now() - began, total() - before))
        time.sleep(min(pause, 0.02))

    try:
        with studio.sequencer(scene):
            job = begin(bpy.context)
        deadline = time.monotonic() + LIMIT_S
        while not job.ended and time.monotonic() < deadline:
            tick(job.phase)
        if job.problem is not None or not job.ended:
            raise SystemExit(f"the job did not end well: {job.problem}")
        if noise:
            make_noise(job.files, size)
        bakes = runtime.current().bakes
        bakes.begin(layers.find_layer(job.id))
        while bakes.under_way and time.monotonic() < deadline:
            tick("baking")
        if layers.find_layer(job.id).type != "MOVIE":
            raise SystemExit(f"the layer was not baked: {runtime.current().problem}")
    finally:
        for one in blender:
            one.stop()
        runtime.current().session.disconnect()
        studio.disable_addon()
    return ticks


def square_mask() -> Any:
    """A Mask in the middle of the frame."""
    mask = bpy.data.masks.new("square")
    spline = mask.layers.new().splines.new()
    spline.use_cyclic = True
    corners = ((0.3, 0.3), (0.3, 0.7), (0.7, 0.7), (0.7, 0.3))
    spline.points.add(len(corners) - len(spline.points))
    for point, corner in zip(spline.points, corners, strict=True):
        point.co = point.handle_left = point.handle_right = corner
    return mask


def make_noise(pictures: tuple[Path, ...], size: tuple[int, int]) -> None:
    """Replace a layer's images with noise in colour and alpha."""
    random = np.random.default_rng(0)
    for picture in pictures:
        noise = random.integers(0, 256, (size[1], size[0], 4), np.uint8)
        png.write(picture, noise, level=0)


def _now() -> Times:
    return np.array([time.perf_counter(), time.thread_time()])


class _Stopwatch:
    """Adds up the time spent in one function of a module."""

    def __init__(self, module: Any, name: str) -> None:
        self.times: Times = np.zeros(2)
        self._module, self._name, self._function = module, name, getattr(module, name)
        setattr(module, name, self._call)

    def _call(self, *arguments: Any, **named: Any) -> Any:
        began = _now()
        try:
            return self._function(*arguments, **named)
        finally:
            self.times = self.times + _now() - began

    def stop(self) -> None:
        """Leave the function alone again."""
        setattr(self._module, self._name, self._function)


def _row(own: NDArray[np.float64]) -> str:
    half, most, worst = (np.quantile(own[:, 0], q) * 1000 for q in (0.5, 0.95, 1.0))
    processor = own[:, 1].max() * 1000
    return f"{len(own):6d} {half:7.1f} {most:7.1f} {worst:7.1f} {processor:18.1f}"


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m scripts.measure.ticks")
    result.add_argument("--backend-python", type=Path, default=Path(sys.executable))
    result.add_argument("--frames", type=int, default=24)
    result.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=list(SIZES))
    result.add_argument(
        "--noise", action="store_true", help="bake images that cannot be compressed"
    )
    return result


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the bpy module may crash or hang at its own exit
