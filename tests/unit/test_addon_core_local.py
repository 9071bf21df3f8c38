"""A backend started from Blender, and how long jobs take on one: without Blender."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon.core import local_backend
from blender_addon.core.connection import ConnectionStatus
from blender_addon.core.history import History, JobTime
from blender_addon.core.local_backend import LocalBackend, explain_exit, split_options
from protocol.jobs import JobError, Problem

LOG = Path("backend.log")
posix = pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")


def python_that(tmp_path: Path, script: str) -> Path:
    """A fake Python for the backend; DATA is the value of --data."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nDATA="$6"\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def start(tmp_path: Path, script: str) -> LocalBackend:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    return LocalBackend(python_that(tmp_path, script), None, data, tmp_path / "log" / "backend.log")


def until(local: LocalBackend, state: str) -> None:
    deadline = time.monotonic() + 20
    while local.state != state:
        assert time.monotonic() < deadline, (local.state, local.problem, local.log.read_text())
        local.poll()
        time.sleep(0.01)


@posix
def test_it_is_ready_when_its_connection_file_is_new(tmp_path: Path) -> None:
    old = tmp_path / "data" / "connection.json"
    old.parent.mkdir()
    old.write_text("of a backend that was killed")
    os.mkfifo(tmp_path / "data" / "go")
    local = start(tmp_path, 'read x < "$DATA/go"; echo new > "$DATA/connection.json"; cat')
    assert not local.poll()
    assert local.state == "starting"
    (tmp_path / "data" / "go").write_text("go\n")
    until(local, "ready")
    assert local.connection_file == old
    local.stop()
    assert local.state == "stopping"
    until(local, "ended")
    assert local.problem is None
    assert not local.running


@posix
def test_it_does_not_outlive_blender(tmp_path: Path) -> None:
    """A killed Blender sends no signal: the closed input must be enough."""
    script = "import sys; from test_addon_core_local import *; import pathlib\n"
    script += "local = start(pathlib.Path(sys.argv[1]), 'cat; echo > \"$DATA/gone\"')\n"
    script += "import os; os._exit(9)"
    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, str(Path(here).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 9
    deadline = time.monotonic() + 20
    while not (tmp_path / "data" / "gone").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@posix
def test_a_backend_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_backend, "CLOSE_WITHIN_S", 0.2)
    local = start(tmp_path, 'echo > "$DATA/connection.json"; exec sleep 60')
    until(local, "ready")
    local.close()
    assert local.state == "ended"


@posix
def test_an_unexpected_end_is_explained(tmp_path: Path) -> None:
    local = start(tmp_path, 'echo "text2live: The disk is full."; echo "Make room."; exit 1')
    until(local, "ended")
    assert local.problem == Problem(
        code="backend_ended", message="The disk is full.", hint="Make room."
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("python: Error while finding module specification for 'backend.serve' "
         "(ModuleNotFoundError: No module named 'backend')",
         "backend_not_installed", "not installed"),
        ("/usr/bin/python3: No module named backend", "backend_not_installed", "not installed"),
        ("ModuleNotFoundError: No module named 'torch'", "backend_incomplete", "torch"),
        ("text2live: Another backend is already using the folder /d.\nStop it first.",
         "already_running", "already running"),
        ("Traceback:\n  ValueError: seven\n\n", "backend_ended", "ValueError: seven"),
        ("", "backend_ended", "without any output"),
    ],
)  # fmt: skip
def test_reasons_in_words(words: str, code: str, said: str) -> None:
    problem = explain_exit(words, LOG)
    assert problem.code == code
    assert said in problem.message
    assert problem.hint


