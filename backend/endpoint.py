"""The backend's socket: who may connect, how many may wait at the door, how messages leave.

The endpoint belongs to the server's thread. A client key is checked by ZAP (RFC 27). A second
thread limits the connections that have not authenticated, so they cannot use up the descriptors.
"""

from __future__ import annotations

import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import zmq
from zmq.utils import z85

from protocol.codec import Bytes
from protocol.jobs import JobError
from protocol.keys import KeyPair
from protocol.limits import KIB, MAX_BUFFER, MAX_BUFFERS

HANDSHAKE_S = 5.0  # seconds that a new connection has to authenticate
MAX_HANDSHAKES = 256  # connections that have not authenticated; the oldest make way for new ones
_ZAP = "inproc://zeromq.zap.01"
_BEFORE_INITIATE = 64 + 202  # bytes of ZMTP's greeting and CURVE's HELLO, which any peer can send
_TCP_INFO = struct.Struct("=128xQ")  # Linux: bytes received, after 128 bytes of other facts
_log = logging.getLogger(__name__)


class Unreachable(Exception):  # noqa: N818  (a fact about a peer, not an error of the program)
    """The peer is gone."""


class Endpoint:
    """A bound ROUTER socket with CURVE. allowed: public client keys (Z85) and their names.

    address: ``tcp://127.0.0.1:5599``; port 0 picks a free one. Raises JobError ``address_in_use``,
    ``bad_address``.
    """

    def __init__(self, address: str, keys: KeyPair, allowed: Mapping[str, str]) -> None:
        self._allowed = allowed
        self._context = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._zap.linger = 0
        self._zap.bind(_ZAP)
        self._router = self._context.socket(zmq.ROUTER)
        self._set_options(keys, ipv6="[" in address)
        self._doorkeeper = Doorkeeper(self._router)
        try:
            self._router.bind(address)
        except zmq.ZMQError as why:
            self.close()
            raise _cannot_listen(address, why) from why
        self.address = self._router.getsockopt_string(zmq.LAST_ENDPOINT)

    def _set_options(self, keys: KeyPair, *, ipv6: bool) -> None:
        router = self._router
        router.router_mandatory = 1  # otherwise a slow reader would silently lose messages
        router.linger = 0
        router.sndhwm = router.rcvhwm = 64
        router.maxmsgsize = MAX_BUFFER + 64 * KIB
        router.ipv6 = ipv6
        router.tcp_keepalive = 1
        router.heartbeat_ivl, router.heartbeat_timeout = 5000, 15000
        router.handshake_ivl = int(HANDSHAKE_S * 1000)
        router.curve_server = True
        router.curve_publickey = keys.public.encode()
        router.curve_secretkey = keys.secret.encode()
        router.zap_domain = b"text2live"

    def sockets(self) -> tuple[zmq.Socket[bytes], ...]:
        """The sockets to poll for reading."""
        return self._router, self._zap

    def close(self) -> None:
        """Close all sockets."""
        self._doorkeeper.close()
        self._router.close()
        self._zap.close()
        self._context.term()

    def authenticate(self) -> None:
        """Answer the requests of peers that want to be admitted."""
        while self._zap.poll(0):
            self._authenticate()

    def _authenticate(self) -> None:
        version, request, _domain, _address, _route, mechanism, *credentials = (
            self._zap.recv_multipart()
        )
        key = ""
        if mechanism == b"CURVE" and len(credentials) == 1:
            key = z85.encode(credentials[0]).decode("ascii")
        known = key in self._allowed
        status = (b"200", b"OK") if known else (b"400", b"key not allowed")
        user = key.encode() if known else b""
        self._zap.send_multipart([version, request, *status, user, b""])

    def receive(self, most: int) -> Iterator[tuple[bytes, str, list[memoryview]]]:
        """At most `most` messages that have arrived: (route, key of the client, frames)."""
        for _ in range(most):
            try:
                frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            try:
                user = str(frames[-1].get("User-Id"))
            except zmq.ZMQError:
                continue
            kept = frames[1 : MAX_BUFFERS + 4]
            yield frames[0].bytes, user, [frame.buffer for frame in kept]

    def send(self, route: bytes, frames: list[Bytes]) -> bool:
        """Send a message; False if the peer reads too slowly now. Raises Unreachable."""
        try:
            self._router.send_multipart([route, *frames], zmq.DONTWAIT)
        except zmq.Again:
            return False
        except zmq.ZMQError as why:
            raise Unreachable(str(why)) from why
        return True


class Doorkeeper:
    """Cuts off the oldest of the connections that do not authenticate, when there are too many.

    libzmq itself cuts them off after HANDSHAKE_S. Only Linux tells how far a connection has come;
    on other systems that deadline is the only limit.
    """

    _EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        self._router = router
        self._monitor = router.get_monitor_socket(self._EVENTS)
        self._arrived: dict[int, float] = {}  # descriptor -> when its connection was accepted
        self._warned = -60.0
        self._thread = threading.Thread(target=self._run, name="doorkeeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; call it before the socket is closed."""
        self._router.disable_monitor()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            event, descriptor = struct.unpack("=HI", self._monitor.recv_multipart()[0])
            now = time.monotonic()
            if event == zmq.EVENT_ACCEPTED:
                self._arrived.pop(descriptor, None)
                self._arrived[descriptor] = now
                self._make_way(now)
            elif event == zmq.EVENT_DISCONNECTED:
                self._arrived.pop(descriptor, None)
            else:
                self._monitor.close()
                return

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
    if sys.platform != "linux":
        return False
    try:
        one = socket.socket(fileno=descriptor)
    except OSError:  # closed meanwhile
        return False
    try:
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        (received,) = _TCP_INFO.unpack(info)
        if received > _BEFORE_INITIATE:
            return False
        one.shutdown(socket.SHUT_RDWR)
    except (OSError, struct.error):
        return False
    finally:
        one.detach()
    return True


def _cannot_listen(address: str, why: zmq.ZMQError) -> JobError:
    if why.errno == zmq.EADDRINUSE:
        return JobError(
            "address_in_use",
            f"Another program already listens on {address}.",
            "Stop it, or choose another port with --listen (port 0 picks a free one).",
        )
    return JobError(
        "bad_address",
        f"The backend cannot listen on {address}: {why}.",
        "Give an address of this machine, such as --listen 127.0.0.1:5599.",
    )
