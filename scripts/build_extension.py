"""Build the Blender extension: one zip per platform, with the protocol and all wheels inside.

    python -m scripts.build_extension [--platforms linux-x64 ...] [--out dist] [--legacy]
        [--website https://...] [--contact "Name <name@example.org>"]

A zip installs offline in Blender 4.2 to 5.2: Blender picks the wheels for its own Python (3.11 up
to 5.0, 3.13 from 5.1 on). --legacy also builds add-ons for Blender before 4.2 (Python 3.10 up to
4.0, 3.11 in 4.1), with the packages unpacked inside. --website and --contact go into the manifest:
the repository does not know where it is published.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ADDON = REPOSITORY / "blender_addon"
PROTOCOL = REPOSITORY / "protocol"
MANIFEST = "blender_manifest.toml"
LICENSE = REPOSITORY / "LICENSE"
PACKAGES = ("pyzmq", "msgpack", "msgspec")
PYTHONS = ("3.11", "3.13")
LEGACY_PYTHONS = ("3.10", "3.11")
# Newest tag first; pip accepts older ones that the same machine can run.
TAGS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_10_15_universal2"),
    "macos-x64": ("macosx_10_15_x86_64", "macosx_10_15_universal2", "macosx_10_9_x86_64"),
    "windows-x64": ("win_amd64",),
}
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def main(arguments: list[str] | None = None) -> int:
    """Build the zips, and print the path and size of each."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for platform in options.platforms:
        _report(build(platform, options.out, options.website, options.contact))
        if options.legacy:
            _report(build_legacy(platform, options.out))
    return 0


def build(platform: str, out: Path, website: str = "", contact: str = "") -> Path:
    """Build the extension for one platform; Blender's own tool validates it if bpy is installed."""
    with tempfile.TemporaryDirectory(prefix="text2live-build-") as scratch:
        source = Path(scratch) / "text2live"
        copy_sources(source)
        wheels = download_wheels(platform, PYTHONS, source / "wheels")
        check_wheels(wheels, PYTHONS)
        manifest = source / MANIFEST
        text = published(manifest.read_text("utf-8"), website, contact)
        manifest.write_text(manifest_for(platform, wheels, text), "utf-8")
        tool = blender_tool()
        if tool is None:
            print("Not validated: there is no bpy module, here or in .venv-blender.")
        else:
            _run(sys.executable, str(tool), "validate", str(source))
        version = re.search(r'^version = "(.+)"$', manifest.read_text("utf-8"), re.MULTILINE)
        assert version is not None
        target = out / f"text2live-{version.group(1)}-{platform}.zip"
        pack(source, target, inside="")
    return target


def build_legacy(platform: str, out: Path) -> Path:
    """Build an add-on for Blender before 4.2: one folder, with the packages unpacked inside."""
    with tempfile.TemporaryDirectory(prefix="text2live-build-") as scratch:
        source = Path(scratch) / "text2live"
        copy_sources(source)
        (source / MANIFEST).unlink()
        for python in LEGACY_PYTHONS:
            wheels = Path(scratch) / python
            check_wheels(download_wheels(platform, (python,), wheels), (python,))
            for wheel in wheels.glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(source / "packages" / python)
        target = out / f"text2live-legacy-{platform}.zip"
        pack(source, target, inside="text2live/")
    return target


def copy_sources(target: Path) -> None:
    """Copy the add-on, with the protocol and the licence inside."""
    shutil.copytree(ADDON, target, ignore=_LEFT_OUT)
    shutil.copy(LICENSE, target)
    shutil.copytree(PROTOCOL, target / "protocol", ignore=_LEFT_OUT)


def download_wheels(platform: str, pythons: Sequence[str], folder: Path) -> list[str]:
    """Download the wheels for these Pythons; returns their names, sorted."""
    for python in pythons:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder)]
        command += ["--implementation", "cp", "--python-version", python]
        command += [part for tag in TAGS[platform] for part in ("--platform", tag)]
        _run(*command, *PACKAGES)
    return sorted(path.name for path in folder.glob("*.whl"))


def check_wheels(names: Sequence[str], pythons: Sequence[str]) -> None:
    """Exit if a Python lacks the wheel of a package."""
    for python in pythons:
        minor = int(python.split(".")[1])
        for package in PACKAGES:
            tags = [name.split("-")[2:4] for name in names if name.startswith(f"{package}-")]
            if not any(
                tag == f"cp3{minor}" or (abi == "abi3" and int(tag[3:]) <= minor)
                for tag, abi in tags
            ):
                raise SystemExit(f"{package} has no wheel for Python {python}: {names}")


def published(text: str, website: str, contact: str) -> str:
    """The manifest with a website, and a contact in place of the maintainer; empty: left out."""
    if contact:
        text, count = re.subn(
            r"^maintainer = .*$", f"maintainer = {json.dumps(contact)}", text, flags=re.MULTILINE
        )
        if count != 1:
            raise SystemExit(f"{MANIFEST} must have exactly one line that starts with maintainer.")
    if website:
        text = text.replace("\ntype = ", f"\nwebsite = {json.dumps(website)}\ntype = ", 1)
    return text


def manifest_for(platform: str, wheels: list[str], text: str) -> str:
    """The manifest of one platform's zip."""
    listed = "".join(f'  "./wheels/{name}",\n' for name in wheels)
    text, count = re.subn(
        r"^platforms = .*$",
        f'platforms = ["{platform}"]\nwheels = [\n{listed}]',
        text,
        flags=re.MULTILINE,
    )
    if count != 1:
        raise SystemExit(f"{MANIFEST} must have exactly one line that starts with platforms.")
    return text


def pack(source: Path, target: Path, inside: str) -> None:
    """Zip a folder. The same files give the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name = inside + path.relative_to(source).as_posix()
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            packed = zipfile.ZIP_STORED if path.suffix == ".whl" else zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), packed)


def blender_tool() -> Path | None:
    """Blender's extension tool in the bpy module of this Python or of .venv-blender, or None."""
    spec = importlib.util.find_spec("bpy")
    roots = [Path(spec.origin).parent] if spec and spec.origin else []
    roots += (REPOSITORY / ".venv-blender").glob("lib/python*/site-packages/bpy")
    for root in roots:
        for tool in root.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"):
            return tool
    return None


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m scripts.build_extension", description="Build the Blender extension."
    )
    result.add_argument(
        "--platforms",
        nargs="+",
        choices=sorted(TAGS),
        default=sorted(TAGS),
        help="platforms to build for (default: all)",
    )
    result.add_argument(
        "--out",
        type=Path,
        default=REPOSITORY / "dist",
        metavar="DIR",
        help="folder for the zips (default: dist/)",
    )
    result.add_argument("--website", default="", metavar="URL", help="for the manifest")
    result.add_argument(
        "--contact", default="", metavar="TEXT", help='for the manifest: "Name <mail address>"'
    )
    result.add_argument(
        "--legacy", action="store_true", help="also build add-ons for Blender before 4.2"
    )
    return result


def _report(path: Path) -> None:
    print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
