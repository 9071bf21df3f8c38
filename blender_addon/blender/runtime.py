"""What the add-on runs: one session, the readings under way, and the tick that drives both.

Threading rule: everything here runs on Blender's main thread, called by one timer. The only other
threads (the client's, the PNG writer's) live behind Session and never touch bpy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ..core import connection as connecting
from ..core import jobs as phases
from ..core.history import History
from ..core.jobs import Job
from ..core.local_backend import LocalBackend
from ..core.session import Session
from ..core.settings import Settings
from ..wire import client as wire_client
from ..wire import jobs
from . import backends, baking, compat, folders, layers, pending, placing, recall, shot, versions
from .backends import PACKAGE
from .baking import Bakes
from .easel import Easel
from .problems import file_closed, problem_of
from .reading import Reading

READ_FOR_S = 0.02  # a tick: one frame at least; small frames in bunches, since every tick is drawn


class Runtime:
    """State of the add-on between register and unregister."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or Session()
        self.problem: jobs.Problem | None = None
        self.local: LocalBackend | None = None
        self.history = History(Path(compat.user_folder(PACKAGE)) / backends.HISTORY)
        self.bakes, self.easel = Bakes(), Easel()
        self._readings: dict[str, Reading] = {}
        self._remembered: set[str] = set()  # jobs that the file may name
        self._mover = folders.Mover(folders.home(PACKAGE))
        self._looked = False  # into the file that is open

    # -- connection

    def connect(self) -> None:
        """Connect to the local backend if one was started, else as the preferences say.

        Raises JobError when there is nowhere to connect to; the session's view says it too.
        """
        self.problem = None
        try:
            if self.local is not None and self.local.state == "ready":
                connection = connecting.read_connection(self.local.connection_file)
            else:
                connection = backends.chosen()
        except jobs.JobError as error:
            self.session.refuse(error.problem)
            raise
        self.session.connect(connection)

    def start_local(self) -> None:
        """Start a backend on this machine; the tick connects to it. Raises JobError."""
        if self.local is None or not self.local.running:
            self.local = backends.launch()

    def stop_local(self) -> None:
        """Stop the backend that was started here; its unfinished jobs go on at the next start."""
        if self.local is not None and self.local.running:
            if self.local.state == "ready":
                self.session.disconnect()
            self.local.stop()

    def _watch_local(self) -> bool:
        if self.local is None or not self.local.poll():
            return False
        if self.local.state == "ready":
            try:
                self.connect()
            except jobs.JobError as error:
                self.problem = error.problem
        return True

    # -- jobs

    @property
    def jobs(self) -> list[Job]:
        """All jobs known, oldest first."""
        return list(self.session.jobs.values())

    @property
    def running(self) -> list[Job]:
        """Jobs something will still happen to."""
        return [job for job in self.jobs if not job.ended]

    def reading(self, job: Job) -> bool:
        """A job's frames are being read."""
        return job.id in self._readings

    def start(self, scene: Any, strip: Any, settings: Settings, image: str = "") -> Job:
        """Begin a job on a strip; the tick carries it on. Raises JobError before any work.

        image: name of the image that was painted on, for settings of kind paint.
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
        anchor = layers.anchor(scene, strip, (reading.reader.width, reading.reader.height))
        job = Job(
            id=job_id,
            label=settings.title,
            anchor=anchor,
            folder=layers.folder_for(job_id, PACKAGE),
            total=reading.total,
            settings=settings,
            version=0 if settings.kind == "atlas" else self._next_version(anchor.strip_uid),
            server=self.session.server,
            shot=shot.fingerprint(strip, settings),
            analysed=shot.analysis(strip, settings) is not None,
            image=image,
        )
        self._readings[job_id] = reading
        self.session.add(job)
        return job

    def _next_version(self, strip_uid: str) -> int:
        made = [job.version for job in self.jobs if job.anchor.strip_uid == strip_uid]
        return max([*made, layers.newest_version(strip_uid)], default=0) + 1

    def retry(self, job: Job) -> Job:
        """Ask for an ended job once more, as it was asked for; raises JobError.

        A layer of it that is on the timeline shows the new pictures once they are there.
        """
        assert job.settings is not None
        scene, strip = layers.source_of(job)
        again = self.start(scene, strip, job.settings, job.image)
        again.version = job.version
        again.replaces = job.id if layers.find_layer(job.id) is not None else ""
        self.remove(job)
        return again

    def remove(self, job: Job) -> None:
        """Take an ended job off the list; its layer and files stay."""
        self._forget(job)
        self.session.remove(job)

    def expected(self, strip: Any, settings: Settings) -> float | None:
        """Seconds such a job took on this server before; None where that is not known."""
        start, end = compat.span(strip)
        analysed = shot.analysis(strip, settings) is not None
        return self.history.expected(
            self.session.server, settings.kind, settings.preset, analysed, end - start
        )

    def cancel(self, job: Job) -> None:
        """Stop a job wherever it is."""
        reading = self._readings.pop(job.id, None)
        if reading is not None:
            reading.abandon()
        self.session.cancel(job)
        self._forget(job)

    def insert(self, job: Job, anywhere: bool = False) -> None:
        """Place a finished job's layers and make that one undo step; raises JobError.

        anywhere: without its strip, the layer goes where the strip was.
        """
        if job.kind == "atlas":
            self._keep_analysis(job)
            return
        placing.check_place(job, anywhere)  # raises before anything is changed
        # First of all: undoing the layer must not have the file ask for it again.
        self._forget(job)
        # What scripts and timers changed is in no undo step yet: undo must not take it along.
        bpy.ops.ed.undo_push(message="Before Text2LIVE Layer")
        try:
            placing.place(job, anywhere)
        except jobs.JobError:
            pending.remember(job)
            raise
        job.problem = None
        job.placed = True
        job.enter(phases.DONE)
        shot.remember(job)
        bpy.ops.ed.undo_push(message="Text2LIVE Layer")

    def place_again(self, job: Job) -> None:
        """Place a finished job's layers, as the artist asks; raises JobError.

        Pictures that are gone from the disk are fetched once more; the tick places them then.
        """
        if all(path.exists() for path in job.files):
            self.insert(job, anywhere=True)
            return
        if not self.session.connected:
            self.connect()
        self._follow(recall.anew(job))

    def _keep_analysis(self, job: Job) -> None:
        """An analysis has no layer: it is written on its strip."""
        self._forget(job)
        shot.remember(job)
        job.problem = None
        job.placed = True
        job.enter(phases.DONE)

    # -- the tick

    def tick(self, budget_s: float = 0.01, wait: bool = False) -> bool:
        """Take news, read some pictures, place what is ready; True when the panel should redraw.

        wait: for what a thread makes of the pictures, so that none is at work afterwards.
        """
        if not self._looked:  # enabled while a file was open
            self.file_opened()
        busy = compat.rendering()
        changed = self.bakes.poll()
        if self.bakes.written and not busy:
            # Blender opens the movie: a tick of its own, nothing else is added to it.
            self.problem = self.bakes.settle() or self.problem
            return True
        changed |= self._watch_local() or self.session.drain(budget_s)
        if self.easel.ready:
            self.problem = self.easel.settle() or self.problem
            changed = True
        if self._readings and not busy:
            self._read(time.monotonic() + READ_FOR_S, wait)
            changed = True
        for job in self.jobs:
            if job.phase == phases.PLACING and not busy:
                self._try_insert(job)
                changed = True
            elif job.ended and self.reading(job):
                self._readings.pop(job.id).abandon()
            elif job.ended and job.id in self._remembered and not busy:
                self._settle(job)
        return changed

    def interval(self) -> float:
        """Seconds until the next tick: at once while reading, seldom while idle."""
        if self._readings:
            return 0.005 if next(iter(self._readings.values())).waiting else 0.0
        moving = self.local is not None and self.local.state in ("starting", "stopping")
        if self.easel.busy:
            return 0.02
        waiting = self.running or self.bakes.under_way or self.session.view.state == "connecting"
        return 0.1 if waiting or moving else 0.5

    def _read(self, deadline: float, wait: bool) -> None:
        job_id, reading = next(iter(self._readings.items()))
        job = self.session.jobs[job_id]
        try:
            spec = reading.step(wait)
            while spec is None and not reading.waiting and time.monotonic() < deadline:
                spec = reading.step(wait)
        except Exception as error:
            self._readings.pop(job_id).abandon()
            self.session.fail(job, problem_of(error))
            return
        job.done, job.total = reading.done, reading.total
        if spec is not None:
            del self._readings[job_id]
            self.session.submit(job, spec, reading.frames)
            pending.remember(job)
            self._remembered.add(job.id)

    def _try_insert(self, job: Job) -> None:
        there = layers.strips_of(job.id)
        if there:  # its pictures had to be fetched once more
            self._forget(job)
        else:
            self.history.remember(job)
        try:
            for strip in there:
                baking.show_again(strip, job)
            if not there:
                self.insert(job)
            job.placed = True
        except Exception as error:
            job.problem = problem_of(error)
        job.enter(phases.DONE)

    def _settle(self, job: Job) -> None:
        """A job has ended: the file names it no longer, unless its layer can still be had."""
        self._remembered.discard(job.id)
        finished = job.result is not None and not job.placed
        if not finished or job.phase == phases.CANCELLED:
            pending.forget(job)

    def _forget(self, job: Job) -> None:
        self._remembered.discard(job.id)
        pending.forget(job)

    # -- what happens to the file

    def step_aside(self) -> None:
        """Before saving: nothing temporary may be in the file."""
        for reading in self._readings.values():
            reading.drop_copy()

    def saving(self, target: Path) -> None:
        """Before a file is written: layers come along, out of the user's folder."""
        strips = layers.all_layers()
        more = [one.folder for strip in strips for one in versions.earlier(strip)]
        self._mover.before_save(target, strips, self.jobs, [*more, *shot.folders()])

    def saved(self) -> None:
        """After a file was written."""
        self._mover.after_save(layers.all_layers())
        folders.follow_file(self.jobs, PACKAGE)

    def undone(self) -> None:
        """After undo and redo: what the file says of jobs is as old as that step; put it right."""
        named = pending.named()
        for job in self.jobs:
            if job.id in self._remembered and not job.ended:
                layers.mark_source(job.anchor)
                pending.remember(job)
            elif job.id in named and job.ended:
                self._settle(job)

    def file_closing(self) -> None:
        """Before another file is loaded: readings end, jobs at the backend go on."""
        for job_id in list(self._readings):
            self._readings.pop(job_id).abandon()
            self.session.fail(self.session.jobs[job_id], file_closed())
        self.bakes.cancel_all()
        self.easel.clear()
        self._mover.clean()

    def file_opened(self) -> None:
        """After loading: follow the file's jobs, and insert layers that waited for it.

        Layers whose pictures are missing are hidden, and asked for once more.
        """
        self._looked = True
        for job in self.jobs:
            waited = job.phase == phases.DONE and job.files and not job.placed
            if waited and layers.find_source(job.anchor):
                self._try_insert(job)
        wanted = pending.found(PACKAGE) + recall.fetched_again(layers.hide_incomplete())
        followed = [self._follow(job) for job in wanted]
        if any(followed) and not self.session.connected:
            try:
                self.connect()
            except jobs.JobError as error:
                self.problem = error.problem
        for job in recall.finished():
            self.session.jobs.setdefault(job.id, job)

    def _follow(self, job: Job) -> bool:
        """Get a layer this file has not got: at once if it is here; True if the backend must."""
        known = self.session.jobs.get(job.id)
        if known is not None and not known.ended:
            return False
        here = known if known is not None else job
        if here.files and all(path.exists() for path in here.files):
            self._try_insert(here)
            return False
        self.session.attach(job)
        self._remembered.add(job.id)
        return True

    def close(self) -> None:
        """Stop everything; jobs at the backend go on."""
        while self._readings:
            self._readings.popitem()[1].abandon()
        self.bakes.cancel_all()
        self.easel.clear()
        self.session.close()
        if self.local is not None:
            self.local.close()
        self._mover.clean()


_current: Runtime | None = None


def current() -> Runtime:
    """The running state; only between register and unregister."""
    if _current is None:
        raise RuntimeError("the add-on is not registered")
    return _current


def start(make: Callable[[], Runtime] = Runtime) -> Runtime:
    """Begin; called once by register."""
    global _current
    stop()
    _current = make()
    return _current


def stop() -> None:
    """End; called by unregister, safe to repeat."""
    global _current
    if _current is not None:
        _current.close()
        _current = None
