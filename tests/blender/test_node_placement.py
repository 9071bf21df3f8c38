"""The compositor places footage and layer as the Sequencer does, at any size and percentage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from test_layers import finished  # noqa: E402

from blender_addon.blender import compat, compositor  # noqa: E402
from blender_addon.blender.timeline import layers, placing  # noqa: E402
from scripts.blender import studio  # noqa: E402


def enlarge(strip: Any) -> None:
    strip.transform.scale_x = strip.transform.scale_y = 1.5


def stretch_and_turn(strip: Any) -> None:
    move = strip.transform
    move.offset_x, move.offset_y, move.scale_x, move.rotation = 7, -5, 0.75, 0.3
    move.origin = (0.25, 0.75)


def pan(strip: Any) -> None:
    for frame, value in ((20, 0), (27, 21)):
        strip.transform.offset_x = value
        strip.transform.keyframe_insert("offset_x", frame=frame)


def ramp() -> np.ndarray:
    """A smooth clip, so that only places matter: uint8 [8,64,96,3]."""
    y, x = np.mgrid[0:64, 0:96]
    frame = np.stack([x * 2 + 40, y * 3 + 40, 90 + y - x // 2], -1)
    return np.repeat(frame[None], 8, 0).astype(np.uint8)


@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("percentage", [100, 50])
@pytest.mark.parametrize("change", [enlarge, stretch_and_turn, pan])
def test_footage_and_layer_lie_as_in_the_sequencer(
    scene: Any, tmp_path: Path, change: Any, percentage: int, placed: bool
) -> None:
    """But for the outermost pixels, which the two interpolate differently."""
    clip = ramp()
    strip = studio.image_strip(scene, studio.write_frames(clip, tmp_path / "p"), frame_start=20)
    change(strip)
    layer = np.concatenate([255 - clip, np.full((8, 64, 96, 1), 255, np.uint8)], 3)
    layer[:, :, 30:, 3] = 0
    job = finished(scene, strip, layer[:, ::2, ::2], tmp_path / "layer")
    placing.place(job)
    compositor.layers_over(scene, strip, job, 20)
    studio.show_exactly(scene, (160, 96))
    scene.render.resolution_percentage = percentage
    expected = {n: studio.render_frame(scene, n, tmp_path / "a.png").astype(int) for n in (20, 24)}
    if not placed and change is not pan:  # a layer without a strip lies over the source
        compat.strips(scene.sequence_editor).remove(layers.find_layer(job.id))
        compositor.layers_over(scene, strip, job, 20)
    scene.render.use_sequencer, scene.render.use_compositing = False, True
    for frame, sequenced in expected.items():
        composed = studio.render_frame(scene, frame, tmp_path / "b.png").astype(int)
        inside = composed.any(2) & sequenced.any(2)
        assert inside.mean() > 0.25
        assert (composed.any(2) != sequenced.any(2)).mean() < 0.06
        assert np.quantile(np.abs(composed - sequenced)[inside], 0.75) <= 4
