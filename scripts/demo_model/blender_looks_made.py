"""Looks that people make, as Blender materials: bricks, cloth, patterns, light, sweets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.demo_model.blender_nodes import Nodes, Rng, bands, shift, vivid


def bricks(n: Nodes, at: Any, **size: float) -> Any:
    """A brick node with joints of mortar."""
    inputs = {"Vector": at, "Mortar Size": 0.035, "Bias": 0.0, "Scale": 1.0, "Brick Width": 0.62,
              "Row Height": 0.25, **{k.replace("_", " "): v for k, v in size.items()}}  # fmt: skip
    return n.put("TexBrick", inputs)


def brick(n: Nodes, rng: Rng) -> None:
    node = bricks(n, n.sides(1.0, shift(rng)))
    for number, colour in enumerate(((165, 62, 42), (130, 45, 32), (205, 198, 188))):
        node.inputs[number + 1].default_value = [(c / 255) ** 2.2 for c in colour] + [1]
    n.surface(node.outputs[0], 0.9)


def stained_glass(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    tone = n.put("SeparateColor", {0: n.cells(at, 2.4).outputs["Color"]}).outputs[0]
    hues = (0.0, 0.6, 0.13, 0.36, 0.78, 0.52, 0.07)
    pane = n.ramp(tone, [(i / 7, vivid(h, 0.9, 0.95)) for i, h in enumerate(hues)], True)
    lead = n.math("LESS_THAN", n.cells(at, 2.4, "DISTANCE_TO_EDGE").outputs["Distance"], 0.07)
    colour = n.blend(lead, pane, (10, 10, 12))
    n.surface(colour, 0.1, Emission_Color=colour, Emission_Strength=0.25)


def mosaic(n: Nodes, rng: Rng) -> None:
    at = n.sides(4.5, shift(rng))
    tile = n.put("TexWhiteNoise", {"Vector": n.vector("FLOOR", at)}).outputs[0]
    hue = rng.random()
    tones = [(i / 5, vivid(hue + d, s, v)) for i, (d, s, v) in enumerate(
        [(0, 0.8, 0.5), (0.08, 0.6, 0.9), (0.5, 0.5, 0.9), (0, 0.2, 0.95), (0.12, 0.8, 0.7)]
    )]  # fmt: skip
    inside = n.put("SeparateXYZ", {0: n.vector("FRACTION", at)}).outputs
    away = n.math("MINIMUM", inside[0], inside[1])
    n.surface(
        n.blend(n.math("LESS_THAN", away, 0.16), n.ramp(tile, tones, True), (215, 212, 205)), 0.2
    )


def leather(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    grain = n.cells(at, 9, "DISTANCE_TO_EDGE").outputs["Distance"]
    colour = n.ramp(n.noise(at, 3), [(0.3, (82, 42, 20)), (0.7, (135, 76, 38))])
    creases = n.ramp(grain, [(0.0, (175, 175, 175)), (0.1, (255, 255, 255))])
    n.surface(n.blend(1.0, colour, creases, "MULTIPLY"), 0.4, Normal=n.bump(grain, 0.8))


def denim(n: Nodes, rng: Rng) -> None:
    at = n.sides(1.0, shift(rng))
    twill = n.put("TexWave", {"Vector": at, "Scale": 5.5}, bands_direction="DIAGONAL").outputs[1]
    tone = n.math(
        "MULTIPLY_ADD", n.noise(n.place(1, shift(rng)), 6, 6), 1.0, n.math("MULTIPLY", twill, 0.35)
    )
    n.surface(
        n.ramp(tone, [(0.35, (32, 50, 98)), (0.65, (62, 92, 150)), (0.95, (150, 172, 208))]), 0.95
    )


def wool(n: Nodes, rng: Rng) -> None:
    at = n.put("SeparateXYZ", {0: n.sides(5.0, shift(rng))}).outputs
    lean = n.math("ABSOLUTE", n.math("SUBTRACT", n.math("FRACT", at[0]), 0.5))
    stitch = n.math("FRACT", n.math("ADD", at[1], lean))
    rise = n.math("SINE", n.math("MULTIPLY", stitch, 3.1416))
    hue = rng.random()
    base = rng.choice([vivid(hue, 0.5, 0.75), (225, 215, 195)])
    n.surface(
        n.ramp(rise, [(0.1, (0.45 * base[0], 0.45 * base[1], 0.45 * base[2])), (0.7, base)]),
        1.0,
        Normal=n.bump(rise, 0.8),
    )


def polka_dots(n: Nodes, rng: Rng) -> None:
    dots = n.cells(n.sides(1.0, shift(rng)), 3.0, regular=True, voronoi_dimensions="2D")
    ground, dot = rng.choice(
        [((240, 240, 240), vivid(rng.random())), (vivid(rng.random()), (250, 250, 250))]
    )
    n.surface(n.blend(n.math("LESS_THAN", dots.outputs["Distance"], 0.3), ground, dot), 0.5)


def stripes(n: Nodes, rng: Rng) -> None:
    wave = n.put(
        "TexWave", {"Vector": n.place(1, shift(rng)), "Scale": rng.uniform(0.7, 1.1)},
        bands_direction=rng.choice("XZ"),
    ).outputs[1]  # fmt: skip
    hue = rng.random()
    other = rng.choice([(245, 245, 245), vivid(hue + rng.uniform(0.3, 0.7))])
    n.surface(n.ramp(wave, [(0.0, vivid(hue)), (0.5, other)], True), 0.5)


def checkerboard(n: Nodes, rng: Rng) -> None:
    dark = rng.choice([(15, 15, 15), (15, 15, 15), vivid(rng.random(), 0.9, 0.7)])
    at = n.place(1, [rng.uniform(0, 9) + 0.013 for _ in range(3)])
    check = n.put("TexChecker", {"Vector": at, "Scale": rng.uniform(2.6, 3.6)}).outputs[1]
    n.surface(n.blend(check, (245, 245, 245), dark), 0.4)


def rainbow(n: Nodes, rng: Rng) -> None:
    p = n.put("SeparateXYZ", {0: n.place(0.48, (0.5, 0.5, 0.02))}).outputs
    hues = (0.0, 0.08, 0.16, 0.36, 0.55, 0.66, 0.8)
    stops = [(0.05 + i * 0.14, vivid(h, 0.92, 0.95)) for i, h in enumerate(hues)]
    n.surface(n.ramp(p[rng.choice((0, 2))], stops, rng.random() < 0.4), 0.5)


def neon(n: Nodes, rng: Rng) -> None:
    facing = n.put("LayerWeight", {"Blend": 0.5}).outputs["Facing"]
    lines = n.math("GREATER_THAN", bands(n, rng, 0.75, 2.5), 0.86)
    hue = rng.choice([0.85, 0.9, 0.5, 0.35, 0.6])
    light = n.math("MAXIMUM", lines, n.math("GREATER_THAN", facing, 0.62))
    n.glow(n.blend(light, vivid(hue, 0.9, 0.12), vivid(hue, 0.75, 1.0)), 1.6)


def chocolate(n: Nodes, rng: Rng) -> None:
    at = n.sides(2.4, shift(rng))
    inside = n.put("SeparateXYZ", {0: n.vector("FRACTION", at)}).outputs
    groove = n.math("MULTIPLY", n.math("MINIMUM", inside[0], inside[1]), 4.0)
    base = rng.choice([(72, 38, 20), (52, 26, 14), (98, 56, 32)])
    n.surface(base, 0.22, Coat_Weight=0.6, Normal=n.bump(n.math("MINIMUM", groove, 1.0), 0.7, 0.1))


def tartan(n: Nodes, rng: Rng) -> None:
    p = n.put("SeparateXYZ", {0: n.vector("FRACTION", n.sides(1.5, shift(rng)))}).outputs
    ground, band = rng.choice([((180, 25, 30), (20, 60, 40)), ((25, 80, 50), (20, 30, 90))])
    cloth: Any = ground
    for axis in (0, 1):
        wide = n.math("MULTIPLY", n.math("GREATER_THAN", p[axis], 0.55), 0.55)
        cloth = n.blend(wide, cloth, band)
    for axis in (0, 1):
        thin = n.math("COMPARE", p[axis], 0.25, 0.045)
        cloth = n.blend(n.math("MULTIPLY", thin, 0.8), cloth, (245, 225, 120))
    n.surface(cloth, 0.95)


MADE: dict[str, Callable[[Nodes, Rng], None]] = {
    "brick": brick, "stained glass": stained_glass, "mosaic": mosaic, "leather": leather,
    "denim": denim, "wool": wool, "polka dots": polka_dots, "stripes": stripes,
    "checkerboard": checkerboard, "rainbow": rainbow, "neon": neon, "chocolate": chocolate,
    "tartan": tartan,
}  # fmt: skip
"""How to finish a material of each of these looks."""
