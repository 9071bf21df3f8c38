"""The built extension installs offline and brings its own wheels (build it first)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from scripts.blender import studio  # noqa: E402

ZIPS = sorted((studio.REPOSITORY / "dist").glob("text2live-[0-9]*-linux-x64.zip"))
OLD_ZIPS = sorted((studio.REPOSITORY / "dist").glob("text2live-legacy-linux-x64.zip"))
OLD_BLENDER = shutil.which("blender")

# What Blender itself brings; everything else must come out of the zip.
OF_BLENDER = ("bpy", "numpy", "requests", "urllib3", "certifi", "idna", "charset_normalizer")

SCRIPT = """
import os, sys
import bpy
bpy.ops.extensions.package_install_files(
    filepath=sys.argv[1], repo="user_default", enable_on_install=True)
import msgpack, msgspec, zmq
home = os.environ["BLENDER_USER_RESOURCES"]
for module in (msgpack, msgspec, zmq):
    assert module.__file__.startswith(home), module.__file__
assert zmq.has("curve")
assert hasattr(bpy.types, "T2L_PT_sequencer")
assert "bl_ext.user_default.text2live" in bpy.context.preferences.addons
from bl_ext.user_default.text2live.blender import runtime
from bl_ext.user_default.text2live.blender.timeline import folders
assert runtime.wire_client.__name__ == "bl_ext.user_default.text2live.protocol.client"
assert str(folders.folder_for("j", runtime.PACKAGE)).startswith(home)
bpy.ops.preferences.addon_disable(module="bl_ext.user_default.text2live")
assert not hasattr(bpy.types, "T2L_PT_sequencer")
print("INSTALLED")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(
    bpy.app.version < (4, 2, 0) or bool(bpy.app.binary_path),
    reason="installs into the bpy module, from 4.2 on",
)
@pytest.mark.skipif(
    not ZIPS or not sys.platform.startswith("linux"),
    reason="no dist/text2live-*-linux-x64.zip: python -m scripts.build_extension",
)
def test_the_zip_installs_and_brings_its_wheels(tmp_path: Path) -> None:
    bare = tmp_path / "only_blender"
    bare.mkdir()
    packages = Path(sysconfig.get_paths()["purelib"])
    for package in packages.iterdir():
        if package.name.split(".")[0] in OF_BLENDER:
            (bare / package.name).symlink_to(package)
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT, str(ZIPS[-1])],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(home), "PYTHONPATH": str(bare)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "INSTALLED" in done.stdout, done.stdout + done.stderr


OLD_SCRIPT = """
import sys
import bpy
archive = sys.argv[sys.argv.index("--") + 1]
bpy.ops.preferences.addon_install(filepath=archive, overwrite=True)
bpy.ops.preferences.addon_enable(module="text2live")
assert hasattr(bpy.types, "T2L_PT_sequencer")
from text2live.blender import handlers, runtime
home = bpy.utils.user_resource("SCRIPTS")
assert runtime.wire_client.__name__ == "text2live.protocol.client"
assert runtime.wire_client.__file__.startswith(home)
handlers.on_timer()
bpy.ops.preferences.addon_disable(module="text2live")
assert not hasattr(bpy.types, "T2L_PT_sequencer")
print("INSTALLED")
"""


@pytest.mark.skipif(
    not OLD_BLENDER or not OLD_ZIPS or not sys.platform.startswith("linux"),
    reason="no Blender on the path, or no dist/text2live-legacy-linux-x64.zip (--legacy)",
)
def test_the_legacy_zip_installs_in_a_full_blender(tmp_path: Path) -> None:
    script = tmp_path / "install.py"
    script.write_text(OLD_SCRIPT, encoding="utf-8")
    command = [str(OLD_BLENDER), "--background", "--factory-startup", "--python-exit-code", "1"]
    done = subprocess.run(
        [*command, "--python", str(script), "--", str(OLD_ZIPS[-1])],
        env={**os.environ, "HOME": str(tmp_path), "BLENDER_USER_SCRIPTS": str(tmp_path / "s")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "INSTALLED" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
