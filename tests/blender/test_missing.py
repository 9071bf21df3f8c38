"""Without numpy the add-on says what to install instead of failing with a traceback."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from recorder import Recorder  # noqa: E402

import blender_addon  # noqa: E402
from blender_addon.ui import missing  # noqa: E402


def test_a_missing_package_is_named_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "numpy" else find(name)
    )
    blender_addon.register()
    try:
        assert not hasattr(bpy.types.Scene, "text2live")
        assert "sudo apt install python3-numpy" in capsys.readouterr().out
        drawn = Recorder()
        missing.T2L_AP_missing.draw(SimpleNamespace(layout=drawn), None)
        assert "Text2LIVE needs numpy" in str(drawn.lines)
    finally:
        blender_addon.unregister()
