"""The documentation names files, commands and links that exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "protocol" / "SPEC.md",
    ROOT / "backend" / "clip" / "demo" / "README.md",
]
FOLDERS = ("backend", "blender_addon", "docs", "protocol", "scripts", "tests")
INSTALLED = ("venv", "pip")
"""Modules of Python itself that commands run."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_exist(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]+)`", page.read_text("utf-8"))
    files = [one for one in named if "NAME" not in one]
    assert [one for one in files if not (ROOT / one).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_modules_in_commands_exist(page: Path) -> None:
    modules = re.findall(r"python[\d.]* -m ([\w.]+\w)", page.read_text("utf-8"))
    missing = [
        module
        for module in dict.fromkeys(modules)
        if module.partition(".")[0] not in INSTALLED and importlib.util.find_spec(module) is None
    ]
    assert missing == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
