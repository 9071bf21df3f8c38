"""Photographs a composed scene: crops, warps, jitter, noise; and draws whole examples."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.demo_model.captions import Facts, say
from scripts.demo_model.looks import GREY_SAFE, LOOKS
from scripts.demo_model.noise import Field, Rng
from scripts.demo_model.scenes import BACKGROUNDS
from scripts.demo_model.world import CANVAS, Scene, World, compose_scene

SIZE = 64
"""Side of a finished picture in pixels."""
CLOSE_UPS = 0.25
"""Share of films' views that try to show a material alone."""


@dataclass(frozen=True)
class Example:
    """A picture `[64, 64, 3]` uint8 RGB, its thing's mask `[64, 64]` bool, caption and facts."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    caption: str
    seen: Facts
    said: Facts


def window(rng: Rng, rough: bool) -> NDArray[np.float64]:
    """Crop, flip, affine and perspective, as Text2LIVE's views: the matrix canvas to picture."""
    side = CANVAS * (rng.uniform(0.6, 1.0) if rough and rng.random() < 0.8 else 1.0)
    left, top = rng.uniform(0, CANVAS - side, 2)
    corners = np.array(
        [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]
    )
    if rng.random() < 0.5:
        corners = corners[[1, 0, 3, 2]]
    if rough:
        middle = corners.mean(0)
        if rng.random() < 0.6:
            a = np.radians(rng.uniform(-15, 15))
            turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
            corners = (corners - middle) @ turn.T + middle + rng.uniform(-0.1, 0.1, 2) * side
        if rng.random() < 0.4:
            corners = corners + rng.uniform(-0.18, 0.18, (4, 2)) * side
    target = np.array([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]], np.float32)
    matrix = cv2.getPerspectiveTransform((corners - 0.5).astype(np.float32), target - 0.5)
    return np.asarray(matrix, np.float64)


def develop(rng: Rng, picture: Field, grey: bool) -> NDArray[np.uint8]:
    """Brightness, contrast, saturation and colour jitter, grey, blur and noise."""
    tone = picture.mean(-1, keepdims=True)
    if grey:
        picture = np.repeat(tone, 3, -1)
    elif rng.random() < 0.6:
        picture = tone + (picture - tone) * rng.uniform(0.8, 1.2)
        picture = (picture - 128) * rng.uniform(0.82, 1.15) + 128 + rng.uniform(-16, 16)
        picture = picture * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    if rng.random() < 0.25:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
        picture = np.asarray(blurred, np.float32)
    if rng.random() < 0.4:
        noise = rng.standard_normal((SIZE, SIZE, 3), np.float32) * rng.uniform(2, 18)
        if rng.random() < 0.5:
            noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 1.6
        picture = picture + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def photograph(rng: Rng, scene: Scene, rough: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One view of a scene: picture `[64, 64, 3]` and the thing's matte `[64, 64]`, both uint8."""
    area = np.count_nonzero(scene.matte > 127) * (SIZE / CANVAS) ** 2
    for _ in range(4):
        matrix = window(rng, rough)
        matte = cv2.warpPerspective(scene.matte, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        if np.count_nonzero(matte > 127) >= 0.5 * area:
            break
    else:
        matrix = window(rng, False)
        matte = cv2.warpPerspective(scene.matte, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    fill = float(rng.choice([0.0, 255.0]))
    picture = cv2.warpPerspective(
        cv2.GaussianBlur(scene.canvas, (3, 3), 0.55),
        matrix,
        (SIZE, SIZE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if rng.random() < 0.4 else cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )
    if not rough:
        return np.asarray(picture, np.uint8), np.asarray(matte, np.uint8)
    facts = scene.facts
    tellable = facts.look < 0 or LOOKS[facts.look] in GREY_SAFE
    screen = facts.background == BACKGROUNDS.index("green screen")
    grey = tellable and not screen and rng.random() < 0.1
    return develop(rng, picture.astype(np.float32), grey), np.asarray(matte, np.uint8)


def film(rng: Rng, scene: Scene, rough: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Facts]:
    """A view as an edit of a film shows it, its matte, and what can still be seen in it.

    As `photograph`, or a close-up of the material alone; two in five are compressed.
    """
    facts = scene.facts
    close = close_up(rng, scene) if facts.look >= 0 and rng.random() < CLOSE_UPS else None
    if close is None:
        image, matte = photograph(rng, scene, rough)
    else:
        grey = LOOKS[facts.look] in GREY_SAFE and rng.random() < 0.1
        image, matte = develop(rng, close, grey), np.full((SIZE, SIZE), 255, np.uint8)
        facts = Facts(look=facts.look, effect=facts.effect)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))]
        packed = cv2.imencode(".jpg", image, quality)[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image, matte, facts


def close_up(rng: Rng, scene: Scene) -> Field | None:
    """A square that the scene's thing fills for the most part, `[64, 64, 3]`; None if it is small.

    Of a scene without a thing, any square.
    """
    for _ in range(6):
        side = int(CANVAS * rng.uniform(0.28, 0.6))
        top, left = rng.integers(0, CANVAS - side + 1, 2)
        area = np.s_[top : top + side, left : left + side]
        if scene.facts.thing < 0 or scene.matte[area].mean() > 0.75 * 255:
            piece = cv2.resize(scene.canvas[area], (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
            turned = np.ascontiguousarray(piece[:, ::-1] if rng.random() < 0.5 else piece)
            return turned.astype(np.float32)
    return None


def draw(rng: Rng, world: World) -> Example:
    """One example. The same generator state and world always give the same example."""
    scene = compose_scene(rng, world)
    image, matte = photograph(rng, scene, rng.random() < world.rough)
    caption, said = say(rng, scene.facts)
    return Example(image, matte > 127, caption, scene.facts, said)


def batch(seed: int, step: int, count: int, world: World) -> list[Example]:
    """`count` examples: a function of the seeds, the step and the world only."""
    rng = np.random.default_rng([seed, step])
    return [draw(rng, world) for _ in range(count)]
