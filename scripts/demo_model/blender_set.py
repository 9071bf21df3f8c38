"""Render a test set for the demo CLIP with Blender: other solids, other materials, other light.

    .venv-blender/bin/python -m scripts.demo_model.blender_set --out DIR [--count 300] [--seed 0]

Writes PNGs and labels.json, a list of {file, look, thing, background, matte}; background is null
where the demo CLIP has no word for it. With --photos and --frames, some materials are photographs
and some places are frames of films. --training leaves out the looks and things of the test set that
training must not see rendered. This Python needs bpy, but none of the training's packages.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from scripts.demo_model import photos
from scripts.demo_model.blender_build import joined, to_mesh
from scripts.demo_model.blender_looks import COLOURS, MATERIALS
from scripts.demo_model.blender_nodes import RGB, Nodes, linear, vivid
from scripts.demo_model.blender_real import film, matte_of, photographed, place_of, write_matte
from scripts.demo_model.blender_things import SOLIDS

Rng = random.Random
SIDE = 96
GREEN = (0, 177, 64)
PLAIN = 0.4
"""Share of plain backgrounds; the rest are green screens and scenes."""
SCENES = ("green screen", "green screen", "meadow", "sky", "brick wall", "wood floor",
          "snowfield", "desert", "night", "room")  # fmt: skip
SIMILAR = {"grass": "meadow", "moss": "meadow", "leaves": "meadow", "flowers": "meadow",
           "snow": "snowfield", "white": "snowfield", "sand": "desert", "brick": "brick wall",
           "wood": "wood floor", "clouds": "sky", "stars": "night", "black": "night",
           "green": "green screen"}  # fmt: skip
"""Backgrounds a look would vanish in."""
UNSEEN_LOOKS = frozenset(
    {"gold", "wood", "brick", "stained glass", "denim", "zebra", "ice", "candy"}
)
UNSEEN_THINGS = frozenset({"swan", "car", "dog", "guitar"})
"""Never rendered for training, so that the test set tells what carries over."""
REAL = 0.5
"""Share of photographed materials, where there are any, and of real places."""


@dataclass(frozen=True)
class Real:
    """Photographs of materials by look, and frames of films; both may be empty."""

    tiles: Mapping[str, Sequence[Path]]
    frames: Sequence[Path]


def prepare(samples: int) -> Any:
    """The renderer, on one thread of the processor."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", samples
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces, scene.cycles.transmission_bounces = 4, 4
    scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = 1, 2
    scene.cycles.use_adaptive_sampling = False
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x = scene.render.resolution_y = SIDE
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform = "Standard"
    return scene


def clear() -> None:
    for group in (bpy.data.objects, bpy.data.meshes, bpy.data.curves, bpy.data.materials,
                  bpy.data.lights, bpy.data.cameras, bpy.data.worlds):  # fmt: skip
        for item in list(group):
            group.remove(item)


def material(name: str) -> Any:
    return bpy.data.materials.new(name)


def build(rng: Rng, thing: str, look: str, real: Real) -> Any:
    """The thing in the look: 2 units large, standing at the origin, turned a little."""
    make, spread = SOLIDS[thing]
    worn, dark = make(rng)
    whole = joined(worn)
    covering = material(look)
    tiles = real.tiles.get(look, ())
    if tiles and (look not in MATERIALS or rng.random() < REAL):
        photographed(Nodes(covering), rng, look, rng.choice(tiles))
    else:
        MATERIALS[look](Nodes(covering), rng)
    whole.data.materials.clear()
    whole.data.materials.append(covering)
    if dark:
        shade = material("dark")
        tone = 60 if look in ("black", "chocolate", "brown", "stars", "neon") else 25
        Nodes(shade).surface((tone, tone, tone), 0.4)
        rest = joined(dark)
        rest.data.materials.clear()
        rest.data.materials.append(shade)
        whole = joined([whole, rest])
    points = [v.co for v in whole.data.vertices]
    low, high = ([f(p[i] for p in points) for i in range(3)] for f in (min, max))
    scale = 2 / max(b - a for a, b in zip(low, high, strict=True))
    middle = Vector(((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]))
    for vertex in whole.data.vertices:
        vertex.co = (vertex.co - middle) * scale
    turn = rng.uniform(-spread, spread)
    if spread < 90 and rng.random() < 0.5 and thing not in ("house", "guitar", "flower"):
        turn += 180
    if thing == "cat":
        turn = rng.uniform(-spread, spread)
    whole.rotation_euler = (0, 0, math.radians(turn))
    return whole


