"""The session against a client that is played by hand: every piece of news, in any order."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender_addon.core import jobs as phases
from blender_addon.core import png
from blender_addon.core.delivery import IN_FLIGHT, read_record
from blender_addon.core.frames import FrameStore
from blender_addon.core.jobs import Job
from blender_addon.core.planning import Anchor
from blender_addon.core.request import Settings
from blender_addon.core.session import Session
from protocol.client import (
    Accepted,
    BackendStatus,
    ConnectionChanged,
    Fetched,
    JobEvent,
    RequestFailed,
    Uploading,
)
from protocol.jobs import Clip, EditJob, Event, Problem, Result, reference
from protocol.keys import Connection

CONNECTION = Connection(
    address="tcp://127.0.0.1:5599", server_key="s" * 40, client_public="p", client_secret="c"
)
REASON = Problem(code="x", message="It broke.", hint="Mend it.")


class PlayedClient:
    """Keeps what it was asked and says what the test puts into `events`."""

    def __init__(self, connection: Connection) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.asked: list[tuple[Any, ...]] = []
        self.connection = connection
        self.running = False

    def start(self) -> None:
        self.running = True

    def close(self) -> None:
        self.running = False

    def submit(self, job_id: str, spec: object, source: object) -> None:
        self.asked.append(("submit", job_id))

    def attach(self, job_id: str, after_seq: int = 0) -> None:
        self.asked.append(("attach", job_id, after_seq))

    def cancel(self, job_id: str) -> None:
        self.asked.append(("cancel", job_id))

    def forget(self, job_id: str) -> None:
        self.asked.append(("forget", job_id))

    def fetch(self, ref: object, tag: object = None) -> None:
        self.asked.append(("fetch", ref, tag))


class Studio:
    """A session with its played clients and one job."""

    def __init__(self, folder: Path) -> None:
        self.clients: list[PlayedClient] = []
        self.session = Session(self._make)
        self.folder = folder
        self.frames = FrameStore(folder / "frames")
        self.frame = np.full((4, 6, 3), 7, np.uint8)
        self.spec = EditJob(clip=Clip(frames=(self.frames.add(self.frame),)), prompt=("red",))
        anchor = Anchor(
            scene="Scene", strip_uid="u", strip_name="shot", start=1, frames=1, content=1.0,
            width=6, height=4,
        )  # fmt: skip
        self.job = Job(id="j1", label="red", anchor=anchor, folder=folder / "j1")
        self._seq = 0

    def _make(self, connection: Connection) -> PlayedClient:
        self.clients.append(PlayedClient(connection))
        return self.clients[-1]

    @property
    def client(self) -> PlayedClient:
        return self.clients[-1]

    def say(self, *news: Any) -> None:
        for event in news:
            self.client.events.put(event)
        self.session.drain(10)

    def tell(self, **event: Any) -> None:
        """One event of the job's history."""
        self._seq += 1
        fields = {"kind": "state", "state": "running", **event}
        self.say(JobEvent("j1", Event(seq=self._seq, **{"at": 0.0, **fields})))

    def begin(self) -> None:
        self.session.connect(CONNECTION)
        self.say(ConnectionChanged("ready"))
        self.session.submit(self.job, self.spec, self.frames)

    def deliver(self, layers: list[np.ndarray]) -> None:
        """Play a backend that has finished with these layers, and wait for the files."""
        result = Result(layer=tuple(reference(layer) for layer in layers), numbers={"psnr": 1.0})
        self.tell(state="done", result=result)
        self.answer(layers)

    def answer(self, layers: list[np.ndarray]) -> None:
        """Give every layer that is asked for, until the files are there."""
        by_digest = {reference(layer).digest: layer for layer in layers}
        answered = 0
        for _ in range(1000):
            fetches = [asked for asked in self.client.asked if asked[0] == "fetch"]
            for _what, ref, tag in fetches[answered:]:
                answered += 1
                self.say(Fetched(ref, by_digest[ref.digest], tag))
            self.session.drain(0.01)
            if self.job.phase != phases.FETCHING:
                return
            threading.Event().wait(0.01)


@pytest.fixture
def studio(tmp_path: Path) -> Any:
    studio = Studio(tmp_path)
    yield studio
    studio.session.close()


def layers_of(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (4, 6, 4), np.uint8) for _ in range(count)]


def test_the_connection_is_told_as_it_is(studio: Studio) -> None:
    assert studio.session.view.state == "off"
    studio.session.connect(CONNECTION)
    assert studio.session.view.line == "Connecting to 127.0.0.1:5599"
    studio.say(ConnectionChanged("ready", device="cuda:0", model="demo"))
    assert studio.session.view.line == "Connected to 127.0.0.1:5599"
    assert studio.session.view.backend == "cuda:0, demo"
    studio.say(ConnectionChanged("lost", REASON))
    assert studio.session.view.line == "No answer, still trying"
    assert studio.session.view.problem == REASON
    studio.session.disconnect()
    assert not studio.client.running
    assert studio.session.view.line == "Not connected"


