"""The checks of a visit, in the order in which they run: the most explanatory come first."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from scripts.gpu_check.bench import Bench

HERE = "scripts.gpu_check"


@dataclass(frozen=True)
class Item:
    """One check.

    number: its place in the full list of checks. title: what it answers. estimate: seconds it takes
    on a fast GPU; with less left of the budget it does not start. limit: seconds after which it is
    stopped. where: module and function that run it.
    """

    number: int
    name: str
    title: str
    estimate: float
    limit: float
    where: str

    def load(self) -> Callable[[Bench], str]:
        """The function that runs it and returns its result in one line."""
        module, name = self.where.split(":")
        function: Callable[[Bench], str] = getattr(import_module(module), name)
        return function


ITEMS = (
    Item(1, "machine", "Device, driver, libraries", 3, 40, f"{HERE}.machine:check_machine"),
    Item(2, "smoke", "Still, clip, paint and mlp run", 15, 60, f"{HERE}.smoke:check_smoke"),
    Item(3, "numbers", "Float32 results equal the CPU's", 15, 50, f"{HERE}.values:check_values"),
    Item(5, "waits", "Where the host waits for the device", 15, 50, f"{HERE}.waits:check_waits"),
    Item(6, "micro", "Single operations", 6, 30, f"{HERE}.micro:check_micro"),
    Item(7, "image", "Speed of an image edit", 8, 40, f"{HERE}.steps:check_image"),
    Item(9, "atlas", "Speed of a clip's atlas", 25, 80, f"{HERE}.atlas_speed:check_atlas"),
    Item(8, "video", "Speed of a clip's edit", 12, 60, f"{HERE}.steps:check_video"),
    Item(4, "precision", "bfloat16 against float32", 8, 40, f"{HERE}.precision:check_precision"),
    Item(13, "repeat", "Two runs of one seed", 8, 40, f"{HERE}.precision:check_repeat"),
    Item(10, "still", "A whole still", 35, 100, f"{HERE}.whole:check_whole_still"),
    Item(11, "memory", "What fits smaller cards", 25, 80, f"{HERE}.memory:check_memory"),
    Item(12, "survival", "Killed and cancelled jobs", 50, 120, f"{HERE}.survival:check_survival"),
    Item(14, "clip", "A whole clip's foreground", 90, 200, f"{HERE}.whole:check_whole_clip"),
)


def chosen(only: str, skip: str) -> list[Item]:
    """The items to run. only, skip: comma-separated names or numbers; raises ValueError."""
    wanted = _named(only) or list(ITEMS)
    left_out = _named(skip)
    return [item for item in wanted if item not in left_out]


def _named(text: str) -> list[Item]:
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        match = [item for item in ITEMS if word in (item.name, str(item.number))]
        if not match:
            names = ", ".join(f"{item.number} {item.name}" for item in ITEMS)
            raise ValueError(f"there is no item {word!r}; choose from: {names}")
        found += match
    return [item for item in ITEMS if item in found]
