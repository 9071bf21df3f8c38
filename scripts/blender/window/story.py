"""The session: what an artist does from installing the add-on to the composited shot.

Started by scripts/blender/window_session.py inside Blender; TEXT2LIVE_STORY says where things are.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from scripts.blender.window.hands import Album, Hands, Story, play, region_of, within

ROW = 21  # pixels from one row of buttons to the next
TOLD: dict[str, Any] = json.loads(os.environ["TEXT2LIVE_STORY"])


def story() -> Story:
    """All of it."""
    album = Album(Path(TOLD["shots"]))
    hands = Hands(bpy.context.window_manager.windows[0])
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.smooth_view = 0
    yield from install(hands, album)
    area = yield from lay_out(hands)
    yield from connect(hands, album, area)
    yield from analyse(hands, album, area)
    yield from edit(hands, album, area)
    yield from compose(hands, album, area)
    yield from compare(hands, album, area)
    yield from paint(hands, album, area)


def connect(hands: Hands, album: Album, area: Any) -> Story:
    """Start a backend on this machine."""
    side = region_of(area, "UI")
    yield from album.take(hands, "connect", side)
    yield from hands.press(area, "text2live.start_local")
    yield lambda: session().view.state == "ready"
    yield from album.take(hands, "connected", side)
    yield from hands.fold(area, "text2live.disconnect")


def analyse(hands: Hands, album: Album, area: Any) -> Story:
    """Click the strip, say where the object is, have the shot analysed."""
    side = region_of(area, "UI")
    yield from click_strip(hands, area, 1)
    yield from album.take(hands, "strip", area)
    yield from draw_box(hands, area)
    yield from hands.press(area, "preset", columns=(0.4,))  # Draft, the first of three
    yield from album.take(hands, "box", region_of(area, "PREVIEW"), side)
    yield from hands.press(area, "text2live.analyse(")
    yield lambda: newest().ended or (newest().phase == "working" and newest().fraction > 0.2)
    yield from album.take(hands, "analysing", side)
    yield lambda: newest().ended
    yield from album.take(hands, "analysed", side)


def edit(hands: Hands, album: Album, area: Any) -> Story:
    """Type what is to change, have the layer made."""
    side = region_of(area, "UI")
    yield from hands.fill(area, "prompt", "a golden swan")
    yield from hands.fill(area, "source", "a blue swan")
    yield from album.take(hands, "edit", side)
    yield from hands.press(area, "text2live.edit(")
    yield lambda: newest().ended or (newest().preview is not None and newest().fraction > 0.4)
    yield from hands.to_bottom(area)
    yield from album.take(hands, "working", side)
    yield lambda: newest().ended
    hands.window.scene.frame_set(8)
    yield from frame_all(hands, area)
    yield from album.take(hands, "layer", area)


def compose(hands: Hands, album: Album, area: Any) -> Story:
    """The layer in the compositor."""
    yield from hands.press(area, "text2live.compose(")
    area.type = "NODE_EDITOR"
    space = area.spaces.active
    space.tree_type, space.show_region_ui = "CompositorNodeTree", False
    yield 0.5
    with within(hands.window, area, region_of(area, "WINDOW")):
        bpy.ops.node.view_all()
    yield 0.5
    yield from album.take(hands, "compositor", part(area, 0.19, 0.28, 0.62, 0.44))
    area.type = "SEQUENCE_EDITOR"
    yield 0.5


def paint(hands: Hands, album: Album, area: Any) -> Story:
    """Paint on the object's atlas and lay the paint over the shot."""
    paper = next(one for one in hands.window.screen.areas if one.type == "PROPERTIES")
    paper.type = "IMAGE_EDITOR"
    border, level = paper.x - 1, paper.y + paper.height // 2
    yield 0.5
    yield from hands.drag((border, level), (border - 760, level))
    yield from hands.press(area, "text2live.open_atlas(", columns=(0.3,))  # the object's
    yield lambda: hands.window.scene.text2live.paint_image is not None
    yield 1.0
    paints = hands.window.scene.tool_settings.unified_paint_settings
    paints.use_unified_color, paints.color, paints.size = True, (0.9, 0.05, 0.05), 14
    canvas = region_of(paper, "WINDOW")
    for low in (0.4, 0.44):
        points = [(0.44 + 0.03 * step, low + 0.03 * (step % 2)) for step in range(6)]
        yield from hands.drag(
            *((canvas.x + canvas.width * x, canvas.y + canvas.height * y) for x, y in points)
        )
    brush = hands.window.scene.tool_settings.image_paint.brush
    brush.blend, paints.size = "ERASE_ALPHA", 8
    yield from hands.drag(
        *((canvas.x + canvas.width * x, canvas.y + canvas.height * 0.43) for x in (0.54, 0.6))
    )
    yield from album.take(hands, "atlas", paper)
    brush.blend = "MIX"
    yield from hands.drag((paper.x - 1, level), (border, level))
    yield from hands.unfold(area, bpy.types.T2L_PT_paint, "text2live.edit(")
    yield from hands.find(area, "text2live.map_paint(")
    yield from album.take(hands, "paint", region_of(area, "UI"))
    yield from hands.press(area, "text2live.map_paint(")
    yield lambda: newest().ended
    yield from frame_all(hands, area)
    yield from hands.find(area, "text2live.show_version(")
    yield from hands.click(hands.at[0], hands.at[1] - 2 * ROW)  # the paint alone
    yield from album.take(hands, "painted", area)


