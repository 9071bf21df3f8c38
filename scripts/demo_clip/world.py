"""Draws one example after another of the world: a picture, its caption and what is in it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_clip.captions import Facts, say
from scripts.demo_clip.looks import COLOURS, GLINTS, GLOSS, GLOWING, GREY_SAFE, LOOKS, patch
from scripts.demo_clip.noise import Field, Rng, fractal, smoothstep
from scripts.demo_clip.scenes import BACKGROUNDS, EFFECT_NAMES, EFFECTS, draw_scene
from scripts.demo_clip.things import THINGS, Body, draw_body

SIZE = 64
"""Side of a finished picture in pixels."""
CANVAS = 96
"""Side of the canvas it is drawn on, before the view is taken."""

HELD_OUT_PAIRS = frozenset(
    (look, thing)
    for look, look_name in enumerate(LOOKS)
    for thing, thing_name in enumerate(THINGS)
    if zlib.crc32(f"{look_name} {thing_name}".encode()) % 12 == 0
)
"""(look, thing) pairs that training never draws: about one in twelve."""


@dataclass(frozen=True)
class World:
    """What may be drawn: bank seed and size, look × thing pairs, and how rough the views are."""

    seed: int = 0
    variants: int = 24
    held_out: bool = False
    """Draw only the held-out pairs (True) or only the others (False)."""
    rough: float = 0.6
    """Share of pictures seen as Text2LIVE's views, with noise and blur; the rest are plain."""
    icons: float = 0.35
    """Share of things drawn large, in a plain colour before a plain ground: the way into shapes."""


