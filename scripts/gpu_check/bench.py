"""What every check works with: the device, models and clips, and a place for its results."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.atlas.interface import LayeredAtlas
from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, EditTexts
from protocol.jobs import ClipModel
from scripts.gpu_check.footage import CLIP_FILE, Footage, wait_for_footage
from scripts.make_clip import SyntheticClip, make_clip
from scripts.measure.benchmark_edit import clip_of_size

TEXTS = EditTexts(prompt=("a golden swan",), source=("a blue swan",))
CPU = torch.device("cpu")


class Bench:
    """The worker's side of a visit: models and clips stay loaded from one item to the next.

    scratch: folder for temporary files; the clip of the large items appears in it. out: folder for
    images. send: takes a named value of the item under way, or a failed check under the name "".
    """

    def __init__(
        self,
        device: torch.device,
        quick: bool,
        scratch: Path,
        out: Path,
        send: Callable[[str, Any], None],
    ) -> None:
        self.device, self.quick, self.scratch, self.out = device, quick, scratch, out
        self._send = send
        self.atlas: LayeredAtlas | None = None

    # --- results ---------------------------------------------------------------------------------

    def put(self, name: str, value: Any) -> None:
        """Keep a value, even if the item fails later. Names with dots group values."""
        self._send(name, _plain(value))

    def problem(self, text: str) -> None:
        """Report that a check failed; the item goes on."""
        self._send("", text)

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """A part of an item whose failure does not stop the rest; keeps its seconds."""
        since = time.perf_counter()
        try:
            yield
            self.sync()
        except Exception as why:
            self.problem(f"{what}: {type(why).__name__}: {why} [{where_raised(why)}]")
            self.sync()  # raises again if the device cannot be used any more
        else:
            self.put(f"{what}.seconds", time.perf_counter() - since)

    # --- the device ------------------------------------------------------------------------------

    @property
    def on_cuda(self) -> bool:
        """Whether a GPU is measured."""
        return self.device.type == "cuda"

    def sync(self) -> None:
        """Wait until the device has done all that was asked of it."""
        if self.on_cuda:
            torch.cuda.synchronize(self.device)

    def usable(self) -> bool:
        """Whether the device still answers; after some errors it never does in this process."""
        try:
            self.sync()
        except RuntimeError:
            return False
        return True

    def reset_peak(self) -> None:
        """Measure the peak of the tensors' memory from here on."""
        if self.on_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)

    def peak_gb(self) -> float:
        """Largest memory of tensors since then, GB; 0 on a CPU."""
        return torch.cuda.max_memory_allocated(self.device) / 1e9 if self.on_cuda else 0.0

    def milliseconds(self, work: Callable[[], Any], repeats: int, warm: int = 3) -> float:
        """Mean time of a piece of work, repeated without waiting in between."""
        for _ in range(warm):
            work()
        self.sync()
        since = time.perf_counter()
        for _ in range(repeats):
            work()
        self.sync()
        return (time.perf_counter() - since) / repeats * 1e3

    # --- models and clips ------------------------------------------------------------------------

    @cached_property
    def demo(self) -> TextImageModel:
        """The built-in model on the device."""
        return load_clip(ClipModel(), self.device)

    @cached_property
    def model(self) -> TextImageModel:
        """A model of ViT-B/32's size with random weights, on the device."""
        return clip_of_size(self.quick, self.device)

    @cached_property
    def shot(self) -> SyntheticClip:
        """A short, small clip."""
        frames, height, width = (5, 54, 96) if self.quick else (6, 144, 256)
        return make_clip(frames, height, width)

    @cached_property
    def footage(self) -> Footage:
        """The clip of the large items, which another process renders meanwhile."""
        return wait_for_footage(self.scratch / CLIP_FILE)


def tiny(config: EditConfig) -> EditConfig:
    """An edit of a size that a CPU trains quickly."""
    views = replace(config.views, count=1)
    return replace(config, size=64, atlas_limit=96, channels=4, scales=3, views=views)


def where_raised(why: BaseException) -> str:
    """The last lines of the project in an exception's traceback, innermost first."""
    frames = [
        f"{Path(frame.filename).parent.name}/{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(why.__traceback__)
        if "site-packages" not in frame.filename and "/gpu_check/bench" not in frame.filename
    ]
    return " < ".join(reversed(frames[-4:]))


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if isinstance(value, str | int | bool | None) else str(value)