def wall(at: tuple[float, float, float], upright: bool, covering: Any) -> None:
    bpy.ops.mesh.primitive_plane_add(size=40, location=at, rotation=(upright * math.pi / 2, 0, 0))
    bpy.context.object.data.materials.append(covering)


def coloured(colour: RGB) -> Any:
    covering = material("ground")
    Nodes(covering).surface(colour, 0.9)
    return covering


def clear_of(rng: Rng, look: str) -> RGB:
    """A plain colour that a thing in the look stands out from."""
    while True:
        colour = vivid(rng.random(), rng.choice([0.0, 0.15, 0.5, 0.8]), rng.uniform(0.25, 1.0))
        own = COLOURS.get(look, {"snow": (240, 240, 245), "silver": (150, 150, 155)}.get(look))
        if own is None or math.dist(own, colour) > 130:
            return colour


def surround(rng: Rng, look: str) -> tuple[str, float]:
    """Ground, backdrop and sky; gives the background's name and how bright the lights are to be."""
    name = "plain" if rng.random() < PLAIN else rng.choice(SCENES)
    if SIMILAR.get(look) == name:
        name = "plain"
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    n = Nodes(world, "World")
    seen: Any = linear((200, 205, 210))
    point = n.put("TexCoord").outputs["Generated"]
    height = n.put("SeparateXYZ", {0: point}).outputs[2]
    blue = n.ramp(height, [(0.0, (215, 228, 242)), (0.5, (70, 130, 215))])
    level = rng.choice([-0.02, -0.02, -0.6])
    if name == "plain":
        colour = clear_of(rng, look)
        seen = linear(colour)
        if rng.random() < 0.7:
            wall((0, 0, 0), False, coloured(colour))
            wall((0, rng.uniform(2.5, 5), 0), True, coloured(colour))
    elif name == "green screen":
        seen = linear(GREEN)
    elif name == "sky":
        puffs = n.noise(point, 7, 5)
        seen = n.ramp(puffs, [(0.45, (85, 145, 220)), (0.6, (245, 247, 250))])
    elif name == "night":
        dots = n.math("LESS_THAN", n.cells(point, 40).outputs["Distance"], 0.16)
        seen = n.blend(dots, (8, 10, 34), (245, 245, 230))
    elif name in ("brick wall", "room"):
        back = material("wall")
        if name == "room":
            back = coloured(vivid(rng.random(), 0.2, 0.85))
        else:
            MATERIALS["brick"](Nodes(back), rng)
        wall((0, 1.6, 0), True, back)
        wall((0, 0, 0), False, coloured((130, 100, 75) if name == "room" else (120, 118, 115)))
    else:
        seen = blue
        ground = material("ground")
        nodes = Nodes(ground)
        if name == "wood floor":
            boards = nodes.put("TexBrick", {
                "Vector": nodes.place(1, (rng.random(), rng.random(), 0)), "Scale": 1.0,
                "Mortar Size": 0.015,
                "Brick Width": 3.0, "Row Height": 0.4, "Color1": linear((150, 98, 52)),
                "Color2": linear((186, 130, 76)), "Mortar": linear((60, 36, 18))})  # fmt: skip
            grain = nodes.ramp(
                nodes.noise(nodes.place((1, 9, 1)), 2, 5),
                [(0.3, (190, 180, 170)), (0.6, (255, 255, 255))],
            )
            nodes.surface(nodes.blend(1.0, boards.outputs[0], grain, "MULTIPLY"), 0.5)
            wall((0, 3.5, 0), True, coloured((205, 196, 182)))
        else:
            MATERIALS[{"meadow": "grass", "snowfield": "snow", "desert": "sand"}[name]](nodes, rng)
        wall((0, 0, level if name == "meadow" else 0), False, ground)
    ray = n.put("LightPath").outputs[0]
    light = n.put("Background", {0: linear((225, 230, 240)), 1: rng.uniform(0.35, 0.7)})
    shown = n.put("Background", {0: seen, 1: 1.0})
    both = n.put("MixShader", {0: ray, 1: light.outputs[0], 2: shown.outputs[0]})
    n.tree.links.new(both.outputs[0], n.output.inputs[0])
    return name, 0.7 if name == "night" else 1.0


