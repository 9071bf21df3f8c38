"""The compositor's picture is the Sequencer's: same frames, same colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_layers import finished  # noqa: E402

from blender_addon.blender import compat, compositor, runtime  # noqa: E402
from blender_addon.core import jobs as phases  # noqa: E402
from scripts import blender_studio as studio  # noqa: E402


@pytest.fixture
def layer() -> np.ndarray:
    """Every alpha there is, over noise, another picture on every frame: uint8 [8,64,96,4]."""
    return np.random.default_rng(1).integers(0, 256, (8, 64, 96, 4), np.uint8)


@pytest.mark.parametrize("kind", ["movie", "pictures"])
def test_nodes_show_what_the_sequencer_shows(
    scene: Any, movie: Path, pictures: Any, clip: Any, layer: Any, tmp_path: Path, kind: str
) -> None:
    if kind == "movie":
        strip = studio.movie_strip(scene, movie, frame_start=20)
    else:
        strip = studio.image_strip(scene, pictures, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    compositor.layer_over(scene, strip, job, 20)
    studio.show_exactly(scene, (96, 64))
    studio.show_compositor(scene)
    for frame in (20, 26):
        shown = studio.render_frame(scene, frame, tmp_path / "shown.png")
        expected = studio.over(layer[frame - 20], clip[frame - 20])
        assert np.abs(shown.astype(int) - expected).max() <= 2


def test_nodes_of_a_trimmed_strip_start_at_its_first_visible_frame(
    scene: Any, movie: Path, clip: Any, layer: Any, tmp_path: Path
) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    compat.set_span(strip, 23, 28)
    job = finished(scene, strip, layer[3:], tmp_path / "layer")
    compositor.layer_over(scene, strip, job, 23)
    studio.show_exactly(scene, (96, 64))
    studio.show_compositor(scene)
    shown = studio.render_frame(scene, 24, tmp_path / "shown.png")
    assert np.abs(shown.astype(int) - studio.over(layer[4], clip[4])).max() <= 2


def test_the_button_adds_the_nodes(scene: Any, movie: Path, layer: Any, tmp_path: Path) -> None:
    strip = studio.movie_strip(scene, movie, frame_start=20)
    job = finished(scene, strip, layer, tmp_path / "layer")
    runtime.current().session.add(job)
    job.enter(phases.DONE)
    assert bpy.ops.text2live.compose() == {"FINISHED"}
    tree, output = compat.compositor(scene)
    assert output.inputs[0].is_linked
    assert bpy.ops.text2live.compose() == {"FINISHED"}
    again, same = compat.compositor(scene)
    assert (again, same) == (tree, output)
