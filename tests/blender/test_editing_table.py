"""One row for each way of editing a strip: a layer that shows the very footage changes nothing.

A row arranges the timeline. Its layer has the frames that were read, with an ellipse for a matte:
the scene must look the same with and without it. Where a layer cannot follow its strip, the row
names the sentence that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_extract import make_meta, read_all  # noqa: E402
from test_layers import finished  # noqa: E402

from blender_addon.blender import compat, runtime  # noqa: E402
from blender_addon.blender.sources import source_files  # noqa: E402
from blender_addon.blender.timeline import layers, placing  # noqa: E402
from blender_addon.blender.timeline.concerns import concerns  # noqa: E402
from blender_addon.core import png  # noqa: E402
from blender_addon.core.settings import Settings  # noqa: E402
from scripts.blender import studio  # noqa: E402

WIDTH, HEIGHT, FRAMES, START = 64, 36, 6, 11


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


class Stage:
    """A scene with the small clip as the movie strip ``shot`` on channel 2, frames 11 to 16."""

    def __init__(self, scene: Any, clip: np.ndarray, movie: Path, folder: Path) -> None:
        self.scene, self.clip, self.movie, self.folder = scene, clip, movie, folder
        studio.show_exactly(scene, (WIDTH, HEIGHT))
        studio.movie_strip(scene, movie, frame_start=START, channel=2)

    @property
    def strip(self) -> Any:
        return self.get("shot")

    def get(self, name: str) -> Any:
        return compat.all_strips(self.scene.sequence_editor)[name]

    def other(self, name: str, channel: int, start: int = START) -> Any:
        """Another strip, with inverted pictures."""
        pictures = studio.write_frames(255 - self.clip, self.folder / name)
        return studio.image_strip(self.scene, pictures, name, channel=channel, frame_start=start)

    def effect(self, kind: str, *inputs: Any, name: str = "effect", channel: int = 5) -> Any:
        """An effect strip over the frames of the shot, or over its inputs'."""
        new = bpy.app.version >= (5, 0, 0)
        length = {"length": FRAMES} if new else {"frame_end": START + FRAMES}
        names = ("seq1", "seq2") if bpy.app.version < (4, 4, 0) else ("input1", "input2")
        pair = dict(zip(names, inputs, strict=False))
        strips = compat.strips(self.scene.sequence_editor)
        return strips.new_effect(
            name=name, type=kind, channel=channel, frame_start=START, **length, **pair
        )

    def key(self, strip: Any, path: str, *values: Any, owner: Any = None) -> None:
        """Keyframes of a property at the first and the last frame of the shot."""
        owner = owner or strip
        start, end = compat.span(strip)
        for frame, value in zip((start, end - 1), values, strict=True):
            setattr(owner, path, value)
            owner.keyframe_insert(path, frame=frame)

    def pictures(self, strip: Any) -> np.ndarray:
        """The scene over the frames of a strip: uint8 [T,H,W,3]."""
        shown = []
        for frame in range(*compat.span(strip)):
            if frame < 0:  # Blender renders no frame before 0
                continue
            self.scene.frame_set(frame)
            shown.append(studio.render_frame(self.scene, frame, self.folder / "shown.png"))
        return np.stack(shown).astype(int)


def matte(frames: np.ndarray) -> np.ndarray:
    """The frames with a soft ellipse for alpha: uint8 [T,H,W,4]."""
    height, width = frames.shape[1:3]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    alpha = (255 * (1.6 - 2 * np.hypot(x, y)).clip(0, 1)).astype(np.uint8)
    return np.concatenate([frames, np.broadcast_to(alpha[..., None], (*frames.shape[:3], 1))], 3)


def place_identity(stage: Stage, strip: Any) -> Any:
    """Read a strip and place a layer that shows the very footage; returns its strip."""
    frames = read_all(stage.scene, strip, stage.folder)
    job = finished(stage.scene, strip, matte(frames), stage.folder / "layers", frames.shape[2:0:-1])
    (layer,) = placing.place(job)
    return layer


Arrange = Callable[[Stage], Any]


@dataclass(frozen=True)
class Row:
    """One way of editing. within: the difference allowed, in levels of 255.

    sentence: what the artist reads where a layer cannot follow exactly.
    """

    arrange: Arrange
    within: int
    sentence: str


ROWS: dict[str, Row] = {}


def row(within: int = 1, sentence: str = "") -> Callable[[Arrange], Arrange]:
    """Add a row to the table."""

    def add(arrange: Arrange) -> Arrange:
        ROWS[arrange.__name__] = Row(arrange, within, sentence)
        return arrange

    return add


@row()
def plain(stage: Stage) -> None: ...


@row(255, "shot lies on the muted channel 2")
def muted_channel(stage: Stage) -> None:
    stage.other("below", 1)  # with nothing to show, Blender renders the 3D scene
    stage.scene.sequence_editor.channels[2].mute = True


@row()
def before_frame_0(stage: Stage) -> None:
    compat.slide(stage.strip, -START - 3)


@row()
def trimmed(stage: Stage) -> None:
    compat.set_span(stage.strip, START + 1, START + 4)


@row()
def reversed_(stage: Stage) -> None:
    stage.strip.use_reverse_frames = True


