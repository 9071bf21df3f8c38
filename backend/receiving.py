"""Answers to clients that send objects: what is missing, and what each chunk completed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from backend.scheduler import Scheduler
from backend.store import Store
from protocol import messages as m
from protocol.codec import BadMessage, Packet
from protocol.inbox import is_placed_name
from protocol.jobs import JobError, ObjectRef
from protocol.limits import LIMITS, MAX_DIGESTS

Answer = Callable[[bytes, m.AnyMessage, str], object]  # route, message, id of the request


class _Full(NamedTuple):
    """An upload whose last chunk is written, and the request to answer once it is synced."""

    route: bytes
    re: str
    refs: tuple[ObjectRef, ...]
    held: int


class Receiving:
    """The uploads of all clients. Objects that become full together are synced together.

    inbox: the folder for whole objects. answer: sends the answer to a request that was not answered
    at once.
    """

    def __init__(self, store: Store, inbox: Path, scheduler: Scheduler, answer: Answer) -> None:
        self._store = store
        self._inbox = inbox
        self._scheduler = scheduler
        self._answer = answer
        self._full: dict[str, _Full] = {}  # by digest

    def have(self, message: m.Have) -> m.Need:
        """Which objects are missing, and where to continue."""
        if len(message.digests) > MAX_DIGESTS:
            raise BadMessage("bad_message", f"A have may list at most {MAX_DIGESTS} digests.")
        self.finish()
        missing = []
        for digest in message.digests:
            refs = self._scheduler.wanted(digest)
            if not refs:
                continue
            held = self._store.held(*refs)
            complete = [ref for ref in refs if self._store.has(ref)]
            if complete:
                self._scheduler.arrived(complete[0])
            else:
                missing.append(m.Missing(digest=digest, offset=held))
        return m.Need(missing=tuple(missing))

    def chunk(self, route: bytes, packet: Packet, message: m.Chunk) -> m.Ack | None:
        """Write a chunk. After an object's last one there is no answer yet: see `finish`."""
        buffers = packet.buffers
        if len(buffers) != 1 or not 0 < len(buffers[0]) <= LIMITS.chunk:
            raise BadMessage("bad_message", f"A chunk must carry 1 to {LIMITS.chunk} bytes.")
        if message.offset < 0:
            raise BadMessage("bad_message", "A chunk's offset cannot be negative.")
        refs = self._wanted(message.digest)
        data = memoryview(buffers[0])
        held = self._store.write(refs[0], message.offset, message.crc, data, finish=False)
        return self._written(route, packet, refs, held)

    def place(self, route: bytes, packet: Packet, message: m.Place) -> m.Ack | None:
        """Take an object from the inbox. The answer comes as that to its last chunk would."""
        if not is_placed_name(message.name):
            raise BadMessage("bad_message", "This is not the name of an object in the inbox.")
        file = self._inbox / message.name
        try:
            refs = self._wanted(message.digest)
            if not self._store.has(refs[0]):
                self._store.adopt(message.digest, file)
        finally:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        return self._written(route, packet, refs, self._store.held(*refs, finish=False))

    def _wanted(self, digest: str) -> tuple[ObjectRef, ...]:
        if digest in self._full:
            self.finish()
        refs = self._scheduler.wanted(digest)
        if not refs:
            raise JobError(
                "not_wanted",
                "No waiting job needs this object.",
                "Submit the job first, unless it is cancelled or already complete.",
            )
        return refs

    def _written(
        self, route: bytes, packet: Packet, refs: tuple[ObjectRef, ...], held: int
    ) -> m.Ack | None:
        """Acknowledge what was written, at once unless it may complete the object."""
        digest = refs[0].digest
        if self._store.is_full(refs):
            self._full[digest] = _Full(route, packet.id, refs, held)
            return None
        complete = held >= refs[0].nbytes and self._store.has(refs[0])
        if complete:
            self._scheduler.arrived(refs[0])
        return m.Ack(digest=digest, held=held, complete=complete)

    def finish(self) -> None:
        """Verify and sync the objects whose last chunk has been written, and acknowledge them."""
        if not self._full:
            return
        full, self._full = self._full, {}
        outcomes = self._store.finish([one.refs for one in full.values()])
        for digest, one in full.items():
            outcome = outcomes[digest]
            if isinstance(outcome, JobError):
                self._answer(one.route, m.error(outcome.problem), one.re)
                continue
            if outcome is not None:
                self._scheduler.arrived(outcome)
            ack = m.Ack(digest=digest, held=one.held, complete=outcome is not None)
            self._answer(one.route, ack, one.re)
