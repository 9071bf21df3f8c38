"""What the artist sets for an edit, kept in the scene."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, PointerProperty, StringProperty

from ..blender import compat
from ..core.request import Settings

LAYERS = [
    ("foreground", "Object", "Change the object that moves in front"),
    ("background", "Background", "Change what is behind the object"),
]
PRESETS = [
    ("draft", "Draft", "Minutes on a GPU: to see whether the words work"),
    ("preview", "Preview", "A fair picture of the final result"),
    ("final", "Final", "The best quality, and the longest wait"),
]
MASKS = [
    ("auto", "Automatic", "Find the object from its motion; a suggestion only on difficult shots"),
    ("key", "Picture", "One black and white picture of the object on one frame"),
    ("all", "Folder", "A folder of black and white pictures, one for every frame"),
]


def _mask_chosen(settings: Any, context: Any) -> None:
    """A mask is most likely chosen on the frame it was painted on."""
    scene = compat.sequencer_scene(context)
    if scene is not None:
        settings.mask_frame = scene.frame_current


class T2L_PG_settings(bpy.types.PropertyGroup):
    """Settings of the next edit."""

    prompt: StringProperty(  # type: ignore[valid-type]
        name="Prompt",
        description="What the edited shot shows, for example: a red car on fire. "
        "Separate alternatives with semicolons",
        maxlen=2000,
    )
    source: StringProperty(  # type: ignore[valid-type]
        name="Now",
        description="What is there now, for example: a car. Tells the edit where it belongs",
        maxlen=2000,
    )
    layer: EnumProperty(  # type: ignore[valid-type]
        name="Change", description="Which part of the shot is changed", items=LAYERS
    )
    preset: EnumProperty(  # type: ignore[valid-type]
        name="Quality",
        description="How much time is spent on the edit",
        items=PRESETS,
        default="preview",
    )
    mask_mode: EnumProperty(  # type: ignore[valid-type]
        name="Mask", description="How the object is told from the background", items=MASKS
    )
    mask_file: StringProperty(  # type: ignore[valid-type]
        name="Picture",
        description="The object on one frame, white on black, in the size of the shot",
        subtype="FILE_PATH",
        update=_mask_chosen,
    )
    mask_frame: IntProperty(  # type: ignore[valid-type]
        name="Mask Frame", description="The frame the mask was painted on", default=1
    )
    mask_folder: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Masks of every visible frame, white on black, named in order",
        subtype="DIR_PATH",
    )
    seed: IntProperty(  # type: ignore[valid-type]
        name="Seed", description="Another number gives another result of the same words", min=0
    )
    model: StringProperty(  # type: ignore[valid-type]
        name="Model",
        description="The text-image model that steers the edit: an open_clip name such as "
        "ViT-B-32:openai, or with a file on the backend's machine: ViT-B-32:/path/file.pt. "
        "Empty: the backend's own choice",
    )

    def collect(self, longest: int = 0) -> Settings:
        """The settings as plain values. longest: long side frames are reduced to; 0: never."""
        path = {"auto": "", "key": self.mask_file, "all": self.mask_folder}[self.mask_mode]
        return Settings(
            prompt=self.prompt,
            source=self.source,
            layer=self.layer,
            preset=self.preset,
            mask_mode=self.mask_mode,
            mask_path=bpy.path.abspath(path) if path else "",
            mask_frame=self.mask_frame,
            longest=longest,
            seed=self.seed,
            model=self.model,
        )


def register() -> None:
    """Give every scene its settings."""
    bpy.utils.register_class(T2L_PG_settings)
    bpy.types.Scene.text2live = PointerProperty(type=T2L_PG_settings)


def unregister() -> None:
    """Take the settings away."""
    del bpy.types.Scene.text2live
    bpy.utils.unregister_class(T2L_PG_settings)
