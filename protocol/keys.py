"""CURVE key pairs and the connection file: secrets in files that only their owner can read."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import uuid
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq

from .jobs import JobError

T = TypeVar("T", bound=msgspec.Struct)


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """A CURVE25519 key pair, each half 40 characters of Z85."""

    public: str
    secret: str


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to reach a backend. Keys are Z85; address is ``tcp://host:port``.

    proof: shows that the client can read the backend's data folder, so it runs as the same user on
    the same machine. It is in a file beside the connection file, not in it, and stays there when
    the connection file is copied to another machine.
    """

    address: str
    server_key: str
    client_public: str
    client_secret: str
    proof: str = ""


def new_keypair() -> KeyPair:
    """A new pair from libzmq's random source."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode("ascii"), secret=secret.decode("ascii"))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read (0600), completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_private(path: Path, what: str) -> bytes:
    """Read a file that holds a secret. Raises JobError if others can read or own it, or nobody."""
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            content = file.read()
    except FileNotFoundError as why:
        raise JobError(
            "file_missing",
            f"The {what} {path} does not exist.",
            "Start the backend first; it writes this file when it is ready.",
        ) from why
    except OSError as why:
        raise JobError(
            "file_unreadable",
            f"The {what} {path} cannot be read: {why.strerror}.",
            "Make it readable for your user account.",
        ) from why
    if sys.platform != "win32" and info.st_uid not in (os.geteuid(), 0):
        raise JobError(
            "file_foreign",
            f"The {what} {path} belongs to another user of this machine.",
            "Delete it if you did not put it there; the backend writes a new one.",
        )
    if os.name == "posix" and stat.S_IMODE(info.st_mode) & 0o077:
        raise JobError(
            "file_exposed",
            f"The {what} {path} can be read by other users of this machine.",
            f"Run: chmod 600 {path}",
        )
    return content


def _read(path: Path, what: str, kind: type[T]) -> T:
    content = read_private(path, what)
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as why:
        raise JobError(
            "file_damaged",
            f"The {what} {path} is damaged: {why}.",
            "Delete it and start the backend again.",
        ) from why


def keypair(path: Path) -> KeyPair:
    """Read the key pair in a file, or create the file with a new one."""
    if not path.exists():
        pair = new_keypair()
        write_private(path, msgspec.json.encode(pair))
        return pair
    return _read(path, "key file", KeyPair)


def _proof_file(data: Path) -> Path:
    return data / "keys" / "same-user"


def local_proof(data: Path) -> str:
    """The secret of a data folder that only its own user can know; made if it is missing."""
    path = _proof_file(data)
    if not path.exists():
        write_private(path, secrets.token_hex(32).encode())
    return read_private(path, "key file").decode("ascii", "replace")


def write_connection_file(path: Path, connection: Connection) -> None:
    """Write the file that tells clients how to reach the backend (0600), without the proof."""
    write_private(path, msgspec.json.encode(msgspec.structs.replace(connection, proof="")))


def read_connection_file(path: Path) -> Connection:
    """Read ``<data>/connection.json``. Raises JobError that says what is wrong with it."""
    path = Path(path)
    connection = _read(path, "connection file", Connection)
    keys = (connection.server_key, connection.client_public, connection.client_secret)
    if not connection.address.startswith("tcp://") or any(len(key) != 40 for key in keys):
        raise JobError(
            "file_damaged",
            f"The connection file {path} does not hold a tcp:// address and three keys.",
            "Delete it and start the backend again.",
        )
    proof = ""
    with contextlib.suppress(JobError):  # a copy on another machine has none beside it
        proof = read_private(_proof_file(path.parent), "key file").decode("ascii", "replace")
    return msgspec.structs.replace(connection, proof=proof)
