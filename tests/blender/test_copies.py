"""Split, duplicated and copied strips share an id; each still has its own layer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_layers import finished, write_layer  # noqa: E402

from blender_addon.blender import compat  # noqa: E402
from blender_addon.blender.timeline import layers, placing, versions  # noqa: E402
from blender_addon.core.delivery import part_of_file  # noqa: E402
from scripts.blender import studio  # noqa: E402


@pytest.fixture
def layer() -> np.ndarray:
    """A plain layer for the whole clip: uint8 [8,64,96,4]."""
    return np.full((8, 64, 96, 4), 200, np.uint8)


def strips(scene: Any) -> Any:
    return compat.strips(scene.sequence_editor)


def split(scene: Any, frame: int, *chosen: Any) -> list[Any]:
    """Split strips with K; returns the right halves."""
    before = {strip.name for strip in strips(scene)}
    with studio.sequencer(scene):
        for strip in strips(scene):
            strip.select = strip in chosen
        bpy.ops.sequencer.split(frame=frame, type="SOFT", side="RIGHT")
    return sorted(
        (strip for strip in strips(scene) if strip.name not in before), key=lambda one: one.channel
    )


def duplicate(scene: Any, shift: int, *chosen: Any) -> list[Any]:
    """Duplicate strips with Shift-D and move the copies along the timeline; returns them."""
    before = {strip.name for strip in strips(scene)}
    with studio.sequencer(scene):
        for strip in strips(scene):
            strip.select = strip in chosen
        bpy.ops.sequencer.duplicate()
    copies = [strip for strip in strips(scene) if strip.name not in before]
    for copy in copies:
        compat.slide(copy, shift)
    return sorted(copies, key=lambda one: one.channel)


def made_again(job: Any, scene: Any, source: Any, clicked: Any, layer: np.ndarray) -> Any:
    """The job that Make Again Here starts on a clicked layer, finished."""
    folder = job.folder.with_name("cd" * 16)
    again = dataclasses.replace(
        job,
        id="cd" * 16,
        folder=folder,
        anchor=layers.make_anchor(scene, source, (96, 64)),
        replaces=job.id,
        replaces_strip=clicked.name,
    )
    again.files = write_layer(layer, folder)
    return again


def test_a_layer_of_the_right_half_belongs_to_the_right_half(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    left = studio.movie_strip(scene, movie, frame_start=20)
    layers.strip_uid(left)
    (right,) = split(scene, 24, left)
    (placed,) = placing.place(finished(scene, right, layer[4:], tmp_path / "layer"))
    assert compat.span(placed) == (24, 28)
    assert layers.source_of_layer(scene, placed) == right
    assert (layers.layers_of_strip(left), layers.layers_of_strip(right)) == ([], [placed])


def test_a_layer_of_a_copy_belongs_to_the_copy(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    copy, copied = duplicate(scene, 100, strip, placed)
    assert layers.source_of_layer(scene, copied) == copy
    assert layers.source_of_layer(scene, placed) == strip


def test_a_copy_on_other_channels_keeps_its_own_layer(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    """Over the same frames: the strip below a layer is its own."""
    strip = studio.movie_strip(scene, movie, frame_start=20)
    (placed,) = placing.place(finished(scene, strip, layer, tmp_path / "layer"))
    copy, copied = duplicate(scene, 0, strip, placed)
    copied.channel, copy.channel = 8, 7
    assert layers.source_of_layer(scene, copied) == copy
    assert layers.source_of_layer(scene, placed) == strip


def test_a_layer_made_again_on_a_copy_leaves_the_original_alone(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    copy, copied = duplicate(scene, 100, strip, placed)
    assert placing.place(made_again(job, scene, copy, copied, layer)) == [copied]
    assert (placed[layers.JOB], copied[layers.JOB]) == (job.id, "cd" * 16)
    assert (compat.span(placed), compat.span(copied)) == ((20, 28), (120, 128))


def test_a_renamed_copy_is_still_the_one_that_is_made_again(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    copy, copied = duplicate(scene, 100, strip, placed)
    again = made_again(job, scene, copy, copied, layer)
    copied.name = "another name"
    assert placing.place(again) == [copied]


def test_a_split_layer_is_made_again_on_its_half(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    right, right_layer = split(scene, 25, strip, placed)
    assert (compat.span(placed), compat.span(right_layer)) == ((20, 25), (25, 28))
    assert layers.source_of_layer(scene, right_layer) == right
    placing.place(made_again(job, scene, right, right_layer, layer[5:]))
    assert (compat.span(placed), compat.span(right_layer)) == ((20, 25), (25, 28))
    assert (len(placed.elements), len(right_layer.elements)) == (8, 3)
    versions.show_earlier(right_layer)
    assert (compat.span(placed), compat.span(right_layer)) == ((20, 25), (25, 28))
    assert part_of_file(right_layer.elements[0].filename) == ""


def test_a_layer_trimmed_by_hand_stays_trimmed(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    (placed,) = placing.place(job)
    compat.set_span(placed, 21, 26)
    placing.place(made_again(job, scene, strip, placed, layer))
    assert compat.span(placed) == (21, 26)


def test_a_renamed_half_of_a_split_strip_is_found_by_the_frames_that_were_read(
    scene: Any, movie: Path, layer: Any, tmp_path: Path
) -> None:
    left = studio.movie_strip(scene, movie, frame_start=20)
    layers.strip_uid(left)
    (right,) = split(scene, 24, left)
    job = finished(scene, right, layer[4:], tmp_path / "layer")
    left.name, right.name = "a", "b"
    assert layers.find_source(job.anchor) == (scene, right)
