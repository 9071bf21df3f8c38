"""Edits under way: a job that is run again finds by content how far it was."""

from __future__ import annotations

import hashlib

import msgpack
import msgspec

from backend.atlas import engines
from backend.checkpoint import Checkpoint
from backend.context import Context
from backend.masks import resolve
from backend.methods import atlas_cache
from backend.painters.base import Plan
from protocol.jobs import EditJob

# A cancelled edit is kept as well: the same one, asked for again, goes on. But it is large, and
# soon nobody wants it any more.
STALE = 3 * 24 * 3600.0


class EditCheckpoints:
    """A job's training states, one file per layer and shot, kept until the job is done."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._folder = ctx.data / "edits"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._given: list[Checkpoint] = []
        atlas_cache.sweep(self._folder, STALE)

    def of_layer(self, spec: EditJob, layer: str, plan: Plan) -> Checkpoint:
        """The checkpoint of one layer of a shot; its name hashes all that decides it."""
        identity = (
            (resolve.VERSION, engines.VERSIONS[spec.engine]),
            msgspec.to_builtins(spec),
            layer,
            plan.identity,
            engines.settings(spec.engine, spec.preset, spec.seed),
            self._ctx.device.type,
        )
        key = hashlib.sha256(msgpack.packb(identity)).hexdigest()
        path = self._folder / f"{key}.part"
        self._given.append(Checkpoint(path, report=self._ctx, what="edit"))
        return self._given[-1]

    def drop(self) -> None:
        """The job is done: forget its states."""
        for checkpoint in self._given:
            checkpoint.drop()
