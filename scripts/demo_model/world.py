"""Composes the world: a thing in a look before a background, with weather, on a canvas."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.captions import Facts
from scripts.demo_model.looks import COLOURS, DRAWN, GLINTS, GLOSS, GLOWING, LOOKS, patch
from scripts.demo_model.noise import Field, Rng, fractal, smoothstep
from scripts.demo_model.photo_bank import PhotoBank
from scripts.demo_model.photos import PHOTOGRAPHED
from scripts.demo_model.reflections import METALS, reflect
from scripts.demo_model.scenes import BACKGROUNDS, EFFECT_NAMES, EFFECTS, draw_scene
from scripts.demo_model.solids_render import SOLIDS, draw_solid
from scripts.demo_model.things import THINGS, Body, draw_body

CANVAS = 96
"""Side of the canvas a scene is drawn on, in pixels, before a view of it is taken."""

HELD_OUT_PAIRS = frozenset(
    (look, thing)
    for look, look_name in enumerate(LOOKS)
    for thing, thing_name in enumerate(THINGS)
    if zlib.crc32(f"{look_name} {thing_name}".encode()) % 12 == 0
)
"""(look, thing) pairs that training never draws: about one in twelve."""


@dataclass(frozen=True)
class World:
    """What may be drawn: bank seed and size, look × thing pairs, and how hard it is to see."""

    seed: int = 0
    variants: int = 48
    held_out: bool = False
    """Draw only the held-out pairs (True) or only the others (False)."""
    rough: float = 0.6
    """Share of pictures seen as Text2LIVE's views, with noise and blur; the rest are plain."""
    icons: float = 0.3
    """Share of things drawn large, in a plain colour before a plain ground: the way into shapes."""
    partial: float = 0.25
    """Share of things whose look only partly covers what was there before: edits in progress."""
    weather: float = 0.15
    """Share of things seen through snow, rain, fog, smoke or fire."""
    photos: PhotoBank | None = None
    """Photographs that serve as textures and backgrounds beside the drawn ones."""

    @property
    def looks(self) -> tuple[str, ...]:
        """The looks that this world can show: some have photographs only."""
        return DRAWN if self.photos is None else LOOKS

    @property
    def name(self) -> str:
        """Tells worlds apart whose scenes differ."""
        return f"{self.seed}" if self.photos is None else f"{self.seed}_photos"


@dataclass(frozen=True)
class Scene:
    """A composed canvas `[96, 96, 3]` uint8 RGB, its thing's matte `[96, 96]` uint8, its facts."""

    canvas: NDArray[np.uint8]
    matte: NDArray[np.uint8]
    facts: Facts


PHOTO_LOOKS = 0.25
"""Share of things and surfaces whose look is drawn by lot among the photographed ones alone."""
PHOTO_TEXTURES = 0.7
"""Share of photographs among the textures of looks that are both drawn and photographed."""
PHOTO_GROUNDS = 0.45
"""Share of frames of films among the backgrounds."""
MIRRORED = 0.7
"""Share of metals that reflect a place, in worlds with photographs."""


def texture(rng: Rng, world: World, look: str) -> Field:
    """A piece of a look `[S, S, 3]`, drawn or photographed."""
    photos = world.photos if world.photos and look in world.photos.tiles else None
    if photos and (look in PHOTOGRAPHED or rng.random() < PHOTO_TEXTURES):
        return photos.texture(rng, look, CANVAS)
    return patch(look, rng, CANVAS, world.seed, world.variants)


def paint(
    rng: Rng, world: World, look: str, body: Body, canvas: Field, opacity: float | Field
) -> Field:
    """The canvas with a body covered in a look laid over it."""
    piece = texture(rng, world, look)
    if world.photos is not None and look in METALS and rng.random() < MIRRORED:
        piece = reflect(rng, look, body.slope, world.photos.ground(rng, CANVAS))
    shade = 0.75 + 0.25 * body.shade if look in GLOWING else body.shade
    gloss = GLOSS.get(look, rng.uniform(0, 0.3))
    glint = np.array(GLINTS.get(look, (200, 200, 200)), np.float32)
    lit = piece * shade[..., None] + gloss * body.glint[..., None] * glint
    share = (body.mask * opacity)[..., None]
    return np.asarray(canvas * (1 - share) + np.clip(lit, 0, 255) * share, np.float32)


def any_look(rng: Rng, world: World) -> int:
    """A look that the world can show; with photographs, those that were photographed more often."""
    if world.photos is not None and rng.random() < PHOTO_LOOKS:
        photographed = sorted(world.photos.tiles)
        return LOOKS.index(photographed[int(rng.integers(len(photographed)))])
    return int(rng.integers(len(world.looks)))


def flat_body() -> Body:
    """A body that fills the canvas."""
    one = np.ones((CANVAS, CANVAS), np.float32)
    return Body(one, one, np.zeros_like(one), np.zeros((CANVAS, CANVAS, 2), np.float32))


