"""Check a job's mask prompts: boxes, strokes, clicks and texts, against its mask mode and clip."""

from __future__ import annotations

import math

from .jobs import SEGMENTERS, Clip, ClipModel, JobError, Masks
from .limits import Limits

USES = {
    "all": ("keys",),
    "key": ("keys", "boxes", "strokes"),
    "text": ("texts",),
    "segment": ("boxes", "clicks"),
    "auto": ("texts",),
    "none": (),
}
"""The fields of Masks that each mask mode reads; the others must be empty."""

WORDS = {
    "keys": "Masks",
    "boxes": "Boxes",
    "strokes": "Strokes",
    "clicks": "Clicks",
    "texts": "Texts",
}


def check_prompts(masks: Masks, clip: Clip, texts: tuple[str, ...], limits: Limits) -> None:
    """Raise JobError if an object's mask prompts cannot be used.

    texts: used where the masks have no texts of their own.
    """
    for name, word in WORDS.items():
        if getattr(masks, name) and name not in USES[masks.mode]:
            modes = [mode for mode, names in USES.items() if name in names]
            raise JobError(
                "masks_unused",
                f"{word} were given, but mask mode {masks.mode} does not use them.",
                f"Set the mask mode to {' or '.join(modes)}, or remove the {name}.",
            )
    if masks.mode == "key" and not (masks.keys or masks.boxes or masks.strokes):
        raise JobError(
            "no_masks",
            "The mask mode is key, but no frame has a mask, a box or strokes.",
            "Draw one on any frame, or set the mask mode to auto.",
        )
    if len(masks.clicks) > limits.clicks:
        raise JobError(
            "too_many_clicks",
            f"The masks have {len(masks.clicks)} clicks; at most {limits.clicks} are accepted.",
            "Remove some; a few on the object and a few beside it are enough.",
        )
    _check_places(masks, clip)
    if masks.mode in ("text", "auto"):
        _check_texts(masks, texts, limits)
    check_path(masks.weights, "The path of the segmentation model's weights", limits)
    check_model(masks.model, limits)
    if masks.mode == "segment":
        _check_segmenter(masks)


def check_words(name: str, texts: tuple[str, ...], limits: Limits) -> None:
    """Raise JobError if a list of texts is too long, or one of them is. name: ``prompt``, …"""
    if len(texts) > limits.texts:
        raise JobError(
            "too_many_texts",
            f"The {name} has {len(texts)} alternatives; at most {limits.texts} are used.",
            "Remove some.",
        )
    longest = max((len(text) for text in texts), default=0)
    if longest > limits.text:
        raise JobError(
            "prompt_too_long",
            f"The {name} has {longest} characters; at most {limits.text} are accepted.",
            "Shorten it; CLIP reads about 70 words.",
        )


def check_model(model: ClipModel, limits: Limits) -> None:
    """Raise JobError if a text-image model's name, tag or path is too long."""
    check_path(model.name, "The text-image model's name", limits)
    check_path(model.pretrained, "The tag of the text-image model's weights", limits)
    check_path(model.checkpoint, "The path of the text-image model's weights", limits)


def check_path(text: str, what: str, limits: Limits) -> None:
    """Raise JobError if a path or a name is too long."""
    if len(text) > limits.path:
        raise JobError(
            "path_too_long",
            f"{what} has {len(text)} characters; at most {limits.path} are accepted.",
            "Check it, or move the file to a shorter path.",
        )


def _check_places(masks: Masks, clip: Clip) -> None:
    count = len(clip.frames)
    height, width = clip.frames[0].shape[:2]
    for what, frame in (
        *(("A mask", key.frame) for key in masks.keys),
        *(("A box", box.frame) for box in masks.boxes),
        *(("A strokes image", stroke.frame) for stroke in masks.strokes),
        *(("A click", click.frame) for click in masks.clicks),
    ):
        if not 0 <= frame < count:
            raise JobError(
                "mask_out_of_range",
                f"{what} is for frame {clip.start + frame}, but the clip has {count} frames.",
                "Remove it, or choose the strip that it belongs to.",
            )
    given = [
        *(key.frame for key in masks.keys),
        *(box.frame for box in masks.boxes),
        *(stroke.frame for stroke in masks.strokes),
    ]
    if len(set(given)) != len(given):
        raise JobError(
            "mask_twice",
            "A frame has more than one of these: a mask, a box, strokes.",
            "Keep only one of them on each frame.",
        )
    for box in masks.boxes:
        corners = (box.x0, box.y0, box.x1, box.y1)
        wide = min(box.x1, width) - max(box.x0, 0)
        high = min(box.y1, height) - max(box.y0, 0)
        if not all(math.isfinite(v) for v in corners) or wide < 1 or high < 1:
            raise JobError(
                "bad_box",
                f"The box on frame {clip.start + box.frame} contains no pixel of the frame.",
                "Give x0, y0, x1, y1 in pixels, with x0 < x1 and y0 < y1.",
            )
    for click in masks.clicks:
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise JobError(
                "bad_click",
                f"A click on frame {clip.start + click.frame} is outside the frame.",
                f"Click within its {width}×{height} pixels.",
            )


def _check_texts(masks: Masks, texts: tuple[str, ...], limits: Limits) -> None:
    texts = masks.texts or texts
    if masks.mode == "text" and not any(text.strip() for text in texts):
        raise JobError(
            "no_mask_text",
            "The mask mode is text, but no text names the object.",
            "Name what is there now, for example: black swan.",
        )
    check_words("masks' text", masks.texts, limits)


def _check_segmenter(masks: Masks) -> None:
    if masks.segmenter not in SEGMENTERS:
        raise JobError(
            "unknown_segmenter",
            f"There is no segmentation model {masks.segmenter!r}.",
            f"Choose one of: {', '.join(SEGMENTERS)}.",
        )
    if not masks.boxes and not any(click.inside for click in masks.clicks):
        raise JobError(
            "no_masks",
            "The mask mode is segment, but no box or click marks the object.",
            "Draw a box around the object, or click on it, on any frame.",
        )
