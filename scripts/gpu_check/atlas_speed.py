"""Seconds of a whole atlas, preset final, phase by phase on the wall clock."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import replace
from typing import Any

from torch.profiler import profile

from backend.atlas.explicit.config import AtlasConfig, preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.report import sheet
from backend.media import write_png
from backend.progress import Silent
from scripts.gpu_check.bench import Bench
from scripts.gpu_check.traces import started_profile, traced

UV, JOINT = "Unwrapping", "Fitting the atlas"
TRACED = 3  # steps of each kind


def check_atlas(bench: Bench) -> str:
    """Decompose the large clip; then again briefly, to trace the steps of each kind."""
    config = preset("final")
    if bench.quick:
        config = replace(config, long_side=96, uv_steps=8, half_steps=8, full_steps=8)
    footage = bench.footage
    clock = PhaseClock(bench)
    bench.reset_peak()
    since = time.perf_counter()
    atlas = decompose(footage.frames, [footage.prompts], config, bench.device, clock)
    bench.sync()
    seconds = time.perf_counter() - since
    bench.atlas = atlas
    clock.step("", 0, 1)
    bench.put("seconds", seconds)
    bench.put("peak_gb", bench.peak_gb())
    bench.put("notes", clock.notes)
    for phase, spent in sorted(clock.seconds.items(), key=lambda one: -one[1]):
        bench.put(f"phase.{phase}", spent)
        if phase in (UV, JOINT):
            bench.put(f"ms_per_step.{phase}", spent / clock.steps[phase] * 1e3)
    for name, value in atlas.numbers.items():
        bench.put(name, value)
    with bench.attempt("sheet"):
        write_png(bench.out / "atlas.png", sheet(atlas, footage.frames))
    with bench.attempt("traces"):
        _trace(bench, config)
    slowest = max(clock.seconds, key=lambda phase: clock.seconds[phase])
    return (
        f"{seconds:.1f} s, slowest {slowest} {clock.seconds[slowest]:.1f} s, held out "
        f"{atlas.numbers.get('psnr_held_out', math.nan):.1f} dB, peak {bench.peak_gb():.1f} GB"
    )


class PhaseClock(Silent):
    """Wall-clock seconds by phase; the device is waited for where one ends."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.phase, self.since = bench, "Starting", time.perf_counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self.steps: dict[str, int] = defaultdict(int)
        self.notes: list[str] = []

    def step(self, phase: str, done: int, total: int) -> None:
        """Close the last phase where another begins."""
        if phase != self.phase:
            self.bench.sync()
            now = time.perf_counter()
            self.seconds[self.phase] += now - self.since
            self.phase, self.since = phase, now
        self.steps[phase] += 1

    def note(self, text: str) -> None:
        """Keep what the artist would read."""
        self.notes.append(text)


class StepTracer(Silent):
    """Traces steps by their number within a phase. at: phase and first step → name."""

    def __init__(self, bench: Bench, at: dict[tuple[str, int], str]) -> None:
        self.bench, self.at = bench, at
        self.found: dict[str, dict[str, Any]] = {}
        self._stop: tuple[str, int] | None = None
        self._profile: profile | None = None

    def step(self, phase: str, done: int, total: int) -> None:
        """Start or stop where a step begins."""
        if (phase, done) == self._stop and self._profile is not None:
            self.bench.sync()
            self._profile.stop()
            name = self.at[phase, done - TRACED]
            self.found[name] = traced(self._profile, TRACED)
            self._stop = None
        if (phase, done) in self.at:
            self.bench.sync()
            self._stop = (phase, done + TRACED)
            self._profile = started_profile(self.bench.on_cuda)


def _trace(bench: Bench, config: AtlasConfig) -> None:
    """Kernels and waits of UV, half-size and full-size steps, on the first frames."""
    short = replace(config, uv_steps=8, half_steps=8, full_steps=8)
    frames = bench.footage.frames[:10]
    prompts = replace(bench.footage, masks=bench.footage.masks[:10]).prompts
    tracer = StepTracer(bench, {(UV, 4): "UV", (JOINT, 4): "half", (JOINT, 12): "full"})
    decompose(frames, [prompts], short, bench.device, tracer)
    for name, values in tracer.found.items():
        bench.put(f"step.{name}", values)