def any_body(rng: Rng, thing: str, smallest: float) -> Body:
    """A thing as a flat silhouette, as a relief, or as a solid seen in perspective."""
    kind = rng.random()
    if kind < 0.45 and thing in SOLIDS:
        return draw_solid(thing, rng, CANVAS, smallest)
    relief = 0.0 if kind > 0.8 else rng.uniform(0.3, 1.0)
    return draw_body(thing, rng, CANVAS, relief, smallest)


def choose_pair(rng: Rng, world: World) -> tuple[int, int]:
    while True:
        look, thing = any_look(rng, world), int(rng.integers(len(THINGS)))
        if ((look, thing) in HELD_OUT_PAIRS) == world.held_out:
            return look, thing


def ground(rng: Rng, world: World) -> tuple[Field, int]:
    """A background and its class; -1 for textures that no caption names."""
    if world.photos is not None and rng.random() < PHOTO_GROUNDS:
        return world.photos.ground(rng, CANVAS), -1
    if rng.random() < 0.12:
        piece = texture(rng, world, world.looks[rng.integers(len(world.looks))])
        return piece * rng.uniform(0.6, 1.0), -1
    number = (
        BACKGROUNDS.index("green screen")
        if rng.random() < 0.16
        else int(rng.integers(len(BACKGROUNDS)))
    )
    return draw_scene(BACKGROUNDS[number], rng, CANVAS, world.seed, world.variants), number


def place(rng: Rng, world: World, look: int, thing: int, canvas: Field) -> tuple[Field, Body]:
    """The canvas with a thing in a look on it, perhaps with a shadow, perhaps half edited."""
    body = any_body(rng, THINGS[thing], 0.5)
    if rng.random() < 0.4:
        shadow = cv2.GaussianBlur(np.roll(body.mask, (4, 4), (0, 1)), (0, 0), 4)
        canvas = canvas * (1 - rng.uniform(0.2, 0.5) * shadow)[..., None]
    opacity: float | Field = 1.0
    if rng.random() < world.partial:
        # An edit in progress: the look only partly covers what was there before.
        before = LOOKS[rng.integers(len(COLOURS) if rng.random() < 0.6 else len(world.looks))]
        canvas = paint(rng, world, before, body, canvas, 1.0)
        opacity = rng.uniform(0.65, 0.95)
        if rng.random() < 0.4:
            holes = smoothstep(0.22, 0.34, fractal(rng, CANVAS, rng.uniform(2, 6), 3))
            opacity = holes * rng.uniform(0.75, 1.0)
    return paint(rng, world, LOOKS[look], body, canvas, opacity), body


def icon(rng: Rng, world: World) -> tuple[Field, Body, tuple[int, int, int]]:
    """A large thing in a plain colour, clear of a plain ground, with look, thing, background."""
    look = int(rng.integers(len(COLOURS)))
    thing = int(rng.integers(len(THINGS)))
    while ((look, thing) in HELD_OUT_PAIRS) != world.held_out:
        look, thing = int(rng.integers(len(COLOURS))), int(rng.integers(len(THINGS)))
    background = BACKGROUNDS.index("green screen" if rng.random() < 0.4 else "plain")
    body = any_body(rng, THINGS[thing], 0.7)
    for _ in range(5):
        ground = draw_scene(BACKGROUNDS[background], rng, CANVAS, world.seed, world.variants)
        canvas = paint(rng, world, LOOKS[look], body, ground, 1.0)
        if np.abs(canvas - ground).sum() > 90 * body.mask.sum():
            break
    return canvas, body, (look, thing, background)


def compose_scene(rng: Rng, world: World) -> Scene:
    """One scene. The same generator state and world always give the same scene."""
    kind = rng.random()
    look = thing = background = effect = -1
    weather = True
    nothing = np.zeros((CANVAS, CANVAS), np.float32)
    body = Body(nothing, nothing, nothing, np.zeros((CANVAS, CANVAS, 2), np.float32))
    if kind < 0.11:
        weather = False
        look = any_look(rng, world)
        black = np.zeros((CANVAS, CANVAS, 3), np.float32)
        canvas = paint(rng, world, LOOKS[look], flat_body(), black, 1.0)
    elif kind < 0.18:
        canvas, background = ground(rng, world)
    elif kind < 0.18 + 0.82 * world.icons:
        canvas, body, (look, thing, background) = icon(rng, world)
        weather = False
    else:
        look, thing = choose_pair(rng, world)
        canvas, background = ground(rng, world)
        canvas, body = place(rng, world, look, thing, canvas)
    often = world.weather if thing >= 0 else 0.5
    if weather and background != BACKGROUNDS.index("green screen") and rng.random() < often:
        effect = int(rng.integers(len(EFFECT_NAMES)))
        canvas = EFFECTS[EFFECT_NAMES[effect]](rng, canvas)
    if look < 0 and background < 0 and effect < 0:
        return compose_scene(rng, world)
    return Scene(
        np.clip(canvas, 0, 255).astype(np.uint8),
        np.round(body.mask * 255).astype(np.uint8),
        Facts(look, thing, background, effect),
    )
