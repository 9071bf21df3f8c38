"""The session: an artist's work from installing the add-on to the composited shot.

Started by scripts/blender/window_session.py inside Blender; TEXT2LIVE_STORY holds the paths.
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
from scripts.blender.window.simulate import (
    Screenshots,
    SimulatedUser,
    Story,
    play_story,
    region_of,
    within,
)

ROW = 21  # pixels from one row of buttons to the next
CONFIG: dict[str, Any] = json.loads(os.environ["TEXT2LIVE_STORY"])


def story() -> Story:
    """The whole session."""
    screenshots = Screenshots(Path(CONFIG["shots"]))
    user = SimulatedUser(bpy.context.window_manager.windows[0])
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.smooth_view = 0
    yield from install(user, screenshots)
    area = yield from lay_out(user)
    yield from connect(user, screenshots, area)
    yield from analyse(user, screenshots, area)
    yield from edit(user, screenshots, area)
    yield from compose(user, screenshots, area)
    yield from compare(user, screenshots, area)
    yield from paint(user, screenshots, area)


def connect(user: SimulatedUser, screenshots: Screenshots, area: Any) -> Story:
    """Start a backend on this machine."""
    side = region_of(area, "UI")
    yield from screenshots.take(user, "connect", side)
    yield from user.press(area, "text2live.start_local")
    yield lambda: session().status.state == "ready"
    yield from screenshots.take(user, "connected", side)
    yield from user.collapse(area, "text2live.disconnect")


def analyse(user: SimulatedUser, screenshots: Screenshots, area: Any) -> Story:
    """Click the strip, draw a box around the object, preview its mask, analyse the shot."""
    side = region_of(area, "UI")
    yield from click_strip(user, area, 1)
    yield from screenshots.take(user, "strip", area)
    yield from draw_box(user, area)
    yield from go_to(user, area, 1)
    user.window.scene.text2live.preset = "draft"
    yield from screenshots.take(user, "box", region_of(area, "PREVIEW"), side)
    yield from user.press(area, "text2live.preview_mask(")
    yield lambda: newest().ended
    yield from go_to(user, area, 8)
    yield from screenshots.take(user, "mask", area)
    yield from user.press(area, "text2live.analyse(")
    yield lambda: newest().ended or (newest().phase == "working" and newest().fraction > 0.2)
    yield from screenshots.take(user, "analysing", side)
    yield lambda: newest().ended
    yield from screenshots.take(user, "analysed", side)


def edit(user: SimulatedUser, screenshots: Screenshots, area: Any) -> Story:
    """Enter the texts and make the layer."""
    side = region_of(area, "UI")
    yield from user.fill_in(area, "prompt", "a golden swan")
    yield from user.fill_in(area, "source", "a blue swan")
    yield from user.collapse(area, "mask_mode")  # so that all of Edit and the job's preview fit in
    yield from screenshots.take(user, "edit", side)
    yield from user.press(area, "text2live.edit(")
    yield lambda: newest().ended or (newest().preview is not None and newest().fraction > 0.4)
    yield from user.to_top(area)
    yield from screenshots.take(user, "working", side)
    yield lambda: newest().ended
    yield from frame_all(user, area)
    yield from screenshots.take(user, "layer", area)


def compose(user: SimulatedUser, screenshots: Screenshots, area: Any) -> Story:
    """Add the layer to the compositor."""
    yield from user.press(area, "text2live.compose(")
    area.type = "NODE_EDITOR"
    space = area.spaces.active
    space.tree_type, space.show_region_ui = "CompositorNodeTree", False
    yield 2.0  # until the nodes are drawn: before that, their sizes are not known
    with within(user.window, area, region_of(area, "WINDOW")):
        bpy.ops.node.view_all()
    yield 0.5
    yield from screenshots.take(user, "compositor", part(area, 0.16, 0.32, 0.68, 0.33))
    area.type = "SEQUENCE_EDITOR"
    yield 0.5
    yield from go_to(user, area, 8)


def paint(user: SimulatedUser, screenshots: Screenshots, area: Any) -> Story:
    """Paint on the object's atlas and map the paint to the shot."""
    image_area = next(one for one in user.window.screen.areas if one.type == "PROPERTIES")
    image_area.type = "IMAGE_EDITOR"
    border, level = image_area.x - 1, image_area.y + image_area.height // 2
    yield 0.5
    yield from user.expand(area, bpy.types.T2L_PT_paint, "variant")
    yield from user.drag((border, level), (border - 760, level))
    yield from user.press(area, "text2live.open_atlas(", columns=(0.3,))  # the object's
    yield lambda: user.window.scene.text2live.paint_image is not None
    yield 1.0
    paints = user.window.scene.tool_settings.unified_paint_settings
    paints.use_unified_color, paints.color, paints.size = True, (0.9, 0.05, 0.05), 14
    canvas = region_of(image_area, "WINDOW")
    for low in (0.4, 0.44):
        points = [(0.44 + 0.03 * step, low + 0.03 * (step % 2)) for step in range(6)]
        yield from user.drag(
            *((canvas.x + canvas.width * x, canvas.y + canvas.height * y) for x, y in points)
        )
    brush = user.window.scene.tool_settings.image_paint.brush
    brush.blend, paints.size = "ERASE_ALPHA", 8
    yield from user.drag(
        *((canvas.x + canvas.width * x, canvas.y + canvas.height * 0.43) for x in (0.54, 0.6))
    )
    yield from screenshots.take(user, "atlas", image_area)
    brush.blend = "MIX"
    yield from user.drag((image_area.x - 1, level), (border, level))
    yield from user.find(area, "text2live.map_paint(")
    yield from screenshots.take(user, "paint", region_of(area, "UI"))
    yield from user.press(area, "text2live.map_paint(")
    yield lambda: newest().ended
    yield from frame_all(user, area)
    yield from user.find(area, "text2live.show_version(")
    yield from user.click(user.at[0], user.at[1] - 2 * ROW)  # the paint alone
    yield from screenshots.take(user, "painted", area)


