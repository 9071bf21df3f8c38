"""A slot with a fake process and pipe: endings that coincide, and starts that fail."""

from __future__ import annotations

import time

import msgspec
import pytest

from backend import worker
from backend.executors import slot as slots
from backend.executors.base import Failed, Finished, Gone, Ready, Stopped
from protocol.jobs import AtlasJob, Clip, Result

SPEC = AtlasJob(clip=Clip(frames=()))


class Pipe:
    """Delivers the given reports, then ends."""

    def __init__(self, *reports):
        self.reports = list(reports)

    def recv_bytes(self):
        if not self.reports:
            raise EOFError
        report = self.reports.pop(0)
        if callable(report):
            report = report()
        return msgspec.msgpack.encode(report)


class Process:
    exitcode = -9

    def __init__(self):
        self.killed = 0

    def join(self, timeout):
        pass

    def is_alive(self):
        return False

    def kill(self):
        self.killed += 1


@pytest.fixture
def slot(tmp_path):
    options = worker.Options(device="none", data=str(tmp_path), log=str(tmp_path / "log"))
    made = slots.Slot("worker-0", options)
    made.said = []
    made._sink = lambda _name, report: made.said.append(report)
    made._process = Process()
    return made


def kinds(slot):
    return [type(report) for report in slot.said]


def late_cancel(slot):
    slot.cancel("a", 0.0)
    slot.tick(time.monotonic())
    return Finished(job="a", result=Result())


def test_a_job_that_ends_as_its_worker_is_killed_gives_the_worker_no_other_job(slot):
    slot.start("a", SPEC)
    pipe = Pipe(Ready(device="cpu", text="cpu"), lambda: late_cancel(slot))
    slot._read(pipe, slot._process, slot._orders)
    assert slot._process.killed == 1
    # Gone comes first, so that nothing is placed here until the next worker is ready.
    assert kinds(slot) == [Ready, Gone, Finished, Gone]
    assert not any(isinstance(report, Stopped) for report in slot.said)


def test_a_killed_job_was_stopped_and_a_dead_one_failed(slot):
    for kill, wanted in ((True, Stopped), (False, Failed)):
        slot.said.clear()
        slot._spawn_at = None
        slot.start("a", SPEC)
        if kill:
            late_cancel(slot)
        slot._read(Pipe(Ready(device="cpu", text="cpu")), slot._process, slot._orders)
        assert kinds(slot) == [Ready, Gone, wanted]
        assert slot.said[-1].job == "a"


def test_a_worker_that_cannot_start_is_tried_again(slot, monkeypatch, capsys):
    tries = []

    def start():
        tries.append(True)
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(slot, "_spawn", start)
    slot._spawn_at = 1.0
    for now in (2.0, 2.1, 2.0 + slots._FIRST_DELAY + 0.01):
        slot.tick(now)
    assert len(tries) == 2
    assert slot._spawn_at > 2.5
    assert "Cannot allocate memory" in capsys.readouterr().err
