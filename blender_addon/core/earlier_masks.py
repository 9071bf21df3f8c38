"""Masks of files and records from before masks had key frames: one box or image on one frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .mask_keys import MaskKey

MODES = ("box", "image", "key")


def key_from(plain: Mapping[str, Any], content: float) -> MaskKey | None:
    """The key frame that says the same as earlier settings; None if they hold no such mask.

    content: the timeline frame on which the strip's content starts, when mask_frame was set.
    Raises TypeError, ValueError.
    """
    mode, frame = plain.get("mask_mode"), int(plain.get("mask_frame", 1)) - round(content)
    name, path = str(plain.get("mask_name") or ""), str(plain.get("mask_path") or "")
    x, y, width, height = map(float, plain.get("mask_box", (0, 0, 0, 0)))
    if mode == "box" and min(width, height) >= 1:
        return MaskKey(frame=frame, kind="box", box=(x, y, width, height))
    if mode == "image" and name:
        return MaskKey(frame=frame, kind="image", name=name)
    if mode == "key" and path:
        return MaskKey(frame=frame, kind="file", path=path)
    return None