@row()
def strobe(stage: Stage) -> None:
    stage.strip.strobe = 2


@row()
def half_opacity(stage: Stage) -> None:
    stage.strip.blend_alpha = 0.5


@row(60, "shot is half transparent over other strips")
def half_opacity_over_footage(stage: Stage) -> None:
    stage.other("below", 1)
    stage.strip.blend_alpha = 0.5


@row(2)
def fade_in(stage: Stage) -> None:
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)


@row()
def keyed_position(stage: Stage) -> None:
    stage.key(stage.strip, "offset_x", 0, 20, owner=stage.strip.transform)


@row()
def keyed_crop(stage: Stage) -> None:
    stage.key(stage.strip, "min_x", 0, 20, owner=stage.strip.crop)


@row()
def saturation_and_multiply(stage: Stage) -> None:
    stage.strip.color_saturation, stage.strip.color_multiply = 0.3, 1.2


@row(60, "Curves and White Balance may tint its soft edges")
def fade_in_of_a_graded_strip(stage: Stage) -> None:
    grade(stage)
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)


@row(2)
def fade_in_with_a_keyed_multiplier(stage: Stage) -> None:
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)
    stage.key(stage.strip, "color_multiply", 1.2, 0.4)


@row()
def replaced_fade(stage: Stage) -> None:
    stage.other("below", 1)
    stage.strip.blend_type = "REPLACE"
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)


@row(60, "Curves and White Balance may tint its soft edges")
def graded(stage: Stage) -> None:
    grade(stage)
    balance = stage.strip.modifiers["balance"]
    stage.key(stage.strip, "color_multiply", 0.5, 1.5, owner=balance)


def grade(stage: Stage) -> None:
    balance = stage.strip.modifiers.new("balance", "COLOR_BALANCE")
    balance.color_balance.gain = (1.5, 0.8, 1.0)
    curve = stage.strip.modifiers.new("curves", "CURVES").curve_mapping.curves[3]
    curve.points[0].location = (0.1, 0.2)
    curve.points.new(0.5, 0.7)
    stage.strip.modifiers.new("bright", "BRIGHT_CONTRAST").contrast = 12.0
    stage.strip.modifiers.new("white", "WHITE_BALANCE").white_value = (1.0, 0.9, 0.8)
    hue = stage.strip.modifiers.new("hue", "HUE_CORRECT").curve_mapping.curves[1]
    hue.points[2].location = (hue.points[2].location[0], 0.9)


@row(2)
def fade_in_of_a_brightened_strip(stage: Stage) -> None:
    stage.strip.modifiers.new("balance", "COLOR_BALANCE").color_balance.gain = (0.9, 0.6, 0.8)
    stage.strip.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 8.0
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)


@row()
def keyed_pan_and_zoom_at_half_size(stage: Stage) -> None:
    stage.scene.render.resolution_percentage = 50
    move = stage.strip.transform
    stage.key(stage.strip, "scale_x", 1.0, 2.0, owner=move)
    stage.key(stage.strip, "scale_y", 1.0, 1.5, owner=move)
    stage.key(stage.strip, "rotation", 0.0, 0.4, owner=move)


@row()
def speed_effect(stage: Stage) -> None:
    speed = stage.effect("SPEED", stage.strip)
    speed.speed_control, speed.speed_factor = "MULTIPLY", 2.0


@row()
def transform_effect(stage: Stage) -> None:
    if bpy.app.version < (5, 0, 0):
        effect = stage.effect("TRANSFORM", stage.strip)
        effect.translate_start_x, effect.scale_start_y = 10.0, 0.5


@row(90, "takes part in the transition effect on frames 14 to 16")
def crossfade(stage: Stage) -> None:
    stage.effect("CROSS", stage.strip, stage.other("next", 3, START + 3))


@row(255, "logo lies directly above shot")
def logo_above(stage: Stage) -> None:
    stage.other("logo", 3).transform.scale_x = 0.3


@row(255, "The layer gets a copy of the effect effect")
def blur_effect(stage: Stage) -> None:
    stage.effect("GAUSSIAN_BLUR", stage.strip).size_x = 3.0


@row()
def muted_and_locked_channels_above(stage: Stage) -> None:
    channels = stage.scene.sequence_editor.channels
    channels[3].mute = channels[4].lock = True


@row()
def title_and_adjustment_above(stage: Stage) -> None:
    stage.effect("ADJUSTMENT", channel=3).color_multiply = 0.5
    stage.effect("TEXT", channel=4, name="title").text = "TITLE"


@row()
def title_with_room_below(stage: Stage) -> None:
    stage.effect("TEXT", channel=5, name="title").text = "TITLE"


@row()
def title_above(stage: Stage) -> None:
    stage.effect("TEXT", channel=3, name="title").text = "TITLE"


@row()
def adjustment_above(stage: Stage) -> None:
    adjustment = stage.effect("ADJUSTMENT", channel=3)
    adjustment.color_multiply = 0.5


@row()
def in_a_meta(stage: Stage) -> Any:
    make_meta(stage.scene, [stage.strip])


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
    for index in (2, 1):
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
    stage.strip.modifiers.new("balance", "COLOR_BALANCE").color_balance.gain = (0.9, 0.6, 0.8)
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
