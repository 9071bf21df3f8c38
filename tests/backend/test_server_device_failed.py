"""A GPU error that ends all work of a process: the job fails clearly, the worker is restarted."""

from __future__ import annotations

from live_worker import SLOT, LiveWorker, is_a

from backend import worker
from backend.executors.base import Failed, Finished, Gone, Ready, Started
from protocol.jobs import Clip, EditJob, Result

SPEC = EditJob(clip=Clip(frames=()), prompt=("x",))


def test_the_job_fails_in_clear_words_and_the_next_one_has_a_new_worker(tmp_path):
    live = LiveWorker(tmp_path, "broken_device:run", "none")
    try:
        live.until(is_a(Ready))
        live.executor.start(SLOT, "a", SPEC)
        problem = live.until(is_a(Failed)).problem
        assert (problem.code, problem.retryable) == ("device_failed", True)
        assert problem.message.endswith("CUDA error: device-side assert triggered")
        # Gone comes first, so that nothing is placed on the dying worker.
        assert [type(one) for one in live.reports[-3:]] == [Started, Gone, Failed]
        live.until(is_a(Ready))
        live.executor.start(SLOT, "b", SPEC)
        assert live.until(is_a(Finished, Failed)) == Finished(job="b", result=Result())
    finally:
        live.executor.close()


def test_a_kernel_that_failed_after_the_jobs_last_call_ends_the_worker_too(tmp_path, monkeypatch):
    def fails():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    options = worker.Options(device="none", data=str(tmp_path), log=str(tmp_path / "log"))
    monkeypatch.setattr(worker.Worker, "_send", lambda *_: None)
    one = worker.Worker(None, options)
    for free_memory, usable in ((lambda: None, True), (fails, False)):
        monkeypatch.setattr(worker, "free_memory", free_memory)
        ended = one._run_job("a", SPEC, lambda *_: Result(), "cpu")
        assert ended == (Finished(job="a", result=Result()), usable)