def compare(user: SimulatedUser, screenshots: Screenshots, area: Any) -> Story:
    """Make another edit of the strip, and solo it."""
    yield from user.fill_in(area, "prompt", "a wooden swan")
    yield from user.press(area, "text2live.edit(")
    yield lambda: newest().ended
    yield from frame_all(user, area)
    yield from user.find(area, "text2live.show_version(")
    yield from user.click(user.at[0], user.at[1] - ROW)
    yield from screenshots.take(user, "versions", area)


def install(user: SimulatedUser, screenshots: Screenshots) -> Story:
    """Install the zip and set the backend's Python."""
    bpy.ops.preferences.addon_install(filepath=CONFIG["zip"])
    bpy.ops.preferences.addon_enable(module="text2live")
    user.window.workspace = bpy.data.workspaces["Rendering"]
    yield 0.5
    area = max(user.window.screen.areas, key=lambda one: one.width * one.height)
    area.type = "PREFERENCES"
    yield 0.5
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Text2LIVE"
    bpy.context.window_manager.addon_filter = "Sequencer"
    with within(user.window, area):
        bpy.ops.preferences.addon_expand(module="text2live")
    yield from screenshots.take(user, "install", part(area, 0, 0.38, 1, 0.62))
    ours = bpy.context.preferences.addons["text2live"].preferences
    ours.backend_python, ours.backend_folder = CONFIG["python"], CONFIG["repository"]
    ours.backend_options = CONFIG["options"]
    area.type = "SEQUENCE_EDITOR"


