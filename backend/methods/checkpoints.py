"""Edits under way: a job that is run again finds by content how far it was."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import msgpack
import msgspec

from backend.atlas import engines
from backend.checkpoint import Checkpoint
from backend.clip.model import TextImageModel
from backend.context import Context
from backend.edit import train
from backend.edit.config import EditConfig
from backend.masks import resolve
from backend.methods import atlas_cache
from protocol.jobs import EditJob

# A cancelled edit is kept as well: the same one, asked for again, goes on. But it is large, and
# soon nobody wants it any more.
STALE = 3 * 24 * 3600.0


class Unfinished:
    """The states of a job's edits, a file each in the backend's folder, until the job is done."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._folder = ctx.data / "edits"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._given: list[Checkpoint] = []
        atlas_cache.sweep(self._folder, STALE)

    def checkpoint(
        self, spec: EditJob, layer: str, config: EditConfig, clip: TextImageModel
    ) -> Checkpoint:
        """The checkpoint of one layer of one shot, known by everything that decides the result.

        spec: the shot's. config: of this layer.
        """
        engine = spec.atlas_engine
        identity = (
            (train.VERSION, resolve.VERSION, engines.VERSIONS[engine]),
            msgspec.to_builtins(spec),
            layer,
            asdict(config),
            engines.settings(engine, spec.preset, spec.seed),
            clip.fingerprint,
            msgspec.to_builtins(self._ctx.model),
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
