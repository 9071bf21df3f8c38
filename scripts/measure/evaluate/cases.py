"""What is evaluated: clips with their true masks, and their prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np

from backend import media
from protocol.jobs import JobError
from scripts.make_clip import make_clip
from scripts.measure.evaluate.metrics import Bools, Pixels

BUILT_IN = Path(__file__).parent / "cases.json"
DEMO = "demo"


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A clip and the prompts for one of its layers.

    clip: ``demo``, or a folder with frames/ and masks/ (of the object, one PNG per frame, inside
    where above 127). source: what is there now. screens: for each prompt, what the layer alone
    shows; empty: the prompt. layer: ``foreground``, the object, or ``background``, all else.
    """

    clip: str
    source: str
    prompts: tuple[str, ...]
    screens: tuple[str, ...] = ()
    layer: str = "foreground"
    recipe: str = "texture"

    def __post_init__(self) -> None:
        if self.screens and len(self.screens) != len(self.prompts):
            raise ValueError("give as many screens as prompts, or none")

    def cut(self, count: int | None) -> Case:
        """The same with only its first prompts."""
        prompts, screens = self.prompts[:count], self.screens[:count]
        return msgspec.structs.replace(self, prompts=prompts, screens=screens)

    def screen(self, prompt: int) -> tuple[str, ...]:
        """What the layer alone shows."""
        return self.screens[prompt : prompt + 1]


@dataclass(frozen=True)
class MaskedClip:
    """frames: uint8 [T,H,W,3] sRGB. inside: bool [T,H,W], where the object truly is."""

    frames: Pixels
    inside: Bools

    @property
    def middle(self) -> int:
        """The frame whose mask is given, and that is shown."""
        return len(self.frames) // 2

    def of_layer(self, layer: str) -> MaskedClip:
        """The same with the true mask of a layer: where the object is, or where it is not."""
        return self if layer == "foreground" else MaskedClip(self.frames, ~self.inside)


def read_cases(file: Path) -> list[Case]:
    """Cases of a JSON file. Raises JobError (``cases_unreadable``)."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Case])
    except (OSError, msgspec.DecodeError) as why:
        raise JobError(
            "cases_unreadable",
            f"The cases in {file} cannot be read: {why}.",
            f"Write them like those in {BUILT_IN.name} beside this script.",
        ) from why


def read_clip(clip: str, clips: Path, count: int, width: int) -> MaskedClip:
    """The middle `count` frames of a clip, at most `width` pixels wide.

    clips: folder of the clips that are given by name. Raises JobError.
    """
    if clip == DEMO:
        made = make_clip(count, 2 * round(width * 9 / 32), width)
        return MaskedClip(made.frames, made.alpha > 0.5)
    folder = clips / clip
    files = media.image_files(folder / "frames")
    first = max(0, (len(files) - count) // 2)
    frames, inside = [], []
    for file in files[first : first + count]:
        frame = media.read_image(file)
        mask = media.read_mask(folder / "masks" / f"{file.stem}.png")
        scale = min(1.0, width / frame.shape[1])
        size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        frames.append(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
        share = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        inside.append(share > 127)
    return MaskedClip(np.stack(frames).astype(np.uint8), np.stack(inside))
