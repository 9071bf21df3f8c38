"""A stage for editing a strip, and the table of the ways of editing.

A row arranges the timeline. Its layer has the frames that were read, with an ellipse for a matte:
the scene must look the same with and without it. Where a layer cannot follow its strip, the row
names the sentence that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from test_extract import read_all
from test_layers import finished

from blender_addon.blender import compat
from blender_addon.blender.timeline import placing
from scripts.blender import studio

WIDTH, HEIGHT, FRAMES, START = 64, 36, 6, 11


class Stage:
    """A scene with the small clip as the movie strip ``shot`` on channel 2, frames 11 to 16."""

    def __init__(self, scene: Any, clip: np.ndarray, movie: Path, folder: Path) -> None:
        self.scene, self.clip, self.movie, self.folder = scene, clip, movie, folder
        self._name = "shot"
        studio.show_exactly(scene, (WIDTH, HEIGHT))
        studio.movie_strip(scene, movie, frame_start=START, channel=2)

    @property
    def strip(self) -> Any:
        return self.get(self._name)

    def renamed(self, name: str) -> None:
        self.strip.name = self._name = name

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
