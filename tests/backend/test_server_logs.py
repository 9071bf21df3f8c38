"""Logs are kept over a restart, rotated by size, and readable by their owner only."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backend import logs

ROOT = Path(__file__).resolve().parents[2]
PRINT = (
    "import sys, pathlib; from backend import logs;"
    "logs.redirect_output(pathlib.Path(sys.argv[1])); print(sys.argv[2], flush=True)"
)


def print_in_process(path: Path, text: str) -> None:
    subprocess.run([sys.executable, "-c", PRINT, str(path), text], cwd=ROOT, check=True)


@pytest.mark.skipif(os.name != "posix", reason="POSIX file modes")
def test_output_is_appended_and_only_the_newest_run_is_quoted(tmp_path):
    path = tmp_path / "logs" / "worker-0.log"
    print_in_process(path, "first run")
    print_in_process(path, "second run")
    assert path.read_text().count("run\n") == 2
    assert logs.last_output(path) == "second run"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_large_log_is_rotated_and_the_oldest_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    path = tmp_path / "worker-0.log"
    for number in range(logs.KEPT + 3):
        path.write_text(f"run {number} of many")
        logs._rotate(path)
    kept = [path.with_name(f"{path.name}.{number}") for number in range(1, logs.KEPT + 1)]
    assert sorted(tmp_path.iterdir()) == kept
    assert kept[0].read_text() == f"run {logs.KEPT + 2} of many"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="symbolic links")
def test_a_log_is_not_written_through_a_symbolic_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "worker-0.log"
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        logs.redirect_output(path)
    assert victim.read_text() == "precious"


def test_the_server_log_rotates_and_a_full_disk_does_not_stop_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(logs, "MAX_BYTES", 200)
    path = tmp_path / "logs" / "server.log"
    logs.log_server(path)
    log = logging.getLogger("backend.test")
    for number in range(10):
        log.info("line %d of the server's log", number)
    assert path.with_name("server.log.1").exists()
    assert "line 9" in path.read_text()
    monkeypatch.setattr(logging.StreamHandler, "flush", lambda _: os.write(-1, b""))
    log.info("not written")  # raises nothing
    monkeypatch.undo()
    log.warning("on the terminal too")
    assert "on the terminal too" in capsys.readouterr().err
