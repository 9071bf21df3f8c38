"""What fits smaller cards: the first steps of edits with less memory than the card has."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from backend.edit.config import EditConfig, preset
from backend.edit.train import Setup, train
from backend.edit.video import ClipLayer
from backend.progress import Silent
from protocol.jobs import JobError
from scripts.gpu_check.bench import TEXTS, Bench, tiny
from scripts.measure.benchmark_edit import FlatAtlas, prepare

LIMITS_GB = (12, 8, 6, 4)
STEPS = 4


class Notes(Silent):
    """A Reporter that keeps what the artist would read."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def check_memory(bench: Bench) -> str:
    """Run each case under each limit: it fits, scores fewer views at once, or refuses plainly."""
    cases: dict[str, Callable[[], Notes]] = {
        "still, final": partial(_still, bench, "final"),
        "still, draft": partial(_still, bench, "draft"),
        "foreground, final": partial(_clip, bench, "final", "foreground"),
        "background, final": partial(_clip, bench, "final", "background"),
    }
    parts = []
    for limit in LIMITS_GB if bench.on_cuda else (0,):
        fits = 0
        for name, run in cases.items():
            with limited(bench, limit):
                result = _outcome(bench, f"{name} in {limit} GB", run)
            bench.put(f"{limit} GB.{name}", result)
            fits += result.startswith("fits")
        parts.append(f"{fits} of {len(cases)} fit {limit} GB" if limit else f"{fits} ran")
    return ", ".join(parts)


def _outcome(bench: Bench, name: str, run: Callable[[], Notes]) -> str:
    """What a case did, in words; an unexpected error is a problem."""
    try:
        notes = run().notes
    except JobError as why:
        if why.problem.code != "out_of_memory":
            bench.problem(f"{name}: {why.problem.code}: {why.problem.message}")
        return f"refused: {why.problem.message} {why.problem.hint}"
    except (RuntimeError, MemoryError) as why:
        bench.problem(f"{name}: {type(why).__name__}: {str(why)[:200]}")
        return f"{type(why).__name__}"
    peak = f"peak {bench.peak_gb():.2f} GB"
    if bench.on_cuda:
        peak += f", reserved {torch.cuda.max_memory_reserved(bench.device) / 1e9:.2f} GB"
    return " ".join([f"fits, {peak}.", *(text for text in notes if "memory" in text)])


@contextmanager
def limited(bench: Bench, gigabytes: float) -> Iterator[None]:
    """Let this process use only so much of the card; without a limit on a CPU."""
    gc.collect()  # what an error's traceback still held
    if not bench.on_cuda:
        yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(bench.device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * 1e9 / total), bench.device)
    bench.reset_peak()
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, bench.device)


def _still(bench: Bench, name: str) -> Notes:
    report = Notes()
    ready = prepare("image", bench.model, _config(bench, name, False, "background"), report=report)
    train(ready.setup, ready)
    return report


def _clip(bench: Bench, name: str, layer: str) -> Notes:
    report, frames = Notes(), bench.footage.frames
    atlas: Any = bench.atlas or FlatAtlas(frames, bench.device)
    setup = Setup(TEXTS, bench.model, _config(bench, name, True, layer), report)
    train(setup, ClipLayer(frames, atlas, layer, setup))
    return report


def _config(bench: Bench, name: str, video: bool, layer: str) -> EditConfig:
    config = replace(preset(name, video=video, layer=layer), preview_every=10**9)
    config = replace(config, steps=1 if bench.quick else STEPS)
    return tiny(config) if bench.quick else config
