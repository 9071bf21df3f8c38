"""Play a session in a real Blender window on a virtual screen, and take a screenshot of each step.

    python -m scripts.blender.window_session --blender /usr/bin/blender --out DIR \\
        [--guide docs/guide]

Builds the add-on for Blender before 4.2 (`scripts.build_extension --legacy`), installs it into an
empty user folder, then clicks and types as an artist does (scripts/blender/window/story.py): start
a local backend, click the strip, drag a box, analyse, enter a prompt, make a layer, paint,
composite. Run it in the Python that has the backend's packages; needs xvfb-run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scripts.build_extension import build_legacy
from scripts.make_clip import make_clip, write_clip

REPOSITORY = Path(__file__).resolve().parents[2]
STORY = REPOSITORY / "scripts" / "blender" / "window" / "story.py"
WIDTH, HEIGHT = 1600, 1000
LARGEST = 150_000  # bytes of an image in the guide


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m scripts.blender.window_session")
    add = result.add_argument
    add("--blender", default="blender", help="Blender 3.4 to 4.1 (default: %(default)s)")
    add("--out", type=Path, required=True, help="folder for all output")
    add("--guide", type=Path, help="also write small JPEGs of the screenshots to this folder")
    add("--frames", type=int, default=20, help="length of the demo clip (default: %(default)s)")
    add("--mock", action="store_true", help="use a mock backend, to try out the story")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Play the session; returns 0, or 1 if it failed."""
    options = parser().parse_args(arguments)
    for program in (options.blender, "xvfb-run"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} was not found. Install it, or set --blender.")
    out: Path = options.out.resolve()
    for name in ("user", "data", "shots"):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / "shots").mkdir(parents=True)
    clip = make_clip(options.frames)
    write_clip(clip, out / "clip")
    height, width = clip.frames.shape[1:3]
    config = {
        "zip": str(build_legacy("linux-x64", out)),
        "frames": str(out / "clip" / "frames"),
        "size": [width, height],
        "box": around(cv2.boundingRect(clip.masks()[0]), width, height),
        "python": sys.executable,
        "repository": str(REPOSITORY),
        "options": "--mock ok" if options.mock else "--device cpu",
        "shots": str(out / "shots"),
        "blend": str(out / "shot.blend"),
    }
    status = run(options.blender, out, config)
    if not (out / "shots" / "kept.json").exists():
        raise SystemExit("Blender ended before the first screenshot; see its output above.")
    kept = crop(out / "shots", options.guide if status == 0 else None)
    print(f"{kept} screenshots in {out / 'shots'}")
    return status


def around(box: Sequence[int], width: int, height: int) -> list[int]:
    """A slightly larger box, as drawn by hand: x, y, width, height -> left, top, right, bottom."""
    x, y, wide, high = box
    margin = height // 36
    return [
        max(0, x - margin),
        max(0, y - margin),
        min(width, x + wide + margin),
        min(height, y + high + margin),
    ]


def run(blender: str, out: Path, config: dict[str, Any]) -> int:
    """Run Blender with the story on a virtual screen; returns its exit status."""
    user = out / "user"
    for part in ("config", "datafiles", "temporary"):
        (user / part).mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "BLENDER_USER_SCRIPTS": str(user / "scripts"),
        "BLENDER_USER_CONFIG": str(user / "config"),
        "BLENDER_USER_DATAFILES": str(user / "datafiles"),
        "TMPDIR": str(user / "temporary"),
        "TEXT2LIVE_DATA": str(out / "data"),
        "TEXT2LIVE_STORY": json.dumps(config),
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    command = ["xvfb-run", "--auto-servernum", "--server-args", f"-screen 0 {WIDTH}x{HEIGHT}x24"]
    command += [blender, "--factory-startup", "--app-template", "Video_Editing"]
    command += ["--enable-event-simulate", "--window-geometry", "0", "0", str(WIDTH), str(HEIGHT)]
    command += ["--python-exit-code", "1", "--python", str(STORY)]
    return subprocess.run(command, cwd=out, env=environment, check=False).returncode


def crop(shots: Path, guide: Path | None) -> int:
    """Crop every screenshot; for the guide, also write JPEGs of at most LARGEST bytes."""
    kept: dict[str, list[int]] = json.loads((shots / "kept.json").read_text())
    for name, (left, top, right, bottom) in kept.items():
        screenshot = cv2.imread(str(shots / f"{name}.png"))
        assert screenshot is not None, name
        image = without_empty_end(screenshot[top:bottom, left:right])
        cv2.imwrite(str(shots / f"{name}.png"), image)
        if guide is not None:
            guide.mkdir(parents=True, exist_ok=True)
            (guide / f"{name}.jpg").write_bytes(small(image))
    return len(kept)


def without_empty_end(image: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """Cut off the empty space below the last panel; ignores the tabs on the right."""
    inner = image[:, : int(image.shape[1] * 0.85)]
    filled = np.flatnonzero(np.ptp(inner, axis=1).any(axis=1))
    return image[: min(len(image), int(filled.max()) + 12)]


def small(image: cv2.typing.MatLike) -> bytes:
    """A JPEG of at most LARGEST bytes."""
    for quality in range(92, 30, -4):
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= LARGEST:
            return bytes(data)
    raise SystemExit("an image cannot be made small enough")


if __name__ == "__main__":
    sys.exit(main())
