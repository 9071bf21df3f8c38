"""The client of a backend, for Blender and for scripts.

One daemon thread owns the sockets. Every public method can be called from any thread, and returns
at once unless its docstring says that it blocks. All events arrive in the queue `events`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from .events import (
    BackendStatus,
    ClientEvent,
    ConnectionChanged,
    Fetched,
    JobAccepted,
    JobEvent,
    JobList,
    RequestFailed,
    State,
    Uploading,
)
from .jobs import JobError, JobSpec, ObjectRef, Problem, Result
from .keys import Connection, read_connection_file
from .link import Link
from .open_requests import OpenRequests
from .transfer import Source
from .validate import check
from .wake import Waker

__all__ = [
    "BackendStatus",
    "Client",
    "ClientEvent",
    "Connection",
    "ConnectionChanged",
    "Fetched",
    "JobAccepted",
    "JobEvent",
    "JobList",
    "RequestFailed",
    "State",
    "Uploading",
    "new_job_id",
    "read_connection_file",
]

FIRST_CONTACT = 10.0  # seconds that a blocking call waits to reach a backend for the first time


def new_job_id() -> str:
    """A new job id: 32 hex digits, a UUID of version 7 (ids sort by time)."""
    stamp = int(time.time() * 1000)
    tail = secrets.randbits(74)
    high, low = tail >> 62, tail & (2**62 - 1)
    return f"{stamp & (2**48 - 1):012x}7{high:03x}{0x8000000000000000 | low:016x}"


class Client:
    """A connection to one backend, restored after every loss until `close`.

    events: everything that happens, except the events that a blocking call waits for.
    """

    def __init__(self, connection: Connection, *, name: str = "client") -> None:
        self.events: SimpleQueue[ClientEvent] = SimpleQueue()
        self._connection = connection
        self._name = name
        self._commands: SimpleQueue[Callable[[OpenRequests], None]] = SimpleQueue()
        self._halts: SimpleQueue[tuple[threading.Event, threading.Event]] = SimpleQueue()
        self._go_on = threading.Event()  # ends the current halt of the thread
        self._lock = threading.Lock()
        self._listeners: list[tuple[Callable[[ClientEvent], bool], SimpleQueue[ClientEvent]]] = []
        self._status = ConnectionChanged("connecting")
        self._busy: BackendStatus | None = None
        self._was_ready = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._waker = Waker()

    @property
    def connection(self) -> ConnectionChanged:
        """The current state of the connection."""
        return self._status

    def start(self) -> None:
        """Start connecting."""
        self._thread = threading.Thread(target=self._run, name="text2live-client", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Disconnect and end the thread; running jobs continue. Blocks for well under a second."""
        self._closing.set()
        self._go_on.set()
        self._waker.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        self._waker.close()

    def __enter__(self) -> Client:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, job_id: str, spec: JobSpec, source: Source) -> None:
        """Submit a job, again after every restart of the backend. Repeating an id does no harm.

        source(digest) returns the array, or its bytes, when the backend needs it. It is called in
        the client's thread until the job leaves the state ``uploading``.
        """
        self._post(lambda requests: requests.submit(job_id, spec, source))

    def attach(self, job_id: str, after_seq: int = 0) -> None:
        """Get a job's events after a seq, and all further ones."""
        self._post(lambda requests: requests.attach(job_id, after_seq))

    def cancel(self, job_id: str) -> None:
        """Stop a job; a result that was finished first wins."""
        self._post(lambda requests: requests.cancel(job_id))

    def requeue(
        self,
        job_id: str,
        after_seq: int = 0,
        *,
        spec: JobSpec | None = None,
        source: Source | None = None,
    ) -> None:
        """Run a job again, under its id, that failed with a retryable problem.

        Its events after a seq follow. spec, source: to send the frames that the backend no longer
        has; without them such a job is not run (RequestFailed ``requeue``, ``frames_gone``).
        """
        self._post(lambda requests: requests.requeue(job_id, after_seq, spec, source))

    def forget(self, job_id: str) -> None:
        """Remove a finished job from the backend's list."""
        self._post(lambda requests: requests.forget(job_id))

    def fetch(self, ref: ObjectRef, tag: Any = None) -> None:
        """Get an object; answered by Fetched, or by RequestFailed ``fetch``, with this tag."""
        self._post(lambda requests: requests.fetch(ref, tag))

    def list_jobs(self) -> None:
        """Get the backend's jobs, as a JobList."""
        self._post(lambda requests: requests.list_jobs())

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """While entered, the client's thread waits and runs no Python. Entering blocks until then.

        For hosts that must not be interrupted. Keep it short, or the backend counts as lost.
        """
        stands, go_on = threading.Event(), threading.Event()
        self._halts.put((stands, go_on))
        self._waker.wake()
        try:
            while self._thread is not None and self._thread.is_alive() and not stands.wait(0.05):
                pass
            yield
        finally:
            go_on.set()

    # for scripts

    def run(
        self,
        job_id: str,
        spec: JobSpec,
        source: Source,
        on_event: Callable[[ClientEvent], None] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Run a job; blocks until its result. Raises JobError if it fails or after the timeout.

        on_event gets the events of the job and the connection, in the calling thread.
        """
        check(spec)

        def mine(event: ClientEvent) -> bool:
            about_job = getattr(event, "job_id", None) == job_id
            return about_job or isinstance(event, ConnectionChanged)

        with _Listening(self, mine) as inbox:
            self.submit(job_id, spec, source)
            for event in self._await(inbox, timeout):
                if on_event is not None:
                    on_event(event)
                if isinstance(event, RequestFailed):
                    raise _as_error(event.problem)
                if isinstance(event, JobEvent):
                    result = _outcome(event)
                    if result is not None:
                        return result
        raise AssertionError("unreachable")

    def fetch_all(
        self, refs: Sequence[ObjectRef], timeout: float | None = None
    ) -> list[NDArray[np.uint8]]:
        """Get objects, in order; blocks. Raises JobError if one cannot be fetched."""
        tags = [object() for _ in refs]
        places = {id(tag): index for index, tag in enumerate(tags)}
        found: dict[int, NDArray[np.uint8]] = {}

        def mine(event: ClientEvent) -> bool:
            return id(getattr(event, "tag", None)) in places

        with _Listening(self, mine) as inbox:
            for ref, tag in zip(refs, tags, strict=True):
                self.fetch(ref, tag)
            if refs:
                for event in self._await(inbox, timeout):
                    if isinstance(event, RequestFailed):
                        raise _as_error(event.problem)
                    if isinstance(event, Fetched):
                        found[places[id(event.tag)]] = event.array
                    if len(found) == len(refs):
                        break
        return [found[index] for index in range(len(refs))]

    def _await(self, inbox: SimpleQueue[ClientEvent], timeout: float | None) -> Any:
        """Yield the events of an inbox; raises JobError when waiting longer is pointless."""
        began = time.monotonic()
        while True:
            with suppress(Empty):
                yield inbox.get(timeout=0.1)
                continue
            waited = time.monotonic() - began
            status = self._status
            if status.problem is not None and (
                status.state == "refused" or (not self._was_ready and waited > FIRST_CONTACT)
            ):
                raise _as_error(status.problem)
            if self._closing.is_set():
                raise JobError("closed", "The client was closed.", "Start a new one.")
            if timeout is not None and waited > timeout:
                raise JobError(
                    "timeout",
                    f"There was no result within {timeout:g} seconds.",
                    "The job continues: attach to it later, or cancel it.",
                    retryable=True,
                )

    # the thread

    def _post(self, command: Callable[[OpenRequests], None]) -> None:
        self._commands.put(command)
        self._waker.wake()

    def _emit(self, event: ClientEvent) -> None:
        with self._lock:
            listeners = list(self._listeners)
        taken = [inbox for wants, inbox in listeners if wants(event)]
        for inbox in taken:
            inbox.put(event)
        if not taken or isinstance(event, ConnectionChanged):  # concerns everyone
            self.events.put(event)

    def _run(self) -> None:
        context = zmq.Context()
        link = Link(self._connection, self._name, context)
        try:
            self._loop(link, OpenRequests(link, self._emit))
        except Exception as why:  # a bug here must not go unnoticed
            problem = Problem(
                code="client_error",
                message=f"The client failed: {type(why).__name__}: {why}",
                hint="Connect again; the jobs continue.",
            )
            self._change_state("refused", problem)
        finally:
            link.close()
            context.destroy(linger=0)

    def _loop(self, link: Link, requests: OpenRequests) -> None:
        while not self._closing.is_set():
            now = time.monotonic()
            link.tick(now)
            self._report(link)
            with suppress(Empty):
                while True:
                    self._commands.get_nowait()(requests)
            requests.pump(now)
            poller = zmq.Poller()
            for one in (*link.sockets(), self._waker):
                poller.register(one, zmq.POLLIN)
            poller.poll(100)
            self._waker.clear()
            for packet in link.receive(time.monotonic()):
                requests.receive(packet)
            self._stand_still()

    def _stand_still(self) -> None:
        """Pause for one requested halt, if any; only one per loop, to keep the link alive."""
        with suppress(Empty):
            stands, self._go_on = self._halts.get_nowait()
            stands.set()
            self._go_on.wait()

    def _report(self, link: Link) -> None:
        """Emit what has changed about the connection and the backend."""
        old = self._status
        if (link.state, link.problem, link.device) != (old.state, old.problem, old.device):
            self._change_state(link.state, link.problem, link)
        if link.status is not None and link.status != self._busy:
            self._busy = link.status
            self._emit(link.status)

    def _change_state(
        self, state: State, problem: Problem | None, link: Link | None = None
    ) -> None:
        self._was_ready = self._was_ready or state == "ready"
        device = "" if link is None else link.device
        model = "" if link is None or link.welcome is None else link.welcome.model
        self._status = ConnectionChanged(state, problem, device, model)
        self._emit(self._status)


class _Listening:
    """While entered, the events that `wants` accepts go to an inbox, not to the client's queue."""

    def __init__(self, client: Client, wants: Callable[[ClientEvent], bool]) -> None:
        self._client = client
        self._entry: tuple[Callable[[ClientEvent], bool], SimpleQueue[ClientEvent]]
        self._entry = (wants, SimpleQueue())

    def __enter__(self) -> SimpleQueue[ClientEvent]:
        with self._client._lock:
            self._client._listeners.append(self._entry)
        return self._entry[1]

    def __exit__(self, *_: object) -> None:
        with self._client._lock:
            self._client._listeners.remove(self._entry)


def _as_error(problem: Problem) -> JobError:
    return JobError(problem.code, problem.message, problem.hint, retryable=problem.retryable)


def _outcome(event: JobEvent) -> Result | None:
    """The result in a job's final event, None for any other event. Raises JobError if it failed."""
    if event.event.state == "failed":
        problem = event.event.problem or Problem(
            code="failed",
            message="The job failed, and the backend gave no reason.",
            hint="Look at the backend's own output, then try again.",
        )
        raise _as_error(problem)
    if event.event.state == "cancelled":
        raise JobError("cancelled", "The job was cancelled.", "Start it again when you are ready.")
    return event.event.result if event.event.state == "done" else None
