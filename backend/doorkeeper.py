"""Who may wait at the backend's door, and how much a client may send at once.

libzmq reports in a monitor who comes and goes. A thread of its own reads it, because the server's
thread may be busy.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import zmq

from protocol.limits import MIB

HANDSHAKE_S = 5.0  # seconds that a new connection has to authenticate
MAX_HANDSHAKES = 256  # connections that have not authenticated; the oldest make way for new ones
MAX_BACKLOG = 128 * MIB  # bytes that a client may be ahead of the server; honest ones need 40 MiB
LOOK_MS = 250  # milliseconds between two looks at what has arrived
_FRAME = 64  # bytes that encryption and ZMTP add to a frame, at most
_BEFORE_INITIATE = 64 + 202  # bytes of ZMTP's greeting and CURVE's HELLO, which any peer can send
_TCP_INFO = struct.Struct("=128xQ")  # Linux: bytes received, after 128 bytes of other facts
_log = logging.getLogger(__name__)


class Doorkeeper:
    """Cuts off the oldest of too many connections that do not authenticate, and endless messages.

    libzmq cuts off the former after HANDSHAKE_S, and limits the size of a frame, but not how many
    frames a message has. Only Linux tells how much a connection has received; on other systems
    libzmq's limits are the only ones.
    """

    _EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        self._router = router
        self._monitor = router.get_monitor_socket(self._EVENTS)
        self._arrived: dict[int, float] = {}  # descriptor -> when its connection was accepted
        self._taken: dict[
            int, int
        ] = {}  # descriptor -> bytes of messages that the server has taken
        self._ahead: dict[int, int] = {}  # descriptor -> bytes by which that was estimated too high
        self._looked = 0.0
        self._warned = -60.0
        self._thread = threading.Thread(target=self._run, name="doorkeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; call it before the socket is closed."""
        self._router.disable_monitor()
        self._thread.join(5)

    def took(self, descriptor: int, frames: Sequence[zmq.Frame]) -> None:
        """Note that the server has taken a message. Called in the server's thread."""
        size = sum(len(frame) + _FRAME for frame in frames)
        self._taken[descriptor] = self._taken.get(descriptor, 0) + size

    def _run(self) -> None:
        while not self._monitor.poll(LOOK_MS) or self._note_event():
            if time.monotonic() - self._looked > LOOK_MS / 1000:
                self._looked = time.monotonic()
                self._look_at_backlogs()
        self._monitor.close()

    def _note_event(self) -> bool:
        """Read what libzmq reports; False at the end."""
        event, descriptor = struct.unpack("=HI", self._monitor.recv_multipart()[0])
        if event == zmq.EVENT_MONITOR_STOPPED:
            return False
        self._forget(descriptor)
        if event == zmq.EVENT_ACCEPTED:
            now = time.monotonic()
            self._arrived[descriptor], self._taken[descriptor] = now, 0
            self._make_way(now)
        return True

    def _forget(self, descriptor: int) -> None:
        for known in (self._arrived, self._taken, self._ahead):
            known.pop(descriptor, None)

    def _look_at_backlogs(self) -> None:
        """Cut off peers that have sent much more than the server has read: an endless message."""
        for descriptor, taken in list(self._taken.items()):
            received = _received(descriptor)
            if received is None:
                continue
            ahead = max(self._ahead.get(descriptor, 0), taken - received)
            self._ahead[descriptor] = ahead
            if received - (taken - ahead) > MAX_BACKLOG and _cut(descriptor):
                _log.warning("a client that sent an endless message is cut off")
                self._forget(descriptor)

    def _make_way(self, now: float) -> None:
        while self._arrived:
            oldest, since = next(iter(self._arrived.items()))
            if len(self._arrived) <= MAX_HANDSHAKES and now - since <= HANDSHAKE_S:
                return
            del self._arrived[oldest]
            if _cut_unless_admitted(oldest) and now - self._warned > 60:
                self._warned = now
                _log.warning("many connections do not authenticate; the oldest are cut off")


def _cut_unless_admitted(descriptor: int) -> bool:
    """Shut down a connection whose peer has not yet sent what a client sends to be admitted."""
    received = _received(descriptor)
    return received is not None and received <= _BEFORE_INITIATE and _cut(descriptor)


def _received(descriptor: int) -> int | None:
    """How many bytes a connection has received; None if it is closed or not known."""
    if sys.platform != "linux":
        return None
    with _borrowed(descriptor) as one:
        if one is None:
            return None
        try:
            info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            return int(_TCP_INFO.unpack(info)[0])
        except (OSError, struct.error):
            return None


def _cut(descriptor: int) -> bool:
    """Shut down a connection; libzmq then closes it."""
    with _borrowed(descriptor) as one:
        try:
            if one is not None:
                one.shutdown(socket.SHUT_RDWR)
        except OSError:
            return False
        return one is not None


@contextlib.contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket | None]:
    """libzmq's socket as one of ours, which is not closed; None if libzmq has closed it."""
    try:
        one = socket.socket(fileno=descriptor)
    except OSError:
        yield None
        return
    try:
        yield one
    finally:
        one.detach()
