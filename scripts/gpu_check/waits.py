"""Where the host waits for the device, by the line of the project that causes each wait."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TextIO

import torch

from backend.atlas.explicit import config as atlas_config
from backend.atlas.explicit.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.render import render_layer
from backend.edit.config import EditConfig, preset
from backend.edit.image import edit_image
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.masks.prompts import MaskPrompts
from backend.progress import EDIT_PHASE, Silent
from scripts.gpu_check.bench import TEXTS, Bench, tiny

ROOT = Path(__file__).resolve().parents[2]
WARM = 3  # first steps of a phase, whose waits are not counted as those of a step
EDIT_STEPS = 13
SHOWN = 12  # lines to list of each phase


def check_waits(bench: Bench) -> str:
    """Count waits in an atlas fit, an image's edit, a clip's edit and a render."""
    frames = bench.shot.frames
    totals: dict[str, float] = {}
    atlas: LayeredAtlas | None = None
    fit = atlas_config.preset("draft")
    fit = replace(fit, long_side=160, uv_steps=8, half_steps=8, full_steps=8)
    with bench.attempt("atlas"), counted(bench, "atlas", totals) as log:
        prompts = MaskPrompts("all", dict(enumerate(bench.shot.masks())))
        atlas = decompose(frames, [prompts], fit, bench.device, log)
    with bench.attempt("edit still"), counted(bench, "edit still", totals) as log:
        setup = Setup(TEXTS, bench.demo, _config(bench, video=False), log)
        edit_image(frames[0], setup)
    if atlas is not None:
        with bench.attempt("edit clip"), counted(bench, "edit clip", totals) as log:
            setup = Setup(TEXTS, bench.demo, _config(bench, video=True), log)
            rgba = edit_atlas(frames, atlas, "foreground", setup)
        with bench.attempt("render"), counted(bench, "render", totals) as log:
            list(render_layer(atlas, "foreground", rgba, log))
    if bench.on_cuda:
        with bench.attempt("tests"):
            _run_tests(bench)
    if not bench.on_cuda:
        return "a CPU has no waits to count; the checks ran"
    return "; ".join(f"{name}: {number:.1f} per step" for name, number in totals.items())


def _config(bench: Bench, *, video: bool) -> EditConfig:
    config = preset("draft", video=video, layer="foreground")
    config = replace(config, steps=EDIT_STEPS, preview_every=1000)
    return tiny(replace(config, steps=6)) if bench.quick else config


class WaitLog(Silent):
    """A Reporter that knows the phase and step in which CUDA reports a wait."""

    def __init__(self) -> None:
        self.phase, self.done = "set-up", 0
        self.steps: dict[str, set[int]] = defaultdict(set)
        self.waits: dict[str, Counter[str]] = defaultdict(Counter)

    def step(self, phase: str, done: int, total: int) -> None:
        """Note where the work is; the first steps of a phase are a phase of their own."""
        self.phase = phase if done >= WARM and done < total else f"{phase}, first and last"
        self.done = done
        self.steps[self.phase].add(done)

    def note_wait(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """A replacement of warnings.showwarning."""
        if "called a synchronizing" in str(message):
            self.waits[self.phase][_line_of_ours(sys._getframe(1))] += 1

    def per_step(self, phase: str) -> float:
        """Waits per step of a phase after its first ones."""
        return sum(self.waits[phase].values()) / max(1, len(self.steps[phase]))


@contextmanager
def counted(bench: Bench, name: str, totals: dict[str, float]) -> Iterator[WaitLog]:
    """Count the waits of a block; puts them, and those per step into totals."""
    log = WaitLog()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = log.note_wait
        if bench.on_cuda:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield log
        finally:
            if bench.on_cuda:
                torch.cuda.set_sync_debug_mode("default")
    bench.put(f"{name}.all", sum(sum(lines.values()) for lines in log.waits.values()))
    for phase, steps in log.steps.items():
        label = name if phase == EDIT_PHASE else f"{name}.{phase}"
        if len(steps) > 2 and not phase.endswith(", first and last"):
            totals[label] = log.per_step(phase)
            bench.put(f"{label}.per_step", totals[label])
    for phase, lines in log.waits.items():
        bench.put(f"{name}.lines.{phase}", dict(lines.most_common(SHOWN)))


def _line_of_ours(frame: FrameType | None) -> str:
    """The innermost line of backend/ on the stack, with its caller."""
    found: list[str] = []
    while frame is not None and len(found) < 2:
        path = Path(frame.f_code.co_filename)
        if "backend" in path.parts and "site-packages" not in path.parts:
            at = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
            found.append(f"{at}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    outside = "backwards" if threading.current_thread() is not threading.main_thread() else "?"
    return " < ".join(found) or outside


def _run_tests(bench: Bench) -> None:
    """The project's own tests that need a GPU."""
    if importlib.util.find_spec("pytest") is None:
        bench.put("tests.result", "pytest is not installed")
        return
    files = [
        str(path)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "mark.cuda" in path.read_text(encoding="utf-8")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
    if importlib.util.find_spec("pytest_timeout") is None:  # the project's settings need it
        command += ["-c", "/dev/null", "--rootdir", str(ROOT)]
    done = subprocess.run(
        [*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=45, check=False
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    bench.put("tests.result", lines[-1] if lines else f"exit code {done.returncode}")
    if done.returncode:
        bench.put("tests.output", lines[-60:])
        bench.problem(f"tests that need a GPU: {lines[-1] if lines else done.returncode}")
