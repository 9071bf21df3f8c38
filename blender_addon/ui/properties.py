"""The settings of the next job, kept in the scene.

Most properties are generated from the declarations in core/settings.py and protocol/painters.py.
Written out here are those that only Blender knows: masks and images of the file, and the frames
they are for.
"""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..blender import runtime
from ..blender.mask_keys import keys_of, write_keys
from ..core.settings import LAYERS, Kind, Settings, Shown, painter_declarations, shown_fields
from ..wire import painters

PAINT_LAYERS = LAYERS[:2]
MASKS = [  # with numbers, which files keep
    (
        "keys",
        "Key Frames",
        "Recommended. Show the object on one or more frames, by a box, strokes or paint. It is "
        "tracked through the shot from there",
        "KEYFRAME",
        0,
    ),
    ("text", "Text", "Name the object. A text-image model finds it", "NONE", 2),
    (
        "auto",
        "Automatic",
        "Find the object by its motion. On difficult shots the result is only a suggestion",
        "NONE",
        3,
    ),
    ("mask", "Blender Mask", "A mask drawn with splines in this file", "NONE", 4),
    ("strip", "Mask Strip", "A mask strip on the timeline", "NONE", 5),
    (
        "all",
        "Folder of Images",
        "Black and white images of the object, one for every frame",
        "NONE",
        7,
    ),
    (
        "none",
        "None: Whole Frame",
        "There is no object: the whole frame is one layer",
        "NONE",
        8,
    ),
]
PAINTED_ON = [
    ("atlas", "Atlas", "The image was painted over the layer's atlas"),
    ("frame", "One Frame", "The image was painted over one frame of the shot"),
]
TEXT_LENGTH = 2000
STEP = 5  # of a number when its arrow is clicked, in hundredths


class T2L_PG_settings(bpy.types.PropertyGroup):
    """Settings of the next job."""

    after_title: StringProperty(  # type: ignore[valid-type]
        options=set(), name="Start From", description="Title of the finished edit to start from"
    )
    mask_mode: EnumProperty(  # type: ignore[valid-type]
        options=set(), name="Object", description="How to find the object", items=MASKS
    )
    mask_frame: IntProperty(  # type: ignore[valid-type]
        options=set(),
        name="On Frame",
        description="The timeline frame whose mask is tracked through the shot",
        default=1,
    )
    mask_data: PointerProperty(  # type: ignore[valid-type]
        options=set(),
        name="Mask",
        description="A mask in this file, drawn over the shot's whole frame",
        type=bpy.types.Mask,
    )
    mask_strip: StringProperty(  # type: ignore[valid-type]
        options=set(), name="Mask Strip", description="A mask strip on the timeline"
    )
    mask_folder: StringProperty(  # type: ignore[valid-type]
        options=set(),
        name="Folder",
        description="Masks for every visible frame, white on black, named in order",
        subtype="DIR_PATH",
    )
    paint_image: PointerProperty(  # type: ignore[valid-type]
        options=set(),
        name="Image",
        description="The image to map to the shot: an atlas or a frame that was painted on, or any "
        "image with transparency",
        type=bpy.types.Image,
    )
    paint_layer: EnumProperty(  # type: ignore[valid-type]
        options=set(),
        name="Attach To",
        description="The layer whose motion the paint follows",
        items=PAINT_LAYERS,
    )
    paint_onto: EnumProperty(  # type: ignore[valid-type]
        options=set(),
        name="Painted On",
        description="What the image was painted over",
        items=PAINTED_ON,
    )
    paint_frame: IntProperty(  # type: ignore[valid-type]
        options=set(),
        name="Frame",
        description="The timeline frame that was painted over",
        default=1,
    )

    show_mask: BoolProperty(  # type: ignore[valid-type]
        name="Show Mask",
        description="Show the previewed mask over the footage and its confidence on the strip",
        default=True,
        options=set(),
    )
    mask_brush: IntProperty(  # type: ignore[valid-type]
        name="Brush",
        description="Width of strokes drawn in the preview, in pixels of the strip's frame",
        default=12,
        min=1,
        max=500,
        options=set(),
    )

    def collect(self, longest: int = 0, kind: Kind = "edit", strip: Any = None) -> Settings:
        """The settings as plain values.

        longest: long side frames are scaled down to; 0: never. strip: the one with the mask's key
        frames.
        """
        values = {name: getattr(self, name) for name in PLAIN}
        if kind == "paint":
            values["layer"] = self.paint_layer
        if self.mask_mode == "none":
            values["layer"] = "background"
        on_frame = kind == "paint" and self.paint_onto == "frame"
        return Settings(
            **values,
            **self._collect_mask(strip),
            kind=kind,
            painter=self.painter,
            painter_settings=self._collect_painter(),
            paint_frame=self.paint_frame if on_frame else None,
            longest=longest,
        )

    def apply(self, settings: Settings, strip: Any = None) -> None:
        """Set the panel to a job's settings; what this file no longer has stays empty.

        strip: the one that gets the mask's key frames, if the job has any.
        """
        for name in PLAIN:
            setattr(self, name, getattr(settings, name))
        self.after_title = ""
        self._apply_painter(settings)
        self._apply_mask(settings)
        if strip is not None and settings.mask_keys:
            write_keys(strip, settings.mask_keys)

    def _collect_painter(self) -> dict[str, Any]:
        """The painter's settings; an optional number that is on Auto is None."""
        values: dict[str, Any] = {}
        for one in painter_declarations(self.painter):
            name = painter_property(self.painter, one.name)
            auto = one.optional and getattr(self, f"{name}_auto")
            values[one.name] = None if auto else getattr(self, name)
        return values

    def _apply_painter(self, settings: Settings) -> None:
        declarations = painter_declarations(settings.painter)
        if declarations:
            self.painter = settings.painter
        for one in declarations:
            name = painter_property(settings.painter, one.name)
            value = settings.painter_settings.get(one.name, _panel_default(one))
            if one.optional:
                setattr(self, f"{name}_auto", value is None)
            if value is not None:
                setattr(self, name, value)

    def _collect_mask(self, strip: Any) -> dict[str, Any]:
        mode = self.mask_mode or "keys"  # a file may hold a number that is no longer used
        path = self.mask_folder if mode == "all" else ""
        data = self.mask_data.name if mode == "mask" and self.mask_data else ""
        return {
            "mask_mode": mode,
            "mask_keys": keys_of(strip) if mode == "keys" else (),
            "mask_path": bpy.path.abspath(path) if path else "",
            "mask_name": self.mask_strip if mode == "strip" else data,
            "mask_frame": self.mask_frame,
        }

    def _apply_mask(self, settings: Settings) -> None:
        mode = self.mask_mode = settings.mask_mode
        if mode == "all":
            self.mask_folder = settings.mask_path
        elif mode == "mask":
            self.mask_data = bpy.data.masks.get(settings.mask_name)
        elif mode == "strip":
            self.mask_strip = settings.mask_name
        self.mask_frame = settings.mask_frame


