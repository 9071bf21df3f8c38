"""Who may know whom: the wire knows neither torch nor Blender, the server never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "bpy", "cv2", "av", "open_clip")

LIGHT_MODULES = [
    *(f"protocol.{path.stem}" for path in sorted((ROOT / "protocol").glob("[!_]*.py"))),
    *("backend.serve", "backend.server", "backend.journal", "backend.store", "backend.scheduler"),
    *("backend.executors.base", "backend.executors.local", "backend.executors.mock"),
    *("backend.worker", "backend.progress", "backend.atlas.explicit.config", "backend.edit.config"),
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


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; a package is its __init__."""
    found = {}
    for folder in ("protocol", "backend", "blender_addon", "scripts"):
        for path in files(folder):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def modules_imported(name: str, source: str, known: set[str]) -> set[str]:
    """Which of the known modules a module names in an import, wherever the import stands.

    Imports for the type checker alone count too: who is typed by another knows it.
    """
    found: set[str] = set()
    package = name.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return (found & known) - {name}


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Every group of modules that import each other, each as one way round it."""
    return [
        _way_round(sorted(group)[0], arrows, group) for group in _groups(arrows) if len(group) > 1
    ]


def _groups(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Modules that reach each other, by who is reached from where."""
    reach = {name: _reached(name, arrows) for name in arrows}
    groups: list[set[str]] = []
    for name in sorted(arrows):
        if not any(name in group for group in groups):
            groups.append({name, *(other for other in reach[name] if name in reach[other])})
    return groups


def _reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        for other in arrows[left.pop()] - found:
            found.add(other)
            left.append(other)
    return found


def _way_round(start: str, arrows: dict[str, set[str]], group: set[str]) -> list[str]:
    """The shortest way from a module through others back to itself."""
    ways = [[start]]
    for way in ways:
        for other in sorted(arrows[way[-1]] & group):
            if other == start:
                return [*way, start]
            if other not in way:
                ways.append([*way, other])
    raise AssertionError(f"{start} is in no circle")


def test_no_modules_import_each_other_in_a_circle():
    known = modules()
    arrows = {
        name: modules_imported(name, path.read_text(encoding="utf-8"), set(known))
        for name, path in known.items()
    }
    # A package's own __init__ is run before its modules; naming the package is no arrow to it.
    for name, path in known.items():
        if path.stem != "__init__":
            arrows[name] = {one for one in arrows[name] if known[one].stem != "__init__"}
    assert [" → ".join(way) for way in circles(arrows)] == []


def test_a_circle_is_found_and_named_once():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert circles(arrows) == [["a", "b", "c", "a"]]


def test_relative_and_lazy_imports_are_arrows():
    source = (
        "def f():\n    from ..core import jobs\nfrom . import x\nfrom backend.atlas import render"
    )
    known = {"p.core.jobs", "p.ui.x", "backend.atlas.render", "p.ui"}
    assert modules_imported("p.ui.y", source, known) == {
        "p.core.jobs", "p.ui.x", "backend.atlas.render", "p.ui",
    }  # fmt: skip


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
def test_the_addon_never_names_torch_pyav_or_the_backend(path):
    assert not imports(path) & {"torch", "av", "open_clip", "backend"}


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
