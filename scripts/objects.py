"""The arrays of a job, and what the command line says about where the object is."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend import media
from protocol.jobs import ENGINES, BoxKey, JobError, KeyMask, Masks, ObjectRef, StrokeKey, reference

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
    """Where the object is; frames are counted from 0. Nothing given: it is looked for."""
    p.add_argument(
        "--key-mask", action="append", default=[], metavar="FRAME=FILE",
        help="the object's mask on one frame, carried through; may be repeated",
    )  # fmt: skip
    p.add_argument(
        "--box", action="append", default=[], metavar="FRAME=X0,Y0,X1,Y1",
        help="a box round the object on one frame, in pixels, carried through; may be repeated",
    )  # fmt: skip
    p.add_argument(
        "--strokes", action="append", default=[], metavar="FRAME=FILE",
        help="strokes on one frame: white on the object, grey beside it, black elsewhere",
    )  # fmt: skip
    p.add_argument("--masks", type=Path, metavar="FOLDER", help="one mask for every frame")
    p.add_argument(
        "--mask-text", action="append", default=[], metavar="TEXT",
        help="find the object by a text; may be repeated",
    )  # fmt: skip
    p.add_argument(
        "--no-object", action="store_true", help="there is none: the whole clip is background"
    )
    p.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what makes the atlas")


def masks_of(args: argparse.Namespace, objects: Objects) -> Masks:
    """What `add_mask_arguments` was told, as a job's masks. JobError if it contradicts itself."""
    on_frames = bool(args.key_mask or args.box or args.strokes)
    ways = [on_frames, args.masks is not None, bool(args.mask_text), args.no_object]
    if sum(ways) > 1:
        raise JobError(
            "bad_masks",
            "The object was described in several ways that exclude each other.",
            "Use masks, boxes and strokes on frames, or --masks, or --mask-text, or --no-object.",
        )
    if args.masks is not None:
        files = dict(enumerate(media.image_files(args.masks)))
        return Masks(mode="all", keys=_keys(files, objects))
    if args.mask_text:
        return Masks(mode="text", texts=tuple(args.mask_text))
    if args.no_object:
        return Masks(mode="none")
    if not on_frames:
        return Masks()
    return Masks(
        mode="key",
        keys=_keys({f: Path(v) for f, v in _by_frame(args.key_mask, "--key-mask")}, objects),
        boxes=tuple(_box(f, v) for f, v in _by_frame(args.box, "--box")),
        strokes=tuple(
            StrokeKey(frame=f, mask=objects.add(media.read_grey(Path(v))[..., None]))
            for f, v in _by_frame(args.strokes, "--strokes")
        ),
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
            example = "0=10,20,200,160" if option == "--box" else "0=masks/00000.png"
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
