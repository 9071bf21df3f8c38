"""One cell of the table: a clip, a prompt, a variant and a seed, edited once and kept.

Each runs in a process of its own, so that its memory peak is its own. Its folder is named after
everything that the result depends on, versions included, so that no cell is made twice.
"""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from backend import media
from backend.atlas import engines
from backend.atlas.render import render_layer
from backend.clip.load import load_clip
from backend.clip.model import TextImageModel
from backend.edit import train
from backend.edit.config import EditConfig, EditTexts
from backend.edit.image import edit_image
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.masks import resolve
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from protocol.jobs import ClipModel, JobError
from scripts.measure.evaluate import baselines
from scripts.measure.evaluate.baselines import edit_atlas_alone, edit_frames_alone
from scripts.measure.evaluate.cases import MaskedClip
from scripts.measure.evaluate.metrics import Pixels
from scripts.measure.evaluate.variants import How

ENGINE = "explicit"
DONE = "cost.json"  # written last: a folder with it is a finished cell


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell cost.

    seconds: processor time on a CPU, wall time on a GPU. peak_mb: largest memory of the process,
    libraries included; on a GPU, of its tensors there. problem: why there is no layer.
    """

    seconds: float
    peak_mb: float
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything a cell is made from. atlas: its folder, for clips. layer: the one to edit."""

    footage: MaskedClip
    texts: EditTexts
    config: EditConfig
    how: How
    layer: str
    model: ClipModel
    device: str
    atlas: Path | None


class Meter:
    """Measures the cost of work in this process."""

    def __init__(self, device: str) -> None:
        self.device, self.cuda = device, device.startswith("cuda")
        if self.cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        self.start = self._now()

    def _now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def read(self, problem: str = "") -> Cost:
        """The cost since this meter was made."""
        seconds = self._now() - self.start
        if self.cuda:
            peak = torch.cuda.max_memory_allocated(self.device) / 1e6
        else:
            units = 1.0 if sys.platform == "darwin" else 1024.0
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * units / 1e6
        return Cost(seconds=seconds, peak_mb=peak, problem=problem)


def make_atlas(footage: MaskedClip, preset: str, seed: int, device: str, folder: Path) -> Cost:
    """Decompose a clip and save the atlas; the true mask is given on the middle frame."""
    torch.set_num_threads(1)
    meter = Meter(device)
    middle = footage.middle
    key = {middle: footage.inside[middle].astype(np.uint8) * 255}
    prompts = [MaskPrompts("key", key)]
    atlas = engines.decompose(
        ENGINE, preset, seed, footage.frames, prompts, torch.device(device), Silent()
    )
    cost = meter.read()
    atlas.save(folder)
    return cost


def make_layer(order: Order) -> tuple[Pixels, Cost]:
    """Edit: the layer of every frame, uint8 [T,H,W,4], and its cost, from texts to frames.

    A training that fails gives an empty layer, and the reason in its cost.
    """
    torch.set_num_threads(1)
    clip = load_clip(order.model, order.device)
    meter = Meter(order.device)
    try:
        layers = _edited(order, clip)
    except JobError as why:
        empty = np.zeros((*order.footage.frames.shape[:3], 4), np.uint8)
        return empty, meter.read(why.problem.message)
    return layers, meter.read()


def _edited(order: Order, clip: TextImageModel) -> Pixels:
    frames, report = order.footage.frames, Silent()
    texts, config = order.texts, order.config
    if order.atlas is None:
        return np.stack([edit_image(one, Setup(texts, clip, config, report)) for one in frames])
    atlas = engines.load_atlas(order.atlas, clip.device)
    if order.how == "atlas alone":
        rgba = edit_atlas_alone(atlas, order.layer, texts, clip, config, report)
        return np.stack(list(render_layer(atlas, order.layer, rgba, report)))
    setup = Setup(texts, clip, config, report)
    if order.how == "frames alone":
        return np.stack(edit_frames_alone(frames, atlas, order.layer, setup))
    rgba = edit_atlas(frames, atlas, order.layer, setup)
    return np.stack(list(render_layer(atlas, order.layer, rgba, report)))


def fill(order: Order, folder: Path) -> Cost:
    """Make a cell's layer and save it as PNGs and JSON."""
    layers, cost = make_layer(order)
    for t, layer in enumerate(layers):
        media.write_png(folder / f"{t:05d}.png", layer)
    partial = folder / f"{DONE}.partial"
    partial.write_bytes(msgspec.json.encode(cost))
    partial.replace(folder / DONE)
    return cost


def read(folder: Path) -> tuple[Pixels, Cost] | None:
    """A finished cell: its layers [T,H,W,4] and their cost; None if it is not finished."""
    if not (folder / DONE).exists():
        return None
    layers = np.stack([media.read_rgba(one) for one in media.image_files(folder)])
    return layers, msgspec.json.decode((folder / DONE).read_bytes(), type=Cost)


def atlas_key(footage: MaskedClip, preset: str, seed: int, device: str) -> str:
    """A name for an atlas that depends on all it is made from."""
    settings = engines.settings(ENGINE, preset, seed)
    versions = (engines.VERSIONS[ENGINE], resolve.VERSION)
    return _key(versions, _pixels(footage), settings, device.partition(":")[0])


def cell_key(order: Order) -> str:
    """A name for a cell that depends on all it is made from; of the atlas, on its name."""
    return _key(
        (train.VERSION, baselines.VERSION), _pixels(order.footage), asdict(order.texts),
        asdict(order.config), order.how, order.layer, order.model, order.device.partition(":")[0],
        order.atlas.name if order.atlas else "",
    )  # fmt: skip


def _pixels(footage: MaskedClip) -> str:
    both = footage.frames.tobytes() + np.packbits(footage.inside).tobytes()
    return f"{footage.frames.shape} {hashlib.sha256(both).hexdigest()}"


def _key(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
