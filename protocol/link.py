"""The two sockets of a client: connect, explain a failure, notice a loss, try again.

Owned by one thread. After any failure both sockets are replaced, so that nothing half-sent
survives; the link's user repeats whatever was not answered (every request can be repeated).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Sequence

import zmq

from .codec import BadMessage, Bytes, Packet, decode, encode, new_id
from .events import BackendStatus, State
from .jobs import Problem
from .keys import Connection
from .limits import KIB, MAX_BUFFER, PROTOCOL
from .messages import (
    AnyMessage,
    Channel,
    Error,
    Hello,
    Ping,
    Pong,
    Welcome,
    version_problem,
)
from .probe import Probe

CHANNELS: tuple[Channel, Channel] = ("control", "bulk")
PING_EVERY = 2.0  # seconds, on both sockets
SILENCE = 8.0  # seconds without any message until the backend counts as lost
CONNECT = 10.0  # seconds for connecting and the welcome
ANSWER = 20.0  # seconds for the answer to a request
FIRST_DELAY, LAST_DELAY = 0.1, 2.0  # seconds between attempts
KEY_TRIES = (
    3  # handshakes in a row that a backend breaks off at once, until the key counts as wrong
)
AT_ONCE = 3.0  # seconds; a busy backend takes longer to break off a handshake

_EVENTS = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
)


class Link:
    """The connection to one backend. problem explains a state of ``lost`` or ``refused``.

    device: what the backend computes on. status: how busy it is, None until it says so. round: how
    often the link has become ready; whatever was sent in an earlier round may be lost. minor: the
    backend's version of the protocol.
    """

    def __init__(
        self, connection: Connection, name: str, context: zmq.Context[zmq.Socket[bytes]]
    ) -> None:
        self.state: State = "connecting"
        self.problem: Problem | None = None
        self.welcome: Welcome | None = None
        self.minor = 0
        self.device = ""
        self.status: BackendStatus | None = None
        self.round = 0
        self._connection = connection
        self._name = name
        self._context = context
        self._sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self._monitors: dict[Channel, zmq.Socket[bytes]] = {}
        self._welcomed: set[Channel] = set()
        self._hellos: dict[str, Channel] = {}
        self._asked: dict[str, tuple[float, Callable[[Packet], None]]] = {}
        self._delay = FIRST_DELAY
        self._retry_at = 0.0
        self._deadline = 0.0
        self._heard: dict[Channel, float] = {}
        self._pinged = 0.0
        self._opened_at = 0.0
        self._probe: Probe | None = None  # after a handshake that failed for an unknown reason
        self._key_failures = 0

    @property
    def proof(self) -> str:
        """What shows the backend that this client is the same user on the same machine."""
        return self._connection.proof

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """The sockets to poll for reading."""
        return [*self._sockets.values(), *self._monitors.values()]

    def _open(self, now: float) -> None:
        self._deadline, self._opened_at = now + CONNECT, now
        for channel in CHANNELS:
            one = self._context.socket(zmq.DEALER)
            self._sockets[channel] = one
            one.linger = 0
            one.reconnect_ivl = -1  # a new socket is made instead
            one.maxmsgsize = MAX_BUFFER + 64 * KIB
            one.ipv6 = True
            one.tcp_keepalive = 1
            one.curve_serverkey = self._connection.server_key.encode()
            one.curve_publickey = self._connection.client_public.encode()
            one.curve_secretkey = self._connection.client_secret.encode()
            self._monitors[channel] = one.get_monitor_socket(_EVENTS)
            one.connect(self._connection.address)
            hello = Hello(
                protocols=(PROTOCOL,),
                client=self._name,
                channel=channel,
                proof=self._connection.proof,
            )
            self._hellos[self._send(channel, hello)] = channel

    def close(self) -> None:
        """Close both sockets and drop all open requests."""
        for one in self._sockets.values():
            one.disable_monitor()
            one.close()
        for monitor in self._monitors.values():
            monitor.close()
        if self._probe is not None:
            self._probe.close()
            self._probe = None
        self._sockets.clear()
        self._monitors.clear()
        self._welcomed.clear()
        self._hellos.clear()
        self._asked.clear()

    def drop(self, now: float, problem: Problem, *, refused: bool = False) -> None:
        """Give up this connection. It is tried again later, unless it was refused."""
        self.close()
        self._key_failures = 0
        self.state = "refused" if refused else "lost"
        self.problem = problem
        self._retry_at = now + self._delay
        self._delay = min(self._delay * 2, LAST_DELAY)

    def _send(self, channel: Channel, message: AnyMessage, buffers: Sequence[Bytes] = ()) -> str:
        id = new_id()
        with contextlib.suppress(zmq.Again):  # without an answer, the link counts as lost
            # Large buffers are not copied: they must not change until they are sent.
            self._sockets[channel].send_multipart(
                encode(message, id=id, buffers=buffers), zmq.DONTWAIT, copy=False
            )
        return id

    def ask(
        self,
        channel: Channel,
        message: AnyMessage,
        answer: Callable[[Packet], None],
        buffers: Sequence[Bytes] = (),
        *,
        now: float,
    ) -> None:
        """Send a request; `answer` gets the reply unless the link is lost first. Must be ready."""
        self._asked[self._send(channel, message, buffers)] = (now, answer)

    def tick(self, now: float) -> None:
        """Connect, ping, and notice silence."""
        if self.state == "refused":
            return
        if not self._sockets:
            if self._probe is not None:
                self._judge(now, self._probe)
            elif now >= self._retry_at:
                self._open(now)
            return
        if self.state != "ready":
            if now >= self._deadline:
                self.drop(now, self._no_answer())
            return
        oldest = next(iter(self._asked.values()), (now, None))[0]
        if now - min(self._heard.values()) > SILENCE or now - oldest > ANSWER:
            self.drop(now, self._lost())
        elif now - self._pinged > PING_EVERY:
            self._pinged = now
            for channel in CHANNELS:
                self._send(channel, Ping())

    def receive(self, now: float) -> Iterator[Packet]:
        """Handle everything that has arrived; yields packets that answer no request: job events."""
        for channel in CHANNELS:
            for _ in range(64):  # then it is the other channel's turn
                one = self._sockets.get(channel)
                if one is None:
                    return
                try:
                    frames = one.recv_multipart(zmq.DONTWAIT, copy=False)
                except zmq.Again:
                    break
                self._heard[channel] = now
                try:
                    packet = decode([frame.buffer for frame in frames])
                except BadMessage as why:
                    if why.problem.code == "unsupported":  # from a newer minor version
                        continue
                    self.drop(now, why.problem)
                    return
                if self._is_event(now, channel, packet):
                    yield packet
        for channel in CHANNELS:
            self._watch(now, channel)

    def _is_event(self, now: float, channel: Channel, packet: Packet) -> bool:
        """Handle a packet that concerns the link or a request; true for anything else."""
        message = packet.message
        if isinstance(message, Ping):
            self._send(channel, Pong())
            return False
        if isinstance(message, Pong):
            self.device = message.device or self.device
            self.status = BackendStatus(
                message.jobs,
                message.free_bytes,
                message.total_bytes,
                message.disk_free,
                message.disk_total,
            )
            return False
        if packet.re in self._hellos:
            del self._hellos[packet.re]
            self._welcome(now, channel, packet)
            return False
        if self.welcome is not None and packet.ep and packet.ep != self.welcome.epoch:
            self.drop(now, self._lost())  # the backend was restarted
            return False
        if isinstance(message, Error) and message.code == "hello_first":
            self.drop(now, self._lost())  # it forgot this client after a long silence
            return False
        if packet.re in self._asked:
            _, answer = self._asked.pop(packet.re)
            answer(packet)
            return False
        return not packet.re

    def _welcome(self, now: float, channel: Channel, packet: Packet) -> None:
        message = packet.message
        if isinstance(message, Error):
            too_old = message.code in ("backend_too_old", "client_too_old")
            self.drop(now, message.problem, refused=too_old)
            return
        if not isinstance(message, Welcome):
            self.drop(now, self._stranger(), refused=True)
            return
        problem = version_problem((PROTOCOL,), message.protocol, packet.v)
        if problem is not None:
            self.drop(now, problem, refused=True)
            return
        self._welcomed.add(channel)
        self.welcome, self.minor = message, packet.v
        if len(self._welcomed) == len(CHANNELS):
            self.state, self.problem = "ready", None
            self.device = message.device or self.device
            self.round += 1
            self._delay, self._key_failures = FIRST_DELAY, 0
            self._pinged = 0.0  # ping at once: the answer says how busy the backend is

    def _watch(self, now: float, channel: Channel) -> None:
        """Act on libzmq's events about the TCP connection and the CURVE handshake."""
        while channel in self._monitors:
            try:
                frame = self._monitors[channel].recv_multipart(zmq.DONTWAIT)[0]
            except zmq.Again:
                return
            event, _value = struct.unpack("=HI", frame)
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self.drop(now, self._not_allowed(), refused=True)
            elif event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self.drop(now, self._stranger())
            elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                failures, at_once = self._key_failures, now - self._opened_at < AT_ONCE
                self.drop(now, self._closed_early())
                if at_once:
                    self._key_failures = failures
                    self._probe = Probe(self._connection.address, now)
            elif event == zmq.EVENT_DISCONNECTED:
                self.drop(now, self._lost())
            elif event == zmq.EVENT_CLOSED:
                self.drop(now, self._lost() if self.state == "ready" else self._not_running())

    def _judge(self, now: float, probe: Probe) -> None:
        """Decide why a handshake failed: by its key only if a backend was there to refuse it."""
        found = probe.step(now)
        if found is None:
            return
        self._probe = None
        self._key_failures = self._key_failures + 1 if found == "backend" else 0
        if self._key_failures >= KEY_TRIES:
            self.drop(now, self._wrong_key(), refused=True)
        elif found == "stranger":
            self.problem = self._stranger()

    # why there is no connection

    def _not_running(self) -> Problem:
        return Problem(
            code="not_running",
            message=f"No backend is running at {self._connection.address}.",
            hint="Start the backend, or check its address.",
            retryable=True,
        )

    def _no_answer(self) -> Problem:
        return Problem(
            code="no_answer",
            message=f"The backend at {self._connection.address} does not answer.",
            hint="Check that it is running and that no firewall blocks it.",
            retryable=True,
        )

    def _lost(self) -> Problem:
        return Problem(
            code="connection_lost",
            message=f"The connection to the backend at {self._connection.address} was lost.",
            hint="Reconnecting automatically. Running jobs continue.",
            retryable=True,
        )

    def _closed_early(self) -> Problem:
        return Problem(
            code="closed_early",
            message=f"The connection to {self._connection.address} is closed before a backend "
            "answers.",
            hint="An SSH tunnel, a VPN or a proxy may be there without a backend behind it, or the "
            "backend is just starting. It is tried again until it answers.",
            retryable=True,
        )

    def _wrong_key(self) -> Problem:
        return Problem(
            code="wrong_key",
            message=f"The backend at {self._connection.address} does not have the expected key.",
            hint="It is a different backend, or not a Text2LIVE backend: check the address, or "
            "use its new connection file.",
        )

    def _not_allowed(self) -> Problem:
        return Problem(
            code="not_allowed",
            message=f"The backend at {self._connection.address} does not accept this client's key.",
            hint="Use the connection file that this backend wrote.",
        )

    def _stranger(self) -> Problem:
        return Problem(
            code="not_a_backend",
            message=f"The server at {self._connection.address} is not a Text2LIVE backend, or is "
            "too old to use encryption.",
            hint="Check the address, or update the backend. It is tried again until it answers.",
            retryable=True,
        )
