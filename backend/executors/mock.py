"""Stand-ins for real jobs, without torch: everything that a job can do to those who wait for it.

Each is a runner (spec, ctx) -> Result in an ordinary worker process, so everything but the
mathematics is real. Chosen with ``python -m backend.serve --mock KIND``:

- ``ok``: makes a tinted layer within two seconds, with progress, a preview and pictures.
- ``fail``: fails halfway with a JobError. ``bug``: fails with an ordinary exception.
- ``stall``: never ends until it is cancelled. ``deaf``: never ends, and ignores the cancel.
- ``half``: stores half of the layer's frames, then fails.
- ``crash``: kills the worker process halfway, but only once per data folder.
- ``die``: kills the whole server halfway, but only once per data folder.

An empty file ``<data>/mock-crashed`` or ``<data>/mock-died`` marks that it has happened.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import zlib

import numpy as np
from numpy.typing import NDArray

from backend.context import Context
from protocol.jobs import (
    BOTH,
    JobError,
    JobSpec,
    MaskJob,
    ObjectRef,
    Result,
)
from protocol.layers import layers_of, objects_of

STEPS = 20
PAUSE = float(os.environ.get("TEXT2LIVE_MOCK_PAUSE", "0.04"))  # seconds per step


def ok(spec: JobSpec, ctx: Context) -> Result:
    """A tinted layer for an edit, paint or mask; pictures only for an atlas."""
    first = _work(spec, ctx)
    *objects, background = layers_of(len(objects_of(spec)))
    pictures = {f"{layer}_atlas": ctx.store(tinted(first, spec)) for layer in objects}
    pictures[f"{background}_atlas"] = ctx.store(_opaque(first))
    numbers = {"psnr": 40.0, "seconds": STEPS * PAUSE}
    if spec.changes is None:
        return Result(pictures=pictures, numbers=numbers)
    name = "painted_atlas" if spec.images else "edited_atlas"
    pictures[name] = ctx.store(tinted(first, spec))
    layer: list[ObjectRef] = []
    parts: dict[str, list[ObjectRef]] = {"foreground": [], "background": []}
    for index, ref in enumerate(spec.clip.frames):
        ctx.step("Rendering the layer", index, len(spec.clip.frames))
        front = tinted(ctx.load(ref), spec)
        if spec.changes != BOTH:
            layer.append(ctx.store(front))
            continue
        back = _outside(front)
        parts["foreground"].append(ctx.store(front))
        parts["background"].append(ctx.store(back))
        layer.append(ctx.store(np.where(front[..., 3:] > 0, front, back)))
    named = {name: tuple(refs) for name, refs in parts.items() if refs}
    if isinstance(spec, MaskJob):
        return Result(layer=tuple(layer), numbers=numbers, confidence=_doubtful_at_the_end(layer))
    return Result(layer=tuple(layer), parts=named, pictures=pictures, numbers=numbers)


def _doubtful_at_the_end(layer: list[ObjectRef]) -> tuple[float, ...]:
    """A confidence for every frame; the last quarter is lost."""
    sure = len(layer) - len(layer) // 4
    return (0.9,) * sure + (0.2,) * (len(layer) - sure)


def fail(spec: JobSpec, ctx: Context) -> Result:
    """Fail with a sentence for the artist."""
    _work(spec, ctx, part=0.5)
    raise JobError("mock_failure", "The stand-in failed on purpose.", "Use --mock ok.")


def bug(spec: JobSpec, ctx: Context) -> Result:
    """Fail with an ordinary exception."""
    _work(spec, ctx, part=0.5)
    raise ZeroDivisionError("a stand-in divided by zero")


def stall(spec: JobSpec, ctx: Context) -> Result:
    """Run until cancelled."""
    _work(spec, ctx, part=0.5)
    while True:
        ctx.check()
        time.sleep(PAUSE)


def deaf(spec: JobSpec, ctx: Context) -> Result:
    """Run for ever and ignore the cancel."""
    _work(spec, ctx, part=0.5)
    while True:
        time.sleep(PAUSE)


def half(spec: JobSpec, ctx: Context) -> Result:
    """Store half of the layer, then fail."""
    _work(spec, ctx)
    frames = spec.clip.frames
    for ref in frames[: (len(frames) + 1) // 2]:
        ctx.store(tinted(ctx.load(ref), spec))
    raise JobError("mock_failure", "The stand-in failed halfway.", "Use --mock ok.")


def crash(spec: JobSpec, ctx: Context) -> Result:
    """End the worker process halfway, once."""
    if _first_time(ctx, "mock-crashed"):
        _work(spec, ctx, part=0.5)
        print("the stand-in ends its own process", file=sys.stderr, flush=True)
        os._exit(13)
    return ok(spec, ctx)


def die(spec: JobSpec, ctx: Context) -> Result:
    """Kill the server halfway, once; a restarted server finishes the job."""
    if _first_time(ctx, "mock-died"):
        _work(spec, ctx, part=0.5)
        os.kill(os.getppid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        time.sleep(60)
    return ok(spec, ctx)


def _first_time(ctx: Context, marker: str) -> bool:
    path = ctx.data / marker
    if path.exists():
        return False
    path.touch()
    return True


def _work(spec: JobSpec, ctx: Context, part: float = 1.0) -> NDArray[np.uint8]:
    """Phases with progress, a note and a preview; returns the first frame."""
    first = ctx.load(spec.clip.frames[0])
    ctx.note("This is a stand-in: nothing is trained.")
    for phase in ("Decomposing", "Editing"):
        for index in range(int(STEPS * part)):
            ctx.step(phase, index, STEPS)
            time.sleep(PAUSE)
        ctx.preview(tinted(first, spec))
    return first


def _opaque(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    full = np.full((*frame.shape[:2], 1), 255, np.uint8)
    return np.concatenate([frame, full], axis=2)


def _outside(layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The darkened layer outside the ellipse."""
    return np.concatenate([layer[..., :3] // 2, 255 - layer[..., 3:]], axis=2)


def tinted(frame: NDArray[np.uint8], spec: JobSpec) -> NDArray[np.uint8]:
    """The frame tinted by the job's title and seed, alpha a centred ellipse: uint8 [H,W,4]."""
    code = zlib.crc32(f"{spec.title}|{spec.seed}".encode())
    tint = np.frombuffer(code.to_bytes(4, "little")[:3], np.uint8)
    height, width = frame.shape[:2]
    y = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    x = (np.arange(width)[None, :] + 0.5) / width * 2 - 1
    inside = (x**2 + y**2) < 0.6**2
    colour = frame // 2 + tint // 2
    return np.concatenate([colour, np.where(inside, 255, 0)[..., None].astype(np.uint8)], axis=2)
