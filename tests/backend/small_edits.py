"""A worker's runner whose edits are small, save every step, and can be held at one."""

from __future__ import annotations

from dataclasses import replace

from held_checkpoint import HeldCheckpoint
from tiny_clip import tiny_model

from backend.clip import cache
from backend.context import Context
from backend.edit import config as edit_config
from backend.edit.resume import EDIT_PHASE
from backend.methods import checkpoints
from backend.methods.dispatch import run_job
from protocol.jobs import JobSpec, Result

STEPS, HELD_AT = 8, 3
PRESET = edit_config.preset


def run(spec: JobSpec, ctx: Context) -> Result:
    """The real method of the job with few steps and a CLIP of random weights."""
    edit_config.preset = lambda name, **kw: replace(
        PRESET(name, **kw), steps=STEPS, channels=4, scales=3, size=64
    )
    cache.text_image_model = lambda model, device: tiny_model()
    checkpoints.Checkpoint = lambda path, **rest: HeldCheckpoint(
        path, ctx.data, (EDIT_PHASE, HELD_AT), **rest
    )
    return run_job(spec, ctx)
