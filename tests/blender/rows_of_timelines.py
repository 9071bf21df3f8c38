"""Ways of editing around a strip: effects, transitions, titles and other strips."""

from __future__ import annotations

import bpy
from stage import FRAMES, START, Stage, row


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


@row(90, "takes part in the transition effect")
def gamma_cross_from_another_strip(stage: Stage) -> None:
    stage.effect("GAMMA_CROSS", stage.other("before", 1, START - 3), stage.strip)


@row(255, "takes part in the transition effect")
def wipe(stage: Stage) -> None:
    stage.effect("WIPE", stage.strip, stage.other("next", 3, START + 3))


@row(255, "effect mixes shot with another strip")
def multiply_effect(stage: Stage) -> None:
    stage.effect("MULTIPLY", stage.strip, stage.other("next", 1))


@row(255, "The layer gets a copy of the effect effect")
def glow_effect(stage: Stage) -> None:
    stage.effect("GLOW", stage.strip)


@row(2)
def speed_effect_of_a_fading_strip(stage: Stage) -> None:
    speed = stage.effect("SPEED", stage.strip)
    speed.speed_control, speed.speed_factor = "MULTIPLY", 2.0
    stage.key(speed, "blend_alpha", 0.2, 1.0)


@row(255, "The multicam strip effect shows one channel at a time")
def multicam_above(stage: Stage) -> None:
    stage.effect("MULTICAM", channel=6).multicam_source = 2


@row()
def titles_in_the_way_of_each_other(stage: Stage) -> None:
    for channel in (3, 4):
        title = stage.effect("TEXT", channel=channel, name=f"title {channel}")
        title.text, title.location = "TITLE", (0.5, channel / 8)


@row(255, "title is locked. The layer will lie above it")
def locked_title_above(stage: Stage) -> None:
    title = stage.effect("TEXT", channel=3, name="title")
    title.text, title.lock = "TITLE", True


@row()
def other_strips_at_other_times(stage: Stage) -> None:
    stage.other("before", 3, START - FRAMES)
    stage.other("after", 3, START + FRAMES)
