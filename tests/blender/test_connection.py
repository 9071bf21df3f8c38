"""The Connection panel: a local backend from start to stop, and online access."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from recorder import drawn  # noqa: E402

from blender_addon.blender import compat, runtime  # noqa: E402
from blender_addon.core.connection import ConnectionStatus  # noqa: E402
from blender_addon.wire import jobs  # noqa: E402
from scripts.blender import studio  # noqa: E402

PYTHON = os.environ.get("TEXT2LIVE_BACKEND_PYTHON", "") or sys.executable


@pytest.fixture
def preferences(scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The add-on's preferences, and a data folder for the local backend."""
    monkeypatch.setenv("TEXT2LIVE_DATA", str(tmp_path / "data"))
    return bpy.context.preferences.addons[studio.ADDON].preferences


def until(state: Any, condition: Any) -> None:
    assert studio.tick_until(state.tick, condition, 60), (
        state.connector.local,
        state.session.status,
    )


def test_a_local_backend_from_start_to_stop(scene: Any, state: Any, preferences: Any) -> None:
    assert "<Set Up a Local Backend>" in drawn(scene)
    preferences.backend_python = PYTHON
    preferences.backend_folder = str(studio.REPOSITORY)
    preferences.backend_options = "--mock ok"
    assert "<Start Local Backend>" in drawn(scene)
    assert bpy.ops.text2live.start_local() == {"FINISHED"}
    assert "Starting backend" in drawn(scene)
    assert state.interval() <= 0.1
    until(state, lambda: state.session.status.state == "ready")
    assert "Local backend" in drawn(scene)
    until(state, lambda: state.session.status.total_bytes > 0 or sys.platform != "linux")
    assert "stand-in" in state.session.status.device
    state.session.disconnect()
    bpy.ops.text2live.connect()  # to the one that runs, whatever the preferences name
    until(state, lambda: state.session.status.state == "ready")
    assert bpy.ops.text2live.stop_local() == {"FINISHED"}
    assert "Stopping backend" in drawn(scene)
    assert not state.session.connected
    until(state, lambda: not state.connector.local.running)
    assert state.connector.local.problem is None
    assert not bpy.ops.text2live.stop_local.poll()
    assert "<Start Local Backend>" in drawn(scene)


def test_the_local_backend_ends_with_the_addon(scene: Any, state: Any, preferences: Any) -> None:
    preferences.backend_python = PYTHON
    preferences.backend_folder = str(studio.REPOSITORY)
    preferences.backend_options = "--mock ok"
    bpy.ops.text2live.start_local()
    until(state, lambda: state.session.status.state == "ready")
    local = state.connector.local
    runtime.stop()
    assert not local.running
    assert not local.connection_file.exists()


def test_why_a_local_backend_did_not_start(
    scene: Any, state: Any, preferences: Any, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="No Python is chosen"):
        bpy.ops.text2live.start_local()
    preferences.backend_python = PYTHON
    preferences.backend_folder = str(tmp_path)
    with pytest.raises(RuntimeError, match="does not contain the backend"):
        bpy.ops.text2live.start_local()
    preferences.backend_folder = str(studio.REPOSITORY)
    preferences.backend_options = "--mock ok --listen nowhere"
    bpy.ops.text2live.start_local()
    until(state, lambda: not state.connector.local.running)
    assert "'nowhere' is not an address to listen on." in drawn(scene)
    assert "<Start Local Backend>" in drawn(scene)


def test_a_missing_backend_is_reported_in_the_connection_panel(
    scene: Any, preferences: Any
) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        bpy.ops.text2live.connect()
    seen = drawn(scene)
    assert "Backend not running" in seen.lines
    assert sum("does not exist" in line for line in seen.lines) == 1


def test_a_message_can_be_dismissed(scene: Any, state: Any) -> None:
    state.problem = jobs.Problem(code="x", message="It broke.", hint="Mend it.")
    assert "It broke." in drawn(scene, "T2L_PT_sequencer")
    bpy.ops.text2live.dismiss()
    assert "It broke." not in drawn(scene, "T2L_PT_sequencer")


def test_the_panel_leads_to_the_preferences_if_they_fix_it(scene: Any, state: Any) -> None:
    problem = jobs.Problem(code="wrong_key", message="Another key.", hint="Take its file.")
    state.session.status = ConnectionStatus(state="refused", address="tcp://box:1", problem=problem)
    seen = drawn(scene, "T2L_PT_connection")
    assert "Wrong connection file" in seen.lines
    assert "<Open Preferences>" in seen


def test_online_access_is_allowed_with_one_click(
    scene: Any, preferences: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from blender_addon.wire import keys

    system = bpy.context.preferences.system
    if not hasattr(system, "use_online_access"):
        pytest.skip("this Blender has no such switch")
    pair = keys.new_keypair()
    far = keys.Connection(
        address="tcp://192.0.2.1:5599",
        server_key=pair.public,
        client_public=pair.public,
        client_secret=pair.secret,
    )
    preferences.connection_file = str(tmp_path / "connection.json")
    keys.write_connection_file(Path(preferences.connection_file), far)
    monkeypatch.setattr(compat, "online", lambda: bool(system.use_online_access))
    system.use_online_access = False
    with pytest.raises(RuntimeError, match="online access is off"):
        bpy.ops.text2live.connect()
    assert bpy.ops.text2live.allow_online() == {"FINISHED"}
    assert system.use_online_access
    assert runtime.current().session.status.state == "connecting"
