"""Whole edits at full length, by the wall clock, and what the built-in model paints on the way."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.atlas.explicit import config as atlas_config
from backend.atlas.explicit.fit import decompose
from backend.atlas.render import render_layer
from backend.edit.config import EditConfig, preset
from backend.edit.image import edit_image
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.media import composite, write_png
from backend.progress import EDIT_PHASE, Silent
from scripts.gpu_check.bench import TEXTS, Bench, tiny
from scripts.make_clip import make_clip

REPORT_EVERY = 250  # steps


def check_whole_still(bench: Bench) -> str:
    """An image of 512², preset final, with the large model; then with the built-in one, to see."""
    side = 64 if bench.quick else 512
    made = make_clip(1, side, side)
    image, mask = made.frames[0], made.masks()[0]
    config = _config(bench, video=False)
    spent: dict[str, float] = {}
    for name, model in (("large", bench.model), ("built_in", bench.demo)):
        with bench.attempt(name):
            since = time.perf_counter()
            setup = Setup(TEXTS, model, config, Pace(bench, name))
            layer = edit_image(image, setup, mask)
            spent[name] = time.perf_counter() - since
            bench.put(f"{name}.alpha", float(layer[..., 3].mean() / 255))
            if name == "built_in":
                write_png(bench.out / "still.png", _sheet(image, layer))
    return ", ".join(f"{name} model {seconds:.1f} s" for name, seconds in spent.items())


def check_whole_clip(bench: Bench) -> str:
    """The foreground of the large clip, preset final, and its frames."""
    footage = bench.footage
    if bench.atlas is None:
        fit = atlas_config.preset("draft")
        bench.atlas = decompose(footage.frames, [footage.prompts], fit, bench.device, Silent())
    config = _config(bench, video=True)
    since = time.perf_counter()
    bench.reset_peak()
    setup = Setup(TEXTS, bench.model, config, Pace(bench, "edit"))
    rgba = edit_atlas(footage.frames, bench.atlas, "foreground", setup)
    bench.sync()
    trained = time.perf_counter() - since
    bench.put("trained_s", trained)
    bench.put("peak_gb", bench.peak_gb())
    frames = list(render_layer(bench.atlas, "foreground", rgba, Silent()))
    seconds = time.perf_counter() - since
    bench.put("rendered_s", seconds - trained)
    bench.put("seconds", seconds)
    return f"{config.steps} steps and {len(frames)} frames in {seconds:.1f} s"


class Pace(Silent):
    """A Reporter that puts the seconds since the first step, at times."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.bench, self.name = bench, name
        self._since, self._done = time.perf_counter(), -1

    def step(self, phase: str, done: int, total: int) -> None:
        """Called often within a step."""
        if phase != EDIT_PHASE or done == self._done:
            return
        self._done = done
        if done == 0:
            self.bench.put(f"{self.name}.set_up_s", time.perf_counter() - self._since)
        if done % REPORT_EVERY == 0 or done == total:
            seconds = time.perf_counter() - self._since
            self.bench.put(f"{self.name}.seconds_at_step_{done}", seconds)


def _config(bench: Bench, *, video: bool) -> EditConfig:
    config = preset("final", video=video, layer="foreground")
    return tiny(replace(config, steps=4)) if bench.quick else config


def _sheet(image: NDArray[np.uint8], layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Image, composite and matte side by side."""
    matte = np.repeat(layer[..., 3:], 3, axis=2)
    return np.ascontiguousarray(np.hstack([image, composite(image, layer), matte]))
