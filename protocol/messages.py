"""Every message on the wire, as a type. Its tag is its name, sent as ``t`` in the header."""

from __future__ import annotations

from typing import Literal

import msgspec

from .jobs import JobState, Problem
from .limits import LIMITS, NEEDED_MINOR, PROTOCOL, Limits

NO_CRC = "no_crc"  # a feature of a backend: chunks need no CRC
Channel = Literal["control", "bulk"]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="t"):
    """Base of all messages. Unknown fields are ignored, so a minor version can add some."""


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The client's first message on each socket: the major versions it speaks, and its name.

    proof: of a client that runs as the backend's user on its machine, see protocol.keys.
    """

    protocols: tuple[int, ...]
    client: str = ""
    channel: Channel = "control"
    features: tuple[str, ...] = ()
    proof: str = ""


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """Answer to hello. epoch: changes with every start of the backend. device: as in pong.

    inbox: a folder for `place`; only for clients that run as the backend's user on its machine.
    """

    protocol: int
    server: str
    epoch: str
    limits: Limits = LIMITS
    features: tuple[str, ...] = ()
    device: str = ""
    model: str = ""
    inbox: str = ""


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    """Ask whether the other side is there. Either side may send it."""


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    """Answer to ping. device: what the backend computes on, empty until it is known.

    jobs: unfinished ones, including those that run. free_bytes, total_bytes: memory of the device;
    disk_free, disk_total: bytes of the disk with the data folder. 0 if unknown.
    """

    device: str = ""
    jobs: int = 0
    free_bytes: int = 0
    total_bytes: int = 0
    disk_free: int = 0
    disk_total: int = 0


class Submit(Message, frozen=True, kw_only=True, tag="submit"):
    """Run this job. Buffer 0: the packed JobSpec. The client makes the id: 32 hex digits."""

    job: str


class Accepted(Message, frozen=True, kw_only=True, tag="accepted"):
    """Answer to submit. new: false if the job is known already. seq: of its newest event."""

    job: str
    new: bool
    state: JobState
    seq: int


class Have(Message, frozen=True, kw_only=True, tag="have"):
    """Ask which of these objects the backend lacks. At most 400 digests."""

    digests: tuple[str, ...]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An object that the backend lacks, and how many of its bytes it already holds."""

    digest: str
    offset: int


class Need(Message, frozen=True, kw_only=True, tag="need"):
    """Answer to have: the objects that are not complete."""

    missing: tuple[Missing, ...]


class Chunk(Message, frozen=True, kw_only=True, tag="chunk"):
    """A piece of an object, from the client. Buffer 0: the bytes.

    crc: their CRC-32. It may be left out if the backend has the feature ``no_crc``: the encryption
    authenticates every message.
    """

    digest: str
    offset: int
    crc: int | None = None


class Place(Message, frozen=True, kw_only=True, tag="place"):
    """An object that the client has written into the inbox, whole, under this name."""

    digest: str
    name: str


class Ack(Message, frozen=True, kw_only=True, tag="ack"):
    """Answer to chunk, sent once it is written: credit for one more chunk. Also to place.

    held: bytes of the object that the backend now holds. complete: stored, with its digest
    verified.
    """

    digest: str
    held: int
    complete: bool


class Attach(Message, frozen=True, kw_only=True, tag="attach"):
    """Send this job's events after a seq, and every new one from then on."""

    job: str
    after_seq: int = 0


class News(Message, frozen=True, kw_only=True, tag="event"):
    """An event of a job that the client attached to. Buffer 0: the packed Event."""

    job: str


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """Stop this job. Idempotent; a result that was finished first wins."""

    job: str


class Requeue(Message, frozen=True, kw_only=True, tag="requeue"):
    """Run a job again that failed by no fault of its own, under its id. Idempotent.

    Answered by accepted. Only jobs whose problem is retryable; others are ``not_requeueable``.
    """

    job: str


class Forget(Message, frozen=True, kw_only=True, tag="forget"):
    """Remove a finished job from the backend's journal. Idempotent."""

    job: str


class ListJobs(Message, frozen=True, kw_only=True, tag="list"):
    """Ask for the jobs that the backend knows: the newest 200."""


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A job in brief. created: seconds since 1970. title: the prompt, or what the job makes."""

    job: str
    kind: str
    state: JobState
    created: float
    seq: int
    title: str = ""


class Jobs(Message, frozen=True, kw_only=True, tag="jobs"):
    """Answer to list. Buffer 0: the packed tuple of JobInfo, newest first."""


class Fetch(Message, frozen=True, kw_only=True, tag="fetch"):
    """Send a piece of an object: at most `length` bytes from `offset`."""

    digest: str
    offset: int
    length: int


class Data(Message, frozen=True, kw_only=True, tag="data"):
    """Answer to fetch. Buffer 0: the bytes. total: size of the object. crc: CRC-32 of the bytes."""

    digest: str
    offset: int
    total: int
    crc: int


class Ok(Message, frozen=True, kw_only=True, tag="ok"):
    """Answer to attach, cancel and forget."""


class Error(Message, frozen=True, kw_only=True, tag="error"):
    """Answer to any request that failed. Has the fields of a Problem."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False

    @property
    def problem(self) -> Problem:
        """The error as a Problem."""
        return Problem(
            code=self.code, message=self.message, hint=self.hint, retryable=self.retryable
        )


AnyMessage = (
    Hello | Welcome | Ping | Pong | Submit | Accepted | Have | Need | Chunk
    | Place | Ack
    | Attach | News | Cancel | Requeue | Forget | ListJobs | Jobs | Fetch | Data | Ok | Error
)  # fmt: skip


def error(problem: Problem) -> Error:
    """Make the message that carries a Problem."""
    return Error(
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        retryable=problem.retryable,
    )


def backend_too_old(minor: int, needed: int = NEEDED_MINOR) -> Problem:
    """The problem of a backend whose minor version is too low, for all jobs or for one."""
    what = "this add-on" if needed == NEEDED_MINOR else "this job"
    return Problem(
        code="backend_too_old",
        message=f"The backend is too old: it speaks protocol {PROTOCOL}.{minor}, "
        f"{what} needs protocol {PROTOCOL}.{needed}.",
        hint="Update the backend to the add-on's version, then connect again.",
    )


def version_problem(
    client: tuple[int, ...], backend: int, minor: int = NEEDED_MINOR
) -> Problem | None:
    """None if client and backend are compatible, or else which of them is too old.

    client: the major versions it speaks. backend, minor: the backend's version.
    """
    if backend in client and minor >= NEEDED_MINOR:
        return None
    if backend in client:
        return backend_too_old(minor)
    newest = max(client, default=0)
    if newest > backend:
        return Problem(
            code="backend_too_old",
            message=f"The backend is too old: it speaks protocol {backend}, "
            f"this add-on speaks protocol {newest}.",
            hint="Update the backend to the add-on's version, then connect again.",
        )
    return Problem(
        code="client_too_old",
        message=f"The add-on is too old: it speaks protocol {newest}, "
        f"the backend speaks protocol {backend}.",
        hint="Update the Text2LIVE add-on to the backend's version, then connect again.",
    )
