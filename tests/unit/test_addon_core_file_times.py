"""Files are looked up by the tick, never when a panel asks for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blender_addon.core import file_times
from blender_addon.core.file_times import FileTimes


def test_files_are_looked_up_once_they_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_times, "AGAIN_S", 0.0)
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.write_text("")
    times = FileTimes()
    assert (times.of(there), times.exists(gone)) == (0, True)
    assert times.poll()
    assert (times.of(there), times.exists(gone)) == (there.stat().st_mtime_ns, False)
    assert not times.poll()
    os.utime(there, ns=(5, 5))
    assert times.poll()
    assert times.of(there) == 5
    monkeypatch.setattr(file_times, "FORGOTTEN_S", -1.0)
    times.poll()
    assert not times._times
