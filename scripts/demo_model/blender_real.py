"""Makes a render look filmed: photographed materials, light of real places, lens and motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from scripts.demo_model.blender_nodes import Nodes, Rng

GLOSSY = frozenset({"marble", "tiles", "terrazzo", "metal plate", "roof tiles"})
"""Photographed materials that may be polished; the others are matt to satin."""


def photographed(n: Nodes, rng: Rng, look: str, tile: Path) -> None:
    """A photographed tile on every side of the object, its lightness as bump.

    The tile is 0.8 to 1.6 units wide on an object of 2 units.
    """
    at = n.sides(rng.uniform(0.6, 1.2), (rng.random(), rng.random(), rng.random()))
    image = n.put("TexImage", {"Vector": at}, image=_image(tile), extension="MIRROR")
    height = n.put("RGBToBW", {0: image.outputs[0]}).outputs[0]
    rough = rng.uniform(0.08, 0.4) if look in GLOSSY else rng.uniform(0.45, 0.95)
    bump = n.bump(height, rng.uniform(0.2, 0.9), rng.uniform(0.02, 0.08))
    n.surface(image.outputs[0], rough, Metallic=float(look == "metal plate"), Normal=bump)


def place_of(frame: Path, rng: Rng) -> None:
    """A frame of a film wrapped round the scene: its light, its reflections and the background."""
    world = bpy.data.worlds.new("place")
    bpy.context.scene.world = world
    world.cycles.sampling_method = "NONE"  # a map of where the light is takes longer than it saves
    n = Nodes(world, "World")
    point = n.put("TexCoord").outputs["Generated"]
    turn = (0.0, 0.0, rng.uniform(0, 2 * math.pi))
    around = n.put("Mapping", {0: point, 2: turn}).outputs[0]
    light = n.put("TexEnvironment", {0: around}, image=_image(frame)).outputs[0]
    # The camera sees the frame as it is; wrapped, a few of its pixels would fill the picture.
    window = n.put("TexCoord").outputs["Window"]
    zoom, corner = rng.uniform(0.3, 0.8), [rng.uniform(0, 0.2) for _ in range(3)]
    seen_at = n.put("Mapping", {0: window, 1: tuple(corner), 3: (zoom,) * 3}).outputs[0]
    seen = n.put("TexImage", {"Vector": seen_at}, image=_image(frame)).outputs[0]
    ray = n.put("LightPath").outputs[0]
    lit = n.put("Background", {0: light, 1: rng.uniform(0.7, 1.6)})
    shown = n.put("Background", {0: seen, 1: rng.uniform(0.8, 1.1)})
    both = n.put("MixShader", {0: ray, 1: lit.outputs[0], 2: shown.outputs[0]})
    n.tree.links.new(both.outputs[0], n.output.inputs[0])


def film(rng: Rng, whole: Any) -> None:
    """Sometimes a shallow focus, sometimes motion during the exposure."""
    scene = bpy.context.scene
    lens = scene.camera.data
    lens.dof.use_dof = rng.random() < 0.3
    lens.dof.focus_distance = (scene.camera.location - whole.location).length * rng.uniform(
        0.8, 1.1
    )
    lens.dof.aperture_fstop = rng.uniform(0.2, 1.0)
    scene.render.use_motion_blur = rng.random() < 0.25
    if scene.render.use_motion_blur:
        step = Vector((rng.uniform(-1, 1), 0, rng.uniform(-0.4, 0.4))) * 0.25
        home = whole.location.copy()
        for frame, place in ((0, home - step), (2, home + step)):
            whole.location = place
            whole.keyframe_insert("location", frame=frame)
        scene.frame_set(1)


def matte_of(whole: Any, side: int) -> list[bool]:
    """Whether each pixel of the picture shows the object, row by row from the top."""
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    camera = scene.camera
    corners = [camera.matrix_world @ v for v in camera.data.view_frame(scene=scene)]
    right, down = corners[0] - corners[3], corners[2] - corners[3]
    eye = camera.matrix_world.translation
    found = []
    for row in range(side):
        for column in range(side):
            at = corners[3] + right * ((column + 0.5) / side) + down * ((row + 0.5) / side)
            hit = scene.ray_cast(graph, eye, (at - eye).normalized())
            found.append(bool(hit[0]) and hit[4] is not None and hit[4].name == whole.name)
    return found


def write_matte(path: Path, shown: Sequence[bool], side: int) -> None:
    """The matte as a grey image file, 0 or 1."""
    image = bpy.data.images.new("matte", side, side)
    rows = [shown[r * side : (r + 1) * side] for r in reversed(range(side))]
    image.pixels = [v for row in rows for shows in row for v in (float(shows),) * 3 + (1.0,)]
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def _image(path: Path) -> Any:
    return bpy.data.images.load(str(path.resolve()), check_existing=True)
