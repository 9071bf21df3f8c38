"""Read masks of any habit: white on black, 0 and 1, palette indices, alpha, 16 bit, float, movies.

What counts as object is decided for all files of one object together, so that a mask that fades
is not read differently on each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.media.clips import any_movie, is_movie, kind_of_file
from backend.media.compositing import Pixels
from backend.media.images import Image, decode_image
from backend.media.movies import not_a_movie
from backend.media.sequences import image_sequence
from protocol.jobs import JobError
from protocol.limits import LIMITS

LABELS = 32  # values up to this, in whole numbers, count as numbered objects and not as brightness
FEW = 24  # most colours of a picture that counts as numbered objects
GREY = 12  # largest difference of a grey's channels, of 255
HALF = 127  # brightness of 255 above which a pixel is on the object
WHOLE_BORDER = 0.97  # share of a frame's border, from which on a mask may be the wrong way round
ABOVE_WHITE = 1.5  # largest value of a float mask of 0 to 1; a larger one is its own white


@dataclass(frozen=True)
class MaskFiles:
    """Masks as read from files.

    masks: each uint8 [H,W], 255 on the object and 0 beside it. numbers: of their files, or None.
    notes: how they were read if it was not as white on black, and what may be a mistake.
    """

    masks: tuple[Pixels, ...]
    numbers: tuple[int, ...] | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Raw:
    """One file's mask before it is decided what counts as object.

    values: [H,W], what holds the mask, unscaled. top: the white of its type. kind: what values are:
    ``brightness``, ``indices`` of a palette, ``colours`` (few ones: the brightest channel),
    ``picture`` (many colours) or ``alpha``. alpha: [H,W], if the image has one. indices: [H,W], if
    it has a palette.
    """

    name: str
    values: NDArray[Any]
    top: float
    kind: str
    alpha: NDArray[Any] | None = None
    indices: Pixels | None = None


def read_mask(file: Path) -> Pixels:
    """Read one mask, uint8 [H,W]: 255 on the object, 0 beside it; may be empty. Raises JobError."""
    return read_masks([file], may_be_empty=True).masks[0]


def read_masks(files: Sequence[Path], *, may_be_empty: bool = False) -> MaskFiles:
    """Read the masks of one object from these files.

    Raises JobError ``masks_empty`` if all are empty, unless they may be.
    """
    raws = [_raw(decode_image(file), file.name) for file in files]
    return _decided(raws, None, may_be_empty=may_be_empty)


def read_mask_source(path: Path) -> MaskFiles:
    """Read the masks of one object: a folder of images, one image, or a movie.

    Raises JobError ``file_missing``, ``no_frames``, ``mixed_images``, ``not_an_image``,
    ``not_a_movie``, ``masks_empty``.
    """
    if not path.exists() or path.is_dir():
        sequence = image_sequence(path)
        raws = [_raw(decode_image(file), file.name) for file in sequence.files]
        found = _decided(raws, sequence.numbers)
        return MaskFiles(found.masks, found.numbers, (*sequence.notes, *found.notes))
    kind = kind_of_file(path)
    return _from_movie(path) if is_movie(kind, path) else read_masks([path])


def _from_movie(path: Path) -> MaskFiles:
    raws: list[_Raw] = []
    movie = any_movie(path)
    for pixels, times in movie.frames():
        if len(raws) + times > LIMITS.frames:
            raise JobError(
                "too_many_frames",
                f"{path.name} has more than {LIMITS.frames} frames; a clip has at most that many.",
                "Give the masks of the clip's own frames.",
            )
        raws += [_raw(Image(pixels), f"frame {len(raws) + 1} of {path.name}")] * times
    if not raws:
        raise not_a_movie(path)
    found = _decided(raws, None)
    return MaskFiles(found.masks, None, (*movie.notes, *found.notes))


def _raw(image: Image, name: str) -> _Raw:
    image = replace(image, pixels=_comparable(image.pixels))
    pixels = image.pixels
    top = {"uint8": 255.0, "uint16": 65535.0}.get(pixels.dtype.name, 1.0)
    alpha: NDArray[Any] | None = None
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3]
        flat = not np.ptp(alpha)
        alpha = np.broadcast_to(alpha.flat[0], alpha.shape) if flat else alpha.copy()
    values, kind = _without_alpha(image, top)
    return _Raw(name, values, top, kind, alpha, image.indices)


def _comparable(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels without NaN and negative values; 32-bit integers that 16 bit can hold in 16 bit."""
    if pixels.dtype == np.float32:
        return np.asarray(np.nan_to_num(pixels, nan=0.0).clip(min=0), np.float32)
    if pixels.dtype == np.int32:
        pixels = np.maximum(pixels, 0)
        fits = int(pixels.max(initial=0)) <= np.iinfo(np.uint16).max
        return pixels.astype(np.uint16 if fits else np.float32)
    return pixels


def _without_alpha(image: Image, top: float) -> tuple[NDArray[Any], str]:
    """The mask in an image's colours, and its kind."""
    if image.indices is not None and image.palette is not None:
        used = image.palette[np.unique(image.indices)].astype(np.int32)
        if np.ptp(used, axis=1).max() > GREY and not image.palette[0].any():
            return image.indices, "indices"
    colours = image.pixels[..., :3]
    if colours.shape[2] == 1:
        return np.ascontiguousarray(colours[..., 0]), "brightness"
    if float(np.ptp(colours, axis=2).max()) <= GREY / 255 * top:
        return np.ascontiguousarray(colours[..., 1]), "brightness"
    few = len(np.unique(colours[::2, ::2].reshape(-1, 3), axis=0)) <= FEW
    return colours.max(2), "colours" if few else "picture"


