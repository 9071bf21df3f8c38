"""Every look the demo CLIP knows, and the bank of rendered textures they are cropped from.

A look is a colour or a material that can cover a thing. Each is a function of a random generator
and a size that returns an RGB picture `[S, S, 3]`, float32, 0..255.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.looks_airy import AIRY
from scripts.demo_model.looks_craft import CRAFT
from scripts.demo_model.looks_living import LIVING
from scripts.demo_model.looks_made import MADE
from scripts.demo_model.looks_natural import NATURAL
from scripts.demo_model.noise import Field, Rng, fractal
from scripts.demo_model.photos import PHOTOGRAPHED

BANK_SIZE = 160
"""Side of a bank texture in pixels; drawings crop and scale pieces of it."""

COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((210, 25, 25), (170, 10, 20), (240, 50, 45)),
    "green": ((30, 150, 40), (20, 110, 30), (60, 200, 60)),
    "blue": ((30, 60, 200), (20, 30, 140), (50, 110, 235)),
    "yellow": ((245, 225, 30), (235, 210, 10), (255, 240, 90)),
    "orange": ((245, 130, 20), (230, 110, 0), (255, 150, 50)),
    "purple": ((120, 35, 160), (90, 20, 130), (150, 70, 200)),
    "pink": ((250, 130, 180), (240, 90, 160), (255, 175, 205)),
    "white": ((248, 248, 248), (238, 238, 240), (255, 255, 255)),
    "black": ((18, 18, 18), (5, 5, 8), (32, 32, 34)),
    "brown": ((110, 65, 30), (85, 50, 25), (135, 85, 45)),
    "grey": ((128, 128, 128), (100, 100, 102), (160, 160, 160)),
}
"""Three examples of each plain colour, RGB; drawings mix them."""

TEXTURES = {**NATURAL, **LIVING, **MADE, **AIRY, **CRAFT}
"""Drawing functions of the looks that are more than a colour."""

DRAWN: tuple[str, ...] = (*COLOURS, *TEXTURES)
"""Looks that can be drawn, in class order."""

LOOKS: tuple[str, ...] = (*DRAWN, *PHOTOGRAPHED)
"""Names of all looks, in class order: those that are only photographed come last."""

GLOSS: dict[str, float] = {
    "gold": 1.0,
    "silver": 1.0,
    "copper": 0.9,
    "ice": 0.6,
    "crystal": 0.7,
    "chocolate": 0.6,
    "marble": 0.4,
    "leather": 0.4,
    "stained glass": 0.3,
    "water": 0.5,
    "mosaic": 0.2,
    "glass": 1.0,
    "candy": 0.8,
    "frost": 0.2,
    "snow": 0.1,
    "smoke": 0.0,
    "fog": 0.0,
    "wool": 0.0,
    "crochet": 0.0,
    "denim": 0.0,
    "tartan": 0.0,
    "moss": 0.0,
    "origami": 0.1,
    "concrete": 0.0,
    "planks": 0.1,
    "bark": 0.0,
    "terrazzo": 0.4,
    "tiles": 0.5,
    "metal plate": 0.7,
    "roof tiles": 0.2,
    "gravel": 0.0,
}
"""Strength of the highlight on a shaded body (0..1); looks not named are matt or slightly shiny."""

GLINTS: dict[str, tuple[int, int, int]] = {
    "gold": (200, 175, 90),
    "copper": (200, 140, 100),
    "chocolate": (190, 150, 120),
    "leather": (170, 140, 110),
}
"""Colour of the highlight where it is not white: metals tint what they reflect."""

GLOWING = ("lava", "fire", "neon", "stars")
"""Looks that give light: bodies made of them are hardly shaded."""

GREY_SAFE = (
    "wood",
    "marble",
    "brick",
    "stone",
    "leaves",
    "flowers",
    "crystal",
    "stained glass",
    "mosaic",
    "wool",
    "leopard",
    "zebra",
    "giraffe",
    "tiger",
    "polka dots",
    "checkerboard",
    "stripes",
    "clouds",
    "stars",
    "frost",
    "crochet",
    "origami",
    "feathers",
    "tartan",
    "planks",
    "terrazzo",
    "tiles",
    "metal plate",
    "roof tiles",
    "gravel",
)
"""Looks one can still name in a picture without colours."""


def colour(rng: Rng, size: int, name: str) -> Field:
    """A plain colour with faint large-scale variation."""
    examples = np.array(COLOURS[name], np.float32)
    base = rng.dirichlet(np.ones(len(examples))).astype(np.float32) @ examples
    most = 0.08 if name == "white" else 0.25
    shade = 1 + rng.uniform(0, most) * (fractal(rng, size, rng.uniform(2, 6), 4) - 0.5)
    return np.asarray(base * shade[..., None], np.float32)


def draw_look(name: str, rng: Rng, size: int = BANK_SIZE) -> NDArray[np.uint8]:
    """One texture `[size, size, 3]` uint8 RGB of the named look; KeyError for unknown names."""
    picture = colour(rng, size, name) if name in COLOURS else TEXTURES[name](rng, size)
    return np.clip(picture, 0, 255).astype(np.uint8)


@lru_cache(maxsize=4096)
def banked(name: str, seed: int, variant: int) -> NDArray[np.uint8]:
    """Bank texture of a look: the same for the same seed and variant, drawn on first use."""
    rng = np.random.default_rng([seed, variant, zlib.crc32(name.encode())])
    texture = draw_look(name, rng)
    texture.setflags(write=False)
    return texture


def patch(name: str, rng: Rng, size: int, seed: int, variants: int) -> Field:
    """A random crop of a bank texture, flipped and scaled, `[size, size, 3]` float32 0..255."""
    texture = banked(name, seed, int(rng.integers(variants)))
    side = int(rng.uniform(0.5, 1.0) * BANK_SIZE)
    top, left = rng.integers(0, BANK_SIZE - side + 1, 2)
    piece = texture[top : top + side, left : left + side]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    if side >= size:
        return cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    return cv2.resize(piece, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.float32)