@dataclass(frozen=True)
class Example:
    """A picture `[64, 64, 3]` uint8 RGB, its thing's mask `[64, 64]` bool, caption and facts."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    caption: str
    seen: Facts
    said: Facts


def paint(
    rng: Rng, world: World, look: str, body: Body, canvas: Field, opacity: float | Field
) -> Field:
    """The canvas with a body covered in a look laid over it."""
    texture = patch(look, rng, CANVAS, world.seed, world.variants)
    shade = 0.75 + 0.25 * body.shade if look in GLOWING else body.shade
    gloss = GLOSS.get(look, rng.uniform(0, 0.3))
    glint = np.array(GLINTS.get(look, (200, 200, 200)), np.float32)
    lit = texture * shade[..., None] + gloss * body.glint[..., None] * glint
    share = (body.mask * opacity)[..., None]
    return np.asarray(canvas * (1 - share) + np.clip(lit, 0, 255) * share, np.float32)


def flat_body() -> Body:
    """A body that fills the canvas."""
    one = np.ones((CANVAS, CANVAS), np.float32)
    return Body(one, one, np.zeros_like(one))


def choose_pair(rng: Rng, world: World) -> tuple[int, int]:
    while True:
        look, thing = int(rng.integers(len(LOOKS))), int(rng.integers(len(THINGS)))
        if ((look, thing) in HELD_OUT_PAIRS) == world.held_out:
            return look, thing


def ground(rng: Rng, world: World) -> tuple[Field, int]:
    """A background and its class; -1 for textures that no caption names."""
    if rng.random() < 0.12:
        texture = patch(LOOKS[rng.integers(len(LOOKS))], rng, CANVAS, world.seed, world.variants)
        return texture * rng.uniform(0.6, 1.0), -1
    number = (
        BACKGROUNDS.index("green screen")
        if rng.random() < 0.16
        else int(rng.integers(len(BACKGROUNDS)))
    )
    return draw_scene(BACKGROUNDS[number], rng, CANVAS, world.seed, world.variants), number


def place(rng: Rng, world: World, look: int, thing: int, canvas: Field) -> tuple[Field, Body]:
    """The canvas with a thing in a look on it, perhaps with a shadow, perhaps half edited."""
    relief = 0.0 if rng.random() < 0.3 else rng.uniform(0.4, 1.0)
    body = draw_body(THINGS[thing], rng, CANVAS, relief)
    if rng.random() < 0.4:
        shadow = cv2.GaussianBlur(np.roll(body.mask, (4, 4), (0, 1)), (0, 0), 4)
        canvas = canvas * (1 - rng.uniform(0.2, 0.5) * shadow)[..., None]
    opacity: float | Field = 1.0
    if rng.random() < 0.3:
        # An edit in progress: the look only partly covers what was there before.
        before = LOOKS[rng.integers(len(COLOURS) if rng.random() < 0.6 else len(LOOKS))]
        canvas = paint(rng, world, before, body, canvas, 1.0)
        opacity = rng.uniform(0.6, 0.95)
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
    relief = 0.0 if rng.random() < 0.5 else rng.uniform(0.2, 0.8)
    body = draw_body(THINGS[thing], rng, CANVAS, relief, smallest=0.7)
    for _ in range(5):
        ground = draw_scene(BACKGROUNDS[background], rng, CANVAS, world.seed, world.variants)
        canvas = paint(rng, world, LOOKS[look], body, ground, 1.0)
        if np.abs(canvas - ground).sum() > 90 * body.mask.sum():
            break
    return canvas, body, (look, thing, background)


def view(rng: Rng, canvas: Field, mask: Field, rough: bool) -> tuple[Field, Field]:
    """Crop, flip, affine and perspective in one warp, as Text2LIVE's views, to the final size."""
    side = CANVAS * (rng.uniform(0.6, 1.0) if rough and rng.random() < 0.8 else 1.0)
    left, top = rng.uniform(0, CANVAS - side, 2)
    corners = np.array(
        [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]
    )
    if rough:
        if rng.random() < 0.5:
            corners = corners[[1, 0, 3, 2]]
        middle = corners.mean(0)
        if rng.random() < 0.6:
            a = np.radians(rng.uniform(-15, 15))
            turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
            corners = (corners - middle) @ turn.T + middle + rng.uniform(-0.1, 0.1, 2) * side
        if rng.random() < 0.4:
            corners = corners + rng.uniform(-0.18, 0.18, (4, 2)) * side
    target = np.array([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]], np.float32)
    matrix = cv2.getPerspectiveTransform((corners - 0.5).astype(np.float32), target - 0.5)
    soft = cv2.GaussianBlur(canvas, (3, 3), 0.55)
    fill = rng.choice([0.0, 255.0])
    edge = cv2.BORDER_REPLICATE if rng.random() < 0.4 else cv2.BORDER_CONSTANT
    picture = cv2.warpPerspective(
        soft,
        matrix,
        (SIZE, SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=edge,
        borderValue=(fill, fill, fill),
    )
    seen = cv2.warpPerspective(mask, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    return picture, seen


def develop(rng: Rng, picture: Field, grey: bool) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and hue jitter, grey, blur and noise."""
    tone = picture.mean(-1, keepdims=True)
    if grey:
        picture = np.repeat(tone, 3, -1)
    elif rng.random() < 0.6:
        picture = tone + (picture - tone) * rng.uniform(0.8, 1.2)
        picture = (picture - 128) * rng.uniform(0.82, 1.15) + 128 + rng.uniform(-16, 16)
        picture = picture * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    if rng.random() < 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.4:
        noise = rng.standard_normal((SIZE, SIZE, 3), np.float32) * rng.uniform(2, 20)
        if rng.random() < 0.5:
            noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 1.6
        picture = picture + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def draw(rng: Rng, world: World) -> Example:
    """One example. The same generator state and world always give the same example."""
    kind = rng.random()
    rough = rng.random() < world.rough
    thing = background = -1
    weather = True
    if kind < 0.13:
        weather = False
        look = int(rng.integers(len(LOOKS)))
        body = flat_body()
        canvas = paint(
            rng, world, LOOKS[look], body, np.zeros((CANVAS, CANVAS, 3), np.float32), 1.0
        )
    elif kind < 0.21:
        look = -1
        canvas, background = ground(rng, world)
        body = Body(*(np.zeros((CANVAS, CANVAS), np.float32) for _ in range(3)))
    elif kind < 0.21 + 0.79 * world.icons:
        canvas, body, (look, thing, background) = icon(rng, world)
        weather = False
    else:
        look, thing = choose_pair(rng, world)
        canvas, background = ground(rng, world)
        canvas, body = place(rng, world, look, thing, canvas)
    effect = -1
    if weather and background != BACKGROUNDS.index("green screen") and rng.random() < 0.22:
        effect = int(rng.integers(len(EFFECT_NAMES)))
        canvas = EFFECTS[EFFECT_NAMES[effect]](rng, canvas)
    for _ in range(4):
        picture, mask = view(rng, canvas, body.mask, rough)
        if thing < 0 or mask.sum() > 0.45 * body.mask.sum() * (SIZE / CANVAS) ** 2:
            break
    tellable = look < 0 or LOOKS[look] in GREY_SAFE
    grey = (
        rough
        and tellable
        and rng.random() < 0.1
        and background != BACKGROUNDS.index("green screen")
    )
    image = develop(rng, picture, grey) if rough else np.clip(picture, 0, 255).astype(np.uint8)
    seen = Facts(look, thing, background, effect)
    if background < 0 and look < 0 and effect < 0:
        return draw(rng, world)
    caption, said = say(rng, seen)
    return Example(image, mask > 0.5, caption, seen, said)


def batch(seed: int, step: int, count: int, world: World) -> list[Example]:
    """`count` examples of a training step: a function of seed and step only."""
    rng = np.random.default_rng([seed, step])
    return [draw(rng, world) for _ in range(count)]
