"""Looks as Blender materials: procedural shader nodes that share nothing with the drawn world.

An object's longest side is 2 units; patterns are large enough to be seen on 64 pixels. Each
function finishes the node tree it is given. Names are the demo CLIP's classes.
"""

from __future__ import annotations

from collections.abc import Callable

from scripts.demo_model.blender_looks_made import MADE
from scripts.demo_model.blender_nodes import RGB, Nodes, Rng, bands, shift, vivid

COLOURS: dict[str, RGB] = {
    "red": (200, 20, 25),
    "green": (30, 140, 45),
    "blue": (30, 60, 190),
    "yellow": (245, 215, 25),
    "orange": (240, 120, 15),
    "purple": (115, 35, 150),
    "pink": (245, 125, 175),
    "white": (240, 240, 240),
    "black": (14, 14, 15),
    "brown": (100, 58, 28),
    "grey": (125, 125, 128),
}


def paint(name: str) -> Callable[[Nodes, Rng], None]:
    """A plain colour, from matt to lacquered."""

    def finish(n: Nodes, rng: Rng) -> None:
        red, green, blue = (c * rng.uniform(0.88, 1.06) for c in COLOURS[name])
        if name in ("white", "grey", "black"):
            red = green = blue = COLOURS[name][0] * rng.uniform(0.9, 1.05)
        n.surface((red, green, blue), rng.uniform(0.3, 0.8))

    return finish


def metal(colour: RGB, rough: tuple[float, float]) -> Callable[[Nodes, Rng], None]:
    def finish(n: Nodes, rng: Rng) -> None:
        n.surface(colour, rng.uniform(*rough), Metallic=1.0)

    return finish


def rust(n: Nodes, rng: Rng) -> None:
    spots = n.noise(n.place(1, shift(rng)), 3, 8, 0.7)
    colour = n.ramp(
        spots,
        [(0.3, (45, 28, 22)), (0.45, (120, 55, 25)), (0.6, (180, 85, 35)), (0.75, (95, 75, 65))],
    )
    n.surface(colour, 0.85, Normal=n.bump(spots, 0.6))


def wood(n: Nodes, rng: Rng) -> None:
    tilt = (rng.uniform(0.3, 0.6), 2.2, 2.2) if rng.random() < 0.5 else (2.2, 2.2, 0.5)
    at = n.place(tilt, [0.2 * v for v in shift(rng)])
    wave = n.put(
        "TexWave",
        {"Vector": at, "Scale": 1.1, "Distortion": 4.0, "Detail": 3.0, "Detail Scale": 1.2},
        wave_type="RINGS",
        rings_direction="SPHERICAL",
        wave_profile="SAW",
    ).outputs[1]
    dark, light = rng.choice([((90, 50, 24), (175, 118, 66)), ((120, 74, 38), (206, 156, 98))])
    n.surface(n.ramp(wave, [(0.0, light), (0.7, dark), (1.0, light)]), 0.5)


