"""One interface to Blender 3.4 to 5.2. No other module depends on Blender's version."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import bpy

SOURCE_TYPES = ("MOVIE", "IMAGE")


def strips(owner: Any) -> Any:
    """Strips of a sequence editor or meta strip (`sequences` until 4.3)."""
    return owner.strips if hasattr(owner, "strips") else owner.sequences


def all_strips(editor: Any) -> Any:
    """Every strip of a sequence editor, including those inside metas."""
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def sequencer_scene(context: Any) -> Any:
    """The scene that the Sequencer shows; since 5.0 it may differ from the active scene."""
    return getattr(context, "sequencer_scene", None) or context.scene


def active_strip(context: Any) -> Any:
    """The active strip, or None."""
    scene = sequencer_scene(context)
    editor = scene.sequence_editor if scene else None
    return editor.active_strip if editor else None


def span(strip: Any) -> tuple[int, int]:
    """Visible frames [start, end); the old names will be removed in 6.0."""
    if hasattr(strip, "left_handle"):
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def set_span(strip: Any, start: int, end: int) -> None:
    """Set the visible frames [start, end)."""
    if hasattr(strip, "left_handle"):
        strip.left_handle, strip.right_handle = start, end
    else:
        strip.frame_final_start, strip.frame_final_end = start, end


def content_start(strip: Any) -> float:
    """Timeline frame on which the strip's content starts, trimmed or not."""
    if hasattr(strip, "content_start"):
        return float(strip.content_start)
    return float(strip.frame_start)


def plays_straight(strip: Any) -> bool:
    """Whether a strip shows one source frame per frame: neither retimed nor resampled.

    A movie with another frame rate is resampled, which only its length shows.
    """
    if getattr(strip, "speed_factor", 1.0) != 1.0 or len(getattr(strip, "retiming_keys", ())):
        return False
    if hasattr(strip, "left_handle_offset"):
        whole = strip.left_handle_offset + strip.duration + strip.right_handle_offset
    else:
        whole = strip.frame_offset_start + strip.frame_final_duration + strip.frame_offset_end
    if round(whole) != content_frames(strip):
        return False
    if strip.type != "MOVIE" or not Path(bpy.path.abspath(strip.filepath)).is_file():
        return True
    # Since 4.5 the strip gives its length on the timeline; only an image gives the file's own.
    image = bpy.data.images.load(bpy.path.abspath(strip.filepath))
    frames = image.frame_duration
    bpy.data.images.remove(image)
    return bool(round(whole) + sum(held_back(strip)) == frames)


def held_back(strip: Any) -> tuple[int, int]:
    """Frames at the start and end of the file that the strip leaves out (Hold Offset)."""
    if hasattr(strip, "content_trim_start"):
        return int(strip.content_trim_start), int(strip.content_trim_end)
    return int(strip.animation_offset_start), int(strip.animation_offset_end)


def content_frames(strip: Any) -> int:
    """Length of the strip's content, trimmed or not."""
    if hasattr(strip, "content_duration"):
        return int(strip.content_duration)
    return int(strip.frame_duration)


def slide(strip: Any, frames: int) -> None:
    """Move a strip along the timeline."""
    if hasattr(strip, "content_start"):
        strip.content_start += frames
    else:
        strip.frame_start += frames


def saved_as(arguments: tuple[Any, ...]) -> str:
    """The path being saved to, from a save handler's arguments; empty if not known."""
    named = arguments[0] if arguments and isinstance(arguments[0], str) else ""  # since 4.0
    return named or str(bpy.data.filepath)


def strip_type() -> Any:
    """The base class of all strips."""
    return getattr(bpy.types, "Strip", None) or bpy.types.Sequence


def linked_from(block: Any) -> Any:
    """The file that a data-block is linked from; None for one of this file."""
    return getattr(block, "library", None)


def lasting_properties(thing: Any) -> list[Any]:
    """The properties of anything of Blender's that will not be removed soon: those warn."""
    return [one for one in thing.bl_rna.properties if not getattr(one, "is_deprecated", False)]


def new_modifier(strip: Any, name: str, kind: str) -> Any:
    """A new modifier of a strip."""
    with _sequence_of(strip):
        return strip.modifiers.new(name, kind)


