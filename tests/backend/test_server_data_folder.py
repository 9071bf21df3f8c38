"""The data folder is its owner's alone: exposed, foreign and linked ones are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from backend.data_folder import prepare
from protocol import keys
from protocol.jobs import JobError
from protocol.keys import keypair

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture(autouse=True)
def ordinary_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def data(tmp_path) -> Path:
    """A folder of an ordinary umask, with something in it."""
    folder = tmp_path / "data"
    (folder / "objects" / "ab").mkdir(parents=True)
    (folder / "objects" / "ab" / "c.blob").write_bytes(b"x")
    (folder / "journal.sqlite").write_bytes(b"x")
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(data: Path, **options: bool) -> tuple[str, str]:
    with pytest.raises(JobError) as why:
        prepare(data, **options)
    return why.value.problem.code, f"{why.value.problem.message} {why.value.problem.hint}"


def test_a_new_folder_and_new_files_are_private(tmp_path):
    data = tmp_path / "new" / "data"
    prepare(data)
    (data / "objects").mkdir()
    (data / "objects" / "file").write_bytes(b"x")
    assert [mode(data), mode(data / "objects")] == [0o700, 0o700]
    assert mode(data / "objects" / "file") == 0o600


def test_an_empty_folder_is_made_private(tmp_path):
    prepare(tmp_path)
    assert mode(tmp_path) == 0o700


def test_a_folder_that_others_can_reach_is_refused_until_it_is_fixed(data):
    code, text = refused(data)
    assert code == "data_exposed"
    assert "--fix-permissions" in text
    assert mode(data / "journal.sqlite") == 0o644  # nothing is changed unasked
    prepare(data, fix=True)
    for path in (data, *data.rglob("*")):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    prepare(data)


def test_exposed_files_in_a_private_folder_are_corrected(data):
    data.chmod(0o700)
    prepare(data)
    assert mode(data / "journal.sqlite") == 0o600
    assert mode(data / "objects") == mode(data / "objects" / "ab") == 0o700


@pytest.mark.parametrize("where", ["objects", "logs/server.log", "keys", "generators/a"])
@pytest.mark.parametrize("fix", [False, True])
def test_links_inside_are_refused(data, tmp_path, where, fix):
    data.chmod(0o700)
    link = data / where
    link.parent.mkdir(exist_ok=True)
    if link.exists():
        link.rename(tmp_path / "moved")
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    link.symlink_to(victim)
    code, text = refused(data, fix=fix)
    assert code == "data_link"
    assert where in text
    assert mode(victim) == 0o755


def test_models_may_be_links(data, tmp_path):
    data.chmod(0o700)
    (data / "models").symlink_to(tmp_path)
    prepare(data)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("where", ["", "journal.sqlite", "objects/ab"])
def test_what_belongs_to_another_user_is_refused(data, where):
    data.chmod(0o700)
    os.chown(data / where, 1234, 1234)
    code, text = refused(data)
    assert code == "data_foreign"
    assert where in text


def test_a_key_of_another_user_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "server.json"
    pair = keypair(path)
    assert keypair(path) == pair
    monkeypatch.setattr(keys.os, "geteuid", lambda: path.stat().st_uid + 1)
    if path.stat().st_uid == 0:
        os.chown(path, 1234, 1234)
    with pytest.raises(JobError) as why:
        keypair(path)
    assert why.value.problem.code == "file_foreign"
