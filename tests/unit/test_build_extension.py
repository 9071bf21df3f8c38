"""What goes into the extension's zip, apart from the wheels, which need a network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from scripts import build_extension as build


def test_sources_hold_the_add_on_and_the_protocol(tmp_path: Path) -> None:
    build.copy_sources(tmp_path / "text2live")
    names = {path.relative_to(tmp_path / "text2live").as_posix() for path in tmp_path.rglob("*.py")}
    assert {"__init__.py", "wire.py", "ui/panel.py", "protocol/client.py"} <= names
    assert not any("__pycache__" in str(path) for path in tmp_path.rglob("*"))


def test_nothing_in_the_zip_imports_the_checkout() -> None:
    """Inside the zip there is no top-level `protocol`, `backend` or `blender_addon`."""
    for folder in (build.ADDON, build.PROTOCOL):
        for path in folder.rglob("*.py"):
            for line in path.read_text("utf-8").splitlines():
                words = line.split()
                if words[:1] in (["from"], ["import"]) and path.name != "wire.py":
                    top = words[1].split(".")[0]
                    assert top not in {"protocol", "backend", "blender_addon", "scripts"}, path
                    assert top != "torch", path


def test_manifest_names_the_platform_and_its_wheels() -> None:
    tomllib = pytest.importorskip("tomllib")
    text = (build.ADDON / build.MANIFEST).read_text("utf-8")
    manifest = tomllib.loads(build.manifest_for("linux-x64", ["a.whl", "b.whl"], text))
    assert manifest["platforms"] == ["linux-x64"]
    assert manifest["wheels"] == ["./wheels/a.whl", "./wheels/b.whl"]
    assert manifest["id"] == "text2live"
    assert len(manifest["tagline"]) <= 64
    assert set(tomllib.loads(text)["platforms"]) == set(build.TAGS)


def test_versions_agree() -> None:
    tomllib = pytest.importorskip("tomllib")
    manifest = tomllib.loads((build.ADDON / build.MANIFEST).read_text("utf-8"))
    project = tomllib.loads((build.REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert manifest["version"] == project["project"]["version"]
    info = (build.ADDON / "__init__.py").read_text("utf-8")
    assert f'"version": ({manifest["version"].replace(".", ", ")})' in info


def test_the_same_files_make_the_same_zip(tmp_path: Path) -> None:
    folders = (tmp_path / "a", tmp_path / "b")
    for folder in folders:
        folder.mkdir()
    first, second = (build.build_legacy(folder) for folder in folders)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
    assert all(name.startswith("text2live/") for name in names)
    assert "text2live/protocol/client.py" in names
    assert "text2live/blender_manifest.toml" not in names