def remove_modifiers(strip: Any) -> None:
    """Remove all modifiers of a strip."""
    with _sequence_of(strip):
        for one in list(strip.modifiers):
            strip.modifiers.remove(one)


def _sequence_of(strip: Any) -> Any:
    """A context that names the strip's scene: 5.0 and 5.1 crash where the workspace shows none."""
    if bpy.app.version < (5, 0, 0):
        return contextlib.nullcontext()
    return bpy.context.temp_override(sequencer_scene=strip.id_data)


def pivots_follow_percentage() -> bool:
    """Whether the Sequencer moves a strip's pivot with the render percentage: since 5.2."""
    return bool(bpy.app.version >= (5, 2, 0))


def new_effect(owner: Any, kind: str, source: Any, name: str, channel: int) -> Any:
    """A new effect strip with one input. owner: a sequence editor or meta strip."""
    start, end = span(source)
    length = {"length": end - start} if bpy.app.version >= (5, 0, 0) else {"frame_end": end}
    word = "seq1" if bpy.app.version < (4, 4, 0) else "input1"
    return strips(owner).new_effect(
        name=name, type=kind, channel=channel, frame_start=start, **length, **{word: source}
    )


def parents(strip: Any) -> list[Any]:
    """The meta strips that contain a strip, outermost first."""
    chain: list[Any] = []
    meta = strip.parent_meta()
    while meta is not None:
        chain.insert(0, meta)
        meta = meta.parent_meta()
    return chain


def siblings(scene: Any, strip: Any) -> Any:
    """The collection that contains a strip: the timeline's, or its meta's."""
    return strips(strip.parent_meta() or scene.sequence_editor)


def rendering() -> bool:
    """Whether the artist is rendering."""
    return bool(bpy.app.is_job_running("RENDER"))


def online() -> bool:
    """Whether online access is allowed (a setting since 4.2)."""
    return bool(getattr(bpy.app, "online_access", True))


def loses_edges() -> bool:
    """Whether a strip rendered below full size may lack its outermost pixels (before 4.2)."""
    return bool(bpy.app.version < (4, 2, 0))


def image_settings(render: Any, media_type: str) -> Any:
    """A render's output settings, set to IMAGE or VIDEO where Blender asks for that (5.0)."""
    settings = render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = media_type
    return settings


def curves(owner: Any) -> list[Any]:
    """The animation curves and drivers of a scene or a node tree."""
    return [curve for collection in _curve_collections(owner) for curve in collection]


def remove_curve(owner: Any, curve: Any) -> None:
    """Remove an animation curve."""
    for collection in _curve_collections(owner):
        if any(one == curve for one in collection):
            collection.remove(curve)


def _curve_collections(owner: Any) -> list[Any]:
    animation = owner.animation_data
    if animation is None:
        return []
    action = animation.action
    if action is None:
        return [animation.drivers]
    if not hasattr(animation, "action_slot_handle"):
        return [animation.drivers, action.fcurves]
    # Since 4.4 an action may hold the curves of several owners, such as a scene and its nodes.
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    own = [bag.fcurves for bag in bags if bag.slot_handle == animation.action_slot_handle]
    return [animation.drivers, *own]


def show_progress(layout: Any, fraction: float, text: str) -> None:
    """Draw a progress bar (since 4.0), or else a percentage."""
    if hasattr(layout, "progress"):
        layout.progress(factor=fraction, type="BAR", text=text)
    else:
        layout.label(text=f"{text}  {fraction * 100:.0f} %".strip())


def prop_with_hint(layout: Any, owner: Any, name: str, hint: str) -> None:
    """A text field with a hint while it is empty (since 4.2), or else a label above it."""
    known = bpy.types.UILayout.bl_rna.functions["prop"].parameters
    if "placeholder" in known:
        layout.prop(owner, name, text="", placeholder=hint)
    else:
        layout.label(text=f"{hint}:")
        layout.prop(owner, name, text="")


def confirm(context: Any, operator: Any, event: Any, title: str, message: str) -> set[str]:
    """Ask before an operator runs; before 4.1 the question is the operator's name."""
    manager = context.window_manager
    known = manager.bl_rna.functions["invoke_confirm"].parameters
    words = {"title": title, "message": message, "confirm_text": "Allow"}
    return set(manager.invoke_confirm(operator, event, **(words if "title" in known else {})))


