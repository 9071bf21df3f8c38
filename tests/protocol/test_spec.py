"""SPEC.md says what the code does: messages, limits, states and error codes."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from protocol import messages as m
from protocol.jobs import JobState
from protocol.limits import GIB, LIMITS, MIB, MINOR, PROTOCOL

ROOT = Path(__file__).resolve().parents[2]
SPEC = (ROOT / "protocol" / "SPEC.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "protocol").glob("*.py"),
    *(ROOT / "backend" / "executors").glob("local.py"),
    *(
        ROOT / "backend" / f"{name}.py"
        for name in ("server", "scheduler", "store", "parts", "disk", "worker")
    ),
]


def rows(section: str) -> list[list[str]]:
    """The table rows of a section, as cells."""
    text = re.split(r"^## ", SPEC, flags=re.MULTILINE)[int(section)]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def raised_codes(path: Path) -> set[str]:
    """Codes of the errors that a file makes: JobError("code", …), Problem(code="code", …)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        first = [*node.args[:1]] if name in ("JobError", "BadMessage") else []
        named = [word.value for word in node.keywords if word.arg == "code"]
        for value in (*first, *named):
            if isinstance(value, ast.Constant):
                found.add(str(value.value))
    return found


def test_the_version():
    assert f"Version {PROTOCOL}.{MINOR} (" in SPEC
    assert f"`LV{PROTOCOL:02d}`" in SPEC


def test_every_message_and_its_fields():
    table = {row[0].strip("`"): row[2] for row in rows("3")[2:]}
    kinds = {str(kind.__struct_config__.tag): kind for kind in m.Message.__subclasses__()}
    assert table.keys() == kinds.keys()
    for name, kind in kinds.items():
        for field in msgspec.structs.fields(kind):
            assert re.search(rf"\b{field.name}\b", table[name]), f"{name}.{field.name}"


def test_every_limit():
    units = {"GiB": GIB, "MiB": MIB}
    for name, value, _ in rows("6")[2:]:
        number, _, unit = value.partition(" ")
        assert getattr(LIMITS, name) == int(number) * units.get(unit, 1)
    assert {row[0] for row in rows("6")[2:]} == {f.name for f in msgspec.structs.fields(LIMITS)}


def test_every_state():
    named = {word for row in rows("5") for word in re.findall(r"`(\w+)`", row[0])}
    assert set(get_args(JobState)) <= named


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_error_code(path):
    # What a backend says to its own terminal before it serves is not on the wire.
    at_the_start = {"address_in_use", "bad_address", "bad_device", "no_cuda"}
    own = {"client_error", "failed"}  # of the client, about itself
    missing = [code for code in raised_codes(path) - at_the_start - own if f"`{code}`" not in SPEC]
    assert missing == []
