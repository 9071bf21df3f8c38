"""One name for what Blender 3.4 to 5.2 call differently. Nothing else asks for a version."""

from __future__ import annotations

from typing import Any

import bpy

SOURCE_TYPES = ("MOVIE", "IMAGE")


def strips(owner: Any) -> Any:
    """Strips of a sequence editor or a meta strip (`sequences` until 4.3)."""
    return owner.strips if hasattr(owner, "strips") else owner.sequences


def all_strips(editor: Any) -> Any:
    """Every strip of a sequence editor, those inside metas too."""
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def strip_class() -> type:
    """The base class of strips (`Sequence` until 4.3)."""
    return getattr(bpy.types, "Strip", None) or bpy.types.Sequence


def sequencer_scene(context: Any) -> Any:
    """The scene the sequencer shows: from 5.0 on it may be another than the active one."""
    return getattr(context, "sequencer_scene", None) or context.scene


def active_strip(context: Any) -> Any:
    """The active strip, or None."""
    scene = sequencer_scene(context)
    editor = scene.sequence_editor if scene else None
    return editor.active_strip if editor else None


def span(strip: Any) -> tuple[int, int]:
    """Visible frames [start, end); the old names go in 6.0."""
    if hasattr(strip, "left_handle"):
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def set_span(strip: Any, start: int, end: int) -> None:
    """Set the visible frames [start, end)."""
    if hasattr(strip, "left_handle"):
        strip.left_handle, strip.right_handle = start, end
    else:
        strip.frame_final_start, strip.frame_final_end = start, end


def content_start(strip: Any) -> float:
    """Frame of the strip's own first picture, trimmed away or not."""
    if hasattr(strip, "content_start"):
        return float(strip.content_start)
    return float(strip.frame_start)


def parents(strip: Any) -> list[Any]:
    """The meta strips a strip lies in, outermost first."""
    chain: list[Any] = []
    meta = strip.parent_meta()
    while meta is not None:
        chain.insert(0, meta)
        meta = meta.parent_meta()
    return chain


def siblings(scene: Any, strip: Any) -> Any:
    """The collection a strip lies in: the timeline's, or its meta's."""
    return strips(strip.parent_meta() or scene.sequence_editor)


def rendering() -> bool:
    """Whether Blender is busy with a render of the artist's own."""
    return bool(bpy.app.is_job_running("RENDER"))


def online() -> bool:
    """Whether the artist allows online access (asked since 4.2)."""
    return bool(getattr(bpy.app, "online_access", True))


def set_still_format(render: Any) -> None:
    """Uncompressed 8-bit Targa with alpha: exact, and read without a codec."""
    settings = render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format = "TARGA_RAW"
    settings.color_mode = "RGBA"
    settings.color_depth = "8"
    if hasattr(settings, "color_management"):
        settings.color_management = "FOLLOW_SCENE"


def show_progress(layout: Any, fraction: float, text: str) -> None:
    """A progress bar where Blender has one (4.0), else a percentage."""
    if hasattr(layout, "progress"):
        layout.progress(factor=fraction, type="BAR", text=text)
    else:
        layout.label(text=f"{text}  {fraction * 100:.0f} %")


def user_folder(package: str) -> str:
    """The add-on's own folder for files of the user."""
    if hasattr(bpy.utils, "extension_path_user") and package.startswith("bl_ext."):
        return str(bpy.utils.extension_path_user(package, create=True))
    return str(bpy.utils.user_resource("DATAFILES", path="text2live", create=True))
