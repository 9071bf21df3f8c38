"""The backend's main loop: one thread that owns the endpoint, the journal and the store.

Never imports torch: the work is done in processes that an Executor starts. Executors call `_sink`
from their own threads; it queues the report and wakes the loop.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue

import msgspec
import zmq

from backend.data_folder import MODELS
from backend.endpoint import Endpoint, Unreachable
from backend.executors.base import AnyReport, Executor, Ready
from backend.housekeeping import Housekeeping, Policy
from backend.inbox import Inbox
from backend.journal import JobRecord, Journal
from backend.receiving import Receiving
from backend.redact import Redactor
from backend.scheduler import Scheduler
from backend.store import Store
from protocol import messages as m
from protocol.codec import BadMessage, Bytes, Packet, decode, encode, pack, unpack
from protocol.jobs import JobError, Problem
from protocol.keys import KeyPair
from protocol.limits import LIMITS, MIB, PROTOCOL
from protocol.places import check_names_only
from protocol.upgrade import job_from
from protocol.wake import Waker

NAME = "text2live-backend"
FORGET_PEER = 60.0  # seconds of silence
_BATCH = 32  # events read at once
DISK_STEP = 64 * MIB  # the free space is reported in these steps, or it would always be news
_MESSAGES = 64  # handled before events are pushed and jobs are scheduled
_BUSY, _IDLE = 5, 100  # milliseconds to wait for messages, with and without work left
_RETRY = 1.0  # seconds after a failed write
_log = logging.getLogger(__name__)


class Peer(msgspec.Struct):
    """One socket of a client. key: its public key. follows: job -> seq of the newest event sent.

    same_user: whether it runs as the backend's user on the backend's machine.
    """

    key: str
    seen: float
    same_user: bool
    follows: dict[str, int] = {}


class Server:
    """Serves the jobs in a data folder until `stop` is called. Make it and run it in one thread.

    allowed: public client keys (Z85) and their names. address: ``tcp://127.0.0.1:5599``; port 0
    picks a free one. models: folder in which jobs name models. proof: secret of clients that run as
    the same user on this machine. Raises JobError ``address_in_use``, ``data_in_use``.
    """

    def __init__(
        self,
        address: str,
        data: Path,
        keys: KeyPair,
        allowed: Mapping[str, str],
        executor: Executor,
        *,
        model: str = "",
        models: Path | None = None,
        proof: str = "",
        policy: Policy = Policy(),  # noqa: B008  (frozen)
        on_ready: Callable[[str], None] = lambda device: None,
    ) -> None:
        self.epoch = secrets.token_hex(8)
        self._redactor = Redactor(data, models or data / MODELS)
        self._model = self._redactor.text(model)
        self._proof = proof
        self._on_ready = on_ready
        self._executor = executor
        self._reports: SimpleQueue[tuple[str, AnyReport]] = SimpleQueue()
        self._unwritten: deque[tuple[str, AnyReport]] = deque()
        self._retry_at = 0.0
        self._peers: dict[bytes, Peer] = {}
        self._changed: set[str] = set()
        self._stopping = False
        self._journal = Journal(data / "journal.sqlite")
        self.store = Store(data / "objects")
        self._inbox = Inbox(data / "inbox", self.epoch)
        self._housekeeping = Housekeeping(data, self.store, self._journal, policy, self._inbox)
        self._scheduler = Scheduler(
            self._journal, self.store, executor, self._changed.add, self._housekeeping
        )
        self._housekeeping.sweep(self._scheduler.pinned(), time.time(), leftovers=True)
        self._receiving = Receiving(
            self.store, self._inbox.folder, self._scheduler, self._answer_later
        )
        self._waker = Waker()
        try:
            self._endpoint = Endpoint(address, keys, allowed)
        except JobError:
            self._waker.close()
            self._journal.close()
            raise
        self.address = self._endpoint.address

    def stop(self) -> None:
        """Ask the loop to end. Callable from any thread and any signal handler."""
        self._stopping = True
        self._waker.wake()

    def _sink(self, slot: str, report: AnyReport) -> None:
        self._reports.put((slot, report))
        self._waker.wake()

    def run(self) -> Problem | None:
        """Serve until stopped. Returns None, or the problem that made the server give up."""
        poller = zmq.Poller()
        for one in (*self._endpoint.sockets(), self._waker):
            poller.register(one, zmq.POLLIN)
        self._executor.open(self._sink)
        try:
            while not self._stopping and self._scheduler.unusable is None:
                # While followers lack events, the loop goes on at once, one batch each in turn.
                poller.poll(_BUSY if self._changed else _IDLE)
                self._waker.clear()
                self._endpoint.authenticate()
                for route, user, frames in self._endpoint.receive(_MESSAGES):
                    self._handle(route, user, frames)
                self._receiving.finish()
                self._schedule()
                self._push_events()
            return self._scheduler.unusable
        finally:
            self._executor.close()
            with contextlib.suppress(JobError):  # a full disk: noticed at the next start
                self._write_reports()
                self._scheduler.stop()
            self._endpoint.close()
            self._waker.close()
            self._journal.close()

    # incoming messages

    def _handle(self, route: bytes, user: str, frames: list[memoryview]) -> None:
        re = ""
        try:
            packet = decode(frames)
            re = packet.id
            answer, buffers = self._answer(route, user, packet)
        except BadMessage as why:
            answer, buffers = m.error(why.problem), ()
            re = re or why.re
        except JobError as why:
            answer, buffers = m.error(why.problem), ()
        except Exception as why:  # one bad request must not end everybody's jobs
            _log.exception("a request failed")
            answer, buffers = m.error(self._redactor.unexpected(why)), ()
        if answer is not None:
            self._send(route, answer, re=re, buffers=buffers)

    def _answer(
        self, route: bytes, user: str, packet: Packet
    ) -> tuple[m.AnyMessage | None, tuple[Bytes, ...]]:
        message = packet.message
        if isinstance(message, m.Hello):
            return self._hello(route, user, message), ()
        peer = self._peers.get(route)
        if peer is None:
            raise JobError(
                "hello_first", "The connection did not start with a hello.", "Connect again."
            )
        peer.seen = time.monotonic()
        match message:
            case m.Ping():
                return self._pong(), ()
            case m.Submit():
                return self._submit(peer, message, packet.buffers), ()
            case m.Have():
                return self._receiving.have(message), ()
            case m.Chunk():
                return self._receiving.chunk(route, packet, message), ()
            case m.Place():
                if not peer.same_user:
                    raise BadMessage("bad_message", "Only the backend's own user has an inbox.")
                return self._receiving.place(route, packet, message), ()
            case m.Fetch():
                return self._fetch(message)
            case m.Attach():
                job = self._journal.job(message.job)
                peer.follows[job.id] = min(max(message.after_seq, 0), job.seq)
                self._changed.add(message.job)
                return m.Ok(), ()
            case m.Cancel():
                self._scheduler.cancel(message.job)
                return m.Ok(), ()
            case m.Requeue():
                return _accepted(self._scheduler.requeue(message.job)), ()
            case m.Forget():
                self._scheduler.forget(message.job)
                return m.Ok(), ()
            case m.ListJobs():
                return m.Jobs(), (pack(self._journal.newest(200)),)
            case m.Pong() | m.Error():
                return None, ()
            case _:
                name = str(message.__struct_config__.tag)
                raise BadMessage("unsupported", f"A backend does not accept the message {name!r}.")

    def _hello(self, route: bytes, user: str, hello: m.Hello) -> m.AnyMessage:
        problem = m.version_problem(hello.protocols, PROTOCOL)
        if problem is not None:
            return m.error(problem)
        same_user = bool(self._proof) and secrets.compare_digest(
            hello.proof.encode(), self._proof.encode()
        )
        self._peers[route] = Peer(key=user, seen=time.monotonic(), same_user=same_user)
        _log.info("%s connected for %s", repr(hello.client[:80]), hello.channel)
        return m.Welcome(
            protocol=PROTOCOL,
            server=NAME,
            epoch=self.epoch,
            features=(m.NO_CRC,),
            device=self._device(),
            model=self._model,
            inbox=str(self._inbox.folder) if same_user else "",
        )

    def _pong(self) -> m.Pong:
        slots = self._scheduler.slots.values()
        free, total = self._housekeeping.disk()
        return m.Pong(
            device=self._device(),
            jobs=self._journal.unfinished(),
            free_bytes=sum(slot.free for slot in slots),
            total_bytes=sum(slot.total for slot in slots),
            disk_free=free - free % DISK_STEP,
            disk_total=total,
        )

    def _device(self) -> str:
        return ", ".join(slot.text for slot in self._scheduler.slots.values() if slot.text)

    def _submit(self, peer: Peer, message: m.Submit, buffers: tuple[Bytes, ...]) -> m.AnyMessage:
        if len(buffers) != 1:
            raise BadMessage("bad_message", "A submit must carry the job in one buffer.")
        try:
            spec = job_from(unpack(buffers[0]))
        except msgspec.ValidationError as why:
            raise BadMessage("bad_message", f"A job has the wrong form: {why}.") from why
        if not peer.same_user:
            check_names_only(spec)
        job, new = self._scheduler.submit(message.job, peer.key, spec)
        return _accepted(job, new)

    def _fetch(self, message: m.Fetch) -> tuple[m.AnyMessage, tuple[Bytes, ...]]:
        if not (0 < message.length <= LIMITS.chunk and message.offset >= 0):
            raise BadMessage("bad_message", f"A fetch may ask for 1 to {LIMITS.chunk} bytes.")
        if len(message.digest) != 64 or not set(message.digest) <= set("0123456789abcdef"):
            raise BadMessage("bad_message", "A digest is 64 hex digits.")
        data, total = self.store.read(message.digest, message.offset, message.length)
        if not data:
            raise BadMessage("bad_message", f"The offset is beyond the object's {total} bytes.")
        answer = m.Data(
            digest=message.digest, offset=message.offset, total=total, crc=zlib.crc32(data)
        )
        return answer, (data,)

    # outgoing messages

    def _send(
        self, route: bytes, message: m.AnyMessage, *, re: str = "", buffers: tuple[Bytes, ...] = ()
    ) -> bool:
        """Send a message; False if that is not possible now. A peer that is gone is forgotten."""
        if isinstance(message, m.Error):
            message = m.error(self._redactor.problem(message.problem))
        try:
            frames = encode(message, re=re, ep=self.epoch, buffers=buffers)
        except ValueError as why:
            _log.exception("an answer cannot be sent")
            frames = encode(m.error(self._redactor.unexpected(why)), re=re, ep=self.epoch)
        try:
            return self._endpoint.send(route, frames)
        except Unreachable:
            self._peers.pop(route, None)
            return False

    def _answer_later(self, route: bytes, message: m.AnyMessage, re: str) -> None:
        self._send(route, message, re=re)

    def _schedule(self) -> None:
        """Write the workers' reports and let the scheduler act."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        try:
            self._write_reports()
            self._scheduler.tick(now)
            self._housekeeping.tick(now, self._scheduler.pinned, self._scheduler.running_since())
        except JobError:  # the disk is full: nothing is lost, the reports are written later
            self._retry_at = now + _RETRY

    def _write_reports(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                slot, report = self._reports.get_nowait()
                self._unwritten.append((slot, self._redactor.report(report)))
        while self._unwritten:
            slot, report = self._unwritten[0]
            self._scheduler.report(slot, report)
            self._unwritten.popleft()
            if isinstance(report, Ready):
                self._on_ready(report.text)

    def _push_events(self) -> None:
        now = time.monotonic()
        changed, again = self._changed.copy(), set[str]()
        self._changed.clear()
        for route, peer in list(self._peers.items()):
            if now - peer.seen > FORGET_PEER:
                del self._peers[route]
                continue
            for job in changed & peer.follows.keys():
                if not self._push(route, peer, job):
                    again.add(job)
        self._changed |= again

    def _push(self, route: bytes, peer: Peer, job: str) -> bool:
        """Send a follower the next events of a job; False if there are more."""
        events = self._journal.events(job, peer.follows[job], _BATCH)
        for seq, body in events:
            if not self._send(route, m.News(job=job), buffers=(body,)):
                return route not in self._peers
            peer.follows[job] = seq
        return len(events) < _BATCH


def _accepted(job: JobRecord, new: bool = False) -> m.Accepted:
    return m.Accepted(job=job.id, new=new, state=job.state, seq=job.seq)
