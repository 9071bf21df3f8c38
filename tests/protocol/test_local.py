"""A backend on this machine: where its files are, and when one that was started is ready."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from protocol.local import BackendProcess, connection_file, data_folder


@pytest.mark.parametrize(
    ("platform", "env", "expected"),
    [
        ("linux", {}, "home/.local/share/text2live"),
        ("linux", {"XDG_DATA_HOME": "data"}, "data/text2live"),
        ("darwin", {}, "home/Library/Application Support/text2live"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/text2live"),
        ("win32", {}, "home/text2live"),
        ("linux", {"TEXT2LIVE_DATA": "mine"}, "mine"),
    ],
)
def test_the_data_folder_of_each_platform(platform, env, expected):
    assert data_folder(platform, env, Path("home")) == Path(expected)
    assert connection_file(data_folder(platform, env, Path("home"))).parent == Path(expected)


def test_the_data_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("TEXT2LIVE_DATA", str(tmp_path))
    assert data_folder() == tmp_path


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for Python is a shell script")
def test_a_backend_is_ready_once_its_connection_file_is_new(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nread go\necho "$@" > "$6/connection.json"\n')
    python.chmod(0o700)
    connection_file(tmp_path).write_text("left by a backend that was killed")
    backend = BackendProcess(
        tmp_path, ["--device", "cpu"], python=str(python), stdin=subprocess.PIPE
    )
    assert not backend.ready
    assert backend.process.stdin is not None
    backend.process.communicate(b"go\n")
    deadline = time.monotonic() + 20
    while not backend.ready:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    said = connection_file(tmp_path).read_text().split()
    assert said[:4] == ["-m", "backend.serve", "--listen", "127.0.0.1:0"]
    assert said[4:] == ["--data", str(tmp_path), "--device", "cpu"]
