"""The arrays of a job, and what the command line says about where the object is."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend import media
from protocol.jobs import (
    ENGINES,
    OBJECTS,
    BoxKey,
    JobError,
    KeyMask,
    Masks,
    ObjectRef,
    StrokeKey,
    reference,
)

Pixels = NDArray[np.uint8]


class Objects:
    """The arrays a job refers to, by digest."""

    def __init__(self) -> None:
        self._arrays: dict[str, Pixels] = {}

    def add(self, array: Pixels) -> ObjectRef:
        """Keep an array [H,W,C] and give its address."""
        ref = reference(array)
        self._arrays[ref.digest] = array
        return ref

    def __call__(self, digest: str) -> Pixels:
        """The array of an address: what Client.submit asks for."""
        return self._arrays[digest]


def add_mask_arguments(p: argparse.ArgumentParser) -> None:
    """Where the objects are; frames are counted from 0. Nothing given: one is looked for."""
    _add_object(p, 1)
    p.add_argument(
        "--no-object", action="store_true", help="there is none: the whole clip is background"
    )
    for number in range(2, len(OBJECTS) + 1):
        layer = OBJECTS[number - 1]
        group = p.add_argument_group(
            f"object {number}, layer {layer}", f"behind the layer {OBJECTS[number - 2]}"
        )
        _add_object(group, number)
    p.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what makes the atlas")


def _add_object(p: argparse._ActionsContainer, number: int) -> None:
    end = f"-{number}" if number > 1 else ""
    p.add_argument(
        f"--key-mask{end}", action="append", default=[], metavar="FRAME=FILE",
        help="the object's mask on one frame, carried through; may be repeated",
    )  # fmt: skip
    p.add_argument(
        f"--box{end}", action="append", default=[], metavar="FRAME=X0,Y0,X1,Y1",
        help="a box round the object on one frame, in pixels, carried through; may be repeated",
    )  # fmt: skip
    p.add_argument(
        f"--strokes{end}", action="append", default=[], metavar="FRAME=FILE",
        help="strokes on one frame: white on the object, grey beside it, black elsewhere",
    )  # fmt: skip
    p.add_argument(f"--masks{end}", type=Path, metavar="FOLDER", help="one mask for every frame")
    p.add_argument(
        f"--mask-text{end}", action="append", default=[], metavar="TEXT",
        help="find the object by a text; may be repeated",
    )  # fmt: skip


def masks_of(args: argparse.Namespace, objects: Objects) -> Masks:
    """Where the object in front is, as told. JobError if that contradicts itself."""
    found = _said(args, 1, objects)
    if args.no_object:
        if found is not None:
            raise _contradiction()
        return Masks(mode="none")
    return Masks() if found is None else found


def behind_of(args: argparse.Namespace, objects: Objects) -> tuple[Masks, ...]:
    """Where the objects behind it are, front to back. JobError if that contradicts itself."""
    each = [_said(args, number, objects) for number in range(2, len(OBJECTS) + 1)]
    while each and each[-1] is None:
        each.pop()
    told = tuple(masks for masks in each if masks is not None)
    if len(told) < len(each):
        raise JobError(
            "bad_masks",
            f"Object {len(each)} was described, but not one before it.",
            "Number the objects front to back: --box, --box-2, --box-3.",
        )
    return told


def _said(args: argparse.Namespace, number: int, objects: Objects) -> Masks | None:
    """What the options of an object, counted from 1, say; None where they say nothing."""
    end = f"_{number}" if number > 1 else ""
    said = {
        name: getattr(args, name + end)
        for name in ("key_mask", "box", "strokes", "masks", "mask_text")
    }
    option = {name: f"--{name}{end}".replace("_", "-") for name in said}
    on_frames = bool(said["key_mask"] or said["box"] or said["strokes"])
    if sum([on_frames, said["masks"] is not None, bool(said["mask_text"])]) > 1:
        raise _contradiction()
    if said["masks"] is not None:
        files = dict(enumerate(media.image_files(said["masks"])))
        return Masks(mode="all", keys=_keys(files, objects))
    if said["mask_text"]:
        return Masks(mode="text", texts=tuple(said["mask_text"]))
    if not on_frames:
        return None
    keys, boxes, strokes = (
        _by_frame(said[name], option[name]) for name in ("key_mask", "box", "strokes")
    )
    return Masks(
        mode="key",
        keys=_keys({f: Path(v) for f, v in keys}, objects),
        boxes=tuple(_box(f, v) for f, v in boxes),
        strokes=tuple(
            StrokeKey(frame=f, mask=objects.add(media.read_grey(Path(v))[..., None]))
            for f, v in strokes
        ),
    )


def _contradiction() -> JobError:
    return JobError(
        "bad_masks",
        "The object was described in several ways that exclude each other.",
        "Use masks, boxes and strokes on frames, or --masks, or --mask-text, or --no-object.",
    )


def _keys(files: dict[int, Path], objects: Objects) -> tuple[KeyMask, ...]:
    return tuple(
        KeyMask(frame=frame, mask=objects.add(media.read_mask(file)[..., None]))
        for frame, file in sorted(files.items())
    )


def _by_frame(texts: list[str], option: str) -> list[tuple[int, str]]:
    """FRAME=VALUE texts, by frame."""
    found: dict[int, str] = {}
    for text in texts:
        frame, sign, value = text.partition("=")
        if not sign or not frame.isdigit():
            example = "0=10,20,200,160" if option.startswith("--box") else "0=masks/00000.png"
            raise JobError(
                "bad_key_mask",
                f"“{text}” does not say which frame it belongs to.",
                f"Write FRAME= first, for example {option} {example}.",
            )
        if int(frame) in found:
            raise JobError(
                "mask_twice", f"{option} {frame}= is given twice.", "Keep one of them a frame."
            )
        found[int(frame)] = value
    return sorted(found.items())


def _box(frame: int, text: str) -> BoxKey:
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise JobError(
            "bad_box", f"“{text}” is no box.", "Write left,top,right,bottom, in pixels."
        ) from None
    return BoxKey(frame=frame, x0=x0, y0=y0, x1=x1, y1=y1)