def lamps(rng: Rng, bright: float) -> None:
    """A sun and a large soft light from the viewer's side."""
    for kind, power in (("SUN", rng.uniform(1.5, 3.0)), ("AREA", rng.uniform(60, 160))):
        data = bpy.data.lights.new(kind, kind)
        data.energy = power * bright
        lamp = bpy.data.objects.new(kind, data)
        bpy.context.scene.collection.objects.link(lamp)
        a, up = rng.uniform(-2.6, -0.5), rng.uniform(0.5, 1.1)
        lamp.location = (
            Vector((math.cos(a) * math.cos(up), math.sin(a) * math.cos(up), math.sin(up))) * 5
        )
        lamp.rotation_euler = (
            (Vector((0, 0, 1)) - lamp.location).to_track_quat("-Z", "Y").to_euler()
        )
        if kind == "AREA":
            data.size = 3
        else:
            data.angle = 0.1


def aim(rng: Rng, whole: Any) -> None:
    """A camera 5..35° above the thing, which then fills 45..90 % of the picture."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera = camera
    up, far = math.radians(rng.uniform(5, 30)), rng.uniform(5, 9)
    middle = Vector((0, 0, 0.5 * max(v.co.z for v in whole.data.vertices)))
    camera.location = middle + far * Vector((0, -math.cos(up), math.sin(up)))
    camera.rotation_euler = (middle - camera.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.view_layer.update()
    points = list(whole.data.vertices)[:: max(1, len(whole.data.vertices) // 800)]
    shown = [world_to_camera_view(scene, camera, whole.matrix_world @ v.co) for v in points]
    low, high = ([f(p[i] for p in shown) for i in range(2)] for f in (min, max))
    size = max(b - a for a, b in zip(low, high, strict=True))
    fill = rng.uniform(0.5, 0.9)
    zoom = fill / size
    camera.data.lens *= zoom
    slack = (1 - fill) / 2 * 0.6
    across, along = (
        (low[i] + high[i] - 1) / 2 * zoom + rng.uniform(-slack, slack) for i in range(2)
    )
    camera.data.shift_x, camera.data.shift_y = across, along


def render(
    out: Path, number: int, seed: int, real: Real, looks: Sequence[str], things: Sequence[str]
) -> dict[str, str | None]:
    """One picture, its matte and labels: a function of seed and number."""
    rng = random.Random(f"{seed} {number}")
    # Every class comes about equally often, always in other pairs.
    look = looks[number % len(looks)]
    order = random.Random(f"{seed} {number // len(things)} things")
    thing = order.sample(things, len(things))[number % len(things)]
    clear()
    whole = to_mesh(build(rng, thing, look, real))
    background: str | None
    if real.frames and rng.random() < REAL:
        place_of(rng.choice(real.frames), rng)
        background, bright = None, rng.uniform(0.0, 0.8)
    else:
        background, bright = surround(rng, look)
    lamps(rng, bright)
    aim(rng, whole)
    if real.frames:
        film(rng, whole)
    scene = bpy.context.scene
    scene.cycles.seed = number
    name, matte = f"{number:04d}.png", f"{number:04d}_matte.png"
    write_matte(out / matte, matte_of(whole, SIDE), SIDE)
    scene.render.filepath = str((out / name).resolve())
    bpy.ops.render.render(write_still=True)
    return {"file": name, "look": look, "thing": thing, "background": background, "matte": matte}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for images and labels")
    parser.add_argument("--count", type=int, default=300, help="number of images")
    parser.add_argument("--seed", type=int, default=0, help="seed of things, looks and scenes")
    parser.add_argument("--samples", type=int, default=12, help="light paths per pixel")
    parser.add_argument("--photos", type=Path, help="folder of material photographs")
    parser.add_argument("--frames", type=Path, help="folder of clips, for real places")
    parser.add_argument(
        "--training", action="store_true", help="leave out what only the test set may show"
    )
    options = parser.parse_args()
    real = Real(
        photos.tiles(options.photos, held_out=not options.training) if options.photos else {},
        photos.frames(options.frames) if options.frames else (),
    )
    looks = list(dict.fromkeys((*MATERIALS, *real.tiles)))
    things = list(SOLIDS)
    if options.training:
        looks = [look for look in looks if look not in UNSEEN_LOOKS]
        things = [thing for thing in things if thing not in UNSEEN_THINGS]
    options.out.mkdir(parents=True, exist_ok=True)
    prepare(options.samples)
    start = time.monotonic()
    labels = []
    for number in range(options.count):
        labels.append(render(options.out, number, options.seed, real, looks, things))
        # Written every time: an interrupted run leaves a set that can be used.
        text = json.dumps(labels, indent=1) + "\n"
        (options.out / "labels.json").write_text(text, encoding="utf-8")
    print(f"{options.count} pictures, {(time.monotonic() - start) / options.count:.2f} s each")


if __name__ == "__main__":
    main()
