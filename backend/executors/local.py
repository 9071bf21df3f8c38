"""Run jobs on this machine: one long-lived worker process per device, restarted if it dies."""

from __future__ import annotations

import os
from pathlib import Path

from backend import worker
from backend.executors.base import Sink
from backend.executors.slot import Slot
from protocol.jobs import ClipModel, JobSpec


class LocalExecutor:
    """An Executor with one slot for each device.

    devices: as for ``--device``. runner: ``module:function`` that runs a job. model: the default
    text-image model. models: folder in which jobs name models. restart_after: seconds without a
    sign of life, or of progress, after which a worker is killed and restarted; 0: never.
    """

    def __init__(
        self,
        data: Path,
        devices: tuple[str, ...] = ("auto",),
        runner: str = "backend.methods.dispatch:run_job",
        model: ClipModel = ClipModel(),  # noqa: B008  (frozen)
        *,
        models: Path | None = None,
        restart_after: float = 0.0,
    ) -> None:
        self._slots = {
            f"worker-{index}": Slot(
                f"worker-{index}",
                worker.Options(
                    device=device,
                    data=str(data),
                    log=str(data / "logs" / f"worker-{index}.log"),
                    runner=runner,
                    model=model,
                    models=str(models or ""),
                    server=os.getpid(),
                ),
                restart_after,
            )
            for index, device in enumerate(devices)
        }

    def open(self, sink: Sink) -> None:
        """Start the workers."""
        for slot in self._slots.values():
            slot.open(sink)

    def slots(self) -> list[str]:
        """Names of the slots."""
        return list(self._slots)

    def start(self, slot: str, job: str, spec: JobSpec) -> None:
        """Run a job in a ready slot."""
        self._slots[slot].start(job, spec)

    def cancel(self, job: str, grace_s: float = 5.0) -> None:
        """Ask a job to stop; kill its worker if it has not after grace_s."""
        for slot in self._slots.values():
            slot.cancel(job, grace_s)

    def tick(self, now: float) -> None:
        """Kill workers that did not stop in time; restart dead ones."""
        for slot in self._slots.values():
            slot.tick(now)

    def close(self) -> None:
        """Stop all workers."""
        for slot in self._slots.values():
            slot.close()
