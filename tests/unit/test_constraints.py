"""constraints.txt pins what pyproject.toml asks for, and can be written again."""

from __future__ import annotations

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import renew_constraints

PROJECT = tomllib.loads((renew_constraints.REPOSITORY / "pyproject.toml").read_text("utf-8"))[
    "project"
]
PINS = {
    canonicalize_name(name): version
    for name, version in (
        line.split("==")
        for line in renew_constraints.FILE.read_text("utf-8").splitlines()
        if not line.startswith("#")
    )
}
GROUPS = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
NEEDED = [needed for group in GROUPS for needed in group]


@pytest.mark.parametrize("needed", NEEDED)
def test_every_requirement_is_pinned_within_its_bounds(needed):
    requirement = Requirement(needed)
    version = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)
    assert "+" not in version


def test_every_extra_is_resolved():
    assert set(renew_constraints.EXTRAS.split(",")) == set(PROJECT["optional-dependencies"])


def test_the_file_explains_itself():
    text = renew_constraints.FILE.read_text("utf-8")
    assert text.startswith(renew_constraints.HEADER)


def test_pins_are_releases_without_the_project_and_without_cuda():
    names = ("torch", "2.14.1+cpu"), ("Jinja2", "3.1.6"), ("nvidia-cublas", "13.1"), ("pip", "26")
    report = {
        "install": [
            {"metadata": {"name": name, "version": version}}
            for name, version in (*names, ("text2live-blender", "0.1.0"))
        ]
    }
    assert renew_constraints.pins(report) == ["Jinja2==3.1.6", "torch==2.14.1"]
