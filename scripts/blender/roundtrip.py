"""The round trip inside Blender, as an artist makes it, with a check of the result.

A movie strip is placed on the timeline, the add-on sends it to a real backend and places the layer
above it, the .blend is saved and reopened, and frames are rendered. Where the layer is fully
transparent, the render must equal the source exactly; elsewhere it must equal the layer over the
source in sRGB, to within one level of 255.

Run it in a Python that has bpy; the backend runs in one that has torch:

    .venv-blender/bin/python -m scripts.blender.roundtrip --backend-python .venv/bin/python \
        [--mock ok] [--out DIR] [--clip DIR --mask FILE] [--prompt TEXT --source TEXT] ...
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from blender_addon.blender import compat, runtime
from blender_addon.blender.timeline import layers
from blender_addon.core import png
from blender_addon.core.jobs import Job, duration
from blender_addon.ui.operators import begin
from scripts.blender import studio

FIRST_FRAME = 20
REPORT_EVERY_S = 20.0
IMAGES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One composited frame compared with its source and layer: largest differences, of 255."""

    frame: int
    clear: int
    worst_clear: int
    worst_over: int
    touched: float

    @property
    def holds(self) -> bool:
        """Exact where the layer is transparent, within one level elsewhere."""
        return self.worst_clear == 0 and self.worst_over <= 1

    def __str__(self) -> str:
        return (
            f"frame {self.frame}: {self.clear} clear pixels differ by {self.worst_clear}, "
            f"the rest from sRGB over by at most {self.worst_over}; "
            f"the layer covers {self.touched:.0%}"
        )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m scripts.blender.roundtrip")
    add = result.add_argument
    add("--backend-python", type=Path, required=True, help="a Python with the backend's packages")
    add("--mock", default="", help="use a mock backend: ok, fail, stall, die, ...")
    add("--out", type=Path, help="keep the .blend, layer and frames here (default: keep nothing)")
    add("--clip", type=Path, help="folder of images (default: a small demo clip)")
    add("--mask", type=Path, help="the object on the first frame, white on black")
    add("--frames", type=int, default=8, help="maximum number of frames (default: %(default)s)")
    add(
        "--height",
        type=int,
        default=108,
        help="of the 16:9 demo clip (default: %(default)s)",
    )
    add("--prompt", default="a golden swan")
    add("--source", default="a blue swan")
    add("--layer", default="foreground", choices=("foreground", "background"))
    add("--preset", default="draft")
    add("--device", default="auto")
    add("--timeout", type=float, default=3600.0, help="seconds (default: %(default)g)")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Make the round trip; returns 0 if every check holds, else 1."""
    options = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="text2live-roundtrip-") as scratch:
        out = (options.out or Path(scratch) / "out").resolve()
        out.mkdir(parents=True, exist_ok=True)
        extra = ["--device", options.device] + (["--mock", options.mock] if options.mock else [])
        try:
            with studio.Backend(
                options.backend_python.absolute(), Path(scratch) / "data", *extra
            ) as backend:
                checks = round_trip(options, backend, out)
        finally:
            studio.disable_addon()
    for check in checks:
        print(f"  {'ok ' if check.holds else 'BAD'} {check}")
    held = all(check.holds for check in checks)
    print(f"Blender {bpy.app.version_string}: the round trip {'holds' if held else 'FAILED'}")
    return 0 if held else 1


def round_trip(options: argparse.Namespace, backend: studio.Backend, out: Path) -> list[Check]:
    """From a clip to checked frames."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    preferences = studio.enable_addon()
    preferences.connection_file = str(backend.file)
    frames, mask = clip_of(options, out)
    movie = studio.encode_movie(frames, out / "shot.mkv")
    scene = bpy.context.scene
    strip = studio.movie_strip(scene, movie, channel=2, frame_start=FIRST_FRAME)
    studio.editor(scene).active_strip = strip
    studio.show_exactly(scene, (frames.shape[2], frames.shape[1]))
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "shot.blend"))
    scene = bpy.context.scene

    settings = scene.text2live
    settings.prompt, settings.source = options.prompt, options.source
    settings.layer, settings.preset = options.layer, options.preset
    settings.mask_mode = "auto"
    if mask is not None:
        scene.frame_set(FIRST_FRAME)
        with studio.sequencer(scene):
            bpy.ops.text2live.add_mask_file(filepath=str(mask))
    print(f"Editing {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]} in Blender")
    job = edit_as_an_artist(scene, options.timeout)

    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(out / "shot.blend"))
    scene = bpy.context.scene
    layer_strip = layers.find_layer(job.id)
    if layer_strip is None:
        raise SystemExit("The layer is not in the saved file.")
    print(f"Layer on channel {layer_strip.channel}, frames {compat.span(layer_strip)}")
    return [
        check_frame(scene, frames, job, index, out)
        for index in sorted({0, len(frames) // 2, len(frames) - 1})
    ]


def clip_of(options: argparse.Namespace, out: Path) -> tuple[NDArray[np.uint8], Path | None]:
    """The frames, uint8 [T,H,W,3], and the first frame's mask, if any."""
    folder, mask = options.clip, options.mask
    if folder is None:
        command = [str(options.backend_python.absolute()), "-m", "scripts.make_clip"]
        command += ["--out", str(out / "clip"), "--frames", str(options.frames)]
        command += ["--height", str(options.height), "--width", str(options.height * 16 // 9)]
        subprocess.run(command, cwd=studio.REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        folder = out / "clip" / "frames"
        mask = mask or sorted((out / "clip" / "masks").iterdir())[0]
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    frames = [load(path) for path in paths[: options.frames]]
    if not frames:
        raise SystemExit(f"There are no images in {folder}.")
    return np.stack(frames), mask


def load(path: Path) -> NDArray[np.uint8]:
    """Read an image in any format Blender knows, as stored: uint8 [H,W,3]."""
    if path.suffix.lower() == ".png":
        return np.ascontiguousarray(png.read(path)[..., :3])
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    rows = pixels.reshape(height, width, 4)[::-1, :, :3]
    return np.ascontiguousarray((rows * 255 + 0.5).astype(np.uint8))


def edit_as_an_artist(scene: Any, timeout: float) -> Job:
    """Start the edit, do the timer's work, and print the progress."""
    with studio.sequencer(scene):
        job = begin(bpy.context)  # the operator itself would block in background mode
    state = runtime.current()
    began, reported, report_at = time.monotonic(), "", 0.0
    while not job.ended:
        state.tick()
        phase, passed = job.status_text().rstrip("0123456789/ "), time.monotonic() - began
        if phase != reported or passed > report_at:
            print(f"  {passed:6.1f} s  {job.status_text()} {job.eta_text()}", flush=True)
            reported, report_at = phase, passed + REPORT_EVERY_S
        if passed > timeout:
            raise SystemExit(f"Not finished after {duration(timeout)}: {job.status_text()}")
        time.sleep(min(0.02, state.interval()))
    if job.problem is not None:
        raise SystemExit(f"{job.problem.message} {job.problem.hint}")
    numbers = job.result.numbers if job.result else {}
    print(f"  {time.monotonic() - began:6.1f} s  {job.status_text()}  {numbers}")
    return job


def check_frame(scene: Any, frames: NDArray[np.uint8], job: Job, index: int, out: Path) -> Check:
    """Render one composited frame and compare it with source and layer."""
    frame = FIRST_FRAME + index
    shown = studio.render_frame(scene, frame, out / f"composited_{frame:04d}.png").astype(int)
    layer = png.read(job.files[index])
    source = frames[index].astype(int)
    clear = layer[..., 3] == 0
    difference = np.abs(shown - studio.over(layer, frames[index]))
    return Check(
        frame=frame,
        clear=int(clear.sum()),
        worst_clear=int(np.abs(shown - source)[clear].max(initial=0)),
        worst_over=int(difference.max()),
        touched=float((~clear).mean()),
    )


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    except SystemExit as reason:
        print(reason.code if isinstance(reason.code, str) else "", file=sys.stderr)
        status = reason.code if isinstance(reason.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # the bpy module may hang at a normal exit
