"""The painter `from_frames`: frames that were edited elsewhere become the layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.edited import average, measure, project, state
from backend.edited.matte import changed
from backend.edited.project import Edited, Projection
from backend.edited.register import Pixels, Registered, as_float, graded_alike, register
from backend.edited.sources import on_frame, sharpness
from backend.media import composite
from backend.painters.base import Plan, Run, Task
from backend.progress import EDIT_PHASE
from protocol.jobs import EditJob, JobError
from protocol.painters import FromFramesSettings, settings_of

VERSION = "from-frames-1"
"""Raise it when the same frames give another layer: paintings under way then start over."""

ROUNDS = 2  # in which the frames are aligned with their average


@dataclass(frozen=True)
class Effort:
    """frames: how many are averaged at most. sweeps: that sharpen their average."""

    frames: int
    sweeps: int


EFFORTS = {"draft": Effort(16, 4), "preview": Effort(32, 6), "final": Effort(64, 10)}


class FromFrames:
    """Registers edited frames to the footage and averages them in the atlas."""

    def __init__(self, spec: EditJob, device: torch.device) -> None:
        self._device = device
        self._registered: dict[str, dict[int, Registered]] = {}

    def remarks(self, spec: EditJob) -> Sequence[str]:
        """Texts that the job has and this painter does not read."""
        named = [name for name in ("region", "avoid") if getattr(spec, name)]
        if not named or spec.masks.mode == "text":
            return ()
        return [
            f"The painter from_frames does not use {' and '.join(named)}: the edited frames "
            "show where the change is."
        ]

    def plan(self, task: Task) -> Plan:
        """One step to register, then rounds and sweeps. Raises JobError("no_painted_frames")."""
        if not _settings(task).painted_frames:
            raise JobError(
                "no_painted_frames",
                "No frame of the shot was edited.",
                "Give at least one edited frame of it.",
            )
        steps = 1 + (ROUNDS + _effort(task).sweeps if task.video else 0)
        return Plan(steps=steps, identity=VERSION, edges=True)

    def prepare(self, task: Task, frames: NDArray[np.uint8], run: Run) -> None:
        """Register the edited frames. Raises JobError("other_content") if they do not fit."""
        kept = state.read(run.checkpoint.load(torch.device("cpu")))
        registered = kept.registered if kept is not None else self._register(task, frames, run)
        if kept is None:
            run.checkpoint.keep(lambda: state.pack(state.Kept(1, registered)))
        self._registered[task.layer] = registered

    def paint_still(
        self, task: Task, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, run: Run
    ) -> NDArray[np.uint8]:
        """As `Painter.paint_still`."""
        settings = _settings(task)
        (registered,) = self._register(task, image[None], run).values()
        (given,) = _given(task, image[None], run).values()
        clip = (image.shape[0], image.shape[1])
        colours, shown = registered.applied(given, clip)
        difference = (colours - as_float(image)) * shown[..., None]
        noise, contrast = (0.0, None) if registered.exact else (registered.noise, _contrast(image))
        if settings.threshold is None:
            alpha = changed(difference, noise, contrast)
        else:
            alpha = changed(difference, 0.0, least=settings.threshold / 255)
        alpha = alpha * shown if mask is None else alpha * shown * (mask > 0)
        if not alpha.any():
            raise _nothing_changed(task)
        layer = np.rint(np.dstack([colours.clip(0, 1), alpha]) * 255).astype(np.uint8)
        layer[layer[..., 3] == 0] = 0
        edit = np.rint(colours.clip(0, 1) * 255)
        run.numbers.update(
            untouched=float((layer[..., 3] == 0).mean()),
            edit_psnr=measure.psnr(composite(image, layer) - edit, layer[..., 3] > 127),
        )
        run.report.step(EDIT_PHASE, 1, 1)
        run.report.preview(measure.small(composite(image, layer)))
        return np.asarray(layer, np.uint8)

    def paint_atlas(
        self, task: Task, frames: NDArray[np.uint8], atlas: LayeredAtlas, run: Run
    ) -> Tensor:
        """As `Painter.paint_atlas`; `prepare` came first."""
        kept = state.read(run.checkpoint.load(atlas.device))
        kept = kept or state.Kept(1, self._registered[task.layer])
        steps = _Steps(run, kept, self.plan(task).steps)
        given = _chosen(_given(task, frames, run), _effort(task).frames)
        edited = [Edited(frame, image, kept.registered[frame]) for frame, image in given.items()]
        projection = project.start(atlas, task.layer, frames, edited, steps.tick)
        if not projection.edited:
            raise _nothing_changed(task)
        while steps.done <= ROUNDS:
            if len(projection.edited) > 1:
                projection = project.aligned(projection, steps.tick)
            found = {one.frame: one.registered for one in projection.edited}
            steps.next(replace(kept, registered={**kept.registered, **found}))
        return self._average(task, projection, steps, kept.image)

    def _average(
        self, task: Task, projection: Projection, steps: _Steps, image: Tensor | None
    ) -> Tensor:
        """The painted atlas of aligned frames. image: the average that was reached before."""
        seen, mean = project.weighted(projection, steps.tick)
        if image is not None:
            mean = replace(mean, image=image)
        while steps.done < steps.total:
            mean = average.sweep(seen, mean, steps.tick)
            steps.next(replace(steps.kept, image=mean.image))
        threshold = _settings(task).threshold
        given = None if threshold is None else threshold / 255
        alpha = project.matte(projection, seen, given, steps.tick)
        rgba = torch.cat([mean.image, alpha], 1)
        if not bool((alpha > 0).any()):
            raise _nothing_changed(task)
        steps.run.numbers.update(measure.measures(projection, rgba, steps.tick))
        steps.run.report.preview(measure.preview(projection, rgba))
        steps.tick()
        return rgba

    def _register(self, task: Task, frames: NDArray[np.uint8], run: Run) -> dict[int, Registered]:
        given = _given(task, frames, run)
        steps = _Steps(run, state.Kept(0, {}), self.plan(task).steps)
        numbers, images = list(given), list(given.values())
        found = register(images.__getitem__, numbers, frames, steps.tick)
        if _settings(task).colours == "keep":
            found = graded_alike(found)
        return dict(zip(numbers, found, strict=True))


class _Steps:
    """Counts the steps of a painting, reports them, and keeps what they reached."""

    def __init__(self, run: Run, kept: state.Kept, total: int) -> None:
        self.run, self.kept, self.total = run, kept, total

    @property
    def done(self) -> int:
        """Steps that are finished."""
        return self.kept.done

    def tick(self) -> None:
        """Report the step under way; may raise Cancelled."""
        self.run.report.step(EDIT_PHASE, self.done, self.total)

    def next(self, reached: state.Kept) -> None:
        """Count a step that reached this state."""
        self.kept = replace(reached, done=self.done + 1)
        self.run.checkpoint.keep(lambda: state.pack(self.kept))
        self.tick()


def _settings(task: Task) -> FromFramesSettings:
    settings = settings_of(task.job)
    assert isinstance(settings, FromFramesSettings)
    return settings


def _effort(task: Task) -> Effort:
    return EFFORTS[task.job.preset]


def _given(task: Task, frames: NDArray[np.uint8], run: Run) -> dict[int, Pixels]:
    """The edited frames [H,W,3] by their place in the shot, in order."""
    ordered = sorted(_settings(task).painted_frames, key=lambda one: one.frame)
    return {one.frame: on_frame(run.load(one.image), frames[one.frame]) for one in ordered}


def _chosen(given: dict[int, Pixels], most: int) -> dict[int, Pixels]:
    """At most `most` frames, evenly spread over the shot, each the sharpest of its part."""
    if len(given) <= most:
        return given
    numbers = list(given)
    parts = np.array_split(np.array(numbers), most)
    best = [max(part.tolist(), key=lambda number: sharpness(given[number])) for part in parts]
    return {number: given[number] for number in best}


def _contrast(image: Pixels) -> NDArray[np.float32]:
    gy, gx = np.gradient(image.astype(np.float32).mean(-1) / 255)
    return np.asarray(np.hypot(gx, gy), np.float32)


def _nothing_changed(task: Task) -> JobError:
    return JobError(
        "nothing_changed",
        f"The edited frames equal the footage on the {task.layer}.",
        "Edit the layer that the job names, lower the threshold, or keep the colours if the edit "
        "is a grade of the whole frame.",
    )
