"""The backend's socket: who may connect, how many may wait at the door, how messages leave.

The endpoint belongs to the server's thread. A client key is checked by ZAP (RFC 27). The
doorkeeper's thread cuts off peers that would use up the descriptors or the memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import zmq
from zmq.utils import z85

from backend import doorkeeper
from backend.doorkeeper import Doorkeeper
from protocol.codec import Bytes
from protocol.jobs import JobError
from protocol.keys import KeyPair
from protocol.limits import KIB, MAX_BUFFER, MAX_BUFFERS

_ZAP = "inproc://zeromq.zap.01"


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
        router.handshake_ivl = int(doorkeeper.HANDSHAKE_S * 1000)
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
            with contextlib.suppress(zmq.ZMQError):  # libzmq's own property, and no promise
                self._doorkeeper.took(int(frames[-1].get("__fd")), frames)
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