def redraw_status_bar(at_once: bool = False) -> None:
    """Redraw the status bar, unless another operator shows its keys there.

    Only setting its text redraws it. Before 4.2 Blender does not tell whether an operator is
    running, so the status bar is redrawn when the pointer enters another region, or at_once.
    """
    window = bpy.context.window
    if bpy.app.background or window is None:
        return
    free = not window.modal_operators if hasattr(window, "modal_operators") else at_once
    if free:
        bpy.context.workspace.status_text_set_internal(None)


def flat_shader() -> Any:
    """Blender's shader for lines of one colour (renamed in 4.0)."""
    import gpu

    try:
        return gpu.shader.from_builtin("UNIFORM_COLOR")
    except ValueError:
        return gpu.shader.from_builtin("2D_UNIFORM_COLOR")


def user_folder(package: str) -> str:
    """The add-on's folder for the user's files."""
    if hasattr(bpy.utils, "extension_path_user") and package.startswith("bl_ext."):
        return str(bpy.utils.extension_path_user(package, create=True))
    return str(bpy.utils.user_resource("DATAFILES", path="text2live", create=True))


def compositor(scene: Any) -> tuple[Any, Any]:
    """The scene's compositor tree, created if needed, and its output node."""
    if not hasattr(scene, "compositing_node_group"):
        fresh = scene.node_tree is None
        scene.use_nodes = True
        if fresh:
            # A new tree contains Render Layers, which would render the 3D scene for every frame.
            for node in list(scene.node_tree.nodes):
                if node.bl_idname == "CompositorNodeRLayers":
                    scene.node_tree.nodes.remove(node)
        return scene.node_tree, _output(scene.node_tree, "CompositorNodeComposite")
    tree = scene.compositing_node_group
    if tree is None:
        tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
        scene.compositing_node_group = tree
    sockets = [item for item in tree.interface.items_tree if item.item_type == "SOCKET"]
    if not any(socket.in_out == "OUTPUT" for socket in sockets):
        tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    return tree, _output(tree, "NodeGroupOutput")


def _output(tree: Any, kind: str) -> Any:
    found = [node for node in tree.nodes if node.bl_idname == kind]
    return found[0] if found else tree.nodes.new(kind)


def alpha_over_inputs(node: Any) -> tuple[Any, Any, Any]:
    """Background, foreground and factor of an Alpha Over node, set to straight alpha."""
    names = [socket.name for socket in node.inputs]
    if "Straight Alpha" in names:
        node.inputs["Straight Alpha"].default_value = True
    else:
        node.use_premultiply = True
    if "Background" in names:
        return node.inputs["Background"], node.inputs["Foreground"], node.inputs["Factor"]
    return node.inputs[1], node.inputs[2], node.inputs[0]


def new_input(group: Any, kind: str, name: str) -> Any:
    """Add an input to a node group; returns the socket with its default and limits."""
    if hasattr(group, "interface"):
        return group.interface.new_socket(name=name, in_out="INPUT", socket_type=kind)
    return group.inputs.new(kind, name)


def new_output(group: Any, kind: str, name: str) -> None:
    """Add an output to a node group."""
    if hasattr(group, "interface"):
        group.interface.new_socket(name=name, in_out="OUTPUT", socket_type=kind)
    else:
        group.outputs.new(kind, name)


def new_math(group: Any, operation: str) -> Any:
    """Add a math node to a compositor group (the shader math node since 5.0)."""
    old = hasattr(bpy.types, "CompositorNodeMath")
    node = group.nodes.new("CompositorNodeMath" if old else "ShaderNodeMath")
    node.operation = operation
    return node


def linear_colour_space(node: Any) -> str:
    """Name of Blender's working colour space in the Convert Colorspace node."""
    names = node.bl_rna.properties["to_color_space"].enum_items.keys()
    return "Linear Rec.709" if "Linear Rec.709" in names else "Linear"


def interpolate_smoothly(node: Any) -> None:
    """Let a compositor node that moves pixels interpolate them."""
    for name in ("interpolation", "filter_type"):
        if hasattr(node, name):
            setattr(node, name, "BILINEAR")
    socket = node.inputs.get("Interpolation")
    if socket is not None:
        socket.default_value = "Bilinear"


def angle_input(rotate: Any) -> Any:
    """The angle of a Rotate node, in radians."""
    return rotate.inputs.get("Angle") or rotate.inputs["Degr"]
