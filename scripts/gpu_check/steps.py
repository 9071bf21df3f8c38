"""Speed and memory of the steps of an edit, by the product's own training loop at full size."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from torch.profiler import profile

from backend.atlas.interface import LayeredAtlas
from backend.edit.config import EditConfig, preset
from backend.edit.train import Setup, Subject, train
from backend.edit.video import ClipLayer
from backend.progress import EDIT_PHASE, Silent
from scripts.gpu_check.bench import TEXTS, Bench, tiny
from scripts.gpu_check.traces import started_profile, traced
from scripts.measure.benchmark_edit import FlatAtlas, prepare

WARM, TIMED_IMAGE, TIMED_VIDEO, TRACED = 10, 60, 40, 3


def check_image(bench: Bench) -> str:
    """Time an image's edit, preset final, at 512²."""
    config = _config(bench, video=False, layer="background")
    total, clock = config.steps, StepClock(bench, "", 2 if bench.quick else TIMED_IMAGE)
    config = replace(config, steps=clock.steps, preview_every=10**9)
    since = time.perf_counter()
    ready = prepare("image", bench.model, config, report=clock)
    bench.sync()
    bench.put("set_up_s", time.perf_counter() - since)
    train(ready.setup, ready)
    return clock.summary(total)


def check_video(bench: Bench) -> str:
    """Time a clip's edits, preset final: the foreground and the background."""
    footage = bench.footage
    atlas: Any = bench.atlas
    if atlas is None:
        bench.put("atlas", "a flat one, as the item atlas did not give one")
        atlas = FlatAtlas(footage.frames, bench.device)
    parts = []
    for layer in ("foreground", "background"):
        if isinstance(atlas, FlatAtlas) and layer == "foreground":
            continue
        with bench.attempt(layer):
            parts.append(f"{layer} {_time_layer(bench, atlas, layer)}")
    return "; ".join(parts)


def _time_layer(bench: Bench, atlas: LayeredAtlas, layer: str) -> str:
    config = _config(bench, video=True, layer=layer)
    total, clock = config.steps, StepClock(bench, f"{layer}.", 2 if bench.quick else TIMED_VIDEO)
    config = replace(config, steps=clock.steps, preview_every=10**9)
    since = time.perf_counter()
    setup = Setup(TEXTS, bench.model, config, clock)
    bench.reset_peak()
    subject: Subject = ClipLayer(bench.footage.frames, atlas, layer, setup)
    bench.sync()
    bench.put(f"{layer}.set_up_s", time.perf_counter() - since)
    bench.put(f"{layer}.set_up_peak_gb", bench.peak_gb())
    train(setup, subject)
    return clock.summary(total)


def _config(bench: Bench, *, video: bool, layer: str) -> EditConfig:
    config = preset("final", video=video, layer=layer)
    return tiny(config) if bench.quick else config


class StepClock(Silent):
    """A Reporter that times steps after the first ones together, then traces a few more.

    prefix: of the names of the values it puts.
    """

    def __init__(self, bench: Bench, prefix: str, timed: int) -> None:
        self.bench, self.prefix = bench, prefix
        self.first = 1 if bench.quick else WARM
        self.last = self.first + timed
        self.steps = self.last + (1 if bench.quick else TRACED)
        self.seconds, self.peak = 0.0, 0.0
        self.host: list[float] = []  # seconds from one step's start to the next's, without waiting
        self.trace: dict[str, Any] = {}
        self.notes: list[str] = []
        self._done, self._since, self._last = -1, 0.0, 0.0
        self._profile: profile | None = None

    def step(self, phase: str, done: int, total: int) -> None:
        """Called often within a step; acts when a new one begins."""
        if phase != EDIT_PHASE or done == self._done:
            return
        self._done = done
        if done == 0:
            self.bench.reset_peak()
        elif done == self.first:
            self.bench.sync()
            self.peak = self.bench.peak_gb()
            self._put("peak_gb_first_steps", self.peak)
            self.bench.reset_peak()
            self._since = self._last = time.perf_counter()
        elif self.first < done <= self.last:
            now = time.perf_counter()
            self.host.append(now - self._last)
            self._last = now
            if done == self.last:
                self._end_timing()
        elif done == self.steps and self._profile is not None:
            with self.bench.attempt(f"{self.prefix}trace"):
                self.bench.sync()
                self._profile.stop()
                self.trace = traced(self._profile, self.steps - self.last)
                for name, value in self.trace.items():
                    self._put(name, value)

    def _end_timing(self) -> None:
        self.bench.sync()
        self.seconds = (time.perf_counter() - self._since) / len(self.host)
        self._put("ms_per_step", self.seconds * 1e3)
        self._put("peak_gb", self.bench.peak_gb())
        self.peak = max(self.peak, self.bench.peak_gb())
        host = sorted(self.host)
        self._put("host_ms_median", host[len(host) // 2] * 1e3)
        self._put("host_ms_most", host[-1] * 1e3)
        with self.bench.attempt(f"{self.prefix}trace"):
            self._profile = started_profile(self.bench.on_cuda)

    def note(self, text: str) -> None:
        """Keep what the artist would read."""
        self.notes.append(text)
        self._put("notes", self.notes)

    def _put(self, name: str, value: Any) -> None:
        self.bench.put(self.prefix + name, value)

    def summary(self, total: int) -> str:
        """What was measured, in a few words. total: steps of the whole preset."""
        self._put("extrapolated_s", self.seconds * total)
        kernels = ""
        if self.trace:
            count, ms = self.trace["kernels_per_step"], self.trace["kernel_ms_per_step"]
            kernels = f"{count:.0f} kernels of {ms:.1f} ms, "
        return (
            f"{self.seconds * 1e3:.1f} ms per step, {kernels}{total} steps "
            f"{self.seconds * total:.0f} s, peak {self.peak:.1f} GB"
        )
