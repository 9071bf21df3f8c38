"""Jobs, their events and results: the part of the protocol that an artist would recognise."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from .limits import MAX_CODE, MAX_SENTENCES

PRESETS = ("draft", "preview", "final")
OBJECTS = ("foreground", "foreground_2", "foreground_3")  # front to back
LAYERS = (*OBJECTS, "background")
BOTH = "both"  # of an edit: the foremost object and the background
ENGINES = ("explicit", "mlp")
SEGMENTERS = ("sam2", "maskrcnn")


class ObjectRef(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to an array by its content: the digest of the decoded pixels.

    digest: sha256, 64 hex digits, of ``f"{dtype}|{H}x{W}x{C}|".encode() + bytes`` (C order).
    dtype: ``"uint8"``. shape: H×W×C; C is 1 (mask), 3 (frame, sRGB) or 4 (layer, straight alpha).
    """

    digest: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size of the decoded block in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def reference(array: NDArray[np.uint8]) -> ObjectRef:
    """The reference of an array uint8 [H,W,C]; raises ValueError for anything else."""
    if array.dtype != np.uint8 or array.ndim != 3:
        raise ValueError(f"an object is uint8 [H,W,C], not {array.dtype} {list(array.shape)}")
    block = np.ascontiguousarray(array)
    size = "x".join(str(n) for n in block.shape)
    digest = hashlib.sha256(f"uint8|{size}|".encode())
    digest.update(block.data.cast("B"))
    return ObjectRef(digest=digest.hexdigest(), dtype="uint8", shape=tuple(block.shape))


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """The frames of a strip, in order. Every frame has the same size, uint8 sRGB [H,W,3].

    start: the number of its first frame on the artist's timeline. Sentences count from it; fields
    that name a frame of the clip count from 0.
    """

    frames: tuple[ObjectRef, ...]
    fps: float = 24.0
    start: int = 1


class KeyMask(msgspec.Struct, frozen=True, kw_only=True):
    """The object's mask on one frame: uint8 [H,W,1], 0 outside, 255 inside."""

    frame: int
    mask: ObjectRef


class ClipModel(msgspec.Struct, frozen=True, kw_only=True):
    """The text-image model that steers an edit.

    name: an open_clip architecture (``ViT-B-32``), ``demo`` for the embedded model, or empty for
    the one the backend was started with (``--model``).
    pretrained: an open_clip tag (``openai``). checkpoint: a file on the backend's machine.
    """

    name: str = "demo"
    pretrained: str = ""
    checkpoint: str = ""


class BoxKey(msgspec.Struct, frozen=True, kw_only=True):
    """A box around the object on one frame, in pixels of the clip: x0 ≤ x < x1, y0 ≤ y < y1."""

    frame: int
    x0: float
    y0: float
    x1: float
    y1: float


class StrokeKey(msgspec.Struct, frozen=True, kw_only=True):
    """Strokes on one frame: uint8 [H,W,1].

    0: not painted. 1 to 127: a stroke on the background. 128 to 255: a stroke on the object. A
    frame with background strokes only keeps the tracked mask away from them.
    """

    frame: int
    mask: ObjectRef


class ClickKey(msgspec.Struct, frozen=True, kw_only=True):
    """A click on one frame, in pixels of the clip: on the object, or beside it (inside false)."""

    frame: int
    x: float
    y: float
    inside: bool = True


class Masks(msgspec.Struct, frozen=True, kw_only=True):
    """Where an object is.

    mode ``all``: a mask for every frame. ``key``: a mask (keys), a box (boxes) or strokes on one or
    a few key frames, tracked through the clip both ways; an empty mask means that the object is not
    there. ``text``: where the text-image model sees one of texts (an edit's default: its region or
    source). ``segment``: by a segmentation model, from a box or clicks. ``auto``: found by motion,
    colours and, if given, texts; on real shots only a suggestion. ``none``: there is no object; the
    whole clip is background. Fields that a mode does not use stay empty.

    model: for texts; without a name, the edit's own or the one the backend was started with.
    segmenter: ``sam2`` or ``maskrcnn``; weights: its folder or file on the backend's machine.
    """

    mode: Literal["auto", "key", "all", "none", "text", "segment"] = "auto"
    keys: tuple[KeyMask, ...] = ()
    boxes: tuple[BoxKey, ...] = ()
    strokes: tuple[StrokeKey, ...] = ()
    clicks: tuple[ClickKey, ...] = ()
    texts: tuple[str, ...] = ()
    model: ClipModel = ClipModel(name="")
    segmenter: str = "sam2"
    weights: str = ""


