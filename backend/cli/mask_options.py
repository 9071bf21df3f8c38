"""The options that say where the objects are, as a job's masks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from backend import media
from backend.cli.arrays import JobArrays
from backend.cli.source import one_line, print_notes
from backend.media import Pixels
from protocol.jobs import OBJECTS, BoxKey, JobError, KeyMask, Masks, StrokeKey


def add_mask_options(p: argparse.ArgumentParser) -> None:
    """Add the options of every object. Without any, the backend looks for one object itself."""
    group = p.add_argument_group(
        "object 1, layer foreground",
        "Where the object is; frames count from 0. Without any of these, the backend looks for it.",
    )
    _add_object(group, 1)
    group.add_argument(
        "--no-object", action="store_true", help="no object: the whole clip is background"
    )
    for number in range(2, len(OBJECTS) + 1):
        group = p.add_argument_group(
            f"object {number}, layer {OBJECTS[number - 1]}",
            f"An object behind layer {OBJECTS[number - 2]}.",
        )
        _add_object(group, number)


def _add_object(p: argparse._ActionsContainer, number: int) -> None:
    end = f"-{number}" if number > 1 else ""
    p.add_argument(
        f"--key-mask{end}", action="append", default=[], metavar="FRAME=FILE",
        help="mask of the object on one frame, tracked through the clip; repeatable",
    )  # fmt: skip
    p.add_argument(
        f"--box{end}", action="append", default=[], metavar="FRAME=X0,Y0,X1,Y1",
        help="box around the object on one frame, in pixels, tracked through the clip; repeatable",
    )  # fmt: skip
    p.add_argument(
        f"--strokes{end}", action="append", default=[], metavar="FRAME=FILE",
        help="strokes on one frame: white on the object, grey beside it, black elsewhere; "
        "repeatable",
    )  # fmt: skip
    p.add_argument(
        f"--masks{end}",
        type=Path,
        metavar="PATH",
        help="folder or movie with a mask for every frame, or one image for all",
    )
    p.add_argument(
        f"--mask-text{end}", action="append", default=[], metavar="TEXT",
        help="name of the object, to find it by; repeatable",
    )  # fmt: skip


def mask_files(args: argparse.Namespace) -> list[Path]:
    """The files and folders that the masks are read from."""
    found: list[Path] = []
    for number in range(1, len(OBJECTS) + 1):
        end = f"_{number}" if number > 1 else ""
        found += [path for path in [getattr(args, f"masks{end}")] if path is not None]
        for text in getattr(args, f"key_mask{end}") + getattr(args, f"strokes{end}"):
            found.append(Path(text.partition("=")[2]))
    return found


def masks_of(args: argparse.Namespace, arrays: JobArrays, numbers: Sequence[int]) -> Masks:
    """Where the object in front is. Prints notes on how the mask files were read.

    numbers: of the clip's frames in their file names. Raises JobError if a mask cannot be used or
    the options contradict each other.
    """
    masks = _object_masks(args, 1, arrays, numbers)
    if args.no_object:
        if masks is not None:
            raise _contradiction()
        return Masks(mode="none")
    return Masks() if masks is None else masks


def behind_of(
    args: argparse.Namespace, arrays: JobArrays, numbers: Sequence[int]
) -> tuple[Masks, ...]:
    """Where the objects behind it are, front to back. Raises JobError as masks_of does."""
    each = [_object_masks(args, number, arrays, numbers) for number in range(2, len(OBJECTS) + 1)]
    while each and each[-1] is None:
        each.pop()
    given = tuple(masks for masks in each if masks is not None)
    if len(given) < len(each):
        missing = each.index(None) + 2
        raise JobError(
            "bad_masks",
            f"There are options for object {len(each) + 1}, but none for object {missing}.",
            "Number the objects front to back: --box, --box-2, --box-3.",
        )
    return given


def _object_masks(
    args: argparse.Namespace, number: int, arrays: JobArrays, numbers: Sequence[int]
) -> Masks | None:
    """The masks of an object, counted from 1; None if no option describes it."""
    end = f"_{number}" if number > 1 else ""
    given = {
        name: getattr(args, name + end)
        for name in ("key_mask", "box", "strokes", "masks", "mask_text")
    }
    option = {name: f"--{name}{end}".replace("_", "-") for name in given}
    on_frames = bool(given["key_mask"] or given["box"] or given["strokes"])
    if sum([on_frames, given["masks"] is not None, bool(given["mask_text"])]) > 1:
        raise _contradiction()
    if given["masks"] is not None:
        return _masks_of_clip(given["masks"], option["masks"], arrays, numbers)
    if given["mask_text"]:
        return Masks(mode="text", texts=one_line(given["mask_text"]))
    if not on_frames:
        return None
    keys, boxes, strokes = (
        _by_frame(given[name], option[name], len(numbers))
        for name in ("key_mask", "box", "strokes")
    )
    return Masks(
        mode="key",
        keys=_key_masks([(f, Path(v)) for f, v in keys], bool(boxes or strokes), arrays),
        boxes=tuple(_box(f, v) for f, v in boxes),
        strokes=tuple(
            StrokeKey(frame=f, mask=arrays.add(_strokes(Path(v))[..., None])) for f, v in strokes
        ),
    )


def _contradiction() -> JobError:
    return JobError(
        "bad_masks",
        "The options describe one object in ways that exclude each other.",
        "Use masks, boxes and strokes on single frames, or --masks, or --mask-text, or "
        "--no-object.",
    )


def _masks_of_clip(path: Path, option: str, arrays: JobArrays, numbers: Sequence[int]) -> Masks:
    """The masks of --masks: one for every frame, for some by their numbers, or one for all."""
    found = media.read_mask_source(path)
    print_notes(found.notes)
    count, masks = len(numbers), found.masks
    if len(masks) == count:
        return _all_masks(masks, arrays)
    if len(masks) == 1:
        print_notes([f"{path.name}: the one mask is used for all {count} frames."])
        return _all_masks(masks * count, arrays)
    at = {number: frame for frame, number in enumerate(numbers)}
    if found.numbers is not None and len(masks) < count and set(found.numbers) <= set(at):
        print_notes(
            [
                f"{path.name} holds masks of {len(masks)} of the {count} frames, by their numbers. "
                "They are tracked through the others."
            ]
        )
        by_frame = zip((at[number] for number in found.numbers), masks, strict=True)
        return Masks(mode="key", keys=_keys(by_frame, arrays))
    raise JobError(
        "masks_incomplete",
        f"{option} {path}: there are {len(masks)} masks, but the clip has {count} frames.",
        "Give one mask for every frame, one for all, or masks with the numbers of their frames; or "
        "use --key-mask for masks of a few frames.",
    )


def _all_masks(masks: Sequence[Pixels], arrays: JobArrays) -> Masks:
    return Masks(mode="all", keys=_keys(enumerate(masks), arrays))


def _key_masks(
    files: list[tuple[int, Path]], others: bool, arrays: JobArrays
) -> tuple[KeyMask, ...]:
    """The masks of --key-mask, read together. others: boxes or strokes show the object too."""
    if not files:
        return ()
    found = media.read_masks([file for _, file in files], may_be_empty=others)
    print_notes(found.notes)
    return _keys(zip((frame for frame, _ in files), found.masks, strict=True), arrays)


def _keys(masks: Iterable[tuple[int, Pixels]], arrays: JobArrays) -> tuple[KeyMask, ...]:
    return tuple(KeyMask(frame=frame, mask=arrays.add(mask[..., None])) for frame, mask in masks)


def _strokes(file: Path) -> Pixels:
    """The image of --strokes, uint8 [H,W]. Raises JobError ``no_strokes`` if it has none."""
    grey = media.read_grey(file)
    if not grey.any():
        raise JobError(
            "no_strokes",
            f"{file.name} has no strokes: it is black everywhere.",
            "Paint white on the object and grey beside it.",
        )
    if grey.all():
        print_notes([f"{file.name} has no black: every pixel of it counts as a stroke."])
    return grey


def _by_frame(texts: list[str], option: str, count: int) -> list[tuple[int, str]]:
    """Split FRAME=VALUE texts and sort them by frame. count: frames of the clip."""
    found: dict[int, str] = {}
    for text in texts:
        frame, sign, value = text.partition("=")
        if sign and re.fullmatch(r"-?\d+", frame) and not 0 <= int(frame) < count:
            raise JobError(
                "mask_out_of_range",
                f"{option} {text}: there is no frame {frame}.",
                f"Frames count from 0; the last one is {count - 1}.",
            )
        if not sign or not frame.isdecimal() or not value:
            example = "0=10,20,200,160" if option.startswith("--box") else "0=masks/00000.png"
            raise JobError(
                "bad_key_mask",
                f"{option} {text} does not say which frame it is for."
                if value or not sign
                else f"{option} {text} names nothing.",
                f"Write FRAME= first, for example {option} {example}.",
            )
        if int(frame) in found:
            raise JobError(
                "mask_twice", f"{option} {frame}= is given twice.", "Give each frame once."
            )
        found[int(frame)] = value
    return sorted(found.items())


def _box(frame: int, text: str) -> BoxKey:
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise JobError(
            "bad_box", f"“{text}” is not a box.", "Write left,top,right,bottom in pixels."
        ) from None
    return BoxKey(frame=frame, x0=x0, y0=y0, x1=x1, y1=y1)
