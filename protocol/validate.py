"""Check a job before anything is uploaded. Both ends run the same checks."""

from __future__ import annotations

import math
import re

from .jobs import (
    BOTH,
    ENGINES,
    OBJECTS,
    PRESETS,
    EditJob,
    JobError,
    JobSpec,
    Masks,
    ObjectRef,
    PaintJob,
)
from .layers import POINTED, error_of_object, layers_of, objects_of, one_object_only
from .limits import GIB, LIMITS, Limits
from .mask_prompts import check_model, check_prompts, check_words
from .painters import FromFramesSettings, declared, images_of, settings_of

_DIGEST = re.compile(r"[0-9a-f]{64}")
_JOB_ID = re.compile(r"[0-9a-f]{32}")
MAX_REFERENCES = 8
"""Reference images of an edit."""
TEXTS = ("prompt", "source", "region", "avoid", "background", "background_source")
"""The fields of an edit that are lists of texts."""


def check_job_id(job: str) -> None:
    """Raise JobError unless job is 32 lower-case hex digits."""
    if not _JOB_ID.fullmatch(job):
        raise JobError(
            "bad_job_id",
            "A job's id is 32 hex digits.",
            "Make ids with protocol.client.new_job_id().",
        )


def references(spec: JobSpec) -> tuple[ObjectRef, ...]:
    """Every reference of a job to an object, in the order of the clip, with repetitions."""
    masks = (key.mask for one in objects_of(spec) for key in one.keys)
    strokes = (key.mask for one in objects_of(spec) for key in one.strokes)
    painted = images_of(spec) if isinstance(spec, EditJob) else ()
    return (*spec.clip.frames, *masks, *strokes, *spec.images, *painted)


def objects(spec: JobSpec) -> dict[str, ObjectRef]:
    """The objects that a job reads, by digest, each once, in the order of the clip."""
    return {ref.digest: ref for ref in references(spec)}


def check_preset(name: str) -> None:
    """Raise JobError("unknown_preset") unless there is a preset of this name."""
    if name not in PRESETS:
        raise JobError(
            "unknown_preset",
            f"There is no preset {name!r}.",
            f"Choose one of: {', '.join(PRESETS)}.",
        )


def check(spec: JobSpec, limits: Limits = LIMITS) -> None:
    """Raise JobError, with one clear sentence, if the job cannot run as it is."""
    check_preset(spec.preset)
    if spec.engine not in ENGINES:
        raise JobError(
            "unknown_engine",
            f"There is no atlas engine {spec.engine!r}.",
            f"Choose one of: {', '.join(ENGINES)}.",
        )
    if not 0 <= spec.seed < 2**63:
        raise JobError("bad_seed", f"The seed {spec.seed} is out of range.", "Use 0 or more.")
    if isinstance(spec, EditJob) and not 0 <= spec.variant < 2**31:
        raise JobError(
            "bad_variant", f"The variant {spec.variant} is out of range.", "Use 0 or more."
        )
    if isinstance(spec, EditJob):
        _check_edit(spec, limits)
    _check_objects(spec)
    _check_frames(spec, limits)
    each = objects_of(spec)
    for number, masks in enumerate(each, 1):
        # An edit's texts describe one object: only the foremost can be found by them.
        texts = spec.object_texts if number == 1 else ()
        try:
            _check_masks(spec, masks, texts, limits)
        except JobError as why:
            raise error_of_object(why, number, len(each)) from why
    if isinstance(spec, PaintJob):
        _check_paint(spec, limits)
    refs, distinct = references(spec), objects(spec)
    if any(distinct[ref.digest] != ref for ref in refs):
        raise JobError(
            "bad_object",
            "The job names one image with two sizes.",
            "Extract the frames again, then send the job again.",
        )
    total = sum(ref.nbytes for ref in refs)  # a repeated frame is decoded each time
    if total > limits.job_bytes:
        raise JobError(
            "job_too_large",
            f"The clip and its masks take {total / GIB:.1f} GiB; "
            f"a job can have {limits.job_bytes / GIB:.1f} GiB.",
            "Trim the strip, or set Largest Side in the add-on's preferences.",
        )


