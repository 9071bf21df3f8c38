"""Photographs: materials as textures of looks, and frames of films as backgrounds.

Imports neither torch nor cv2, since Blender's renders read the same lists.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

MATERIALS: Mapping[str, tuple[str, ...]] = {
    "brick": ("Bricks",),
    "wood": ("Wood", "WoodFloor"),
    "marble": ("Marble", "Onyx"),
    "rust": ("Rust",),
    "stone": ("Rock", "Rocks", "Granite", "PavingStones"),
    "snow": ("Snow",),
    "grass": ("Grass",),
    "moss": ("Moss",),
    "leaves": ("ScatteredLeaves",),
    "concrete": ("Concrete",),
    "planks": ("Planks", "WoodSiding"),
    "bark": ("Bark",),
    "terrazzo": ("Terrazzo",),
    "tiles": ("Tiles",),
    "metal plate": ("DiamondPlate",),
    "roof tiles": ("RoofingTiles",),
    "gravel": ("Gravel",),
}
"""Look → folders of its photographs. The folders' names are ambientCG's."""

PHOTOGRAPHED: tuple[str, ...] = (
    "concrete", "planks", "bark", "terrazzo", "tiles", "metal plate", "roof tiles", "gravel",
)  # fmt: skip
"""Looks that are only photographed, never drawn."""

JUDGED_ON = frozenset({"blackswan", "cockatoo", "car-roundabout"})
"""Clips that edits are judged on: training never sees them."""


def is_held_out(tile: Path) -> bool:
    """Whether a photograph is kept out of training, for tests: about one in five."""
    return zlib.crc32(f"{tile.parent.name}/{tile.stem}".encode()) % 5 == 0


def tiles(folder: Path, *, held_out: bool) -> dict[str, list[Path]]:
    """Files of every look's photographs; FileNotFoundError if there are none at all."""
    found = {
        look: [
            path
            for name in folders
            for path in sorted((folder / name).glob("*.jpg"))
            if is_held_out(path) == held_out
        ]
        for look, folders in MATERIALS.items()
    }
    if not any(found.values()):
        raise FileNotFoundError(f"{folder} has no folders of photographs such as Bricks and Wood")
    return {look: paths for look, paths in found.items() if paths}


def frames(folder: Path, every: int = 6) -> list[Path]:
    """Every sixth frame of the clips (CLIP/frames/*.jpg) that no edit is judged on.

    Raises FileNotFoundError if there are none.
    """
    clips = [c for c in sorted(folder.iterdir()) if c.is_dir() and c.name not in JUDGED_ON]
    found = [path for clip in clips for path in sorted((clip / "frames").glob("*.jpg"))[::every]]
    if not found:
        raise FileNotFoundError(f"{folder} has no clips (CLIP/frames/*.jpg)")
    return found
