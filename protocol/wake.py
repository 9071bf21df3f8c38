"""Wake a thread that waits in a poller."""

from __future__ import annotations

import contextlib
import socket


class Waker:
    """A socket pair: register it with a poller, and `wake` makes the poller return.

    wake may be called from any thread and any signal handler; the rest belongs to the polling
    thread.
    """

    def __init__(self) -> None:
        self._inner, self._outer = socket.socketpair()
        self._inner.setblocking(False)
        self._outer.setblocking(False)

    def fileno(self) -> int:
        """The file descriptor to poll."""
        return self._inner.fileno()

    def wake(self) -> None:
        """Make the poller return now."""
        with contextlib.suppress(OSError):  # full: already awake; closed: nobody is waiting
            self._outer.send(b".")

    def clear(self) -> None:
        """Forget all calls of wake so far."""
        with contextlib.suppress(OSError):
            self._inner.recv(4096)

    def close(self) -> None:
        """Close both ends."""
        self._inner.close()
        self._outer.close()