def _check_edit(spec: EditJob, limits: Limits) -> None:
    settings = settings_of(spec)
    if settings.prompted and not any(text.strip() for text in spec.prompt):
        raise JobError(
            "empty_prompt",
            "The prompt is empty.",
            "Describe what the edited shot should show, for example: rusty car.",
        )
    for name in TEXTS:
        check_words(name.replace("_", " "), getattr(spec, name), limits)
    check_model(spec.model, limits)
    for one in declared(spec.painter):
        if one.kind == "texts":
            check_words(one.name.replace("_", " "), getattr(settings, one.name), limits)
        if one.kind == "images":
            _check_references(getattr(settings, one.name), limits)
    if isinstance(settings, FromFramesSettings):
        _check_painted(spec, settings, limits)
    if spec.after and not settings.continues:
        raise JobError(
            "after_unused",
            f"The painter {spec.painter} cannot start from an earlier edit.",
            "Leave the edit to start from out.",
        )
    if spec.after and not _JOB_ID.fullmatch(spec.after):
        raise JobError(
            "bad_job_id",
            "The edit to start from needs a job's id, which is 32 hex digits.",
            "Give the id of a finished edit, or leave it out to start from scratch.",
        )
    if spec.layer != BOTH and (spec.background or spec.background_source):
        raise JobError(
            "background_unused",
            f"There are texts for the background, but the layer is {spec.layer}.",
            f"Set the layer to {BOTH}, or move the texts to prompt and source.",
        )


def _check_references(images: tuple[ObjectRef, ...], limits: Limits) -> None:
    if len(images) > MAX_REFERENCES:
        raise JobError(
            "too_many_references",
            f"The edit has {len(images)} reference images; at most {MAX_REFERENCES} are used.",
            "Keep those that show best what the layer should look like.",
        )
    for number, image in enumerate(images, 1):
        _check_object(image, 3, f"Reference image {number}", limits)


def _check_painted(spec: EditJob, settings: FromFramesSettings, limits: Limits) -> None:
    if not settings.painted_frames:
        raise JobError(
            "no_painted_frames",
            "There are no edited frames.",
            "Give one or several edited frames of the clip, or the whole clip edited.",
        )
    count, start = len(spec.clip.frames), spec.clip.start
    numbers = [one.frame for one in settings.painted_frames]
    for number, one in zip(numbers, settings.painted_frames, strict=True):
        if not 0 <= number < count:
            raise JobError(
                "painted_out_of_range",
                f"An edited frame is for frame {start + number}, but the clip has {count} frames.",
                "Remove it, or choose the strip that it belongs to.",
            )
        channels = one.image.shape[-1] if one.image.shape else 0
        what = f"The edited frame {start + number}"
        _check_object(one.image, channels if channels == 4 else 3, what, limits)
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise JobError(
            "painted_twice",
            f"Frame {start + twice} has two edited frames.",
            "Keep one of them.",
        )


def _check_objects(spec: JobSpec) -> None:
    each = objects_of(spec)
    if len(each) > len(OBJECTS):
        raise JobError(
            "too_many_objects",
            f"The job has {len(each)} objects; the maximum is {len(OBJECTS)}.",
            "Treat objects that you do not edit as background.",
        )
    if len(each) > 1 and spec.engine == "mlp":
        raise one_object_only()
    for number, masks in enumerate(each, 1):
        if len(each) > 1 and masks.mode not in POINTED:
            raise error_of_object(
                JobError(
                    "object_not_pointed_at",
                    "With several objects, each needs its own mask, box, strokes, clicks or text.",
                    "Set its mask mode to key, all, text or segment, or remove the object.",
                ),
                number,
                len(each),
            )
    layers = layers_of(len(each))
    if isinstance(spec, EditJob):
        layers = (*layers, BOTH)
    if spec.changes is not None and spec.changes not in layers:
        missing = spec.changes in OBJECTS
        raise JobError(
            "unknown_layer",
            f"The layer is {spec.changes!r}, but the job has {len(each)} "
            f"object{'s' if len(each) > 1 else ''}."
            if missing
            else f"There is no layer {spec.changes!r}.",
            f"Choose one of: {', '.join(layers)}"
            + ("; or add a mask for that object (behind)." if missing else "."),
        )


