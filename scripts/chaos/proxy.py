"""A TCP proxy whose connections can be cut, damaged and stalled."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time


class Proxy:
    """Passes connections on to a port of this machine. port: where it listens itself.

    Its faults take effect in its own thread, on whatever passes next.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._flips = 0
        self._drops = 0
        self._silent_until = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self, *, one: bool = False) -> None:
        """End all connections, or one of them."""
        with self._lock:
            ends = list(self._pairs)[: 1 if one else None]
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def flip_a_bit(self) -> None:
        """Damage one byte of the data that pass next."""
        self._flips += 1

    def drop_bytes(self) -> None:
        """Leave out a part of the data that pass next."""
        self._drops += 1

    def swallow(self, seconds: float) -> None:
        """Pass nothing on for a while; the connections stay."""
        self._silent_until = time.monotonic() + seconds

    def close(self) -> None:
        """Stop, and end all connections."""
        self._stopped.set()
        self._thread.join()
        self._end(*self._pairs)
        self._listener.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            if time.monotonic() < self._silent_until:
                time.sleep(0.02)
                continue
            with self._lock:
                watched = [self._listener, *self._pairs]
            for one in select.select(watched, [], [], 0.02)[0]:
                if one is self._listener:
                    self._accept()
                else:
                    self._pass_on(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            backend = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:  # the backend is down at the moment
            client.close()
            return
        with self._lock:
            self._pairs[client], self._pairs[backend] = backend, client

    def _pass_on(self, one: socket.socket) -> None:
        other = self._pairs.get(one)
        if other is None:
            return
        try:
            data = self._spoil(one.recv(1 << 16))
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(one, other)

    def _spoil(self, data: bytes) -> bytes:
        if self._flips and data:
            self._flips -= 1
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 8]) + data[middle + 1 :]
        if self._drops and len(data) > 1:
            self._drops -= 1
            data = data[: len(data) // 2]
        return data

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            for end in ends:
                self._pairs.pop(end, None)
        for end in ends:
            end.close()
