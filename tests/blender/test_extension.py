"""The built extension installs offline and brings its own wheels (build it first)."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from scripts import blender_studio as studio  # noqa: E402

ZIPS = sorted((studio.REPOSITORY / "dist").glob("text2live-*-linux-x64.zip"))

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
from bl_ext.user_default.text2live.blender import layers, runtime
assert runtime.wire_client.__name__ == "bl_ext.user_default.text2live.protocol.client"
assert str(layers.folder_for("j", runtime.PACKAGE)).startswith(home)
bpy.ops.preferences.addon_disable(module="bl_ext.user_default.text2live")
assert not hasattr(bpy.types, "T2L_PT_sequencer")
print("INSTALLED")
sys.stdout.flush()
os._exit(0)
"""


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
