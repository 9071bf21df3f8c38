"""Uploads and downloads of objects: only what is missing, in chunks, within the window.

Where client and backend share a folder, uploads go through it as whole files instead. No sockets
and no threads here: OpenRequests drives both classes, and they send through `ask`.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .codec import Bytes, Packet
from .events import ClientEvent, Fetched, RequestFailed, Uploading
from .inbox import put
from .jobs import ObjectRef, Problem, reference
from .limits import MAX_DIGESTS, Limits
from .messages import Ack, AnyMessage, Channel, Chunk, Data, Error, Fetch, Have, Need, Place

Source = Callable[[str], Any]  # digest -> the array, or its bytes
Ask = Callable[[Channel, AnyMessage, Callable[[Packet], None], Sequence[Bytes]], None]
Emit = Callable[[ClientEvent], None]

TRIES = 3  # for an object or a piece that arrives damaged
FULL_DISK_DELAY = 5.0  # seconds
BUSY_DELAY = 1.0  # seconds
REPORT_EVERY = 0.1  # seconds between Uploading events


@dataclass
class _Upload:
    job: str
    refs: dict[str, ObjectRef]
    source: Source
    total: int  # bytes of all objects
    todo: deque[tuple[ObjectRef, int]] = field(default_factory=deque)
    asking: int = 0
    sent: int = 0
    most: int = 0  # the largest value of sent so far
    reported: float = 0.0
    tries: int = 0
    not_before: float = 0.0


class Uploads:
    """Sends the objects of jobs to the backend, one job after another."""

    def __init__(self, ask: Ask, emit: Emit) -> None:
        self._ask = ask
        self._emit = emit
        self._queue: deque[_Upload] = deque()
        self._in_flight = 0
        self._round = 0  # answers of an earlier round are ignored
        self._started = False
        self._now = 0.0
        self._crc = True
        self._inbox: Path | None = None
        self._loaded: tuple[str, memoryview] | None = None

    def add(self, job: str, refs: dict[str, ObjectRef], source: Source) -> None:
        """Send the objects that the backend lacks."""
        if all(upload.job != job for upload in self._queue):
            total = sum(ref.nbytes for ref in refs.values())
            self._queue.append(_Upload(job, refs, source, total))

    def drop(self, job: str) -> None:
        """Stop sending for this job."""
        if self._queue and self._queue[0].job == job:
            self._next()
        else:
            self._queue = deque(upload for upload in self._queue if upload.job != job)

    def share(self, inbox: Path | None) -> None:
        """Put whole objects into this folder from now on; None: send chunks."""
        self._inbox = inbox

    def restart(self) -> None:
        """Ask again what is missing, on a new link."""
        self._round += 1
        self._in_flight = 0
        self._started = False

    def _next(self) -> None:
        self._queue.popleft()
        self._loaded = None
        self.restart()

    def pump(self, now: float, limits: Limits, *, crc: bool = True) -> None:
        """Send as much as the window allows. crc: with a CRC-32 of each chunk."""
        self._now, self._crc = now, crc
        while self._queue and now >= self._queue[0].not_before:
            upload = self._queue[0]
            if not self._started:
                self._start(upload)
            if upload.asking:
                return
            if not upload.todo:
                if self._in_flight:
                    return
                self._next()
                continue
            if self._in_flight >= limits.window or not self._send_next(upload, limits.chunk):
                return

    def _start(self, upload: _Upload) -> None:
        """Ask which of the objects are missing."""
        self._started = True
        digests = list(upload.refs)
        upload.todo.clear()
        upload.sent = upload.total
        batches = [tuple(digests[i : i + MAX_DIGESTS]) for i in range(0, len(digests), MAX_DIGESTS)]
        upload.asking = len(batches)
        for batch in batches:
            self._request(upload, "control", Have(digests=batch), self._missing)

    def _request(
        self,
        upload: _Upload,
        channel: Channel,
        message: AnyMessage,
        then: Callable[[_Upload, AnyMessage], None],
        buffers: Sequence[Bytes] = (),
    ) -> None:
        asked_in = self._round

        def answer(packet: Packet) -> None:
            if asked_in != self._round:
                return
            if isinstance(packet.message, Error):
                self._failed(upload, packet.message.problem)
            else:
                then(upload, packet.message)

        self._ask(channel, message, answer, buffers)

    def _missing(self, upload: _Upload, message: AnyMessage) -> None:
        if not isinstance(message, Need):
            return
        upload.asking -= 1
        for one in message.missing:
            ref = upload.refs.get(one.digest)
            if ref is not None:
                offset = one.offset if 0 <= one.offset < ref.nbytes else 0
                upload.todo.append((ref, offset))
                upload.sent -= ref.nbytes - offset
        if upload.asking:
            return
        if upload.sent > upload.most:  # another client may be sending the same objects
            upload.most, upload.tries = upload.sent, 0
        if upload.todo:
            self._emit(Uploading(upload.job, upload.sent, upload.total))

    def _send_next(self, upload: _Upload, size: int) -> bool:
        """Send the next chunk or object; False if its content cannot be had."""
        ref, offset = upload.todo[0]
        try:
            whole = self._bytes(upload, ref)
        except Exception as why:  # whatever the source raises, the link stays alive
            self._give_up(
                Problem(
                    code="source_failed",
                    message=f"A frame could not be read for sending: {why}",
                    hint="Send the job again to extract its frames again.",
                )
            )
            return False
        name = self._put(ref, whole)
        if name:
            upload.todo.popleft()
            credit = -(-len(whole) // size)  # as many as its chunks would have taken
            place = Place(digest=ref.digest, name=name)
            self._request_ack(upload, place, len(whole) - offset, credit)
            return True
        data = whole[offset : offset + size]
        upload.todo.popleft()
        if offset + len(data) < ref.nbytes:
            upload.todo.appendleft((ref, offset + len(data)))
        crc = zlib.crc32(data) if self._crc else None
        chunk = Chunk(digest=ref.digest, offset=offset, crc=crc)
        self._request_ack(upload, chunk, len(data), 1, (data,))
        return True

    def _put(self, ref: ObjectRef, data: memoryview) -> str:
        """Put an object into the shared folder; its name there, empty if that is not possible."""
        if self._inbox is None:
            return ""
        try:
            return put(self._inbox, ref.digest, data)
        except OSError:  # a full disk, perhaps: the backend answers chunks with the reason
            self._inbox = None
            return ""

    def _request_ack(
        self,
        upload: _Upload,
        message: Chunk | Place,
        length: int,
        credit: int,
        buffers: Sequence[Bytes] = (),
    ) -> None:
        """Send `length` bytes of an upload, which count as `credit` in the window."""
        self._in_flight += credit

        def acknowledged(upload: _Upload, message: AnyMessage) -> None:
            if not isinstance(message, Ack):
                return
            self._in_flight -= credit
            upload.sent += length
            if self._now - upload.reported >= REPORT_EVERY or upload.sent == upload.total:
                upload.reported = self._now
                self._emit(Uploading(upload.job, upload.sent, upload.total))

        self._request(upload, "bulk", message, acknowledged, buffers)

    def _bytes(self, upload: _Upload, ref: ObjectRef) -> memoryview:
        if self._loaded is None or self._loaded[0] != ref.digest:
            given = upload.source(ref.digest)
            if isinstance(given, np.ndarray):
                given = np.ascontiguousarray(given).data
            view = memoryview(given).cast("B")
            if len(view) != ref.nbytes:
                raise ValueError(f"it has {len(view)} bytes instead of {ref.nbytes}")
            self._loaded = (ref.digest, view)
        return self._loaded[1]

    def _failed(self, upload: _Upload, problem: Problem) -> None:
        if problem.code == "backend_busy":  # it passes
            self.restart()
            upload.not_before = self._now + BUSY_DELAY
            return
        if problem.code == "not_placed":  # something empties the folder: send chunks
            self._inbox = None
        upload.tries += 1
        full = problem.code in ("disk_full", "disk_error")
        again = problem.retryable or problem.code == "not_wanted"
        if full:
            self._emit(RequestFailed("upload", upload.job, problem))
        if not full and (upload.tries > TRIES or not again):
            self._give_up(problem)
            return
        self._loaded = None
        self.restart()
        if full:
            upload.not_before = self._now + FULL_DISK_DELAY

    def _give_up(self, problem: Problem) -> None:
        job = self._queue[0].job
        self._next()
        self._emit(RequestFailed("upload", job, problem))


@dataclass
class _Download:
    ref: ObjectRef
    tag: Any
    content: bytearray = field(default_factory=bytearray)  # allocated with the first request
    asked: int = 0
    got: int = 0
    tries: int = 0


class Downloads:
    """Fetches objects from the backend, in the order of the requests."""

    def __init__(self, ask: Ask, emit: Emit) -> None:
        self._ask = ask
        self._emit = emit
        self._queue: deque[_Download] = deque()
        self._in_flight = 0
        self._round = 0

    def add(self, ref: ObjectRef, tag: Any) -> None:
        """Fetch an object; answered by Fetched or RequestFailed."""
        if ref.dtype != "uint8" or len(ref.shape) != 3 or min(ref.shape) < 1:
            problem = Problem(
                code="bad_object",
                message="This is not a reference to an image.",
                hint="Update the backend and the add-on to the same version.",
            )
            self._emit(RequestFailed("fetch", None, problem, tag))
            return
        self._queue.append(_Download(ref, tag))

    def restart(self) -> None:
        """Continue after the bytes that have arrived, on a new link."""
        self._round += 1
        self._in_flight = 0
        for download in self._queue:
            download.asked = download.got

    def pump(self, limits: Limits) -> None:
        """Request as much as the window allows."""
        for download in self._queue:
            while download.asked < download.ref.nbytes:
                if self._in_flight >= limits.window:
                    return
                self._request(download, min(limits.chunk, download.ref.nbytes - download.asked))

    def _request(self, download: _Download, length: int) -> None:
        if not download.content:
            download.content = bytearray(download.ref.nbytes)
        offset, asked_in = download.asked, self._round
        download.asked += length
        self._in_flight += 1

        def answer(packet: Packet) -> None:
            if asked_in != self._round:
                return
            self._in_flight -= 1
            if download not in self._queue:
                return
            if isinstance(packet.message, Error):
                self._end(download, packet.message.problem)
            elif isinstance(packet.message, Data):
                self._take(download, offset, length, packet.message, packet.buffers)

        fetch = Fetch(digest=download.ref.digest, offset=offset, length=length)
        self._ask("bulk", fetch, answer, ())

    def _take(
        self,
        download: _Download,
        offset: int,
        length: int,
        message: Data,
        buffers: tuple[Bytes, ...],
    ) -> None:
        whole = (
            len(buffers) == 1
            and len(buffers[0]) == length
            and message.total == download.ref.nbytes
            and zlib.crc32(buffers[0]) == message.crc
        )
        if not whole:
            self._again(download)
        elif offset == download.got:  # otherwise an earlier piece is being requested again
            download.content[offset : offset + length] = buffers[0]
            download.got += length
            if download.got == download.ref.nbytes:
                self._finish(download)

    def _finish(self, download: _Download) -> None:
        array = np.frombuffer(download.content, np.uint8).reshape(download.ref.shape)
        if reference(array).digest != download.ref.digest:
            download.got = 0
            self._again(download)
            return
        self._queue.remove(download)
        self._emit(Fetched(download.ref, array, download.tag))

    def _again(self, download: _Download) -> None:
        download.tries += 1
        if download.tries <= TRIES:
            self.restart()
            return
        problem = Problem(
            code="damaged_transfer",
            message="An image arrived damaged several times.",
            hint="Check the network and the backend's disk, then fetch it again.",
            retryable=True,
        )
        self._end(download, problem)

    def _end(self, download: _Download, problem: Problem) -> None:
        self._queue.remove(download)
        self._emit(RequestFailed("fetch", None, problem, download.tag))