def marble(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    wave = n.put(
        "TexWave",
        {"Vector": at, "Scale": 0.7, "Distortion": 14.0, "Detail": 5.0, "Detail Scale": 1.3},
        bands_direction="DIAGONAL",
    ).outputs[1]
    n.surface(
        n.ramp(wave, [(0.0, (105, 107, 115)), (0.07, (195, 195, 199)), (0.3, (238, 236, 232))]),
        0.15,
        Coat_Weight=0.5,
    )


def stone(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    edge = n.cells(at, 2.6, "DISTANCE_TO_EDGE").outputs["Distance"]
    tone = n.ramp(n.noise(at, 5, 8, 0.7), [(0.3, (75, 72, 68)), (0.7, (165, 160, 152))])
    gaps = n.ramp(edge, [(0.0, (40, 38, 36)), (0.1, (255, 255, 255))])
    n.surface(
        n.blend(1.0, tone, gaps, "MULTIPLY"), 0.9, Normal=n.bump(n.math("MINIMUM", edge, 0.2), 1.0)
    )


def grass(n: Nodes, rng: Rng) -> None:
    blades = n.noise(n.place((9, 9, 2.2), shift(rng)), 2.2, 5, 0.75)
    colour = n.ramp(blades, [(0.3, (18, 55, 12)), (0.5, (62, 130, 30)), (0.65, (130, 190, 60))])
    n.surface(colour, 0.9, Normal=n.bump(blades, 1.0, 0.15))


def moss(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    tufts = n.noise(at, 9, 6, 0.7)
    patches = n.noise(at, 2, 3)
    green = n.ramp(tufts, [(0.35, (28, 42, 12)), (0.6, (95, 112, 32)), (0.75, (140, 150, 60))])
    share = n.math("GREATER_THAN", patches, 0.6)
    n.surface(n.blend(share, green, (82, 72, 58)), 1.0, Normal=n.bump(tufts, 1.0, 0.12))


def leaves(n: Nodes, rng: Rng) -> None:
    at = n.place((1, 1, 0.7), shift(rng))
    leaf = n.cells(at, 4.2)
    tone = n.put("SeparateColor", {0: leaf.outputs["Color"]}).outputs[0]
    colour = n.ramp(tone, [(0.0, (20, 70, 20)), (0.6, (60, 130, 35)), (1.0, (130, 175, 55))])
    rim = n.ramp(leaf.outputs["Distance"], [(0.35, (255, 255, 255)), (0.7, (40, 60, 30))])
    n.surface(
        n.blend(1.0, colour, rim, "MULTIPLY"), 0.5,
        Normal=n.bump(n.math("SUBTRACT", 1.0, leaf.outputs["Distance"]), 1.0, 0.2),
    )  # fmt: skip


def flowers(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    cell = n.cells(at, 3.0)
    wobble = n.math("MULTIPLY_ADD", n.noise(at, 10, 2), 0.25, cell.outputs["Distance"])
    tone = n.put("SeparateColor", {0: cell.outputs["Color"]}).outputs[0]
    petals = n.ramp(
        tone,
        [
            (0, (240, 110, 160)),
            (0.3, (250, 240, 245)),
            (0.55, (220, 50, 70)),
            (0.8, (170, 90, 210)),
        ],
        True,
    )
    green = n.ramp(n.noise(at, 8), [(0.3, (25, 70, 20)), (0.7, (85, 140, 50))])
    colour = n.blend(n.math("GREATER_THAN", wobble, 0.56), petals, green)
    n.surface(n.blend(n.math("LESS_THAN", wobble, 0.27), colour, (245, 205, 50)), 0.7)


def water(n: Nodes, rng: Rng) -> None:
    waves = n.noise(n.place((1.5, 1.5, 4), shift(rng)), 1.6, 3)
    colour = n.ramp(waves, [(0.3, (10, 60, 110)), (0.5, (40, 125, 175)), (0.65, (190, 225, 235))])
    n.surface(colour, 0.05, Normal=n.bump(waves, 0.6, 0.2), Transmission_Weight=0.35, IOR=1.33)


def ice(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    bent = n.vector("ADD", at, n.noise(at, 2))
    crack = n.cells(bent, 1.8, "DISTANCE_TO_EDGE").outputs["Distance"]
    colour = n.ramp(
        crack, [(0.0, (252, 254, 255)), (0.05, (165, 212, 236)), (0.5, (120, 185, 222))]
    )
    n.surface(colour, 0.12, Transmission_Weight=0.45, IOR=1.31, Normal=n.bump(crack, 0.4))


def snow(n: Nodes, rng: Rng) -> None:
    lumps = n.noise(n.place(1, shift(rng)), 5, 6, 0.65)
    n.surface(
        n.ramp(lumps, [(0.3, (222, 232, 245)), (0.5, (252, 253, 255))]), 0.9,
        Normal=n.bump(lumps, 1.0, 0.14),
    )  # fmt: skip


def lava(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    bent = n.vector("ADD", at, n.noise(at, 3, 4))
    edge = n.cells(bent, 2.6, "DISTANCE_TO_EDGE").outputs["Distance"]
    n.glow(
        n.ramp(
            edge,
            [
                (0.0, (255, 225, 90)),
                (0.05, (255, 120, 10)),
                (0.14, (170, 25, 5)),
                (0.24, (28, 14, 12)),
            ],
        )
    )


def fire(n: Nodes, rng: Rng) -> None:
    at = n.place((1.4, 1.4, 0.6), shift(rng))
    tongues = n.put(
        "TexNoise",
        {"Vector": at, "Scale": 2.4, "Detail": 5.0, "Roughness": 0.55, "Distortion": 1.2},
    ).outputs[0]
    n.glow(
        n.ramp(
            tongues,
            [
                (0.32, (60, 8, 2)),
                (0.44, (205, 40, 5)),
                (0.54, (250, 135, 15)),
                (0.66, (255, 235, 120)),
            ],
        )
    )


def clouds(n: Nodes, rng: Rng) -> None:
    puffs = n.noise(n.place((1, 1, 1.5), shift(rng)), 1.8, 6, 0.55)
    n.surface(n.ramp(puffs, [(0.42, (90, 150, 220)), (0.58, (250, 250, 252))]), 1.0)


def crystal(n: Nodes, rng: Rng) -> None:
    facet = n.cells(n.place(1, shift(rng)), 2.8)
    tone = n.put("SeparateColor", {0: facet.outputs["Color"]}).outputs[0]
    hue = rng.choice([0.76, 0.8, 0.52, 0.9])
    colour = n.ramp(
        tone,
        [(0.0, vivid(hue, 0.75, 0.45)), (0.6, vivid(hue, 0.5, 0.9)), (1.0, vivid(hue, 0.1, 1))],
    )
    normal = n.vector("NORMALIZE", n.vector("ADD", n.put("NewGeometry").outputs["Normal"],
        n.vector("SUBTRACT", facet.outputs["Color"], (0.5, 0.5, 0.5))))  # fmt: skip
    n.surface(colour, 0.04, Transmission_Weight=0.5, IOR=1.7, Normal=normal)


def glass(n: Nodes, rng: Rng) -> None:
    n.surface(rng.choice([(235, 248, 245), (200, 235, 230)]), 0.0, Transmission_Weight=1.0, IOR=1.4)


def leopard(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    bent = n.vector("ADD", at, n.vector("SCALE", n.noise(at, 6)))
    spot = n.math("MULTIPLY_ADD", n.noise(at, 9, 2), 0.35, n.cells(bent, 4.2).outputs["Distance"])
    n.surface(
        n.ramp(spot, [(0.0, (140, 82, 35)), (0.4, (28, 18, 12)), (0.58, (215, 160, 90))], True), 0.8
    )


def zebra(n: Nodes, rng: Rng) -> None:
    n.surface(
        n.ramp(bands(n, rng, 1.1, 5.0), [(0.0, (15, 15, 15)), (0.5, (240, 238, 232))], True), 0.8
    )


def tiger(n: Nodes, rng: Rng) -> None:
    n.surface(
        n.ramp(bands(n, rng, 1.0, 6.5), [(0.0, (20, 14, 10)), (0.32, (225, 125, 35))], True), 0.8
    )


def giraffe(n: Nodes, rng: Rng) -> None:
    edge = n.cells(n.place(1, shift(rng)), 2.7, "DISTANCE_TO_EDGE").outputs["Distance"]
    n.surface(n.ramp(edge, [(0.0, (238, 212, 160)), (0.075, (150, 88, 35))], True), 0.8)


def stars(n: Nodes, rng: Rng) -> None:
    at = n.place(1, shift(rng))
    sky = n.ramp(
        n.noise(at, 1.8, 4), [(0.35, (6, 8, 32)), (0.55, (28, 22, 80)), (0.7, (90, 50, 130))]
    )
    spot = n.math("LESS_THAN", n.cells(at, 5.0).outputs["Distance"], 0.2)
    n.glow(n.blend(spot, sky, (255, 252, 235)))


def sand(n: Nodes, rng: Rng) -> None:
    grain = n.noise(n.place(1, shift(rng)), 28, 4, 0.8)
    dunes = bands(n, rng, 1.3, 3.0)
    tone = n.math("MULTIPLY_ADD", dunes, 0.25, grain)
    n.surface(
        n.ramp(tone, [(0.3, (170, 130, 80)), (0.85, (235, 205, 150))]),
        1.0,
        Normal=n.bump(dunes, 0.3),
    )


MATERIALS: dict[str, Callable[[Nodes, Rng], None]] = {
    **{name: paint(name) for name in COLOURS},
    "gold": metal((255, 195, 75), (0.12, 0.35)),
    "silver": metal((225, 227, 230), (0.08, 0.3)),
    "copper": metal((222, 128, 88), (0.12, 0.35)),
    "rust": rust, "wood": wood, "marble": marble, "stone": stone, "grass": grass, "moss": moss,
    "leaves": leaves, "flowers": flowers, "water": water, "ice": ice, "snow": snow, "lava": lava,
    "fire": fire, "clouds": clouds, "crystal": crystal, "glass": glass, "leopard": leopard,
    "zebra": zebra, "tiger": tiger, "giraffe": giraffe, "stars": stars, "sand": sand,
    **MADE,
}  # fmt: skip
"""How to finish a material of each look."""
