"""Tests inside Blender: `python -m pytest tests/blender` in a Python that has bpy.

Each test starts from Blender's factory file with the add-on enabled. The process ends by
os._exit: the bpy module crashes or hangs at exit in some versions, whatever was registered.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# What the add-on keeps for its user goes to a folder of these tests.
_USER = tempfile.TemporaryDirectory(prefix="text2live-user-")
os.environ["BLENDER_USER_RESOURCES"] = _USER.name

try:
    import bpy
except ImportError:
    bpy = None

if bpy is not None:
    import desk as desks

    from blender_addon.blender import runtime
    from scripts.blender import studio


@pytest.fixture
def scene() -> Iterator[Any]:
    """Blender's empty factory file with the add-on enabled: its scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    studio.enable_addon()
    yield bpy.context.scene
    studio.disable_addon()


@pytest.fixture
def state(scene: Any) -> Any:
    """The add-on's running state."""
    return runtime.current()


@pytest.fixture(scope="session")
def clip() -> Any:
    """A small clip: uint8 [8,64,96,3]."""
    return studio.moving_square()


@pytest.fixture(scope="session")
def movie(clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small clip as a lossless movie."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return studio.encode_movie(clip, tmp_path_factory.mktemp("movie") / "shot.mkv")


@pytest.fixture
def pictures(clip: Any, tmp_path: Path) -> list[Path]:
    """The small clip as numbered PNGs."""
    return studio.write_frames(clip, tmp_path / "shot")


@pytest.fixture(scope="session")
def shared_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[studio.Backend]:
    """One mock backend for all tests that leave it alive."""
    data = tmp_path_factory.mktemp("ok") / "data"
    with studio.Backend(desks.PYTHON, data, "--mock", "ok") as backend:
        yield backend


@pytest.fixture
def desk(scene: Any, movie: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A desk with the shared backend, or with its own in the mode that `mock` names."""
    kind = getattr(request, "param", "")
    if kind:
        backend = studio.Backend(desks.PYTHON, tmp_path / "data", "--mock", kind)
        backend.start()
    else:
        backend = request.getfixturevalue("shared_backend")
    yield desks.Desk(movie, tmp_path, backend)
    runtime.current().session.disconnect()
    if kind:
        backend.stop()


@pytest.fixture
def one_frame_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read one frame per tick: all the small frames would be read in one."""
    monkeypatch.setattr(runtime, "READ_FOR_S", 0.0)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Exit without Blender's own clean-up."""
    if bpy is not None:
        _USER.cleanup()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(getattr(config, "_text2live_status", 1)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember the result for the exit."""
    session.config._text2live_status = int(exitstatus)  # type: ignore[attr-defined]


@pytest.fixture
def strip(scene: Any, movie: Path) -> Any:
    """The active movie strip of a scene."""
    strip = studio.movie_strip(scene, movie)
    studio.editor(scene).active_strip = strip
    return strip


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The timeline frames that Blender has rendered to read strips, in order."""
    from blender_addon.blender import extract

    frames: list[int] = []
    render = extract.FrameReader._render

    def counted(reader: Any, copy: Any, frame: int) -> Path:
        frames.append(frame)
        return render(reader, copy, frame)

    monkeypatch.setattr(extract.FrameReader, "_render", counted)
    return frames
