"""A worker's runner whose networks are small, save every step, and can be held at one."""

from __future__ import annotations

from dataclasses import replace

from held_checkpoint import HeldCheckpoint
from tiny_mlp import TINY

from backend.atlas.mlp import config as mlp_config
from backend.context import Context
from backend.methods import atlas, dispatch
from protocol.jobs import JobSpec, Result

SMALL = replace(TINY, warm_passes=4, warm_until=0.5, steps=8)
HELD_AT = ("joint", 3)


def run(spec: JobSpec, ctx: Context) -> Result:
    """The real method of the job with networks of a few units."""
    mlp_config.preset = lambda name, seed=0: replace(SMALL, seed=seed)
    atlas.Checkpoint = lambda path, **rest: HeldCheckpoint(path, ctx.data, HELD_AT, **rest)
    return dispatch.run_job(spec, ctx)
