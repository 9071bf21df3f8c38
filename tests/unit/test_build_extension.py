"""What goes into the extension's zip, apart from the wheels, which need a network."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts import build_extension as build


def test_sources_hold_the_add_on_and_the_protocol(tmp_path: Path) -> None:
    build.copy_sources(tmp_path / "text2live")
    names = {path.relative_to(tmp_path / "text2live").as_posix() for path in tmp_path.rglob("*.py")}
    assert {"__init__.py", "wire.py", "ui/panel.py", "protocol/client.py"} <= names
    assert not any("__pycache__" in str(path) for path in tmp_path.rglob("*"))
    assert "GNU GENERAL PUBLIC LICENSE" in (tmp_path / "text2live" / "LICENSE").read_text("utf-8")


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


def test_a_website_and_a_contact_go_into_the_manifest() -> None:
    tomllib = pytest.importorskip("tomllib")
    text = (build.ADDON / build.MANIFEST).read_text("utf-8")
    assert build.published(text, "", "") == text
    contact = 'A "B" <a@example.org>'
    manifest = tomllib.loads(build.published(text, "https://example.org/x", contact))
    assert (manifest["website"], manifest["maintainer"]) == ("https://example.org/x", contact)
    assert manifest["copyright"]


def test_versions_agree() -> None:
    tomllib = pytest.importorskip("tomllib")
    manifest = tomllib.loads((build.ADDON / build.MANIFEST).read_text("utf-8"))
    project = tomllib.loads((build.REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert manifest["version"] == project["project"]["version"]
    info = (build.ADDON / "__init__.py").read_text("utf-8")
    assert f'"version": ({manifest["version"].replace(".", ", ")})' in info


def test_the_same_files_make_the_same_zip(tmp_path: Path) -> None:
    build.copy_sources(tmp_path / "source")
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    for target in (first, second):
        build.pack(tmp_path / "source", target, inside="")
    assert first.read_bytes() == second.read_bytes()


def fake_wheel(folder: Path, package: str, python: str) -> str:
    tag = f"cp{python.replace('.', '')}"
    name = f"{package}-1.0-{tag}-{tag}-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(f"{package}_there/__init__.py", f"for_python = {python!r}")
    return name


def test_an_add_on_of_the_old_kind_brings_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(_platform: str, pythons: tuple[str, ...], folder: Path) -> list[str]:
        return [fake_wheel(folder, name, one) for one in pythons for name in build.PACKAGES]

    monkeypatch.setattr(build, "download_wheels", download)
    monkeypatch.setattr(build, "LEGACY_PYTHONS", ("3.9", f"3.{sys.version_info[1]}"))
    made = build.build_legacy("linux-x64", tmp_path)
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "addons")
    assert all(name.startswith("text2live/") for name in names)
    assert "text2live/protocol/client.py" in names
    assert "text2live/blender_manifest.toml" not in names
    check = (
        "import text2live; text2live.use_packages(); import pyzmq_there, sys;"
        "assert pyzmq_there.for_python == '{}.{}'.format(*sys.version_info)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path / "addons", check=True)


def test_wheels_that_leave_a_python_out_are_refused() -> None:
    whole = [
        f"{package}-1-{tag}-x.whl"
        for package in ("msgpack", "msgspec")
        for tag in ("cp311-cp311", "cp313-cp313")
    ]
    zmq = ["pyzmq-1-cp311-cp311-x.whl", "pyzmq-1-cp312-abi3-x.whl"]
    build.check_wheels([*whole, *zmq], ("3.11", "3.13"))
    with pytest.raises(SystemExit, match=r"pyzmq has no wheel for Python 3\.13"):
        build.check_wheels([*whole, zmq[0]], ("3.11", "3.13"))
    with pytest.raises(SystemExit, match=r"pyzmq has no wheel for Python 3\.11"):
        build.check_wheels([*whole, zmq[1]], ("3.11", "3.13"))
