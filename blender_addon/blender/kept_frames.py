"""The frames of the clips that were read last, so that the next job on a strip need not read them.

Frames are used again only if nothing has changed that they may depend on: the strip's properties
apart from its place, look and name, its media files, the scene's frame rate and colour spaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..core.frames import FrameStore
from ..wire import jobs
from . import compat
from .sources import source_files

CLIPS = 3  # kept at a time
_SIMPLE = {"BOOLEAN", "INT", "FLOAT", "STRING", "ENUM"}
_WITHOUT_EFFECT = {
    *("name", "select", "select_left_handle", "select_right_handle", "lock", "mute", "channel"),
    *("blend_type", "blend_alpha", "color_tag", "color_saturation", "color_multiply"),
    *("use_flip_x", "use_flip_y", "use_default_fade", "effect_fader", "show_waveform"),
    *("frame_start", "frame_final_start", "frame_final_end", "content_start", "content_end"),
    *("left_handle", "right_handle", "use_linear_modifiers", "modifiers"),
}
"""Properties of a strip that reading resets, or that only move the strip."""


@dataclass(frozen=True)
class KeptClip:
    """Frames of a clip, kept in a folder of their own."""

    refs: tuple[jobs.ObjectRef, ...]
    transparent: bool
    folder: Path

    def link(self, store: FrameStore) -> bool:
        """Put the frames into a store without copying them; False if that is impossible."""
        return _link(self.folder, store.folder, self.refs)


class KeptFrames:
    """The clips that were read last, by everything that their pixels depend on."""

    def __init__(self) -> None:
        self._clips: dict[str, KeptClip] = {}

    def find(self, key: str) -> KeptClip | None:
        """The clip with this key, or None."""
        return self._clips.get(key)

    def keep(
        self, key: str, refs: list[jobs.ObjectRef], transparent: bool, store: FrameStore
    ) -> None:
        """Keep the frames of a store beyond its life, where the disk can link files."""
        if key in self._clips:
            return
        folder = Path(bpy.app.tempdir) / f"text2live-kept-{uuid.uuid4().hex}"
        if not _link(store.folder, folder, refs):
            shutil.rmtree(folder, ignore_errors=True)
            return
        self._clips[key] = KeptClip(tuple(refs), transparent, folder)
        while len(self._clips) > CLIPS:
            self._remove(next(iter(self._clips)))

    def close(self) -> None:
        """Remove every clip."""
        for key in list(self._clips):
            self._remove(key)

    def _remove(self, key: str) -> None:
        shutil.rmtree(self._clips.pop(key).folder, ignore_errors=True)


def frames_key(scene: Any, strip: Any, longest: int) -> str:
    """Hash of everything that the pixels of a strip's frames depend on."""
    properties = {
        one.identifier: _plain(getattr(strip, one.identifier))
        for one in compat.lasting_properties(strip)
        if one.type in _SIMPLE and one.identifier not in _WITHOUT_EFFECT
    }
    start, end = compat.span(strip)
    render = scene.render
    facts = [
        properties,
        [end - start, start - compat.content_start(strip), longest],
        [render.fps, render.fps_base, scene.display_settings.display_device],
        [scene.sequencer_colorspace_settings.name, strip.colorspace_settings.name],
        [_times(key) for key in getattr(strip, "retiming_keys", ())],
        [_stat(path) for path in source_files(strip)],
        [one.name for one in bpy.data.libraries],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    return sorted(value) if isinstance(value, (set, frozenset)) else [_plain(one) for one in value]


def _times(key: Any) -> list[Any]:
    names = [one.identifier for one in key.bl_rna.properties if one.type in _SIMPLE]
    return [_plain(getattr(key, name)) for name in names if not name.startswith("select")]


def _stat(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _link(source: Path, target: Path, refs: Any) -> bool:
    target.mkdir(parents=True, exist_ok=True)
    try:
        for digest in dict.fromkeys(ref.digest for ref in refs):
            file = target / f"{digest}.png"
            if not file.exists():
                os.link(source / file.name, file)
    except OSError:  # a disk without links, or frames that are gone: they are read instead
        return False
    return True