def test_an_invalid_python_or_folder_is_refused(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    with pytest.raises(JobError, match="does not exist"):
        LocalBackend(tmp_path / "nothing", None, data, log)
    with pytest.raises(JobError, match="does not contain the backend"):
        LocalBackend(Path(sys.executable), tmp_path, data, log)
    (tmp_path / "plain").write_text("no program")
    with pytest.raises(JobError, match="cannot be started"):
        LocalBackend(tmp_path / "plain", None, data, log)


def test_options_are_split_like_in_a_terminal() -> None:
    assert split_options('--model "a b" --device cpu', posix=True) == [
        *("--model", "a b", "--device", "cpu")
    ]
    with pytest.raises(JobError, match="cannot be read"):
        split_options('--model "a', posix=True)


def test_blenders_python_variables_are_removed() -> None:
    own = {"PYTHONHOME": "/blender", "PYTHONPATH": "/blender", "HOME": "/h"}
    assert local_backend.environment(own) == {"HOME": "/h", "PYTHONUNBUFFERED": "1"}


# how long


def took(seconds: float, **other: object) -> JobTime:
    fields = {"server": "a", "kind": "edit", "preset": "draft", "analysed": True, "frames": 70}
    return JobTime(**{**fields, "seconds": seconds, **other})  # type: ignore[arg-type]


def test_the_expected_time_is_the_median_of_the_newest_like_it(tmp_path: Path) -> None:
    file = tmp_path / "times.json"
    history = History(file)
    assert history.expected_seconds("a", "edit", "draft", True, 70) is None
    for seconds in (900, 10, 20, 30, 40, 50):
        history.add(took(seconds))
    for other in ({"server": "b"}, {"kind": "atlas"}, {"preset": "final"}, {"analysed": False}):
        history.add(took(1, **other))
    assert History(file).expected_seconds("a", "edit", "draft", True, 70) == 30
    assert history.expected_seconds("a", "edit", "draft", True, 35) == 30
    assert history.expected_seconds("a", "edit", "draft", True, 140) == 30
    assert history.expected_seconds("a", "edit", "draft", True, 34) is None
    assert history.expected_seconds("a", "edit", "draft", True, 141) is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '[{"server": "a"}]'])
def test_a_damaged_history_counts_as_empty(tmp_path: Path, content: str) -> None:
    file = tmp_path / "times.json"
    file.write_text(content)
    history = History(file)
    assert history.expected_seconds("a", "edit", "draft", True, 70) is None
    history.add(took(5))
    assert History(file).expected_seconds("a", "edit", "draft", True, 70) == 5


# the connection in words


@pytest.mark.parametrize(
    ("state", "code", "line"),
    [
        ("off", "", "Not connected"),
        ("off", "file_missing", "Backend not running"),
        ("off", "online_access_off", "Online access is off"),
        ("lost", "not_running", "Backend not running, still trying"),
        ("lost", "anything", "No answer, still trying"),
        ("refused", "wrong_key", "Wrong connection file"),
        ("refused", "not_allowed", "Not paired with this backend"),
        ("refused", "backend_too_old", "Backend too old"),
        ("refused", "anything", "Refused"),
    ],
)
def test_why_there_is_no_connection(state: str, code: str, line: str) -> None:
    problem = Problem(code=code, message="m") if code else None
    assert ConnectionStatus(state=state, problem=problem).line == line  # type: ignore[arg-type]


def test_every_reason_of_the_client_has_a_text() -> None:
    link = (Path(__file__).parents[2] / "protocol" / "link.py").read_text()
    codes = {part.split('"')[0] for part in link.split('code="')[1:]}
    assert len(codes) > 4
    for code in codes:
        view = ConnectionStatus(state="refused", problem=Problem(code=code, message="m"))
        assert view.line != "Refused", code


def test_how_busy_the_backend_is() -> None:
    assert ConnectionStatus().memory == ""
    assert ConnectionStatus(free_bytes=2**30, total_bytes=2**31).memory == "1.0 of 2.0 GiB free"
    queues = [ConnectionStatus(jobs=n).queue for n in (0, 1, 3)]
    assert queues == ["Queue: empty", "Queue: 1 job running", "Queue: 3 jobs"]


def test_how_much_of_the_backends_disk_is_free() -> None:
    assert ConnectionStatus().disk == ConnectionStatus().disk_warning == ""
    roomy = ConnectionStatus(disk_free=40 * 2**30, disk_total=2**40)
    assert (roomy.disk, roomy.disk_warning) == ("Disk: 40.0 GiB free", "")
    assert (
        "3.0 GiB are free" in ConnectionStatus(disk_free=3 * 2**30, disk_total=2**40).disk_warning
    )
    assert "0.0 GiB are free" in ConnectionStatus(disk_free=0, disk_total=2**40).disk_warning
