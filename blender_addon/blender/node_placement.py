"""Compositor nodes that place footage as its strip lies in the Sequencer, at any render size.

Drivers read the strip's transform, so the nodes follow it and its keyframes. A strip's position and
scale are in pixels of the full render size; the compositor works at the render percentage.
"""

from __future__ import annotations

from typing import Any

from ..core.planning import Placement
from . import compat

_KINDS = ("CompositorNodeScale", "CompositorNodeRotate", "CompositorNodeTranslate")
_TRANSFORM = {"x": "offset_x", "y": "offset_y", "a": "scale_x", "b": "scale_y", "r": "rotation"}
_ORIGIN = {"u": "origin[0]", "v": "origin[1]"}


def add(tree: Any, image: Any) -> list[Any]:
    """Add the nodes behind an image node; the last one gives the placed image."""
    nodes = [tree.nodes.new(kind) for kind in _KINDS]
    for before, node in zip([image, *nodes], nodes, strict=False):
        compat.interpolate_smoothly(node)
        tree.links.new(before.outputs["Image"], node.inputs["Image"])
    return nodes


def within(group: Any) -> list[Any]:
    """The nodes in a group that has them once."""
    return [next(node for node in group.nodes if node.bl_idname == kind) for kind in _KINDS]


def follow(nodes: list[Any], scene: Any, strip: Any, size: tuple[int, int]) -> None:
    """Let the nodes follow a strip. size: (W, H) of the images they place."""
    _drive(nodes, scene, size, strip=strip)


def fix(nodes: list[Any], scene: Any, placement: Placement, size: tuple[int, int]) -> None:
    """Let the nodes place images without a strip. size: (W, H) of the images."""
    _drive(nodes, scene, size, placement=placement)


def _drive(
    nodes: list[Any],
    scene: Any,
    size: tuple[int, int],
    strip: Any = None,
    placement: Placement = Placement(),  # noqa: B008  (frozen)
) -> None:
    scale, rotate, translate = nodes
    # The nodes scale and rotate about the image's centre; this moves the strip's pivot back to its
    # place, which the Sequencer measures in pixels of the image, until 5.1 at any percentage.
    right, up = f"((u-.5)*{size[0]})", f"((v-.5)*{size[1]})"
    pivot = "p/100*" if compat.pivots_follow_percentage() else ""
    for socket, text in (
        (scale.inputs["X"], "p*a/100"),
        (scale.inputs["Y"], "p*b/100"),
        (compat.angle_input(rotate), "r"),
        (translate.inputs["X"], f"p*x/100+{pivot}{right}-p*(cos(r)*a*{right}-sin(r)*b*{up})/100"),
        (translate.inputs["Y"], f"p*y/100+{pivot}{up}-p*(sin(r)*a*{right}+cos(r)*b*{up})/100"),
    ):
        socket.driver_remove("default_value")
        driver = socket.driver_add("default_value").driver
        if strip is None:
            values = {name: getattr(placement, full) for name, full in _TRANSFORM.items()}
            values |= dict(zip("uv", placement.origin, strict=True))
            for name, value in values.items():
                text = _replace_name(text, name, f"({value:.6g})")
        else:
            for name, full in {**_TRANSFORM, **_ORIGIN}.items():
                if _replace_name(text, name, "") != text:
                    path = f"{strip.transform.path_from_id()}.{full}"
                    _variable(driver, name, scene, path)
        if "p*" in text:
            _variable(driver, "p", scene, "render.resolution_percentage")
        driver.expression = text


def _replace_name(text: str, name: str, value: str) -> str:
    """The expression with another word for a variable of one letter."""
    letters = f" {text} "
    out = [
        value if here == name and not before.isalpha() and not after.isalpha() else here
        for before, here, after in zip(letters, letters[1:], letters[2:], strict=False)
    ]
    return "".join(out)


def _variable(driver: Any, name: str, scene: Any, path: str) -> None:
    variable = driver.variables.new()
    variable.name, variable.type = name, "SINGLE_PROP"
    target = variable.targets[0]
    target.id_type, target.id, target.data_path = "SCENE", scene, path