def _check_paint(spec: PaintJob, limits: Limits) -> None:
    frames, image = spec.clip.frames, spec.image
    _check_object(image, 4, "The paint", limits)
    if spec.frame is None:
        return
    if not 0 <= spec.frame < len(frames):
        raise JobError(
            "paint_out_of_range",
            f"The paint is for frame {spec.clip.start + spec.frame}, but the clip has "
            f"{len(frames)} frames.",
            "Choose a frame of the clip.",
        )
    if image.shape[:2] != frames[0].shape[:2]:
        raise JobError(
            "paint_size_differs",
            f"The paint is {_size(image)}, but the clip is {_size(frames[0])}.",
            "Paint over the frame at the clip's own size.",
        )


def _check_frames(spec: JobSpec, limits: Limits) -> None:
    frames = spec.clip.frames
    if not frames:
        raise JobError("no_frames", "The clip has no frames.", "Choose a strip that is not empty.")
    if len(frames) > limits.frames:
        raise JobError(
            "too_many_frames",
            f"The clip has {len(frames)} frames; at most {limits.frames} are accepted.",
            "Trim the strip, or split it and work on the parts.",
        )
    for number, ref in enumerate(frames, spec.clip.start):
        _check_object(ref, 3, f"Frame {number}", limits)
        if ref.shape != frames[0].shape:
            raise JobError(
                "frame_sizes_differ",
                f"Frame {number} is {_size(ref)}, but the first frame is {_size(frames[0])}.",
                "Every frame of a clip must have the same size.",
            )
    if not (math.isfinite(spec.clip.fps) and spec.clip.fps > 0):
        raise JobError(
            "bad_fps", "The clip's frame rate is not a positive number.", "Set its frame rate."
        )


def _check_masks(spec: JobSpec, masks: Masks, texts: tuple[str, ...], limits: Limits) -> None:
    frames = spec.clip.frames
    if masks.mode == "none" and spec.changes in (OBJECTS[0], BOTH):
        raise JobError(
            "no_foreground",
            "The mask mode is none, so there is no foreground to edit.",
            "Edit the background layer, or mask the object.",
        )
    check_prompts(masks, spec.clip, texts, limits)
    if masks.mode == "all" and len(masks.keys) != len(frames):
        raise JobError(
            "masks_incomplete",
            f"The mask mode is all, but {len(masks.keys)} of {len(frames)} frames have a mask.",
            "Give every frame a mask, or set the mask mode to key.",
        )
    start = spec.clip.start
    for what, picture in (
        *((f"The mask of frame {start + key.frame}", key.mask) for key in masks.keys),
        *((f"The strokes image of frame {start + one.frame}", one.mask) for one in masks.strokes),
    ):
        _check_object(picture, 1, what, limits)
        if picture.shape[:2] != frames[0].shape[:2]:
            raise JobError(
                "mask_size_differs",
                f"{what} is {_size(picture)}, but the clip is {_size(frames[0])}.",
                "Make it the same size as the clip.",
            )


def _check_object(ref: ObjectRef, channels: int, what: str, limits: Limits) -> None:
    if not _DIGEST.fullmatch(ref.digest) or ref.dtype != "uint8" or len(ref.shape) != 3:
        raise JobError(
            "bad_object",
            f"{what} is not an 8-bit image.",
            "Send uint8 arrays of height, width and channels.",
        )
    if ref.shape[2] != channels or min(ref.shape) < 1:
        raise JobError(
            "bad_object",
            f"{what} has the shape {list(ref.shape)}; it must have {channels} "
            f"channel{'s' if channels > 1 else ''}.",
            "Frames are RGB, masks have one channel, paint is RGBA.",
        )
    if max(ref.shape) > limits.side:
        raise JobError(
            "frame_too_large",
            f"{what} is {_size(ref)}; the maximum is {limits.side}×{limits.side}.",
            "Work at a smaller size.",
        )


def _size(ref: ObjectRef) -> str:
    return f"{ref.shape[1]}×{ref.shape[0]}"
