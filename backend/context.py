"""What a running job has access to: the store, its device, and the reports to the artist."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from backend.data_folder import MODELS
from backend.executors.base import AnyReport, Note, Previewed, Step
from backend.progress import Cancelled
from backend.store import Store
from protocol.jobs import ClipModel, ObjectRef

if TYPE_CHECKING:
    import torch

STEP_INTERVAL = 0.25  # seconds between progress reports of one phase


class Context:
    """What a running job has access to: the store, its device, and reports. It is a Reporter.

    device: the torch device to compute on. data: the backend's folder. model: the backend's default
    CLIP model. models: the folder in which jobs name models. clip_start: the number of the clip's
    first frame, for notes to the artist. first_frame: how many frames are numbered before the
    current shot's first one.
    """

    def __init__(
        self,
        job: str,
        device: str,
        data: Path,
        send: Callable[[AnyReport], None],
        cancelled: Callable[[], bool] = lambda: False,
        model: ClipModel = ClipModel(),  # noqa: B008  (frozen)
        models: Path | None = None,
    ) -> None:
        self.job = job
        self.data = data
        self.model = model
        self.models = models or data / MODELS
        self.clip_start = 1
        self.first_frame = 0
        self._device = device
        self._send = send
        self._cancelled = cancelled
        self._store = Store(data / "objects")
        self._phase = ""
        self._began = (0.0, 0)  # time and step from which the phase's pace is measured
        self._sent = 0.0

    @property
    def device(self) -> torch.device:
        """The device to compute on."""
        import torch

        return torch.device(self._device)

    def number_from(self, start: int) -> None:
        """Number the clip's frames from `start` on in notes."""
        self.clip_start, self.first_frame = start, start - 1

    @contextmanager
    def in_shot(self, first: int) -> Iterator[None]:
        """While entered, the job works on the shot that starts at this frame of the clip."""
        self.first_frame = self.clip_start - 1 + first
        try:
            yield
        finally:
            self.first_frame = self.clip_start - 1

    def check(self) -> None:
        """Raise Cancelled if the job was cancelled."""
        if self._cancelled():
            raise Cancelled

    def step(self, phase: str, done: int, total: int) -> None:
        """Report done of total; sent at most four times a second, with the time left."""
        self.check()
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began = phase, (now, done)
        elif now - self._sent < STEP_INTERVAL and done != total:
            return
        self._sent = now
        self._send(
            Step(
                job=self.job, phase=phase, done=done, total=total, eta_s=self._eta(now, done, total)
            )
        )

    def _eta(self, now: float, done: int, total: int) -> float | None:
        since, first = self._began
        if done <= first or now - since < 0.5:
            return None
        return (now - since) / (done - first) * max(total - done, 0)

    def preview(self, image: NDArray[np.uint8]) -> None:
        """Show the artist an image: uint8 [H,W,3] or [H,W,4]."""
        self.check()
        self._send(Previewed(job=self.job, object=self._store.save(image)))

    def note(self, text: str) -> None:
        """Tell the artist something: one plain sentence."""
        self.check()
        self._send(Note(job=self.job, text=text))

    def load(self, ref: ObjectRef) -> NDArray[np.uint8]:
        """Load an object, a read-only array [H,W,C]. Raises JobError if it is gone or damaged."""
        self.check()
        return self._store.load(ref)

    def store(self, array: NDArray[np.uint8]) -> ObjectRef:
        """Store an array uint8 [H,W,C] on disk. Raises JobError disk_full."""
        self.check()
        return self._store.save(array)

    def atlas_folder(self, key: str) -> Path:
        """The folder for the atlas with this key, which need not exist; its parent does."""
        folder = self.data / "atlases"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / key