def test_a_job_walks_through_its_phases(studio: Studio) -> None:
    studio.begin()
    assert ("submit", "j1") in studio.client.asked
    studio.say(Uploading("j1", 1024, 4096))
    assert studio.job.words() == "Sending frames 1/4"
    studio.say(Accepted("j1", True, "uploading"))
    studio.tell(state="queued")
    assert studio.job.words() == "Waiting for its turn"
    studio.tell(state="starting")
    assert studio.job.words() == "Starting"
    studio.tell(kind="progress", phase="fitting the atlas", done=40, total=100, eta_s=130.0)
    assert studio.job.words() == "Fitting the atlas 40/100"
    assert studio.job.eta_words() == "2 min left"
    studio.tell(kind="note", text="No mask was given.")
    assert studio.job.note == "No mask was given."
    layers = layers_of(3)
    studio.deliver(layers)
    assert studio.job.phase == phases.PLACING
    assert studio.job.layer_size == (6, 4)
    for path, layer in zip(studio.job.files, layers, strict=True):
        assert np.array_equal(png.read(path), layer)
    assert read_record(studio.job.folder)["anchor"]["strip_uid"] == "u"
    assert not studio.frames.folder.exists()


def test_a_layer_is_fetched_a_few_frames_at_a_time(studio: Studio) -> None:
    studio.begin()
    refs = tuple(reference(layer) for layer in layers_of(10))
    studio.tell(state="done", result=Result(layer=refs))
    assert sum(asked[0] == "fetch" for asked in studio.client.asked) == IN_FLIGHT


def test_equal_frames_are_fetched_once(studio: Studio) -> None:
    studio.begin()
    first, second = layers_of(2)
    studio.deliver([first, second, first, first])
    assert sum(asked[0] == "fetch" for asked in studio.client.asked) == 2
    assert len(studio.job.files) == 4
    assert np.array_equal(png.read(studio.job.files[3]), first)


def test_a_layer_is_nowhere_until_it_is_whole(studio: Studio) -> None:
    studio.begin()
    layers = layers_of(2)
    studio.tell(state="done", result=Result(layer=tuple(reference(layer) for layer in layers)))
    _what, ref, tag = studio.client.asked[-2]
    studio.say(Fetched(ref, layers[0], tag))
    studio.session.disconnect()
    assert not studio.job.folder.exists()
    studio.session.connect(CONNECTION)
    fetched_again = {asked[1].digest for asked in studio.client.asked if asked[0] == "fetch"}
    assert fetched_again == {reference(layer).digest for layer in layers}


def test_a_failed_job_says_why(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="failed", problem=REASON)
    assert (studio.job.phase, studio.job.problem) == (phases.FAILED, REASON)
    assert not studio.frames.folder.exists()


def test_a_failure_without_a_reason_is_said_too(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="failed")
    assert studio.job.problem is not None
    assert "no reason" in studio.job.problem.message


@pytest.mark.parametrize("what", ["submit", "attach", "fetch"])
def test_a_refused_request_fails_its_job(studio: Studio, what: str) -> None:
    studio.begin()
    if what == "fetch":
        studio.say(RequestFailed(what, None, REASON, tag=("j1", "digest")))
    else:
        studio.say(RequestFailed(what, "j1", REASON))
    assert (studio.job.phase, studio.job.problem) == (phases.FAILED, REASON)


def test_an_upload_that_is_tried_again_does_not_fail_the_job(studio: Studio) -> None:
    studio.begin()
    studio.say(
        RequestFailed("upload", "j1", Problem(code="full", message="Disk full.", retryable=True))
    )
    assert studio.job.phase == phases.SENDING
    assert studio.job.note == "Disk full."
    studio.say(RequestFailed("upload", "j1", REASON))
    assert studio.job.phase == phases.FAILED


def test_cancel_waits_for_the_backend(studio: Studio) -> None:
    studio.begin()
    studio.say(Accepted("j1", True, "queued"))
    studio.session.cancel(studio.job)
    assert studio.client.asked[-1] == ("cancel", "j1")
    assert studio.job.words() == "Cancelling"
    studio.tell(state="cancelled")
    assert studio.job.phase == phases.CANCELLED


def test_cancel_of_a_job_the_backend_never_saw_ends_at_once(studio: Studio) -> None:
    studio.session.connect(CONNECTION)
    studio.session.submit(studio.job, studio.spec, studio.frames)
    studio.session.cancel(studio.job)
    assert studio.job.phase == phases.CANCELLED
    assert not studio.frames.folder.exists()


