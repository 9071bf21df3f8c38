"""Atlases that are kept: whole or not at all, by whoever was first, and nothing is left lying."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from flat_atlas import FlatAtlas
from jobs import Job

from backend.checkpoint import Checkpoint
from backend.masks import resolve
from backend.methods import atlas, atlas_cache
from backend.progress import Silent
from protocol.jobs import AtlasJob, JobError

PICTURE = {"report": np.zeros((4, 4, 3), np.uint8)}


class Named(FlatAtlas):
    """An atlas that is saved as its name."""

    def __init__(self, name: str) -> None:
        super().__init__((2, 32, 32), (32, 32))
        self.name = name

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "name").write_text(self.name)


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_atlas(folder: Path, device: torch.device) -> Named:
        if not (folder / "name").exists():
            raise JobError("atlas_unreadable", "The stored atlas cannot be read.", "Make it again.")
        return Named((folder / "name").read_text())

    monkeypatch.setattr(atlas_cache.engines, "load_atlas", load_atlas)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_atlas_appears_with_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    mine = Named("mine")
    assert atlas_cache.put(mine, tmp_path / "key", PICTURE) is mine
    assert names(tmp_path) == ["key"]
    assert names(tmp_path / "key") == ["name", "report.png"]


def test_who_comes_second_uses_the_first_ones_atlas(tmp_path: Path) -> None:
    atlas_cache.put(Named("theirs"), tmp_path / "key", PICTURE)
    kept = atlas_cache.put(Named("mine"), tmp_path / "key", PICTURE)
    assert isinstance(kept, Named)
    assert kept.name == "theirs"
    assert (tmp_path / "key" / "name").read_text() == "theirs"
    assert names(tmp_path) == ["key"]


def test_a_damaged_atlas_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "half").write_text("")
    mine = Named("mine")
    assert atlas_cache.find(tmp_path / "key", mine.device, Silent()) is None
    assert atlas_cache.put(mine, tmp_path / "key", PICTURE) is mine
    assert names(tmp_path / "key") == ["name", "report.png"]


def test_an_atlas_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, image: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atlas_cache, "write_png", full)
    with pytest.raises(OSError, match="No space"):
        atlas_cache.put(Named("mine"), tmp_path / "key", PICTURE)
    assert names(tmp_path) == []


def test_leftovers_go_when_they_are_old(tmp_path: Path) -> None:
    for name in ("old.part", "new.part", ".old.part.17", "kept"):
        (tmp_path / name).write_text("")
    (tmp_path / ".old-room" / "atlas").mkdir(parents=True)
    past = time.time() - 15 * 24 * 3600
    for name in ("old.part", ".old.part.17", ".old-room", "kept"):
        os.utime(tmp_path / name, (past, past))
    atlas_cache.sweep(tmp_path)
    assert names(tmp_path) == ["kept", "new.part"]


class Making(Job):
    """Makes atlases whose fit is nothing but a state that was kept."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(data)
        self.made = 0
        monkeypatch.setattr(atlas.engines, "decompose", self._decompose)
        monkeypatch.setattr(atlas, "sheet", lambda *_: PICTURE["report"])

    def _decompose(self, *arguments: object) -> Named:
        checkpoint = arguments[-1]
        assert isinstance(checkpoint, Checkpoint)
        assert checkpoint.path is not None
        checkpoint.path.write_bytes(b"hours of work")
        self.made += 1
        return Named("made")

    def run(self) -> None:
        frames = np.zeros((2, 32, 32, 3), np.uint8)
        job = AtlasJob(clip=self.clip_of(frames), preset="draft")
        atlas.atlas_of(job, frames, self.ctx)

    def parts(self) -> list[Path]:
        return list((self.ctx.data / "atlases").glob("*.part"))


def test_the_state_of_a_fit_goes_only_when_the_atlas_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = Making(tmp_path, monkeypatch)
    with monkeypatch.context() as broken:
        broken.setattr(Named, "save", lambda *_: (_ for _ in ()).throw(OSError("no space")))
        with pytest.raises(OSError, match="no space"):
            making.run()
    assert len(making.parts()) == 1
    making.run()
    assert making.parts() == []
    assert making.made == 2
    making.run()
    assert making.made == 2
    assert "from an earlier job" in making.notes()


def test_other_code_of_masks_makes_another_atlas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = Making(tmp_path, monkeypatch)
    making.run()
    monkeypatch.setattr(resolve, "VERSION", "masks-next")
    making.run()
    assert making.made == 2
    assert len(names(tmp_path / "atlases")) == 2
