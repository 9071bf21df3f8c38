"""What the add-on registers: tooltips, polls, menus, icons, preferences."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from recorder import Recorder  # noqa: E402

from blender_addon.blender import runtime  # noqa: E402
from blender_addon.blender.timeline import layers  # noqa: E402
from blender_addon.ui import (  # noqa: E402
    menus,
    operators_connection,
    thumbs,
)
from scripts.blender import studio  # noqa: E402


def test_every_property_and_operator_has_a_tooltip(scene: Any) -> None:
    preferences = bpy.context.preferences.addons["blender_addon"].preferences
    operators = [getattr(bpy.ops.text2live, name).get_rna_type() for name in dir(bpy.ops.text2live)]
    assert len(operators) > 20
    assert all(operator.description for operator in operators)
    for owner in (scene.text2live.bl_rna, preferences.bl_rna, *operators):
        for prop in owner.properties:
            if prop.identifier not in {"rna_type", "name", "bl_idname"}:
                assert prop.description, f"{owner.identifier}.{prop.identifier}"
                for choice in getattr(prop, "enum_items", ()):
                    assert choice.description, f"{prop.identifier}.{choice.identifier}"


def test_preferences_page_is_drawn(scene: Any) -> None:
    preferences = bpy.context.preferences.addons["blender_addon"].preferences
    recorder = Recorder()
    page = types.SimpleNamespace(
        layout=recorder, connection_file="", prop=None, bl_rna=preferences.bl_rna
    )
    type(preferences).draw(page, bpy.context)
    assert "[Address]" in recorder
    assert "[Python]" in recorder
    assert "connection.json" in recorder


def test_icons_are_dropped_when_no_longer_shown(
    scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbs, "KEPT", 3)
    paths = studio.write_frames(np.zeros((5, 4, 4, 3), np.uint8), tmp_path)
    for path in (*paths[:3], paths[0], *paths[3:]):
        thumbs.icon(path)
        runtime.current().files.poll()
        thumbs.icon(path)  # its number is 0 without windows
    kept = [key.split("|")[0] for key in thumbs._loaded["pictures"]]
    assert sorted(kept) == sorted(str(path) for path in (paths[0], *paths[3:]))
    assert thumbs.icon(tmp_path / "nothing.png") == 0
    assert thumbs.icon(None) == 0


def test_register_and_unregister_twice(scene: Any) -> None:
    import blender_addon

    for _ in range(2):
        blender_addon.unregister()
        assert not hasattr(bpy.types.Scene, "text2live")
        assert not hasattr(bpy.types, "T2L_PT_sequencer")
        with pytest.raises(RuntimeError, match="not registered"):
            runtime.current()
        blender_addon.register()
        assert hasattr(bpy.types, "T2L_PT_sequencer")
    assert runtime.current().session.status.state == "off"


def test_settings_of_the_next_job_cannot_be_keyframed(scene: Any) -> None:
    for prop in scene.text2live.bl_rna.properties:
        if prop.identifier not in {"rna_type", "name"}:
            assert not prop.is_animatable, prop.identifier


def test_operators_that_need_a_job_are_not_in_the_search(scene: Any) -> None:
    for name in ("cancel", "dismiss", "retry", "remove", "resume", "reuse", "refine", "insert"):
        kind = getattr(bpy.types, f"TEXT2LIVE_OT_{name}")
        assert "INTERNAL" in kind.bl_options, name


def test_every_poll_that_fails_says_why(scene: Any) -> None:
    for name in dir(bpy.ops.text2live):
        reasons: list[str] = []
        with studio.sequencer(scene):
            if not getattr(bpy.ops.text2live, name).poll():
                with pytest.raises(RuntimeError) as raised:
                    getattr(bpy.ops.text2live, name)()
                reasons.append(str(raised.value))
        assert all("poll() failed, context is incorrect" not in text for text in reasons), name


def test_the_strip_menus_offer_the_main_operators(scene: Any, strip: Any) -> None:
    def offered() -> Recorder:
        recorder = Recorder()
        with studio.sequencer(scene):
            menus.T2L_MT_strip.draw(types.SimpleNamespace(layout=recorder), bpy.context)
        return recorder

    assert offered().lines[:3] == ["<Make Layer>", "<Make Several Layers>", "<Analyse Shot>"]
    strip[layers.JOB] = "j"
    assert offered().lines[0] == "<Make Again Here>"


def test_online_access_is_asked_for(scene: Any) -> None:
    asked: list[Any] = []
    functions = bpy.types.WindowManager.bl_rna.functions
    manager = types.SimpleNamespace(
        bl_rna=types.SimpleNamespace(functions=functions),
        invoke_confirm=lambda *_args, **words: asked.append(words) or {"RUNNING_MODAL"},
    )
    context = types.SimpleNamespace(window_manager=manager)
    allow = operators_connection.T2L_OT_allow_online
    assert allow.invoke(None, context, None) == {"RUNNING_MODAL"}
    assert "every add-on" in asked[0].get("message", "every add-on")
