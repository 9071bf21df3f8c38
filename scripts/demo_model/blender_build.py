"""Building blocks of solids in Blender: primitives, lathes, extruded outlines, tubes and flesh.

Every function adds one mesh object to the scene and returns it. z is up; the viewer looks along +y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import bpy

Point = tuple[float, float, float]


def to_mesh(thing: Any) -> Any:
    """The object as a mesh with its modifiers applied."""
    bpy.ops.object.select_all(action="DESELECT")
    thing.select_set(True)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.convert(target="MESH")
    return bpy.context.object


def shaded(thing: Any, smooth: bool) -> Any:
    thing.data.polygons.foreach_set("use_smooth", [smooth] * len(thing.data.polygons))
    return thing


def added(thing: Any) -> Any:
    bpy.context.scene.collection.objects.link(thing)
    return thing


def ball(at: Point, size: float | Point, turn: Point = (0, 0, 0)) -> Any:
    """An ellipsoid with radii `size`."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=32, ring_count=16, location=at, rotation=turn)
    thing = bpy.context.object
    thing.scale = (size,) * 3 if isinstance(size, float | int) else size
    return shaded(thing, True)


def slab(at: Point, size: Point, bevel: float = 0.03, turn: Point = (0, 0, 0)) -> Any:
    """A box with full sides `size` and rounded edges."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=at, rotation=turn)
    thing = bpy.context.object
    thing.scale = size
    bpy.ops.object.transform_apply(location=False, rotation=False, scale=True)
    if bevel:
        modifier = thing.modifiers.new("bevel", "BEVEL")
        modifier.width, modifier.segments = bevel, 3
    return thing


def cone(
    at: Point, low: float, high: float, tall: float, turn: Point = (0, 0, 0), sides: int = 32
) -> Any:
    """A cylinder or cone about its middle, radii `low` and `high`."""
    bpy.ops.mesh.primitive_cone_add(
        vertices=sides, radius1=low, radius2=high, depth=tall, location=at, rotation=turn
    )
    return shaded(bpy.context.object, False)


def torus(at: Point, radius: float, thick: float, turn: Point = (0, 0, 0)) -> Any:
    bpy.ops.mesh.primitive_torus_add(
        location=at, rotation=turn, major_radius=radius, minor_radius=thick, major_segments=48
    )
    return shaded(bpy.context.object, True)


def lathe(
    profile: Sequence[tuple[float, float]], at: Point = (0, 0, 0), smooth: bool = True
) -> Any:
    """A profile of (radius, height) turned about the vertical."""
    mesh = bpy.data.meshes.new("lathe")
    rows = [(max(r, 1e-4), 0.0, z) for r, z in profile]
    mesh.from_pydata(rows, [(i, i + 1) for i in range(len(rows) - 1)], [])
    thing = added(bpy.data.objects.new("lathe", mesh))
    thing.location = at
    screw = thing.modifiers.new("screw", "SCREW")
    screw.steps = screw.render_steps = 40
    screw.use_smooth_shade, screw.use_merge_vertices = smooth, True
    screw.use_normal_calculate = True
    return thing


def plate(
    outline: Sequence[tuple[float, float]], deep: float, bevel: float = 0.04, y: float = 0.0
) -> Any:
    """A closed outline (x, z) that stands upright, `deep` along y, rounded by `bevel`."""
    curve = bpy.data.curves.new("plate", "CURVE")
    curve.dimensions, curve.fill_mode = "2D", "BOTH"
    curve.extrude, curve.bevel_depth, curve.bevel_resolution = deep / 2, bevel, 2
    spline = curve.splines.new("POLY")
    spline.points.add(len(outline) - 1)
    for point, (x, z) in zip(spline.points, outline, strict=True):
        point.co = (x, z, 0, 1)
    spline.use_cyclic_u = True
    thing = added(bpy.data.objects.new("plate", curve))
    thing.location, thing.rotation_euler = (0, y, 0), (math.pi / 2, 0, 0)
    return thing


def tube(points: Sequence[Point], thick: float | Sequence[float]) -> Any:
    """A bent tube through points, its radius given once or by point."""
    radii = [thick] * len(points) if isinstance(thick, float | int) else thick
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", 1.0, 5
    curve.use_fill_caps = True
    spline = curve.splines.new("BEZIER")
    spline.bezier_points.add(len(points) - 1)
    for knot, at, radius in zip(spline.bezier_points, points, radii, strict=True):
        knot.co, knot.radius = at, radius
        knot.handle_left_type = knot.handle_right_type = "AUTO"
    return added(bpy.data.objects.new("tube", curve))


def limb(points: Sequence[Point], thick: Sequence[float]) -> list[Any]:
    """A tube with round ends."""
    return [tube(points, thick), ball(points[0], thick[0]), ball(points[-1], thick[-1])]


def joined(parts: Sequence[Any]) -> Any:
    """One mesh of many."""
    meshes = [to_mesh(part) for part in parts]
    bpy.ops.object.select_all(action="DESELECT")
    for mesh in meshes:
        mesh.select_set(True)
    bpy.context.view_layer.objects.active = meshes[0]
    bpy.ops.object.join()
    thing = bpy.context.object
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    return thing


def flesh(parts: Sequence[Any], voxel: float = 0.035, rounds: int = 5) -> Any:
    """Parts grown together into one smooth skin."""
    thing = joined(parts)
    remesh = thing.modifiers.new("remesh", "REMESH")
    remesh.mode, remesh.voxel_size, remesh.use_smooth_shade = "VOXEL", voxel, True
    smooth = thing.modifiers.new("smooth", "SMOOTH")
    smooth.factor, smooth.iterations = 0.5, rounds
    return to_mesh(thing)


def ngon(count: int, radius: float, inner: float | None = None) -> list[tuple[float, float]]:
    """A polygon's corners (x, z), or a star's with `inner`; the first points up."""
    steps = count if inner is None else 2 * count
    found = []
    for k in range(steps):
        r = radius if inner is None or k % 2 == 0 else inner
        a = math.pi / 2 + 2 * math.pi * k / steps
        found.append((r * math.cos(a), r * math.sin(a)))
    return found