class ClipJob(msgspec.Struct, frozen=True, kw_only=True):
    """What every job has: the clip, where its objects are, and how its atlas is made.

    masks: the object in front, layer ``foreground``. behind: at most two more objects, front to
    back, layers ``foreground_2`` and ``foreground_3``. With several, each needs mask mode ``key``,
    ``all``, ``text`` or ``segment``; where masks overlap, the object in front owns the pixel.
    engine ``explicit``: splines and images. ``mlp``: the networks of Layered Neural Atlases, for
    one object. Jobs that agree in all of these share one atlas.
    """

    clip: Clip
    masks: Masks = Masks()
    behind: tuple[Masks, ...] = ()
    preset: str = "preview"
    seed: int = 0
    engine: str = "explicit"

    @property
    def title(self) -> str:
        """What a list of jobs shows."""
        return ""

    @property
    def changes(self) -> str | None:
        """The layer that the job changes, or None."""
        return None

    @property
    def object_texts(self) -> tuple[str, ...]:
        """Texts that locate the front object if its masks have none."""
        return ()

    @property
    def images(self) -> tuple[ObjectRef, ...]:
        """Images that the job reads besides its frames and masks."""
        return ()


class AtlasJob(ClipJob, frozen=True, kw_only=True, tag_field="kind", tag="atlas"):
    """Decompose a clip: an atlas, UV map and alpha per object, and the background's atlas."""

    @property
    def title(self) -> str:
        """What a list of jobs shows."""
        return "layered atlas"


class MaskJob(ClipJob, frozen=True, kw_only=True, tag_field="kind", tag="mask"):
    """Find the front object on every frame, and how far each mask can be trusted; nothing else."""

    @property
    def title(self) -> str:
        """What a list of jobs shows."""
        return "mask"

    @property
    def changes(self) -> str | None:
        """The object's layer: its result has one image per frame."""
        return OBJECTS[0]


class EditJob(ClipJob, frozen=True, kw_only=True, tag_field="kind", tag="edit"):
    """Make one text-driven RGBA layer for a clip.

    prompt: what the edited frame shows; some painters need none. source: what is there now.
    region: where the edit belongs (default: source). avoid: where it must not go. Each is a list of
    alternatives.
    layer: what is edited: an object's layer, ``background``, or ``both``: the front object and the
    background in one job. background, background_source: the background's own prompt and source
    text for ``both`` (default: prompt; nothing). The other texts describe the object.
    model: the text-image model that reads the texts.
    variant: another number paints the same atlas with other random numbers.
    after: id of a finished edit of the same clip, layer and preset to start from.
    painter: the way of painting. settings: its own settings by name, as its struct in
    `protocol.painters` declares them; those left out have their defaults.
    """

    prompt: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    layer: str = "foreground"
    background: tuple[str, ...] = ()
    background_source: tuple[str, ...] = ()
    model: ClipModel = ClipModel()
    variant: int = 0
    after: str = ""
    painter: str = "text2live"
    settings: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """What a list of jobs shows."""
        return self.prompt[0][:80] if self.prompt else self.painter.replace("_", " ")

    @property
    def changes(self) -> str | None:
        """The layer the job changes."""
        return self.layer

    @property
    def object_texts(self) -> tuple[str, ...]:
        """The texts of the edit's region, or else of its source."""
        return region_texts(self.region, self.source)


