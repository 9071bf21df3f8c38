"""Ask a TCP address whether a backend answers there at all, without keys.

libzmq reports a handshake that a wrong key ended, a tunnel whose far end is down, and a proxy that
closes at once in the same way. The difference is ZMTP's greeting: a server sends it before any key
matters. See ZMTP 3.1 (RFC 37).
"""

from __future__ import annotations

import socket
from typing import Literal

Found = Literal["backend", "stranger", "nothing"]

GREETING = 64  # bytes
TIMEOUT = 2.0  # seconds
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_OURS = _SIGNATURE + b"\x03"  # and no mechanism, which the other end might break off at


class Probe:
    """A look at an address, which takes no longer than TIMEOUT. found: None until it is known.

    found: ``backend``: a ZMTP server that uses CURVE sent its greeting. ``stranger``: something
    else answered. ``nothing``: nobody did.
    """

    def __init__(self, address: str, now: float) -> None:
        self.found: Found | None = None
        self._deadline = now + TIMEOUT
        self._received = b""
        self._sent = False
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        host = host.strip("[]")
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setblocking(False)
        try:
            self._socket.connect((host, int(port)))
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self._end()

    def step(self, now: float) -> Found | None:
        """Go on without waiting; what was found, None if that is not known yet."""
        if self.found is None:
            try:
                self._exchange()
            except BlockingIOError:
                pass
            except ConnectionError:
                self._end()
            except OSError:  # not connected yet, or unreachable
                if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._end()
        if self.found is None and now >= self._deadline:
            self._end()
        return self.found

    def _exchange(self) -> None:
        if not self._sent:
            self._socket.send(_OURS)
            self._sent = True
        while len(self._received) < GREETING:
            data = self._socket.recv(GREETING - len(self._received))
            if not data:
                self._end()
                return
            self._received += data
        self._end()

    def _end(self) -> None:
        signed = self._received[:1] == b"\xff" and self._received[9:10] == b"\x7f"
        if signed and self._received[12:32].rstrip(b"\0") == b"CURVE":
            self.found = "backend"
        else:
            self.found = "stranger" if self._received else "nothing"
        self._socket.close()

    def close(self) -> None:
        """Give up."""
        self._socket.close()
