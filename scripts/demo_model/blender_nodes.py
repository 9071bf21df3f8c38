"""Shader nodes written as expressions: a small language over one Blender node tree."""

from __future__ import annotations

import colorsys
import random
from collections.abc import Mapping, Sequence
from typing import Any

import bpy

RGB = tuple[float, float, float]
Rng = random.Random


def linear(colour: Sequence[float]) -> tuple[float, float, float, float]:
    """A colour given in sRGB 0..255 as Blender wants it: linear RGBA."""
    red, green, blue = (
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in (max(0.0, min(1.0, c / 255)) for c in colour)
    )
    return red, green, blue, 1.0


def vivid(hue: float, saturation: float = 0.85, value: float = 0.95) -> RGB:
    """A colour by its hue 0..1, sRGB 0..255."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return red * 255, green * 255, blue * 255


class Nodes:
    """A node tree under construction. Sockets are expressions; numbers and tuples are constants."""

    def __init__(self, owner: Any, kind: str = "Material") -> None:
        owner.use_nodes = True
        self.tree: Any = owner.node_tree
        self.tree.nodes.clear()
        self.output = self.tree.nodes.new(f"ShaderNodeOutput{kind}")

    def put(self, kind: str, inputs: Mapping[Any, Any] | None = None, **settings: Any) -> Any:
        """A new node; inputs by name or number, a socket to link or a constant."""
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, node.inputs[name])
            else:
                node.inputs[name].default_value = value
        return node

    def math(self, operation: str, a: Any, b: Any = 0.0, c: Any = 0.0) -> Any:
        return self.put("Math", {0: a, 1: b, 2: c}, operation=operation).outputs[0]

    def vector(self, operation: str, a: Any, b: Any = (0.0, 0.0, 0.0)) -> Any:
        return self.put("VectorMath", {0: a, 1: b}, operation=operation).outputs[0]

    def place(
        self, scale: Sequence[float] | float = 1.0, shift: Sequence[float] = (0, 0, 0)
    ) -> Any:
        """The point on the object, scaled and shifted: texture coordinates in space."""
        scale = (scale,) * 3 if isinstance(scale, float | int) else tuple(scale)
        point = self.put("TexCoord").outputs["Object"]
        return self.put("Mapping", {0: point, 1: tuple(shift), 3: scale}).outputs[0]

    def sides(self, scale: float, shift: Sequence[float] = (0.0, 0.0, 0.0)) -> Any:
        """Flat coordinates (u, v, 0) on the side of a box that the surface faces."""
        coord = self.put("TexCoord")
        normal = self.vector("ABSOLUTE", coord.outputs["Normal"])
        n = self.put("SeparateXYZ", {0: normal}).outputs
        p = self.put("SeparateXYZ", {0: self.place(scale, shift)}).outputs
        up = self.math("GREATER_THAN", n[2], 0.75)
        sideways = self.math("GREATER_THAN", n[0], n[1])
        across = self.choose(sideways, p[0], p[1])
        u = self.choose(up, across, p[0])
        v = self.choose(up, p[2], p[1])
        return self.put("CombineXYZ", {0: u, 1: v}).outputs[0]

    def choose(self, share: Any, a: Any, b: Any) -> Any:
        """a where share is 0, b where it is 1 (numbers)."""
        return self.put("Mix", {0: share, 2: a, 3: b}, data_type="FLOAT").outputs[0]

    def blend(self, share: Any, a: Any, b: Any, how: str = "MIX") -> Any:
        """Two colours mixed; constants as sRGB 0..255."""
        a, b = (linear(c) if isinstance(c, tuple) else c for c in (a, b))
        return self.put("Mix", {0: share, 6: a, 7: b}, data_type="RGBA", blend_type=how).outputs[2]

    def ramp(self, share: Any, stops: Sequence[tuple[float, RGB]], steps: bool = False) -> Any:
        """A colour by a number 0..1; steps: no mixing between stops."""
        node = self.put("ValToRGB", {0: share})
        node.color_ramp.interpolation = "CONSTANT" if steps else "LINEAR"
        elements = node.color_ramp.elements
        while len(elements) < len(stops):
            elements.new(0.5)
        for element, (position, colour) in zip(elements, stops, strict=True):
            element.position, element.color = position, linear(colour)
        return node.outputs[0]

    def noise(self, at: Any, scale: float, detail: float = 4.0, rough: float = 0.55) -> Any:
        """Noise about 0.5."""
        return self.put(
            "TexNoise", {"Vector": at, "Scale": scale, "Detail": detail, "Roughness": rough}
        ).outputs[0]

    def cells(self, at: Any, scale: float, what: str = "F1", **settings: Any) -> Any:
        """A Voronoi node: outputs Distance and Color."""
        regular = settings.pop("regular", False)
        inputs = {"Vector": at, "Scale": scale, "Randomness": 0.0 if regular else 1.0}
        return self.put("TexVoronoi", inputs, feature=what, **settings)

    def bump(self, height: Any, strength: float = 0.5, distance: float = 0.08) -> Any:
        return self.put(
            "Bump", {"Strength": strength, "Distance": distance, "Height": height}
        ).outputs[0]

    def surface(self, colour: Any, rough: Any = 0.6, **more: Any) -> None:
        """Finish as a Principled surface; more: its other inputs, spaces as underscores."""
        inputs = {k.replace("_", " "): v for k, v in more.items()}
        node = self.put(
            "BsdfPrincipled",
            {
                "Base Color": linear(colour) if isinstance(colour, tuple) else colour,
                "Roughness": rough,
                **inputs,
            },
        )
        self.tree.links.new(node.outputs[0], self.output.inputs[0])

    def glow(self, colour: Any, strength: Any = 1.0) -> None:
        """Finish as light."""
        colour = linear(colour) if isinstance(colour, tuple) else colour
        node = self.put("Emission", {0: colour, 1: strength})
        self.tree.links.new(node.outputs[0], self.output.inputs[0])


def shift(rng: Rng) -> tuple[float, float, float]:
    return rng.uniform(-9, 9), rng.uniform(-9, 9), rng.uniform(-9, 9)


def bands(n: Nodes, rng: Rng, scale: float, bend: float) -> Any:
    inputs = {"Vector": n.place(1, shift(rng)), "Scale": scale, "Distortion": bend,
              "Detail": 1.5, "Detail Scale": 1.0}  # fmt: skip
    return n.put("TexWave", inputs, bands_direction="X").outputs[1]
