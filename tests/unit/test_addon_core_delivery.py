"""Layers, previews and pictures fetched from the backend to disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from studio import CONNECTION, REASON, Studio, layers_of

from blender_addon.core import jobs as phases
from blender_addon.core import png
from blender_addon.core.delivery import IN_FLIGHT, read_record
from blender_addon.core.jobs import Job
from blender_addon.core.settings import Settings
from protocol.client import Fetched, JobEvent, RequestFailed
from protocol.jobs import Event, Result, reference


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


def test_both_layers_are_fetched_but_not_their_composite(studio: Studio) -> None:
    studio.begin()
    front, back, whole = (layers_of(6)[start : start + 2] for start in (0, 2, 4))
    refs = [tuple(map(reference, one)) for one in (front, back, whole)]
    result = Result(layer=refs[2], parts={"foreground": refs[0], "background": refs[1]})
    studio.tell(state="done", result=result)
    studio.answer([*front, *back])
    assert studio.job.phase == phases.PLACING
    assert studio.job.parts == ("background", "foreground")
    assert [path.name for path in studio.job.frames_of("background")] == [
        "background_0001.png",
        "background_0002.png",
    ]
    for part, pictures in (("foreground", front), ("background", back)):
        for path, picture in zip(studio.job.frames_of(part), pictures, strict=True):
            assert np.array_equal(png.read(path), picture)
    assert read_record(studio.job.folder)["parts"] == ["background", "foreground"]
    fetched = {asked[1] for asked in studio.client.asked if asked[0] == "fetch"}
    assert not fetched & set(refs[2])


def test_a_layer_appears_only_when_it_is_complete(studio: Studio) -> None:
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
    """Both end with the complete layer; neither removes the other's part or fails."""
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


def test_leftovers_of_an_earlier_delivery_are_removed(studio: Studio) -> None:
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


def preview(studio: Studio, value: int) -> tuple[Any, Any]:
    """Play a preview: the request to the client, and its answer."""
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


def test_a_missing_preview_fails_nothing(studio: Studio) -> None:
    studio.begin()
    _, tag = preview(studio, 10)
    studio.say(RequestFailed("fetch", None, REASON, tag=tag))
    assert not studio.job.ended


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
