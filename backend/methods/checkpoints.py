"""Checkpoints of edits: a job that is run again resumes where it was interrupted."""

from __future__ import annotations

import hashlib

import msgpack
import msgspec
from msgspec.structs import replace

from backend.atlas import engines
from backend.checkpoint import Checkpoint
from backend.context import Context
from backend.imported_atlases import identity_of
from backend.masks import resolve
from backend.methods import atlas_cache
from backend.painters.base import Plan
from protocol.jobs import EditJob

STALE = 3 * 24 * 3600.0
"""Seconds a checkpoint is kept, also that of a cancelled edit: submitted again, it resumes."""


class EditCheckpoints:
    """A job's training states, one file per layer and shot, kept until the job is done."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._folder = ctx.data / "edits"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._checkpoints: list[Checkpoint] = []
        atlas_cache.sweep(self._folder, STALE)

    def of_layer(self, spec: EditJob, layer: str, plan: Plan) -> Checkpoint:
        """The checkpoint of one layer of a shot; its name is a hash of all that determines it."""
        identity = (
            (resolve.VERSION, engines.VERSIONS[spec.engine]),
            msgspec.to_builtins(replace(spec, clip=replace(spec.clip, start=1))),
            layer,
            plan.identity,
            engines.settings(spec.engine, spec.preset, spec.seed),
            self._ctx.device.type,
            *identity_of(spec, self._ctx.data),
        )
        key = hashlib.sha256(msgpack.packb(identity)).hexdigest()
        path = self._folder / f"{key}.part"
        self._checkpoints.append(Checkpoint(path, report=self._ctx, what="edit"))
        return self._checkpoints[-1]

    def drop(self) -> None:
        """Delete them: the job is done."""
        for checkpoint in self._checkpoints:
            checkpoint.drop()
