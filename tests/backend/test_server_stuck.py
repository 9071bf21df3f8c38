"""Workers that are stopped or hang: the server goes on, reports them, restarts them on demand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from live_worker import SLOT, LiveWorker, is_a

from backend.executors import watchdog
from backend.executors.base import Alive, Failed, Note, Ready, Step
from backend.executors.watchdog import NO_PROGRESS, QUIET, Watchdog
from protocol.jobs import Clip, EditJob, ObjectRef

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
REF = ObjectRef(digest="0" * 64, dtype="uint8", shape=(2, 2, 3))
SPEC = EditJob(clip=Clip(frames=(REF,)), prompt=("x",))
LONG = EditJob(clip=Clip(frames=(REF,) * 6000), prompt=("x",))  # more than a pipe holds


@pytest.fixture
def live(tmp_path):
    made = []

    def start() -> LiveWorker:
        made.append(LiveWorker(tmp_path, "time:sleep", "none"))
        made[-1].until(is_a(Ready))
        return made[-1]

    yield start
    for one in made:
        one.executor.close()


def stop_worker() -> int:
    (process,) = (one for one in active_children() if one.name == SLOT)
    os.kill(process.pid, signal.SIGSTOP)
    return process.pid


def test_an_order_to_a_stopped_worker_returns_at_once(live):
    one = live()
    stop_worker()
    order = threading.Thread(target=one.executor.start, args=(SLOT, "a", LONG), daemon=True)
    order.start()
    order.join(5)
    assert not order.is_alive()


def test_a_stopped_worker_is_reported_to_its_job(live, monkeypatch):
    monkeypatch.setattr(watchdog, "QUIET", 0.3)
    one = live()
    stop_worker()
    one.executor.start(SLOT, "a", SPEC)
    note = one.until(is_a(Note))
    assert note.job == "a"
    assert "has not answered" in note.text


def test_a_stuck_worker_is_restarted_on_demand(live):
    one = live()
    stop_worker()
    dog = one.executor._slots[SLOT]._watchdog
    dog._restart_after = 0.5  # less than a worker needs to start
    one.executor.start(SLOT, "a", SPEC)
    failed = one.until(is_a(Failed))
    assert (failed.problem.code, failed.problem.retryable) == ("worker_stuck", True)
    dog._restart_after = 0.0
    one.until(is_a(Ready))


def test_silence_is_noticed_once_and_again_after_a_sign_of_life():
    dog = Watchdog()
    dog.reset(0.0)

    def looks(*times: float, working: bool = False) -> list[bool]:
        return [dog.look(now, working=working) is not None for now in times]

    assert looks(QUIET - 1) == [False]
    dog.heard(QUIET - 1, Alive())
    steps = [QUIET + second for second in range(0, 34, 3)]
    assert sum(looks(*steps)) == 1
    dog.heard(steps[-1], Alive())
    assert not any(looks(*(steps[-1] + second for second in range(0, 30, 3))))


def test_a_job_without_progress_is_noticed_though_its_worker_lives():
    dog = Watchdog()
    dog.reset(0.0)
    dog.started(0.0)
    found = []
    for now in range(int(NO_PROGRESS) + 10):
        dog.heard(now, Alive())
        finding = dog.look(now, working=True)
        found += [finding.text] if finding else []
    assert len(found) == 1
    assert "no progress for 10 minutes" in found[0]
    dog.heard(now, Step(job="a", phase="Editing", done=1, total=2))
    assert dog.look(now + 1, working=True) is None


def test_time_in_which_the_server_itself_was_stopped_does_not_count():
    dog = Watchdog(restart_after=60.0)
    dog.reset(0.0)
    assert dog.look(1.0, working=True) is None
    assert dog.look(10_000.0, working=True) is None
    assert dog.look(10_001.0, working=True) is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a stopped process cannot end by itself")
def test_a_stopped_worker_ends_with_its_server(tmp_path):
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "backend.serve", "--mock", "ok"),
            *("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert any(line.startswith("Ready") for line in server.stdout)
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    worker = next(
        int(child)
        for child in children
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
    )
    os.kill(worker, signal.SIGSTOP)
    server.kill()
    server.wait()
    server.stdout.close()
    end = time.monotonic() + 10
    while time.monotonic() < end and _lives(worker):
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
