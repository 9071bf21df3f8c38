"""Atlases that the tests of one file share."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import Job


@pytest.fixture(scope="module")
def kept_atlases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of atlases that lasts as long as the tests of a file."""
    return tmp_path_factory.mktemp("atlases")


@pytest.fixture
def shared_atlases(kept_atlases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs find the atlases that earlier tests of the file made: the fit is most of their time."""
    monkeypatch.setattr(Job, "atlases", kept_atlases)
