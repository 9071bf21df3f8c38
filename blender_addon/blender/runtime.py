"""The running add-on: one session, the jobs being read, and the tick that drives both.

Threading rule: everything here runs on Blender's main thread, called by one timer. The other
threads (the client's, the PNG writer's) live behind Session and never touch bpy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core import jobs as phases
from ..core.file_times import FileTimes
from ..core.history import History
from ..core.jobs import Job
from ..core.notices import Notices
from ..core.prompts import PromptHistory
from ..core.session import Session
from ..core.settings import Settings
from ..wire import client as wire_client
from ..wire import jobs
from . import analyses, baking, compat, earlier_masks, mask_previews, undo
from .backends import HISTORY, PACKAGE, PROMPTS, Connector
from .baking import Bakes
from .image_jobs import ImageJobs
from .problems import file_closed, problem_of
from .reading import Reading
from .readings import Readings
from .timeline import folders, layers, placing, restore_jobs, saved_jobs, versions
from .timeline.concerns import concerns, transparent_footage

WITHOUT_LAYER = ("atlas", "mask")  # kinds of job whose result is saved on the strip
READ_FOR_S = 0.02  # per tick, one frame at least; many small frames, since every tick redraws


class Runtime:
    """State of the add-on between register and unregister."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or Session()
        self.connector = Connector(self.session)
        self.problem: jobs.Problem | None = None
        user = Path(compat.user_folder(PACKAGE))
        self.history, self.prompts = History(user / HISTORY), PromptHistory(user / PROMPTS)
        self.bakes, self.image_jobs, self.notices = Bakes(), ImageJobs(), Notices()
        self.files = FileTimes()
        self._readings = Readings()
        self._saved_ids: set[str] = set()  # jobs that may be saved in the file
        self._mover = folders.Mover(folders.user_folder(PACKAGE))
        self._file_loaded = False

    def connect(self) -> None:
        """Connect to the backend; raises JobError when there is nothing to connect to."""
        self.problem = None
        self.connector.connect()

    @property
    def jobs(self) -> list[Job]:
        """All known jobs, oldest first."""
        return list(self.session.jobs.values())

    @property
    def running(self) -> list[Job]:
        """The jobs that have not ended."""
        return [job for job in self.jobs if not job.ended]

    def is_reading(self, job: Job) -> bool:
        """Whether a job's frames are being read."""
        return job.id in self._readings

    def start(self, scene: Any, strip: Any, settings: Settings, image: str = "") -> Job:
        """Start a job on a strip; the tick continues it. Raises JobError before any work.

        image: name of the painted image, for settings of kind paint.
        """
        self.problem = None
        reading = Reading(scene, strip, settings, image)
        try:
            if not self.session.connected:
                self.connect()
        except jobs.JobError:
            reading.abandon()
            raise
        job_id = wire_client.new_job_id()
        fingerprint = (mask_previews if settings.kind == "mask" else analyses).fingerprint
        anchor = layers.make_anchor(scene, strip, (reading.reader.width, reading.reader.height))
        job = Job(
            id=job_id,
            label=settings.title,
            anchor=anchor,
            folder=folders.folder_for(job_id, PACKAGE),
            total=reading.total,
            settings=settings,
            version=0 if settings.kind in WITHOUT_LAYER else self._next_version(anchor.strip_uid),
            server=self.session.server,
            fingerprint=fingerprint(strip, settings),
            analysed=analyses.known(strip, settings),
            image=image,
        )
        job.notes += concerns(strip) if settings.kind not in WITHOUT_LAYER else []
        self._readings.add(job_id, reading, scene, strip, settings.longest)
        self.session.add(job)
        self.prompts.add(settings.prompt if settings.kind == "edit" else "")
        return job

    def _next_version(self, strip_uid: str) -> int:
        made = [job.version for job in self.jobs if job.anchor.strip_uid == strip_uid]
        return max([*made, layers.newest_version(strip_uid)], default=0) + 1

    def retry(self, job: Job) -> Job:
        """Start an ended job again; a layer on the timeline will show the result. JobError."""
        assert job.settings is not None
        scene, strip = layers.source_of_job(job)
        again = self.start(scene, strip, job.settings, job.image)
        again.version = job.version
        again.replaces = job.id if layers.find_layer(job.id) is not None else ""
        self.remove(job)
        return again

    def remove(self, job: Job) -> None:
        """Remove an ended job from the list; its layer and files stay."""
        self._discard(job)
        self.session.remove(job)

    def expected_seconds(self, strip: Any, settings: Settings) -> float | None:
        """How long such jobs took on this server before; None if not known."""
        start, end = compat.span(strip)
        analysed = analyses.known(strip, settings)
        return self.history.expected_seconds(
            self.session.server, settings.kind, settings.preset, analysed, end - start
        )

    def cancel(self, job: Job) -> None:
        """Cancel a job in any phase."""
        self._readings.abandon(job.id)
        self.session.cancel(job)
        self._discard(job)

    def insert(self, job: Job, anywhere: bool = False) -> None:
        """Place a finished job's layers as one undo step; raises JobError.

        anywhere: without its strip, the layer goes where the strip was.
        """
        if job.kind in WITHOUT_LAYER:
            self._keep_without_layer(job)
            return
        placing.check_placeable(job, anywhere)  # before anything changes
        # Discard first: undoing the layer must not make the file ask for it again.
        self._discard(job)
        undo.step_before("Before Text2LIVE Layer")
        try:
            placing.place(job, anywhere)
        except jobs.JobError:
            saved_jobs.save(job)
            raise
        self._finish(job)
        analyses.save(job)
        undo.step("Text2LIVE Layer")

    def place_again(self, job: Job) -> None:
        """Place a finished job's layers at the artist's request; raises JobError.

        Frames that are gone from the disk are fetched again, and the tick places them then.
        """
        if all(path.exists() for path in job.files):
            self.insert(job, anywhere=True)
            return
        if not self.session.connected:
            self.connect()
        self._follow(restore_jobs.refetch(job))

    def _keep_without_layer(self, job: Job) -> None:
        """Save an analysis or a mask preview on its strip: it has no layer to place."""
        self._discard(job)
        if job.kind == "mask":
            mask_previews.save(job)
            job.files = ()
        else:
            analyses.save(job)
        self._finish(job)
        undo.step("Text2LIVE Analysis")

    @staticmethod
    def _finish(job: Job) -> None:
        job.problem = None
        job.placed = True
        job.enter(phases.DONE)

    def tick(self, budget_s: float = 0.01, wait: bool = False) -> bool:
        """Handle events, read some frames, place what is ready; True to redraw the panel.

        wait: for the worker threads, so that none is running afterwards.
        """
        if not self._file_loaded:  # the add-on was enabled while a file was open
            self.after_load()
        rendering = compat.rendering()
        changed = self.bakes.poll()
        if self.bakes.written and not rendering:
            # Blender opens the movie, which takes long: nothing else is done in this tick.
            self.problem = self.bakes.finish_one() or self.problem
            return True
        changed |= self.files.poll() | (self._poll_local() or self.session.drain(budget_s))
        if self.image_jobs.ready:
            self.problem = self.image_jobs.finish_ready() or self.problem
            changed = True
        if self._readings and not rendering:
            self._read(time.monotonic() + READ_FOR_S, wait)
            changed = True
        for job in self.jobs:
            if job.phase == phases.PLACING and not rendering:
                self._try_insert(job)
                changed = True
            elif job.ended and self.is_reading(job):
                self._readings.abandon(job.id)
            elif job.ended and job.id in self._saved_ids and not rendering:
                self._discard_ended(job)
        return changed

    def interval(self) -> float:
        """Seconds until the next tick: none while reading, long while idle."""
        if self._readings:
            return 0.005 if self._readings.waiting else 0.0
        if self.image_jobs.busy:
            return 0.02
        local = self.connector.local
        local_changing = local is not None and local.state in ("starting", "stopping")
        waiting = self.running or self.bakes.under_way or self.session.status.state == "connecting"
        return 0.1 if waiting or local_changing else 0.5

    def _poll_local(self) -> bool:
        """Follow the local backend, and connect to it once it is ready."""
        if not self.connector.poll():
            return False
        if self.connector.local_ready:
            self._connect_or_report()
        return True

    def _connect_or_report(self) -> None:
        try:
            self.connect()
        except jobs.JobError as error:
            self.problem = error.problem

    def _read(self, deadline: float, wait: bool) -> None:
        job_id, readings = next(iter(self._readings)), self._readings
        job = self.session.jobs[job_id]
        try:
            spec = readings.step(job_id, wait)
            while spec is None and not readings.waiting and time.monotonic() < deadline:
                spec = readings.step(job_id, wait)
        except Exception as error:
            readings.abandon(job_id)
            self.session.fail(job, problem_of(error))
            return
        job.done, job.total = readings.progress(job_id)
        if spec is None:
            return
        frames, transparent = readings.finish(job_id)
        if transparent and job.kind not in WITHOUT_LAYER:
            job.note = transparent_footage(job.anchor.strip_name)
        self.session.submit(job, spec, frames)
        saved_jobs.save(job)
        self._saved_ids.add(job.id)

    def _try_insert(self, job: Job) -> None:
        there = layers.layers_of_job(job.id)
        if there:  # its frames had to be fetched again
            self._discard(job)
        else:
            self.history.record(job)
        try:
            for strip in there:
                baking.restore_layer(strip, job)
            if not there:
                self.insert(job)
            job.placed = True
        except Exception as error:
            job.problem = problem_of(error)
        job.enter(phases.DONE)

    def _discard_ended(self, job: Job) -> None:
        """Discard an ended job from the file, unless its layer can still be inserted."""
        self._saved_ids.discard(job.id)
        finished = job.result is not None and not job.placed
        if not finished or job.phase == phases.CANCELLED:
            saved_jobs.discard(job)

    def _discard(self, job: Job) -> None:
        self._saved_ids.discard(job.id)
        saved_jobs.discard(job)

    def remove_temporary(self) -> None:
        """Remove temporary scenes, before saving; they are made again when needed."""
        self._readings.drop_copies()

    def before_save(self, target: Path) -> None:
        """Copy layers from the user's folder beside the file about to be written."""
        strips = layers.all_layers()
        more = [one.folder for strip in strips for one in versions.earlier(strip)]
        self._mover.before_save(
            target, strips, self.jobs, [*more, *analyses.folders(), *mask_previews.folders()]
        )

    def after_save(self) -> None:
        """Make paths relative, and send layers still to come beside the file."""
        self._mover.after_save(layers.all_layers(), self.jobs)
        folders.follow_file(self.jobs, PACKAGE)
        mask_previews.follow_file()

    def after_undo(self) -> None:
        """After undo and redo: bring the jobs saved in the file up to date again."""
        saved = saved_jobs.saved_ids()
        for anchor in {job.anchor.strip_uid: job.anchor for job in self.jobs}.values():
            layers.restore_uid(anchor)
        for job in self.jobs:
            if job.id in self._saved_ids and not job.ended:
                saved_jobs.save(job)
            elif job.id in saved and job.ended:
                self._discard_ended(job)

    def before_load(self) -> None:
        """Stop reading before another file is loaded; jobs at the backend continue."""
        for job_id in self._readings:
            self._readings.abandon(job_id)
            self.session.fail(self.session.jobs[job_id], file_closed())
        self.bakes.cancel_all()
        self.image_jobs.cancel_all()
        self._mover.clean()

    def after_load(self) -> None:
        """Follow the file's jobs, and insert layers that were waiting for it.

        Layers with missing frames are hidden, and their frames fetched again.
        """
        self._file_loaded = True
        earlier_masks.upgrade_file()
        mask_previews.follow_file()
        for job in self.jobs:
            waited = job.phase == phases.DONE and job.files and not job.placed
            if waited and layers.find_source(job.anchor):
                self._try_insert(job)
        wanted = saved_jobs.load_unfinished(PACKAGE)
        folders.find_moved(layers.all_layers())
        wanted += restore_jobs.refetch_jobs(layers.hide_incomplete())
        followed = [self._follow(job) for job in wanted]
        if any(followed) and not self.session.connected:
            self._connect_or_report()
        for job in restore_jobs.finished_jobs():
            self.session.jobs.setdefault(job.id, job)

    def _follow(self, job: Job) -> bool:
        """Get a layer that this file lacks, from disk if it is there; True if the backend must."""
        known = self.session.jobs.get(job.id)
        if known is not None and not known.ended:
            return False
        here = known if known is not None else job
        if here.files and all(path.exists() for path in here.files):
            self._try_insert(here)
            return False
        self.session.attach(job)
        self._saved_ids.add(job.id)
        return True

    def close(self) -> None:
        """Stop everything; jobs at the backend continue."""
        self._readings.close()
        self.bakes.cancel_all()
        self.image_jobs.cancel_all()
        self.session.close()
        self.connector.close()
        self._mover.clean()


_current: Runtime | None = None


def current() -> Runtime:
    """The running state; only between register and unregister."""
    if _current is None:
        raise RuntimeError("the add-on is not registered")
    return _current


def start(make: Callable[[], Runtime] = Runtime) -> Runtime:
    """Start the add-on; called once by register."""
    global _current
    stop()
    _current = make()
    return _current


def stop() -> None:
    """Stop the add-on; called by unregister, safe to repeat."""
    global _current
    if _current is not None:
        _current.close()
        _current = None
