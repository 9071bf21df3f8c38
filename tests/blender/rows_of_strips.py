"""Ways of editing a strip: time, place, fades, colours and metas."""

from __future__ import annotations

from typing import Any

import bpy
from stage import FRAMES, START, Stage, row
from test_extract import make_meta

from blender_addon.blender import compat


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
    balance = compat.new_modifier(stage.strip, "balance", "COLOR_BALANCE")
    balance.color_balance.gain = (1.5, 0.8, 1.0)
    curve = compat.new_modifier(stage.strip, "curves", "CURVES").curve_mapping.curves[3]
    curve.points[0].location = (0.1, 0.2)
    curve.points.new(0.5, 0.7)
    compat.new_modifier(stage.strip, "bright", "BRIGHT_CONTRAST").contrast = 12.0
    compat.new_modifier(stage.strip, "white", "WHITE_BALANCE").white_value = (1.0, 0.9, 0.8)
    hue = compat.new_modifier(stage.strip, "hue", "HUE_CORRECT").curve_mapping.curves[1]
    hue.points[2].location = (hue.points[2].location[0], 0.9)


@row(2)
def fade_in_of_a_brightened_strip(stage: Stage) -> None:
    compat.new_modifier(stage.strip, "balance", "COLOR_BALANCE").color_balance.gain = (
        0.9,
        0.6,
        0.8,
    )
    compat.new_modifier(stage.strip, "bright", "BRIGHT_CONTRAST").bright = 8.0
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)


@row()
def keyed_pan_and_zoom_at_half_size(stage: Stage) -> None:
    stage.scene.render.resolution_percentage = 50
    move = stage.strip.transform
    stage.key(stage.strip, "scale_x", 1.0, 2.0, owner=move)
    stage.key(stage.strip, "scale_y", 1.0, 1.5, owner=move)
    stage.key(stage.strip, "rotation", 0.0, 0.4, owner=move)


@row()
def in_a_meta(stage: Stage) -> Any:
    make_meta(stage.scene, [stage.strip])


@row()
def held_beyond_its_content(stage: Stage) -> None:
    compat.set_span(stage.strip, START - 2, START + FRAMES + 2)


@row()
def hold_offsets(stage: Stage) -> None:
    named = "content_trim" if hasattr(stage.strip, "content_trim_start") else "animation_offset"
    setattr(stage.strip, f"{named}_start", 2)


@row()
def one_still(stage: Stage) -> None:
    compat.strips(stage.scene.sequence_editor).remove(stage.strip)
    stage.other("shot", 2)
    compat.set_span(stage.strip, START, START + 1)


@row()
def cropped(stage: Stage) -> None:
    stage.strip.crop.min_x, stage.strip.crop.max_y = 9, 5


@row()
def flipped(stage: Stage) -> None:
    stage.strip.use_flip_x = stage.strip.use_flip_y = True


@row()
def moved_turned_and_scaled_about_a_corner(stage: Stage) -> None:
    move = stage.strip.transform
    move.offset_x, move.rotation, move.scale_x, move.origin = 6, 0.3, 1.4, (0.0, 1.0)


@row()
def wide_pixels(stage: Stage) -> None:
    stage.scene.render.pixel_aspect_x = 1.5


@row()
def another_view_transform(stage: Stage) -> None:
    new = bpy.app.version >= (4, 0, 0)
    stage.scene.view_settings.view_transform = "AgX" if new else "Filmic"
    stage.scene.view_settings.exposure = 0.7


@row()
def locked(stage: Stage) -> None:
    stage.strip.lock = True


@row(255, "shot is muted. Its layer will show on its own.")
def muted(stage: Stage) -> None:
    stage.other("below", 1)
    stage.strip.mute = True


@row()
def in_two_metas(stage: Stage) -> None:
    make_meta(stage.scene, [make_meta(stage.scene, [stage.strip])])


@row()
def in_a_trimmed_meta(stage: Stage) -> None:
    meta = make_meta(stage.scene, [stage.strip])
    compat.set_span(meta, START + 1, START + 4)


@row()
def in_a_faded_meta(stage: Stage) -> None:
    meta = make_meta(stage.scene, [stage.strip])
    stage.key(meta, "blend_alpha", 0.0, 1.0)


@row()
def fade_in_a_meta(stage: Stage) -> None:
    make_meta(stage.scene, [stage.strip])
    stage.strip.blend_alpha = 0.5


@row()
def a_name_with_quotes_and_slashes(stage: Stage) -> None:
    stage.key(stage.strip, "offset_x", 0, 20, owner=stage.strip.transform)
    stage.renamed('a "b" / c \\ \N{SWAN}')


@row(2)
def fade_out(stage: Stage) -> None:
    stage.key(stage.strip, "blend_alpha", 1.0, 0.0)


@row(64, "shot is half transparent over other strips")
def fade_in_over_footage(stage: Stage) -> None:
    stage.other("below", 1)
    stage.key(stage.strip, "blend_alpha", 0.0, 1.0)


@row(255, "shot has the blend mode Add")
def added_to_footage(stage: Stage) -> None:
    stage.other("below", 1)
    stage.strip.blend_type = "ADD"


@row()
def keyed_scale(stage: Stage) -> None:
    stage.key(stage.strip, "scale_x", 0.5, 1.5, owner=stage.strip.transform)


@row()
def keyed_turn(stage: Stage) -> None:
    stage.key(stage.strip, "rotation", 0.0, 1.0, owner=stage.strip.transform)


@row()
def keyed_position_with_a_curve_modifier(stage: Stage) -> None:
    move = stage.strip.transform
    stage.key(stage.strip, "offset_y", 0, 10, owner=move)
    (curve,) = compat.curves(stage.scene)
    curve.modifiers.new("NOISE").strength = 9.0


@row()
def keyed_saturation(stage: Stage) -> None:
    stage.key(stage.strip, "color_saturation", 0.0, 1.5)


@row()
def keyed_multiplier(stage: Stage) -> None:
    stage.key(stage.strip, "color_multiply", 0.2, 1.2)


@row(255, "offset_x of shot has a driver")
def a_driven_position(stage: Stage) -> None:
    stage.strip.transform.driver_add("offset_x").driver.expression = "frame"


@row()
def a_muted_modifier(stage: Stage) -> None:
    compat.new_modifier(stage.strip, "bright", "BRIGHT_CONTRAST").bright = 40.0
    stage.strip.modifiers["bright"].mute = True