class PaintJob(ClipJob, frozen=True, kw_only=True, tag_field="kind", tag="paint"):
    """Map an image that the artist painted to every frame of a clip, glued to a layer.

    image: RGBA. frame None: painted over the layer's atlas, at any size with its aspect ratio; at
    the atlas's own size, pixels equal to the image that an atlas job returned are not paint. frame
    k: painted over frame k at the clip's size, mapped into the atlas where the frame shows the
    layer. The clip must be one shot.
    """

    image: ObjectRef
    frame: int | None = None
    layer: str = "foreground"

    @property
    def title(self) -> str:
        """What a list of jobs shows."""
        return (
            "painted atlas"
            if self.frame is None
            else f"painted frame {self.clip.start + self.frame}"
        )

    @property
    def changes(self) -> str | None:
        """The layer the job changes."""
        return self.layer

    @property
    def images(self) -> tuple[ObjectRef, ...]:
        """The paint."""
        return (self.image,)


def region_texts(region: tuple[str, ...], source: tuple[str, ...]) -> tuple[str, ...]:
    """The texts that say where an edit belongs: its region, or else its source."""
    return region or source


JobSpec = AtlasJob | MaskJob | EditJob | PaintJob

JobState = Literal[
    "uploading", "queued", "starting", "running", "saving",
    "done", "failed", "cancelling", "cancelled", "interrupted",
]  # fmt: skip
FINAL_STATES: frozenset[str] = frozenset({"done", "failed", "cancelled"})


def shortened(text: str, length: int = MAX_SENTENCES) -> str:
    """The text, cut to a number of characters if it is longer; the cut is marked by ``…``."""
    return text if len(text) <= length else text[: length - 1] + "…"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error, written for the artist.

    code: stable, machine-readable. message: what happened, in one sentence. hint: what to do.
    Longer texts are cut: a sentence that repeats what a client sent must still fit in an answer.
    """

    code: str
    message: str
    hint: str = ""
    retryable: bool = False

    def __post_init__(self) -> None:
        for name, length in (
            ("code", MAX_CODE),
            ("message", MAX_SENTENCES),
            ("hint", MAX_SENTENCES),
        ):
            text = getattr(self, name)
            if len(text) > length:
                msgspec.structs.force_setattr(self, name, shortened(text, length))


class JobError(Exception):
    """Raised wherever a job cannot continue; carries the Problem that reaches the artist."""

    def __init__(self, code: str, message: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, message=message, hint=hint, retryable=retryable)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a finished job.

    layer: one RGBA object per frame, straight alpha, sRGB, at the clip's own size; empty for atlas
    jobs. Of a mask job: white, the mask as alpha, at the size at which masks are found.
    confidence: of a mask job, for every frame, 0..1; 0 where a shot does not show the object.
    parts: for an edit of ``both``, its layers ``foreground`` and ``background``, each like layer;
    layer is then the foreground composited over the background.
    pictures: named images, e.g. ``foreground_atlas``, ``background_atlas``, ``edited_atlas``,
    ``painted_atlas``.
    numbers: named measures, e.g. ``psnr``, ``seconds``.
    """

    layer: tuple[ObjectRef, ...] = ()
    parts: dict[str, tuple[ObjectRef, ...]] = {}
    pictures: dict[str, ObjectRef] = {}
    numbers: dict[str, float] = {}
    confidence: tuple[float, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's history; seq counts from 1 without gaps, per job.

    kind ``state``: the job has a new state; ``done`` carries result, ``failed`` carries problem.
    ``progress``: phase, done of total, eta_s seconds left. ``preview``: object is a small image;
    replayed without it once there is a newer one. ``note``: text for the artist (a warning, a
    choice that was made).
    """

    seq: int
    at: float
    kind: Literal["state", "progress", "preview", "note"]
    state: JobState
    phase: str = ""
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    text: str = ""
    object: ObjectRef | None = None
    result: Result | None = None
    problem: Problem | None = None

    def __post_init__(self) -> None:
        for name in ("phase", "text"):
            text = getattr(self, name)
            if len(text) > MAX_SENTENCES:
                msgspec.structs.force_setattr(self, name, shortened(text))