def _decided(
    raws: list[_Raw], numbers: tuple[int, ...] | None, *, may_be_empty: bool = False
) -> MaskFiles:
    notes = []
    if any(raw.alpha is not None and np.ptp(raw.alpha) > 0 for raw in raws):
        raws = [raw if raw.alpha is None else _by_alpha(raw) for raw in raws]
        notes.append(f"{_about(raws)}: the mask was read from the alpha channel.")
    if any(raw.kind == "indices" for raw in raws):
        # A frame with no object, or with a grey one, has indices of the same palette.
        raws = [raw if raw.indices is None else _by_indices(raw) for raw in raws]
    peak = max(float(raw.values.max()) / raw.top for raw in raws)
    if peak <= 0 and not may_be_empty:
        raise _empty_error(raws)
    limit, why = _limit(raws, peak)
    notes += [f"{_about(raws)}: {why}"] if why else []
    masks = [np.where(raw.values > limit * raw.top, 255, 0).astype(np.uint8) for raw in raws]
    return MaskFiles(tuple(masks), numbers, (*notes, *_odd(raws, masks)))


def _by_alpha(raw: _Raw) -> _Raw:
    assert raw.alpha is not None
    return _Raw(raw.name, raw.alpha, raw.top, "alpha")


def _by_indices(raw: _Raw) -> _Raw:
    assert raw.indices is not None
    return _Raw(raw.name, raw.indices, raw.top, "indices", raw.alpha, raw.indices)


def _limit(raws: list[_Raw], peak: float) -> tuple[float, str]:
    """The share of white above which a pixel is on the object, and a note if it is not half.

    peak: the brightest value of all, as a share of white.
    """
    kinds = {raw.kind for raw in raws if raw.values.any()}
    top = raws[0].top
    shown = f"{peak * top:g} of {top:g}"
    if peak > 0 and kinds <= {"indices", "colours"}:
        return 0.0, "every colour other than black counts as the object."
    if peak > 0 and kinds == {"brightness"} and _numbered(raws, peak):
        return 0.0, f"everything that is not black counts as the object (brightest: {shown})."
    if "picture" in kinds:
        return (
            HALF / 255,
            "it is in colour; what is brighter than half counts as the object.",
        )
    if peak <= 0 or HALF / 255 < peak <= ABOVE_WHITE:
        return HALF / 255, ""
    return peak / 2, (
        f"its brightest value is {shown}, so what is brighter than half of that counts as the "
        "object."
    )


def _numbered(raws: list[_Raw], peak: float) -> bool:
    """Whether grey values are numbers of objects, or 0 and 1, instead of brightness."""
    if all(raw.top == 1.0 for raw in raws):
        whole = all((raw.values == np.rint(raw.values)).all() for raw in raws)
        return whole and 1 < peak <= LABELS
    if any(raw.top == 1.0 for raw in raws) or peak > HALF / 255:
        return False
    if all(peak * raw.top <= LABELS for raw in raws):
        return True
    return all(len(np.unique(raw.values)) <= 2 for raw in raws)


def _odd(raws: list[_Raw], masks: list[Pixels]) -> list[str]:
    """Notes on masks that are empty, all white, or the wrong way round."""
    notes = []
    pairs = list(zip(raws, masks, strict=True))
    empty = [raw for raw, mask in pairs if not mask.any()]
    black = [raw.name for raw in empty if not raw.values.any()]
    if black:
        notes.append(f"{_names(black)}: the mask is empty, so the object is not there.")
    dark = [raw for raw in empty if raw.values.any()]
    if dark:
        notes.append(
            f"{_about(dark)}: the mask is empty. Its brightest value is "
            f"{float(dark[0].values.max()):g} of {dark[0].top:g}, and other masks are brighter."
        )
    full = [raw.name for raw, mask in pairs if mask.all()]
    if full:
        notes.append(
            f"{_names(full)}: the mask is white everywhere, so the whole frame counts as the "
            "object. White marks the object, black everything else."
        )
    inverted = [raw.name for raw, mask in pairs if _surrounds(mask)]
    if inverted:
        notes.append(
            f"{_names(inverted)}: the object covers every edge of the frame and leaves a hole. If "
            "the mask is the wrong way round, invert it: white marks the object."
        )
    return notes


def _surrounds(mask: Pixels) -> bool:
    """Whether a mask covers most of the frame and nearly all of its border, but not everything."""
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return not mask.all() and bool((mask > 0).mean() > 0.5 and (border > 0).mean() > WHOLE_BORDER)


def _about(raws: list[_Raw]) -> str:
    return _names([raw.name for raw in raws])


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _empty_error(raws: list[_Raw]) -> JobError:
    every = "The mask" if len(raws) == 1 else f"Every one of the {len(raws)} masks"
    return JobError(
        "masks_empty",
        f"{every} is empty: the brightest value of {_about(raws)} is 0 of {raws[0].top:g}.",
        "Paint the object white on black, or give an image with the object in its alpha. If "
        "there is no object, use --no-object.",
    )