def compare(hands: Hands, album: Album, area: Any) -> Story:
    """Another edit of the strip, above the first; the second alone."""
    yield from hands.fill(area, "prompt", "a wooden swan")
    yield from hands.press(area, "text2live.edit(")
    yield lambda: newest().ended
    yield from frame_all(hands, area)
    yield from hands.find(area, "text2live.show_version(")
    yield from hands.click(hands.at[0], hands.at[1] - ROW)
    yield from album.take(hands, "versions", area)


def install(hands: Hands, album: Album) -> Story:
    """Install the zip, and say where the backend's Python is."""
    bpy.ops.preferences.addon_install(filepath=TOLD["zip"])
    bpy.ops.preferences.addon_enable(module="text2live")
    hands.window.workspace = bpy.data.workspaces["Rendering"]
    yield 0.5
    area = max(hands.window.screen.areas, key=lambda one: one.width * one.height)
    area.type = "PREFERENCES"
    yield 0.5
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Text2LIVE"
    bpy.context.window_manager.addon_filter = "Sequencer"
    with within(hands.window, area):
        bpy.ops.preferences.addon_expand(module="text2live")
    yield from album.take(hands, "install", part(area, 0, 0.38, 1, 0.62))
    ours = bpy.context.preferences.addons["text2live"].preferences
    ours.backend_python, ours.backend_folder = TOLD["python"], TOLD["repository"]
    ours.backend_options = TOLD["options"]
    area.type = "SEQUENCE_EDITOR"


def lay_out(hands: Hands) -> Any:
    """A shot in a Sequencer with preview over most of the window, its sidebar open and wide."""
    area = next(one for one in hands.window.screen.areas if one.type == "SEQUENCE_EDITOR")
    space = area.spaces.active
    space.view_type, space.show_region_ui = "SEQUENCER_PREVIEW", True
    yield 0.5
    yield from hands.open_tab(area, bpy.types.T2L_PT_sequencer)
    side, preview = region_of(area, "UI"), region_of(area, "PREVIEW")
    yield from hands.drag((side.x - 2, 300), (side.x - 62, 300))
    yield from hands.drag((400, preview.y - 2), (400, 280))
    scene = hands.window.scene
    frames = sorted(Path(TOLD["frames"]).iterdir())
    with within(hands.window, area, region_of(area, "WINDOW")):
        bpy.ops.sequencer.image_strip_add(
            directory=TOLD["frames"] + "/",
            files=[{"name": path.name} for path in frames],
            frame_start=1,
            channel=1,
            fit_method="ORIGINAL",
        )
        bpy.ops.sequencer.select_all(action="DESELECT")
    scene.sequence_editor.sequences_all[0].name = "swan"
    scene.sequence_editor.active_strip = None
    scene.render.resolution_x, scene.render.resolution_y = TOLD["size"]
    scene.frame_start, scene.frame_end = 1, len(frames)
    scene.view_settings.view_transform = "Standard"
    bpy.ops.wm.save_as_mainfile(filepath=TOLD["blend"])
    yield from frame_all(hands, area)
    return area


def frame_all(hands: Hands, area: Any) -> Story:
    """Timeline and preview show all there is."""
    yield 0.3
    for kind, operator in (
        ("WINDOW", bpy.ops.sequencer.view_all),
        ("PREVIEW", bpy.ops.sequencer.view_all_preview),
    ):
        with within(hands.window, area, region_of(area, kind)):
            operator()
    yield 0.5


def part(area: Any, x: float, y: float, wide: float, high: float) -> Any:
    """A part of an area, from its lower left, all in shares of its size."""
    return SimpleNamespace(
        x=area.x + round(area.width * x),
        y=area.y + round(area.height * y),
        width=round(area.width * wide),
        height=round(area.height * high),
    )


def click_strip(hands: Hands, area: Any, channel: int) -> Story:
    """Click the strip in a channel of the timeline."""
    region = region_of(area, "WINDOW")
    x, y = region.view2d.view_to_region(6, channel + 0.5, clip=False)
    yield from hands.click(region.x + x, region.y + y)
    yield 0.5
    strip = hands.window.scene.sequence_editor.active_strip
    if strip is None:
        raise RuntimeError("the click did not make the strip active")


def draw_box(hands: Hands, area: Any) -> Story:
    """Drag the box round the object in the preview."""
    width, height = TOLD["size"]
    region = region_of(area, "PREVIEW")
    left, top, right, bottom = TOLD["box"]
    corners = []
    for x, y in ((left, top), (right, bottom)):
        x, y = region.view2d.view_to_region(x - width / 2, height / 2 - y, clip=False)
        corners.append((region.x + x, region.y + y))
    yield from hands.press(area, "text2live.draw_box")
    yield from hands.drag(*corners)


def session() -> Any:
    """The add-on's own view of things."""
    from text2live.blender import runtime

    return runtime.current().session


def newest() -> Any:
    """The job that was started last; raises RuntimeError when it has failed."""
    from text2live.blender import runtime

    job = runtime.current().jobs[-1]
    if job.problem is not None:
        raise RuntimeError(f"{job.title}: {job.problem.message}")
    return job


play(story())
