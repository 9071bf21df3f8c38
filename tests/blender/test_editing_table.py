"""One row for each way of editing a strip: a layer that shows the very footage changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

import rows_of_strips  # noqa: E402
import rows_of_timelines  # noqa: E402
from stage import FRAMES, HEIGHT, ROWS, WIDTH, Stage, place_identity  # noqa: E402

from blender_addon.blender import compat, runtime  # noqa: E402
from blender_addon.blender.sources import source_files  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.blender.timeline.concerns import concerns  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.core.settings import Settings  # noqa: E402
from scripts.blender import studio  # noqa: E402

assert rows_of_strips
assert rows_of_timelines


@pytest.fixture(scope="session")
def small() -> np.ndarray:
    """A small clip: uint8 [6,36,64,3]."""
    return studio.moving_square(FRAMES, WIDTH, HEIGHT)


@pytest.fixture(scope="session")
def small_movie(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small clip as a lossless movie."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return studio.encode_movie(small, tmp_path_factory.mktemp("small") / "shot.mkv")


@pytest.fixture
def stage(scene: Any, small: Any, small_movie: Path, tmp_path: Path) -> Stage:
    """A scene with the small clip on its timeline."""
    return Stage(scene, small, small_movie, tmp_path)


@pytest.mark.parametrize("name", ROWS)
def test_an_identity_layer_changes_nothing(stage: Stage, name: str) -> None:
    case = ROWS[name]
    case.arrange(stage)
    said = concerns(stage.strip)
    if case.sentence:
        assert [case.sentence in text for text in said] == [True], said
    else:
        assert not said
    before = stage.pictures(stage.strip)
    layer = place_identity(stage, stage.strip)
    after = stage.pictures(stage.strip)
    assert np.abs(after - before).max(initial=0) <= case.within
    assert shows(stage, layer, after)


def shows(stage: Stage, layer: Any, identity: np.ndarray) -> bool:
    """Whether a layer with other pictures changes what is shown."""
    for path in source_files(layer):
        pixels = png.read(path)
        png.write(path, np.concatenate([255 - pixels[..., :3], pixels[..., 3:]], 2))
    layers.show_again(layer)
    last = compat.span(stage.strip)[1]
    for index in {min(2, len(identity) - 1), min(1, len(identity) - 1)}:
        frame = last - len(identity) + index
        stage.scene.frame_set(frame)
        shown = studio.render_frame(stage.scene, frame, stage.folder / "shown.png").astype(int)
        if np.abs(shown - identity[index]).max() > 20:
            return True
    return False


def test_a_layer_matches_its_strip_again_after_the_strip_was_changed(stage: Stage) -> None:
    layer = place_identity(stage, stage.strip)
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)
    stage.key(stage.strip, "offset_x", 0, 20, owner=stage.strip.transform)
    balance = compat.new_modifier(stage.strip, "balance", "COLOR_BALANCE")
    balance.color_balance.gain = (0.9, 0.6, 0.8)
    layer.mute = True
    before = stage.pictures(stage.strip)
    layer.mute = False
    stage.scene.sequence_editor.active_strip = layer
    with studio.sequencer(stage.scene):
        for _ in range(2):  # once more changes nothing
            assert bpy.ops.text2live.match_strip() == {"FINISHED"}
    after = stage.pictures(stage.strip)
    assert np.abs(after - before).max() <= 2
    assert len(layer.modifiers) == 2


def test_what_a_layer_will_not_follow_is_noted_when_its_job_starts(stage: Stage) -> None:
    stage.other("below", 1)
    stage.strip.blend_alpha = 0.5
    stage.strip.driver_add("color_saturation").driver.expression = "0.5"
    (first, second) = concerns(stage.strip)
    assert first.startswith("shot is half transparent over other strips.")
    assert second.startswith("color_saturation of shot has a driver")
    runtime.current().session.connect = lambda _connection: None  # type: ignore[method-assign]
    runtime.current().connect = lambda: None  # type: ignore[method-assign]
    settings = Settings(prompt="a red car", mask_mode="auto")
    job = runtime.current().start(stage.scene, stage.strip, settings)
    assert job.notes == [first, second]
    runtime.current().cancel(job)