PLAIN = tuple(shown_fields())
"""The settings that are properties of the same name."""

_WRITTEN_OUT = dict(T2L_PG_settings.__annotations__)


def _declared_properties() -> dict[str, Any]:
    """Properties for the declared settings of a job, and for those of every painter."""
    made = {name: _property(name, *field) for name, field in shown_fields().items()}
    made["painter"] = EnumProperty(
        name="Painter",
        description="How to paint the layer",
        items=painter_choices(),
        options=set(),
    )
    for painter in painters.PAINTER_SETTINGS:
        for one in painter_declarations(painter):
            name = painter_property(painter, one.name)
            made[name] = _painter_property(one)
            if one.optional:
                made[f"{name}_auto"] = BoolProperty(
                    name=f"Auto {one.title}",
                    description=f"Use the default for {one.title}. Off: set it here",
                    default=one.default is None,
                    options=set(),
                )
    return made


def painter_choices() -> list[tuple[str, str, str]]:
    """The painters that a prompt drives, as items of an EnumProperty; the default one first."""
    known = painters.PAINTER_SETTINGS
    names = [name for name in known if known[name].prompted]
    names.sort(key=lambda name: name != Settings.painter)
    return [(name, known[name].label or name, known[name].summary) for name in names]


def painter_property(painter: str, name: str) -> str:
    """The property of a painter's setting. Those of the default painter have no prefix."""
    return name if painter == Settings.painter else f"{painter}_{name}"


def _suggest(_settings: Any, _context: Any, text: str) -> list[str]:
    """Earlier prompts, and looks that the backend's model knows."""
    state = runtime.current()
    return state.prompts.suggest(text, state.session.status.model)


def _property(name: str, default: Any, one: Shown) -> Any:
    words: dict[str, Any] = {"name": one.title, "description": one.description, "options": set()}
    if name in ("prompt", "source"):
        words |= {"search": _suggest, "search_options": {"SUGGESTION"}}
    if one.choices:
        return EnumProperty(items=one.choices, default=default, **words)
    if isinstance(default, bool):
        return BoolProperty(default=default, **words)
    if isinstance(default, int):
        return IntProperty(default=default, min=0, **words)
    return StringProperty(default=default, maxlen=TEXT_LENGTH, **words)


def _painter_property(one: painters.Setting) -> Any:
    words = {"name": one.title, "description": one.description, "options": set()}
    if one.kind == "choice":
        items = [(name, name.capitalize(), text) for name, text in one.choices.items()]
        return EnumProperty(items=items, default=one.default, **words)
    if one.kind == "number":
        default = min(max(1.0, one.least), one.most) if one.default is None else one.default
        return FloatProperty(default=default, min=one.least, max=one.most, step=STEP, **words)
    return StringProperty(default=_panel_default(one), maxlen=TEXT_LENGTH, **words)


def _panel_default(one: painters.Setting) -> Any:
    """A painter setting's default as the panel holds it; None for Auto."""
    return "; ".join(one.default) if one.kind == "texts" else one.default


def register() -> None:
    """Give every scene its settings."""
    T2L_PG_settings.__annotations__ = {**_declared_properties(), **_WRITTEN_OUT}
    bpy.utils.register_class(T2L_PG_settings)
    bpy.types.Scene.text2live = PointerProperty(type=T2L_PG_settings)


def unregister() -> None:
    """Remove the settings from the scenes."""
    del bpy.types.Scene.text2live
    bpy.utils.unregister_class(T2L_PG_settings)
