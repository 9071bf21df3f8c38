"""Secrets live in files that only their owner can read, and a wrong file says what is wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from protocol.jobs import JobError
from protocol.keys import (
    Connection,
    keypair,
    new_keypair,
    read_connection_file,
    write_connection_file,
)

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX file modes")


def connection() -> Connection:
    server, client = new_keypair(), new_keypair()
    return Connection(
        address="tcp://127.0.0.1:5599",
        server_key=server.public,
        client_public=client.public,
        client_secret=client.secret,
    )


def code_of(path: Path) -> str:
    with pytest.raises(JobError) as why:
        read_connection_file(path)
    assert str(path) in why.value.problem.message
    assert why.value.problem.hint
    return why.value.problem.code


def test_a_connection_survives_its_file(tmp_path):
    path, made = tmp_path / "deep" / "connection.json", connection()
    write_connection_file(path, made)
    assert read_connection_file(path) == made
    write_connection_file(path, connection())
    assert read_connection_file(path) != made
    assert [one.name for one in path.parent.iterdir()] == ["connection.json"]


@posix
def test_files_with_secrets_are_for_their_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        write_connection_file(tmp_path / "connection.json", connection())
        keypair(tmp_path / "keys" / "server.json")
    finally:
        os.umask(before)
    for path in (tmp_path / "connection.json", tmp_path / "keys" / "server.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "connection.json"
    write_connection_file(path, connection())
    path.chmod(mode)
    assert code_of(path) == "file_exposed"


def test_a_missing_file_says_to_start_the_backend(tmp_path):
    assert code_of(tmp_path / "connection.json") == "file_missing"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"address": "tcp://x:1"}',
        b'{"address": "http://x", "server_key": "", "client_public": "", "client_secret": ""}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "connection.json"
    write_connection_file(path, connection())
    path.write_bytes(content)
    assert code_of(path) == "file_damaged"


def test_a_key_pair_is_made_once(tmp_path):
    path = tmp_path / "server.json"
    assert keypair(path) == keypair(path)
    assert keypair(path) != keypair(tmp_path / "other.json")
