"""The connection in words: why it is as it is, and what to do about it."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from ..wire import jobs, keys

State = Literal["off", "connecting", "ready", "lost", "refused"]


@dataclass(frozen=True, kw_only=True)
class View:
    """What the panel says about the connection."""

    state: State = "off"
    address: str = ""
    device: str = ""
    model: str = ""
    problem: jobs.Problem | None = None

    @property
    def line(self) -> str:
        """One line: ``Connected to 127.0.0.1:5599``."""
        where = self.address.removeprefix("tcp://")
        return {
            "off": "Not connected",
            "connecting": f"Connecting to {where}",
            "ready": f"Connected to {where}",
            "lost": "No answer, still trying",
            "refused": f"Refused by {where}",
        }[self.state]

    @property
    def backend(self) -> str:
        """What the backend works with: ``cuda:0, demo``."""
        return ", ".join(part for part in (self.device, self.model) if part)

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
    """The connection in a file the backend wrote; `address` overrides where it is reached.

    Raises JobError in words when there is no file, it cannot be read, or the address is none.
    """
    connection = keys.read_connection_file(file)
    if not address.strip():
        return connection
    return msgspec.structs.replace(connection, address=full_address(address))


def default_connection_file(
    platform: str = sys.platform, env: Mapping[str, str] = os.environ, home: Path | None = None
) -> Path:
    """Where a backend on this machine writes its connection file unless told otherwise."""
    home = home or Path.home()
    if env.get("TEXT2LIVE_DATA"):
        return Path(env["TEXT2LIVE_DATA"]) / "connection.json"
    if platform == "win32":
        base = Path(env.get("LOCALAPPDATA", home))
    elif platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(env.get("XDG_DATA_HOME", home / ".local" / "share"))
    return base / "text2live" / "connection.json"


def full_address(text: str) -> str:
    """``host:port`` or ``tcp://host:port`` as ``tcp://host:port``; raises JobError."""
    found = re.fullmatch(r"(?:tcp://)?(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})", text.strip())
    if not found or not 0 < int(found.group(2)) < 65536:
        raise jobs.JobError(
            "bad_address",
            f"{text.strip()} is not an address.",
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
    """Refuse to leave this machine while Blender's online access is off; raises JobError."""
    if not online and not is_local(address):
        raise jobs.JobError(
            "online_access_off",
            f"Blender's online access is off, so {address.removeprefix('tcp://')} is out of reach.",
            "Turn on Edit > Preferences > System > Network > Allow Online Access.",
        )