def test_cancel_while_disconnected_is_sent_at_the_next_connect(studio: Studio) -> None:
    studio.begin()
    studio.say(Accepted("j1", True, "queued"))
    studio.session.disconnect()
    studio.session.cancel(studio.job)
    assert not studio.job.ended
    studio.session.connect(CONNECTION)
    assert studio.client.asked == [("submit", "j1"), ("cancel", "j1")]


def test_a_cancel_the_backend_refuses_is_taken_back(studio: Studio) -> None:
    studio.begin()
    studio.say(Accepted("j1", True, "queued"))
    studio.session.cancel(studio.job)
    studio.say(RequestFailed("cancel", "j1", REASON))
    assert not studio.job.cancelling
    assert studio.job.note == "It broke."


def test_a_result_that_came_before_the_cancel_wins_only_if_it_is_whole(studio: Studio) -> None:
    studio.begin()
    refs = tuple(reference(layer) for layer in layers_of(2))
    studio.tell(state="done", result=Result(layer=refs))
    studio.session.cancel(studio.job)
    assert studio.job.phase == phases.CANCELLED


def test_old_and_foreign_events_change_nothing(studio: Studio) -> None:
    studio.begin()
    studio.say(JobEvent("unknown", Event(seq=1, at=0.0, kind="state", state="failed")))
    studio.tell(kind="progress", phase="fitting", done=5, total=10)
    old = Event(seq=1, at=0.0, kind="progress", state="running", phase="fitting", done=1, total=10)
    studio.say(JobEvent("j1", old))
    assert studio.job.done == 5


def test_a_backend_that_forgot_the_job_starts_its_history_again(studio: Studio) -> None:
    studio.begin()
    studio.tell(kind="progress", phase="fitting", done=5, total=10)
    studio.say(Accepted("j1", True, "queued"))
    first = Event(
        seq=1, at=0.0, kind="progress", state="running", phase="fitting", done=1, total=10
    )
    studio.say(JobEvent("j1", first))
    assert studio.job.done == 1


def test_a_job_of_an_earlier_day_is_followed(studio: Studio) -> None:
    studio.session.attach(studio.job)
    studio.session.connect(CONNECTION)
    assert studio.client.asked == [("attach", "j1", 0)]
    studio.tell(kind="progress", phase="fitting", done=5, total=10)
    assert studio.job.words() == "Fitting 5/10"


def test_a_layer_already_on_disk_is_not_fetched_again(studio: Studio) -> None:
    studio.begin()
    layers = layers_of(2)
    studio.deliver(layers)
    again = Job(id="j1", label="red", anchor=studio.job.anchor, folder=studio.job.folder)
    studio.session.attach(again)
    before = len(studio.client.asked)
    result = Result(layer=tuple(reference(layer) for layer in layers))
    studio.say(JobEvent("j1", Event(seq=1, at=0.0, kind="state", state="done", result=result)))
    assert again.phase == phases.PLACING
    assert again.layer_size == (6, 4)
    assert len(studio.client.asked) == before


def test_a_damaged_layer_on_disk_is_fetched_again(studio: Studio) -> None:
    studio.begin()
    layers = layers_of(2)
    studio.job.folder.mkdir()
    (studio.job.folder / "0001.png").write_text("half a layer")
    studio.deliver(layers)
    assert studio.job.phase == phases.PLACING
    assert np.array_equal(png.read(studio.job.files[0]), layers[0])
    assert not list(studio.folder.glob("*.part"))


def test_two_blenders_write_one_layer_at_the_same_time(tmp_path: Path) -> None:
    """Both end with the whole layer: neither takes the other's half away, nor fails for it."""
    layers = layers_of(3)
    result = Result(layer=tuple(reference(layer) for layer in layers))
    pair = [Studio(tmp_path), Studio(tmp_path)]
    for one in pair:
        one.begin()
        one.tell(state="done", result=result)
    for one in pair:
        one.answer(layers)
    for one in pair:
        assert (one.job.problem, one.job.phase) == (None, phases.PLACING)
        assert all(path.is_file() for path in one.job.files)
        one.session.close()
    assert not list(tmp_path.glob("*.part"))


def test_what_an_earlier_delivery_left_half_done_is_removed(studio: Studio) -> None:
    old, fresh = studio.folder / "j1.aaaa.part", studio.folder / "j1.bbbb.part"
    for part in (old, fresh):
        part.mkdir()
    os.utime(old, (1.0, 1.0))
    studio.begin()
    studio.deliver(layers_of(1))
    assert not old.exists()
    assert fresh.exists()  # another Blender may be writing it


