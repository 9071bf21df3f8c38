"""A job as the artist follows it, from reading frames to the layer on the timeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..wire import jobs
from .planning import Anchor
from .settings import Settings

READING, SENDING, WAITING, WORKING, FETCHING, PLACING = (
    "reading",
    "sending",
    "waiting",
    "working",
    "fetching",
    "placing",
)
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})

_PHASE_TEXTS = {
    READING: "Reading frames",
    SENDING: "Sending frames",
    WAITING: "Waiting for the backend",
    WORKING: "Working",
    FETCHING: "Fetching the result",
    PLACING: "Placing the layer",
    DONE: "Done",
    FAILED: "Failed",
    CANCELLED: "Cancelled",
}
_STATE_PHASES = {
    "uploading": SENDING,
    "queued": WAITING,
    "interrupted": WAITING,
    "starting": WORKING,
    "running": WORKING,
    "saving": WORKING,
    "cancelling": WORKING,
    "cancelled": CANCELLED,
    "failed": FAILED,
}
_STATE_TEXTS = {
    "queued": "Waiting for its turn",
    "interrupted": "The backend restarted; the job starts again",
    "starting": "Starting",
    "saving": "Saving",
    "cancelling": "Cancelling",
}


EDIT_PHASE = "edit"
"""What the backend calls the training of an edit."""

SINGLE_LAYER = ("",)


@dataclass
class Job:
    """State of one job.

    phase: one of the constants above. work: the backend's name for its current step. done, total:
    progress within the phase. files: the frames of its layers once all are on disk. pictures:
    named images of an analysis. placed: its layers are on the timeline. accepted: the backend has
    the job. parts: names of its layers, back to front, each with a strip; a single layer has no
    name. replaces: id of the job whose strip will show this job's layer; in_place_of: which
    layer, if that job has several; replaces_strip: name of the strip, which tells it from its
    copies. problem: why it failed, or what keeps it from being placed. settings: None if a file
    of an older version did not keep them. version: number among its strip's edits, from 1.
    server: the backend it was sent to. fingerprint: of everything its atlas depends on. image:
    name of the painted image, for a job of kind paint. analysed: whether the shot was analysed
    when the job started. preview: the newest preview. began_at, ended_at: the backend's clock in
    seconds; 0: not yet.
    """

    id: str
    label: str
    anchor: Anchor
    folder: Path
    phase: str = READING
    work: str = ""
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    notes: list[str] = field(default_factory=list)
    problem: jobs.Problem | None = None
    seq: int = 0
    result: jobs.Result | None = None
    files: tuple[Path, ...] = ()
    parts: tuple[str, ...] = SINGLE_LAYER
    pictures: dict[str, Path] = field(default_factory=dict)
    layer_size: tuple[int, int] = (0, 0)
    placed: bool = False
    replaces: str = ""
    in_place_of: str = ""
    replaces_strip: str = ""
    accepted: bool = False
    cancelling: bool = False
    settings: Settings | None = None
    version: int = 0
    server: str = ""
    fingerprint: str = ""
    image: str = ""
    analysed: bool = False
    preview: Path | None = None
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def kind(self) -> str:
        """edit, atlas or paint."""
        return self.settings.kind if self.settings else "edit"

    @property
    def title(self) -> str:
        """Title in the list of jobs: ``v2 a red car``."""
        return f"v{self.version} {self.label}" if self.version else self.label

    def layer_name(self, part: str) -> str:
        """The shot's layer that a part is: ``foreground``, ``background``; empty if not known."""
        return part or (self.settings.layer if self.settings else "")

    def frames_of(self, part: str) -> tuple[Path, ...]:
        """The frame files of one of its layers."""
        count, index = len(self.files) // len(self.parts), self.parts.index(part)
        return self.files[index * count : (index + 1) * count]

    @property
    def note(self) -> str:
        """The newest note, or empty."""
        return self.notes[-1] if self.notes else ""

    @note.setter
    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def ended(self) -> bool:
        """It is done, failed or cancelled."""
        return self.phase in ENDED

    @property
    def failed_by_no_fault(self) -> bool:
        """It failed at the backend for a reason that has nothing to do with the job."""
        failed = self.phase == FAILED and self.problem is not None and self.problem.retryable
        return failed and self.accepted and self.result is None

    @property
    def fraction(self) -> float:
        """How much of the phase is done, 0..1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def thumbnail(self) -> Path | None:
        """An image that represents the job: a frame of its layer, or else the newest preview."""
        if self.files:
            front = self.frames_of(self.parts[-1])
            return front[len(front) // 2]
        return self.pictures.get("foreground_atlas") or self.preview

    @property
    def seconds(self) -> float:
        """How long the backend worked on it; 0 until it is done."""
        return max(0.0, self.ended_at - self.began_at) if self.began_at and self.ended_at else 0.0

    def enter(self, phase: str, done: int = 0, total: int = 0) -> None:
        """Enter a phase and reset the progress."""
        self.phase, self.work, self.eta_s = phase, "", None
        self.done, self.total = done, total

    def fail(self, problem: jobs.Problem) -> None:
        """End with a problem; complete files stay known."""
        self.enter(FAILED)
        self.problem = problem

    def apply(self, event: jobs.Event) -> bool:
        """Apply an event of the backend; False if it was seen before or comes too late."""
        if event.seq <= self.seq or self.ended or self.phase in (FETCHING, PLACING):
            return False
        self.seq = event.seq
        if event.kind == "note":
            self.note = event.text
        elif event.kind == "progress":
            if self.phase != WORKING or self.work != event.phase:
                self.enter(WORKING)
            self.work, self.eta_s = event.phase, event.eta_s
            self.done, self.total = event.done, event.total
        elif event.kind == "state":
            self._enter_state(event)
        return True

    def _enter_state(self, event: jobs.Event) -> None:
        if event.state == "starting":
            self.began_at = event.at
        if event.state == "failed":
            self.fail(event.problem or failed_without_reason())
        elif event.state == "done":
            self.ended_at = event.at
            self.result = event.result or jobs.Result()
            self.enter(FETCHING, 0, len(self.result.layer))
        elif event.state in _STATE_PHASES:
            phase = _STATE_PHASES[event.state]
            if phase != self.phase or event.state in _STATE_TEXTS:
                self.enter(phase)
                self.work = _STATE_TEXTS.get(event.state, "")

    def status_text(self) -> str:
        """The current step, with its progress if known: ``Fitting the atlas 40/100``."""
        if self.cancelling and not self.ended:
            return "Cancelling"
        if self.work == EDIT_PHASE:
            return f"Painting the layer, step {self.done} of {self.total}"
        name = self.work[:1].upper() + self.work[1:] if self.work else _PHASE_TEXTS[self.phase]
        if self.total and self.phase == SENDING:
            return f"{name}, {self.done / 1e6:.1f} of {self.total / 1e6:.1f} MB"
        return f"{name} {self.done}/{self.total}" if self.total else name

    def eta_text(self) -> str:
        """Time left in words, or empty if not known."""
        return "" if self.eta_s is None or self.ended else duration(self.eta_s) + " left"

    def progress_text(self) -> str:
        """Status and time left on one line, so that the panel does not jump."""
        return ", ".join(part for part in (self.status_text(), self.eta_text()) if part)


def duration(seconds: float) -> str:
    """A duration in words: ``8 s``, ``3 min``, ``1 h 20 min``."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def failed_without_reason() -> jobs.Problem:
    """A failure that the backend gave no reason for."""
    return jobs.Problem(
        code="failed_without_reason",
        message="The job failed and the backend gave no reason.",
        hint="Check the backend's console output, then try again.",
    )