def lay_out(user: SimulatedUser) -> Any:
    """Open a large Sequencer with a preview and a wide sidebar, and add the strip."""
    area = next(one for one in user.window.screen.areas if one.type == "SEQUENCE_EDITOR")
    space = area.spaces.active
    space.view_type, space.show_region_ui = "SEQUENCER_PREVIEW", True
    yield 0.5
    yield from user.open_tab(area, bpy.types.T2L_PT_sequencer)
    side, preview = region_of(area, "UI"), region_of(area, "PREVIEW")
    yield from user.drag((side.x - 2, 300), (side.x - 62, 300))
    yield from user.drag((400, preview.y - 2), (400, 280))
    scene = user.window.scene
    frames = sorted(Path(CONFIG["frames"]).iterdir())
    with within(user.window, area, region_of(area, "WINDOW")):
        bpy.ops.sequencer.image_strip_add(
            directory=CONFIG["frames"] + "/",
            files=[{"name": path.name} for path in frames],
            frame_start=1,
            channel=1,
            fit_method="ORIGINAL",
        )
        bpy.ops.sequencer.select_all(action="DESELECT")
    scene.sequence_editor.sequences_all[0].name = "swan"
    scene.sequence_editor.active_strip = None
    scene.render.resolution_x, scene.render.resolution_y = CONFIG["size"]
    scene.frame_start, scene.frame_end = 1, len(frames)
    scene.view_settings.view_transform = "Standard"
    bpy.ops.wm.save_as_mainfile(filepath=CONFIG["blend"])
    yield from frame_all(user, area)
    return area


def frame_all(user: SimulatedUser, area: Any) -> Story:
    """Show everything in the timeline and the preview."""
    yield 0.3
    for kind, operator in (
        ("WINDOW", bpy.ops.sequencer.view_all),
        ("PREVIEW", bpy.ops.sequencer.view_all_preview),
    ):
        with within(user.window, area, region_of(area, kind)):
            operator()
    yield 0.5


def go_to(user: SimulatedUser, area: Any, frame: int) -> Story:
    """Go to a frame as the timeline's ruler does: this closes Adjust Last Operation."""
    with within(user.window, area, region_of(area, "WINDOW")):
        bpy.ops.anim.change_frame("EXEC_DEFAULT", True, frame=frame)
    yield 0.5


def part(area: Any, x: float, y: float, wide: float, high: float) -> Any:
    """A part of an area, from its lower left, in fractions of its size."""
    return SimpleNamespace(
        x=area.x + round(area.width * x),
        y=area.y + round(area.height * y),
        width=round(area.width * wide),
        height=round(area.height * high),
    )


def click_strip(user: SimulatedUser, area: Any, channel: int) -> Story:
    """Click the strip on a channel of the timeline."""
    region = region_of(area, "WINDOW")
    x, y = region.view2d.view_to_region(6, channel + 0.5, clip=False)
    yield from user.click(region.x + x, region.y + y)
    yield 0.5
    strip = user.window.scene.sequence_editor.active_strip
    if strip is None:
        raise RuntimeError("the click did not make the strip active")


def draw_box(user: SimulatedUser, area: Any) -> Story:
    """Drag a box around the object in the preview."""
    width, height = CONFIG["size"]
    region = region_of(area, "PREVIEW")
    left, top, right, bottom = CONFIG["box"]
    corners = []
    for x, y in ((left, top), (right, bottom)):
        x, y = region.view2d.view_to_region(x - width / 2, height / 2 - y, clip=False)
        corners.append((region.x + x, region.y + y))
    yield from user.press(area, "text2live.draw_box", columns=(0.3,))
    yield from user.drag(*corners)


def session() -> Any:
    """The add-on's session."""
    from text2live.blender import runtime

    return runtime.current().session


def newest() -> Any:
    """The newest job; raises RuntimeError if it has failed."""
    from text2live.blender import runtime

    job = runtime.current().jobs[-1]
    if job.problem is not None:
        raise RuntimeError(f"{job.title}: {job.problem.message}")
    return job


play_story(story())
