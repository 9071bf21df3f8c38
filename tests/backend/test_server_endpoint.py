"""Peers that connect and say nothing are cut off, and cannot keep out those who authenticate."""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import zmq

from backend import doorkeeper
from backend.endpoint import Endpoint, Unreachable
from backend.serve import MAX_FILES, _allow_many_files
from protocol.keys import new_keypair

SERVER, CLIENT = new_keypair(), new_keypair()


@pytest.fixture
def door(monkeypatch) -> Iterator[Endpoint]:
    monkeypatch.setattr(doorkeeper, "HANDSHAKE_S", 0.5)
    monkeypatch.setattr(doorkeeper, "MAX_HANDSHAKES", 8)
    one = Endpoint("tcp://127.0.0.1:0", SERVER, {CLIENT.public: "local"})
    yield one
    one.close()


@contextlib.contextmanager
def client(door: Endpoint) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as one:
        one.linger = 0
        one.curve_serverkey = SERVER.public.encode()
        one.curve_publickey, one.curve_secretkey = CLIENT.public.encode(), CLIENT.secret.encode()
        one.connect(door.address)
        yield one


def serve_until(door: Endpoint, done: Callable[[], bool], timeout: float = 20.0) -> None:
    """Run the loop of a server that echoes."""
    end = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < end, "too late"
        door.authenticate()
        for route, user, frames in door.receive(8):
            assert user == CLIENT.public
            with contextlib.suppress(Unreachable):  # who was cut off cannot be answered
                door.send(route, frames)
        time.sleep(0.01)


def knock(door: Endpoint, count: int) -> list[socket.socket]:
    port = int(door.address.rpartition(":")[2])
    opened = []
    for _ in range(count):
        with contextlib.suppress(ConnectionRefusedError):
            opened.append(socket.create_connection(("127.0.0.1", port), timeout=5))
    return opened


def closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while data := one.recv(64):
            assert data
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="the limit needs Linux")
def test_idle_connections_make_way_for_clients(door, monkeypatch):
    monkeypatch.setattr(doorkeeper, "HANDSHAKE_S", 60.0)  # the limit alone
    with client(door) as early:
        early.send(b"before")
        serve_until(door, lambda: bool(early.poll(0)))
        assert early.recv() == b"before"
        cut = early.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        idle = knock(door, 30)
        serve_until(door, lambda: sum(closed(one) for one in idle) >= 22)
        with client(door) as late:
            late.send(b"after")
            serve_until(door, lambda: bool(late.poll(0)))
        early.send(b"still here")
        serve_until(door, lambda: bool(early.poll(0)))
        assert not cut.poll(0)  # who has authenticated is never cut off
        cut.close()
    for one in idle:
        one.close()


def test_an_idle_connection_is_cut_off_in_time(door):
    (idle,) = knock(door, 1)
    serve_until(door, lambda: closed(idle))
    idle.close()


def test_the_limit_of_open_files_is_raised():
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, old[1]))
        _allow_many_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(MAX_FILES, old[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit needs Linux")
def test_a_message_without_end_is_cut_off(door, monkeypatch):
    monkeypatch.setattr(doorkeeper, "MAX_BACKLOG", 2**20)
    monkeypatch.setattr(doorkeeper, "LOOK_MS", 20)
    piece = bytes(2**16)
    with client(door) as honest, client(door) as hostile:
        for one in (honest, hostile):
            one.send(b"in")
            serve_until(door, lambda one=one: bool(one.poll(0)))
            one.recv()
        cut = hostile.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        kept = honest.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        for _ in range(64):  # as much, in messages that the server can take
            honest.send_multipart([b"x", piece])
            serve_until(door, lambda: bool(honest.poll(0)))
            honest.recv_multipart()
        hostile.send_multipart([piece] * 64)
        assert cut.poll(20_000), "it is not cut off"  # nothing is taken meanwhile, as of a half one
        honest.send(b"still here")
        serve_until(door, lambda: bool(honest.poll(0)))
        assert not kept.poll(0)
        for monitor in (cut, kept):
            monitor.close()
