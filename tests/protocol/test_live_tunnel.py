"""A backend behind a tunnel, which accepts connections even while nothing is behind it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time

import msgspec
import pytest
from serving import connection_to, reason

from protocol import link
from protocol.client import (
    ConnectionChanged,
)
from protocol.keys import new_keypair

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


class Tunnel:
    """An SSH tunnel: it accepts every connection, and closes it if nothing listens behind it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    self.refused += 1
                    near.close()
                    continue
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        one.close()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.slow
def test_a_client_behind_a_tunnel_outlives_a_restart_of_the_backend(backend, connect, monkeypatch):
    monkeypatch.setattr(link, "LAST_DELAY", 0.2)
    one = backend("ok")
    with Tunnel(one.port) as tunnel:
        through = msgspec.structs.replace(one.connection, address=f"tcp://127.0.0.1:{tunnel.port}")
        diary = connect(through)
        diary.until_kind(ConnectionChanged)
        one.stop()
        while reason(diary, "lost").code != "closed_early":
            pass
        before, end = tunnel.refused, time.monotonic() + 30
        while tunnel.refused < before + 4 * link.KEY_TRIES:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert diary.client.connection.state == "lost"
        one.start()
        diary.until(lambda event: isinstance(event, ConnectionChanged) and event.state == "ready")
        diary.client.close()


def test_a_wrong_key_is_found_through_a_tunnel_too(shared, connect):
    with Tunnel(shared.port) as tunnel:
        diary = connect(connection_to(tunnel.port, new_keypair().public))
        assert reason(diary, "refused").code == "wrong_key"
        diary.client.close()
