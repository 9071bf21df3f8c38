"""What the artist sets for the next job, kept in the scene."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from ..blender import compat
from ..core.settings import Kind, Settings

LAYERS = [
    ("foreground", "Object", "Change the object that moves in front"),
    ("background", "Behind", "Change the background, what is behind the object"),
    ("both", "Both", "Change the object and what is behind it, in one job"),
]
PAINT_LAYERS = LAYERS[:2]
RECIPES = [
    ("texture", "Texture", "Another material or look of the thing, for example: golden swan"),
    ("effect", "Effect", "Something half transparent over it: fire, smoke, snow, fog"),
    ("style", "Style", "All of it in another look, for example: stained glass"),
]
PRESETS = [
    ("draft", "Draft", "Minutes on a GPU: to see whether the words work"),
    ("preview", "Preview", "A fair picture of the final result"),
    ("final", "Final", "The best quality, and the longest wait"),
]
ENGINES = [
    ("explicit", "Splines", "Splines and images: quick, and the atlas is sharp"),
    ("mlp", "Networks", "The networks of Layered Neural Atlases: slow, for comparison"),
]
MASKS = [
    ("box", "Box on One Frame", "Recommended. Drag a box round the object on one frame; its "
     "outline is found in it and carried through the shot"),
    ("image", "Painted on One Frame", "Paint over the object on one frame; that is carried "
     "through the shot"),
    ("text", "Text", "Say what the object is called; it is looked for by a text-image model"),
    ("auto", "Automatic", "Find the object from its motion; a suggestion only on difficult shots"),
    ("mask", "Blender Mask", "A mask drawn with splines in this file"),
    ("strip", "Mask Strip", "A mask strip of the timeline"),
    ("key", "Picture File", "One black and white picture of the object on one frame"),
    ("all", "Folder of Pictures", "Black and white pictures of the object, one for every frame"),
    ("none", "None: Whole Frame", "There is no object: the whole picture is one layer"),
]  # fmt: skip
ONTO = [
    ("atlas", "Atlas", "The image is painted over the layer's atlas"),
    ("frame", "One Frame", "The image is painted over one frame of the shot"),
]


def _mask_chosen(settings: Any, context: Any) -> None:
    """A mask is most likely chosen, and a box typed, on the frame that it is for."""
    scene = compat.sequencer_scene(context)
    if scene is not None:
        settings.mask_frame = scene.frame_current


class T2L_PG_settings(bpy.types.PropertyGroup):
    """Settings of the next job."""

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
    background: StringProperty(  # type: ignore[valid-type]
        name="Behind",
        description="What the background shows after the edit, where both layers are changed. "
        "Empty: the prompt",
        maxlen=2000,
    )
    background_source: StringProperty(  # type: ignore[valid-type]
        name="Behind Now",
        description="What is behind the object now, where both layers are changed",
        maxlen=2000,
    )
    screen: StringProperty(  # type: ignore[valid-type]
        name="Layer Alone",
        description="What the layer shows by itself, for example: fire. Empty: the prompt",
        maxlen=2000,
    )
    region: StringProperty(  # type: ignore[valid-type]
        name="Region",
        description="The part of the object the edit belongs to, for example: the roof. "
        "Empty: what is there now",
        maxlen=2000,
    )
    avoid: StringProperty(  # type: ignore[valid-type]
        name="Avoid",
        description="Where the edit must not go, in a shot of one frame; in longer ones the mask "
        "says where",
        maxlen=2000,
    )
    recipe: EnumProperty(  # type: ignore[valid-type]
        name="Kind", description="What kind of change it is", items=RECIPES
    )
    layer: EnumProperty(  # type: ignore[valid-type]
        name="Change", description="Which part of the shot is changed", items=LAYERS
    )
    preset: EnumProperty(  # type: ignore[valid-type]
        name="Quality",
        description="How much time is spent on the analysis and the edit",
        items=PRESETS,
        default="preview",
    )
    strength: FloatProperty(  # type: ignore[valid-type]
        name="Strength",
        description="How far the edit may go; 1 is ordinary",
        default=1.0,
        min=0.25,
        max=2.0,
        step=5,
    )
    detail_auto: BoolProperty(  # type: ignore[valid-type]
        name="Auto Detail",
        description="Take on as much of the footage's own fine detail as kind and quality have it. "
        "Off: as much as you say",
        default=True,
    )
    detail: FloatProperty(  # type: ignore[valid-type]
        name="Detail",
        description="How much of the footage's own fine detail the layer takes on; 0: none",
        default=1.0,
        min=0.0,
        max=2.0,
        step=5,
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
    engine: EnumProperty(  # type: ignore[valid-type]
        name="Atlas", description="How the shot is decomposed into its layers", items=ENGINES
    )
    after: StringProperty(  # type: ignore[valid-type]
        name="Start From",
        description="Id of a finished edit to start from: fewer steps, a result close to it",
    )
    after_title: StringProperty(  # type: ignore[valid-type]
        name="Start From", description="Title of the finished edit to start from"
    )
    mask_mode: EnumProperty(  # type: ignore[valid-type]
        name="Object", description="How the object is told from the background", items=MASKS
    )
    mask_frame: IntProperty(  # type: ignore[valid-type]
        name="On Frame",
        description="The frame on the timeline that the box or the mask is for",
        default=1,
    )
    mask_corner: IntVectorProperty(  # type: ignore[valid-type]
        name="Corner",
        description="Upper left corner of the box: pixels from the left and from the top of the "
        "strip's picture",
        size=2,
        min=0,
        update=_mask_chosen,
    )
    mask_size: IntVectorProperty(  # type: ignore[valid-type]
        name="Size",
        description="Width and height of the box, in pixels of the strip's picture",
        size=2,
        min=0,
        update=_mask_chosen,
    )
    mask_image: PointerProperty(  # type: ignore[valid-type]
        name="Image",
        description="A copy of the frame with the object painted over, or a picture with "
        "transparency beside the object",
        type=bpy.types.Image,
        update=_mask_chosen,
    )
    mask_data: PointerProperty(  # type: ignore[valid-type]
        name="Mask",
        description="A mask of this file, drawn over the shot's whole picture",
        type=bpy.types.Mask,
    )
    mask_strip: StringProperty(  # type: ignore[valid-type]
        name="Mask Strip", description="A mask strip of the timeline"
    )
    mask_every: BoolProperty(  # type: ignore[valid-type]
        name="On Every Frame",
        description="Draw the mask on every frame, as it is animated. Off: on one frame alone, "
        "and carry it through the shot",
        default=True,
    )
    mask_text: StringProperty(  # type: ignore[valid-type]
        name="Called",
        description="What the object is called, for example: black swan. Empty: a text search "
        "takes what is there now, the automatic one goes by motion and colours alone",
        maxlen=2000,
    )
    mask_file: StringProperty(  # type: ignore[valid-type]
        name="Picture",
        description="The object on one frame, white on black, in the size of the shot",
        subtype="FILE_PATH",
        update=_mask_chosen,
    )
    mask_folder: StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Masks of every visible frame, white on black, named in order",
        subtype="DIR_PATH",
    )
    paint_image: PointerProperty(  # type: ignore[valid-type]
        name="Image",
        description="The image to lay over the shot: an atlas or a frame that was painted on, or "
        "any picture with transparency",
        type=bpy.types.Image,
    )
    paint_layer: EnumProperty(  # type: ignore[valid-type]
        name="Glue To", description="The layer whose motion the paint follows", items=PAINT_LAYERS
    )
    paint_onto: EnumProperty(  # type: ignore[valid-type]
        name="Painted On", description="What the image lies over", items=ONTO
    )
    paint_frame: IntProperty(  # type: ignore[valid-type]
        name="Frame", description="The frame on the timeline that was painted over", default=1
    )

    def collect(self, longest: int = 0, kind: Kind = "edit") -> Settings:
        """The settings as plain values. longest: long side frames are reduced to; 0: never."""
        mode = self.mask_mode
        path = {"key": self.mask_file, "all": self.mask_folder}.get(mode, "")
        named = {"image": self.mask_image, "mask": self.mask_data}.get(mode)
        name = self.mask_strip if mode == "strip" else named.name if named else ""
        chosen = self.paint_layer if kind == "paint" else self.layer
        on_frame = kind == "paint" and self.paint_onto == "frame"
        return Settings(
            kind=kind,
            prompt=self.prompt,
            source=self.source,
            screen=self.screen,
            region=self.region,
            avoid=self.avoid,
            background=self.background,
            background_source=self.background_source,
            recipe=self.recipe,
            layer="background" if mode == "none" else chosen,
            preset=self.preset,
            strength=self.strength,
            detail=None if self.detail_auto else self.detail,
            seed=self.seed,
            model=self.model,
            engine=self.engine,
            after=self.after,
            mask_mode=mode,
            mask_path=bpy.path.abspath(path) if path else "",
            mask_name=name,
            mask_frame=self.mask_frame,
            mask_box=(*map(float, self.mask_corner), *map(float, self.mask_size)),
            mask_every=self.mask_every,
            mask_text=self.mask_text,
            paint_frame=self.paint_frame if on_frame else None,
            longest=longest,
        )

    def apply(self, settings: Settings) -> None:
        """Set what an earlier job was asked for; what is not in this file any more stays empty."""
        for name in _PLAIN:
            setattr(self, name, getattr(settings, name))
        self.after_title = ""
        self.detail_auto = settings.detail is None
        if settings.detail is not None:
            self.detail = settings.detail
        mode = settings.mask_mode
        if mode in ("key", "all"):
            setattr(self, {"key": "mask_file", "all": "mask_folder"}[mode], settings.mask_path)
        elif mode == "image":
            self.mask_image = bpy.data.images.get(settings.mask_name)
        elif mode == "mask":
            self.mask_data = bpy.data.masks.get(settings.mask_name)
        elif mode == "strip":
            self.mask_strip = settings.mask_name
        self.mask_corner = [round(value) for value in settings.mask_box[:2]]
        self.mask_size = [round(value) for value in settings.mask_box[2:]]
        self.mask_frame = settings.mask_frame


_PLAIN = (
    *("prompt", "source", "screen", "region", "avoid", "background", "background_source"),
    *("recipe", "layer", "preset", "strength", "seed", "model", "engine", "after"),
    *("mask_mode", "mask_every", "mask_text"),
)
"""Settings that are called the same here and there."""


def register() -> None:
    """Give every scene its settings."""
    bpy.utils.register_class(T2L_PG_settings)
    bpy.types.Scene.text2live = PointerProperty(type=T2L_PG_settings)


def unregister() -> None:
    """Take the settings away."""
    del bpy.types.Scene.text2live
    bpy.utils.unregister_class(T2L_PG_settings)
