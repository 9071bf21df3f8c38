"""The user guide: it explains every state of the connection, and its pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blender_addon.core.connection import _REASONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "user-guide.md").read_text("utf-8")
PICTURES = re.findall(r"!\[.+?\]\((guide/.+?)\)", GUIDE)


@pytest.mark.parametrize("reason", [*dict.fromkeys(_REASONS.values()), "Not connected"])
def test_it_says_what_to_do_about_every_state_of_the_connection(reason: str) -> None:
    assert re.search(rf"^\| {re.escape(reason)} \| .+ \| .+ \|$", GUIDE, re.MULTILINE)


def test_its_pictures_are_there_and_light() -> None:
    assert sorted(PICTURES) == sorted(f"guide/{one.name}" for one in (DOCS / "guide").iterdir())
    assert max((DOCS / name).stat().st_size for name in PICTURES) <= 150_000


def test_its_links_lead_to_headings() -> None:
    headings = re.findall(r"^## (.+)$", GUIDE, re.MULTILINE)
    known = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#(.+?)\)", GUIDE)) <= known
    assert len(headings) == len(known)
