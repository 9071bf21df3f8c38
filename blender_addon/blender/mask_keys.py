"""The key frames of a strip's mask, saved on the strip: they move, copy and undo with it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..core.mask_keys import MaskKey
from . import compat

KEYS = "text2live_mask_keys"


def keys_of(strip: Any) -> tuple[MaskKey, ...]:
    """The key frames of a strip, in order; unreadable ones are left out."""
    if strip is None:
        return ()
    try:
        plain = json.loads(str(strip.get(KEYS, "[]")))
        return tuple(MaskKey.from_plain(one) for one in plain)
    except (ValueError, TypeError, KeyError):  # written by someone else
        return ()


def write_keys(strip: Any, keys: Iterable[MaskKey]) -> None:
    """Replace the key frames of a strip."""
    strip[KEYS] = json.dumps([key.to_plain() for key in keys])


def content_frame(strip: Any, frame: int) -> int:
    """The frame of a strip's content at a timeline frame; content starts with frame 0."""
    return frame - round(compat.content_start(strip))


def timeline_frame(strip: Any, frame: int) -> int:
    """The timeline frame at a frame of a strip's content."""
    return frame + round(compat.content_start(strip))
