"""Who may know whom: the wire knows neither torch nor Blender, the server never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "bpy", "cv2", "open_clip")

LIGHT_MODULES = [
    *(f"protocol.{path.stem}" for path in sorted((ROOT / "protocol").glob("[!_]*.py"))),
    *("backend.serve", "backend.server", "backend.journal", "backend.store", "backend.scheduler"),
    *("backend.executors.base", "backend.executors.local", "backend.executors.mock"),
    *("backend.worker", "backend.progress", "backend.atlas.config", "backend.edit.config"),
]


def imports(path: Path) -> set[str]:
    """Top-level names a file imports anywhere; relative imports are named with their dots."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = (node.module or "").partition(".")[0]
            found.add("." * node.level + (name if not node.level else ""))
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_the_server_side_is_imported_without_the_heavy_ones():
    script = f"""
import importlib, sys
for name in {LIGHT_MODULES!r}:
    importlib.import_module(name)
    print(name, [heavy for heavy in {HEAVY!r} if heavy in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [f"{name} []" for name in LIGHT_MODULES], done.stderr


@pytest.mark.parametrize("path", files("protocol"), ids=lambda path: path.name)
def test_the_protocol_imports_itself_relatively_and_nothing_of_ours(path):
    assert not imports(path) & {*HEAVY, "protocol", "backend", "blender_addon", ".."}


@pytest.mark.parametrize("path", files("blender_addon"), ids=name_of)
def test_the_addon_never_names_torch_or_the_backend(path):
    assert not imports(path) & {"torch", "open_clip", "backend"}


@pytest.mark.parametrize("path", files("blender_addon/core"), ids=name_of)
def test_the_addons_core_never_names_blender(path):
    assert "bpy" not in imports(path)


@pytest.mark.parametrize(
    "path",
    [path for folder in ("protocol", "blender_addon") for path in files(folder)],
    ids=name_of,
)
def test_what_runs_in_blender_is_valid_for_python_3_10(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    assert not imports(path) & {"tomllib"}
