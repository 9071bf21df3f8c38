"""The connection: its state in words for the panel, its file and its address."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from ..wire import jobs, keys, local

State = Literal["off", "connecting", "ready", "lost", "refused"]
GIB = 2**30
LOW_DISK = 5 * GIB  # free bytes; a backend refuses new jobs that would leave less than 2 GiB
ONLINE_OFF = "online_access_off"

_REASONS = {
    "file_missing": "Backend not running",
    "not_running": "Backend not running",
    "no_answer": "Backend does not answer",
    "connection_lost": "Connection lost",
    "closed_early": "No backend behind the address",
    "wrong_key": "Wrong connection file",
    "file_damaged": "Connection file damaged",
    "file_exposed": "Connection file open to others",
    "not_allowed": "Not paired with this backend",
    "not_a_backend": "No Text2LIVE backend there",
    "backend_too_old": "Backend too old",
    "client_too_old": "Add-on too old",
    "bad_address": "Wrong address",
    ONLINE_OFF: "Online access is off",
}
"""Why there is no connection, in two or three words by the problem's code."""


@dataclass(frozen=True, kw_only=True)
class ConnectionStatus:
    """What the panel shows of the connection.

    jobs: number of jobs in the backend's queue. others: the ones that this Blender did not send, in
    words. free_bytes, total_bytes: memory of its device; disk_free, disk_total: bytes of its disk;
    0: not known.
    """

    state: State = "off"
    address: str = ""
    device: str = ""
    model: str = ""
    problem: jobs.Problem | None = None
    jobs: int = 0
    others: tuple[str, ...] = ()
    free_bytes: int = 0
    total_bytes: int = 0
    disk_free: int = 0
    disk_total: int = 0

    @property
    def short(self) -> str:
        """The state in two or three words, for the panel's header."""
        if self.state == "ready":
            return "Connected"
        if self.state == "connecting":
            return "Connecting"
        fallback = {"off": "Not connected", "lost": "No answer", "refused": "Refused"}
        code = self.problem.code if self.problem else ""
        return _REASONS.get(code, fallback[self.state])

    @property
    def line(self) -> str:
        """One line: ``Connected to 127.0.0.1:5599``, ``Backend not running, still trying``."""
        where = self.address.removeprefix("tcp://")
        if self.state in ("connecting", "ready"):
            return f"{self.short} to {where}"
        return f"{self.short}, still trying" if self.state == "lost" else self.short

    @property
    def backend(self) -> str:
        """Device and model of the backend: ``cuda:0, demo``."""
        return ", ".join(part for part in (self.device, self.model) if part)

    @property
    def memory(self) -> str:
        """``61.2 of 79.2 GiB free``, or empty if not known."""
        if not self.total_bytes:
            return ""
        return f"{self.free_bytes / GIB:.1f} of {self.total_bytes / GIB:.1f} GiB free"

    @property
    def disk(self) -> str:
        """``Disk: 38.5 GiB free``, or empty if not known."""
        return f"Disk: {self.disk_free / GIB:.1f} GiB free" if self.disk_total else ""

    @property
    def disk_warning(self) -> str:
        """What to do before the backend's disk is full; empty while there is space."""
        if not self.disk_total or self.disk_free >= LOW_DISK:
            return ""
        return (
            f"The backend's disk is nearly full: {self.disk_free / GIB:.1f} GiB are free. "
            "Remove finished jobs, or free space on it, before it refuses new ones."
        )

    @property
    def queue(self) -> str:
        """How busy the backend is."""
        return "Queue: " + {0: "empty", 1: "1 job running"}.get(self.jobs, f"{self.jobs} jobs")

    @property
    def icon(self) -> str:
        """Blender's icon for the state."""
        return {
            "off": "UNLINKED",
            "connecting": "SORTTIME",
            "ready": "LINKED",
            "lost": "ERROR",
            "refused": "CANCEL",
        }[self.state]


def read_connection(file: Path, address: str = "") -> keys.Connection:
    """Read the connection file that a backend wrote. address: overrides the one in the file.

    Raises JobError when the file is missing or unreadable, or the address is invalid.
    """
    connection = keys.read_connection_file(file)
    if not address.strip():
        return connection
    return msgspec.structs.replace(connection, address=full_address(address))


def default_connection_file() -> Path:
    """Where a backend on this machine writes its connection file, unless started with --data."""
    return local.connection_file(local.data_folder())


def full_address(text: str) -> str:
    """``host:port`` or ``tcp://host:port`` as ``tcp://host:port``; raises JobError."""
    found = re.fullmatch(r"(?:tcp://)?(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})", text.strip())
    if not found or not 0 < int(found.group(2)) < 65536:
        raise jobs.JobError(
            "bad_address",
            f"{text.strip()} is not a valid address.",
            "Write it as host:port, for example 192.168.1.20:5599.",
        )
    return f"tcp://{found.group(1)}:{found.group(2)}"


def is_local(address: str) -> bool:
    """Whether an address stays on this machine."""
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_online(address: str, online: bool) -> None:
    """Raise JobError for another machine's address while Blender's online access is off."""
    if not online and not is_local(address):
        raise jobs.JobError(
            ONLINE_OFF,
            f"{address.removeprefix('tcp://')} is out of reach: Blender's online access is off.",
            "Turn on Edit > Preferences > System > Network > Allow Online Access.",
        )
