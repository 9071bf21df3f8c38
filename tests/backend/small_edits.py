"""A worker's runner whose edits are small and keep their state after every step."""

from __future__ import annotations

from dataclasses import replace

from tiny_clip import tiny_model

from backend.checkpoint import Checkpoint
from backend.clip import cache
from backend.context import Context
from backend.edit import config as edit_config
from backend.methods import checkpoints
from backend.methods.dispatch import run_job
from protocol.jobs import JobSpec, Result

STEPS = 40
PRESET = edit_config.preset


def run(spec: JobSpec, ctx: Context) -> Result:
    """The real method of the job with few steps and a CLIP of random weights."""
    edit_config.preset = lambda name, **kw: replace(
        PRESET(name, **kw), steps=STEPS, channels=4, scales=3, size=64
    )
    cache.text_image_model = lambda model, device: tiny_model()
    checkpoints.Checkpoint = lambda path, **rest: Checkpoint(path, every=0, **rest)
    return run_job(spec, ctx)
