"""What the tests of several files share: kept atlases, and a machine without a hub."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
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


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No hub, and an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hub"