def test_a_job_without_a_layer_is_a_failure(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="done", result=Result())
    assert studio.job.phase == phases.FAILED
    assert studio.job.problem is not None
    assert studio.job.problem.code == "empty_result"


def test_a_layer_that_cannot_be_written_says_where(studio: Studio) -> None:
    studio.job.folder.parent.joinpath("file").write_text("in the way")
    studio.job.folder = studio.job.folder.parent / "file" / "j1"
    studio.begin()
    studio.tell(state="done", result=Result(layer=(reference(layers_of(1)[0]),)))
    assert studio.job.problem is not None
    assert studio.job.problem.code == "cannot_write_layer"
    assert "file" in studio.job.problem.message


def test_drain_keeps_to_its_budget(studio: Studio) -> None:
    studio.begin()
    for seq in range(1, 20001):
        event = Event(
            seq=seq, at=0.0, kind="progress", state="running", phase="p", done=seq, total=1
        )
        studio.client.events.put(JobEvent("j1", event))
    studio.session.drain(0.001)
    assert studio.job.done < 20000
    while studio.session.drain(0.05):
        pass
    assert studio.job.done == 20000


def test_how_busy_the_backend_is_outlives_other_news(studio: Studio) -> None:
    studio.begin()
    studio.say(BackendStatus(3, 5, 9))
    studio.say(ConnectionChanged("ready", device="cpu"))
    view = studio.session.view
    assert (view.jobs, view.free_bytes, view.total_bytes, view.device) == (3, 5, 9, "cpu")
    studio.session.disconnect()
    assert studio.session.view.total_bytes == 0


def test_why_there_was_not_even_an_attempt(studio: Studio) -> None:
    studio.begin()
    studio.session.refuse(REASON)
    assert not studio.session.connected
    assert (studio.session.view.state, studio.session.view.problem) == ("off", REASON)


def preview(studio: Studio, value: int) -> tuple[Any, Any]:
    """The job shows a picture: what was asked of the client, and the answer."""
    picture = np.full((4, 6, 3), value, np.uint8)
    studio.tell(kind="preview", object=reference(picture))
    _what, ref, tag = studio.client.asked[-1]
    return Fetched(ref, picture, tag), tag


def wait_for_preview(studio: Studio, old: Path | None = None) -> None:
    for _ in range(500):
        studio.session.drain(0.01)
        if studio.job.preview not in (None, old):
            return
        threading.Event().wait(0.01)
    raise AssertionError("no preview came")


def test_the_newest_preview_is_shown_and_the_older_ones_go(studio: Studio) -> None:
    studio.begin()
    studio.say(preview(studio, 10)[0])
    wait_for_preview(studio)
    first = studio.job.preview
    assert first is not None
    assert png.read(first)[0, 0, 0] == 10
    late, _ = preview(studio, 20)
    studio.say(preview(studio, 30)[0], late)
    wait_for_preview(studio, first)
    assert png.read(studio.job.preview)[0, 0, 0] == 30  # type: ignore[arg-type]
    assert not first.exists()
    folder = first.parent
    studio.session.close()
    assert not folder.exists()


def test_a_preview_that_is_gone_fails_nothing(studio: Studio) -> None:
    studio.begin()
    _, tag = preview(studio, 10)
    studio.say(RequestFailed("fetch", None, REASON, tag=tag))
    assert not studio.job.ended


def test_a_removed_job_is_forgotten_everywhere(studio: Studio) -> None:
    studio.begin()
    studio.tell(state="failed", problem=REASON)
    studio.session.remove(studio.job)
    assert studio.session.jobs == {}
    assert studio.client.asked[-1] == ("forget", "j1")
    studio.say(RequestFailed("forget", "j1", REASON))


def test_an_analysis_has_pictures_and_no_layer(studio: Studio) -> None:
    studio.job.settings = Settings(kind="atlas")
    studio.begin()
    atlas = layers_of(1)[0]
    pictures = {"foreground_atlas": reference(atlas)}
    studio.tell(state="starting", at=5.0)
    studio.tell(state="done", at=12.5, result=Result(pictures=pictures, numbers={"psnr": 1.0}))
    _what, ref, tag = studio.client.asked[-1]
    studio.say(Fetched(ref, atlas, tag))
    for _ in range(500):
        studio.session.drain(0.01)
        if studio.job.phase != phases.FETCHING:
            break
        threading.Event().wait(0.01)
    assert studio.job.phase == phases.PLACING
    path = studio.job.folder / "foreground_atlas.png"
    assert (studio.job.pictures, studio.job.files) == ({"foreground_atlas": path}, ())
    assert np.array_equal(png.read(path), atlas)
    assert studio.job.seconds == 7.5
    assert studio.job.thumbnail == path
    assert read_record(studio.job.folder)["settings"]["kind"] == "atlas"
