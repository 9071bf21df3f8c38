"""Seconds a step and peak memory of the edit, compared with a loop written the reference's way.

    python -m scripts.measure.benchmark_edit [--case image|video] [--steps 5] [--known]
    python -m scripts.measure.benchmark_edit --arithmetic

image: 512² pixels, 16 views. video: 70 frames of 768×432, 6 views, a flat atlas. Both use the full
generator (128 channels, 7 scales) and a text-image model of ViT-B/32's size with random weights.

The plain loop is scripts/measure/plain_edit.py, which costs what the released code costs. It runs
in a process of its own with PyTorch's default settings; ours keeps freed memory, as the backend's
worker does (backend/memory.py). The two take steps in turn, on the same images. In the image case
these have random sizes, as in training, or are always 512² with --fixed; they are new at every
step, or with --known one that recurs, as most do when we edit a still. The first step of each loop
is left out. Ratios are of the sums; the median is that of the pairs. On a CPU, seconds are CPU time
of the process, which a busy machine changes less than wall time; of one thread unless --threads is
larger. On a GPU, --block steps are timed together, without waiting in between. Peak memory is that
of the process on a CPU, and of the tensors on a GPU.

--arithmetic counts a step of ours instead: operations of matrix products and convolutions, bytes
that pass through memory if every operation reads and writes all its tensors, and calls of
operations; and estimates their time on an H100 (SXM) at 40 % of its peaks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.model import CLIP
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from backend.clip.model import TextImageModel
from backend.edit import generator, train
from backend.edit.config import EditConfig, EditTexts, preset
from backend.edit.criterion import Example
from backend.edit.generator import Generator
from backend.edit.image import Still
from backend.edit.madgrad import Madgrad
from backend.edit.upsampled import plain_convolution
from backend.edit.video import ClipLayer
from backend.memory import keep_freed
from backend.progress import Reporter, Silent
from scripts.measure.plain_edit import PlainGenerator, PlainLoop

Pixels = NDArray[np.uint8]
TEXTS = EditTexts(prompt=("a golden swan",), source=("a black swan",))
QUICK_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"width": 32, "heads": 2, "layers": 1},
}
# H100 SXM: dense bfloat16 tensor cores, and memory. CALL: the host's time for a call, seconds.
PEAK_FLOPS, PEAK_BYTES, SHARE, CALL = 989e12, 3.35e12, 0.4, 5e-6
TIMED = "| case | ours, s/step | peak GB | plain, s/step | peak GB | ratio | median | by clock |"
COUNTED = "| case | TFLOP | GB | calls | products, ms | memory, ms | calls, ms | whole run, s |"


class FlatAtlas:
    """A pan over one image: frame t shows it from pixel t on; the object is its middle."""

    layers = ("foreground", "background")

    def __init__(self, frames: Pixels, device: torch.device) -> None:
        self.frames, self.height, self.width = frames.shape[:3]
        self.device = device
        self.size = (self.height, self.width + self.frames - 1)
        self.numbers: dict[str, float] = {}

    def uv(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        height, width = size or (self.height, self.width)
        x = (torch.arange(width, device=self.device) + 0.5) * self.width / width
        y = (torch.arange(height, device=self.device) + 0.5) * self.height / height
        u = (x + t.to(self.device)[:, None, None]) / self.size[1] * 2 - 1
        v = (y / self.size[0] * 2 - 1)[:, None]
        return torch.stack(
            [u.expand(len(t), height, width), v.expand(len(t), height, width)], dim=-1
        )

    def opacity(self, layer: str, t: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        height, width = size or (self.height, self.width)
        made = torch.zeros(len(t), 1, height, width, device=self.device)
        made[..., height // 3 : height * 2 // 3, width // 3 : width * 2 // 3] = 1
        return made

    def image(self, layer: str) -> Tensor:
        random = torch.Generator().manual_seed(0)
        return torch.rand(1, 3, *self.size, generator=random).to(self.device)

    def coverage(self, layer: str) -> Tensor:
        return torch.ones(1, 1, *self.size, device=self.device)


class Prepared:
    """A training before its first step. Step n always draws the same numbers; no previews."""

    def __init__(self, setup: train.Setup, subject: train.Subject) -> None:
        self.setup, self.subject, self.network = setup, subject, subject.network

    def examples(self, step: int) -> list[Example]:
        """The training images of a step."""
        self.setup.random.manual_seed(step)
        return self.subject.examples(step)

    def preview(self) -> Pixels:
        """Nothing to see."""
        return np.zeros((8, 8, 3), np.uint8)


def prepare(
    case: str,
    model: TextImageModel,
    config: EditConfig,
    network: type[Generator] = Generator,
    report: Reporter = Silent(),  # noqa: B008  (without state)
) -> Prepared:
    """Everything up to the first step, by the product's own code but with this kind of network."""
    random, side = np.random.default_rng(0), config.size
    setup = train.Setup(TEXTS, model, config, report)
    with mock.patch.object(train, "Generator", network):
        if case == "image":
            image = random.integers(0, 255, (side, side, 3), np.uint8)
            return Prepared(setup, Still(image, setup))
        count = 70 if side > 100 else 5
        frames = random.integers(0, 255, (count, side * 9 // 16, side, 3), np.uint8)
        atlas: Any = FlatAtlas(frames, model.device)
        return Prepared(setup, ClipLayer(frames, atlas, "background", setup))


@dataclass(frozen=True)
class Cost:
    """The cost of a block: CPU (or GPU) seconds and wall seconds per step, and peak GB."""

    seconds: float
    clock: float
    peak: float


class Meter:
    """Measures the cost of a block."""

    def __init__(self, device: torch.device, block: int) -> None:
        self.device, self.block = device, block

    def begin(self) -> None:
        """Start a block."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")
        self._since = self._now()

    def cost(self) -> Cost:
        """End the block."""
        seconds, clock = (b - a for a, b in zip(self._since, self._now(), strict=True))
        return Cost(seconds / self.block, clock / self.block, self._peak())

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cpu":
            return time.process_time(), time.perf_counter()
        torch.cuda.synchronize(self.device)
        return time.perf_counter(), time.perf_counter()

    def _peak(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        status = Path("/proc/self/status")
        if not status.exists():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e9


def plain_steps(pipe: Connection, args: argparse.Namespace) -> None:
    """The plain loop's process: receives a case and its config, then runs a block per request."""
    torch.set_num_threads(args.threads)
    meter = Meter(torch.device(args.device), args.block)
    with suppress(EOFError):  # the main process has ended
        while True:
            case, config = pipe.recv()
            plain = plain_loop(case, config, args)
            while (first := pipe.recv()) is not None:
                meter.begin()
                for number in range(first, first + args.block):
                    plain.step(number)
                pipe.send(meter.cost())


def plain_loop(case: str, config: EditConfig, args: argparse.Namespace) -> PlainLoop:
    """The plain loop, with a model of its own, as it adds hooks to it."""
    model = clip_of_size(args.quick, torch.device(args.device))
    made = prepare(case, model, replace(config, precision="float32"), PlainGenerator)
    return PlainLoop(made, model, TEXTS, made.setup.config)


@contextmanager
def beside_plain(args: argparse.Namespace) -> Iterator[Connection]:
    """Start the plain loop in a fresh process, without our settings; yields a pipe to it."""
    pipe, end = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=plain_steps, args=(end, args))
    process.start()
    end.close()
    try:
        yield pipe
    finally:
        pipe.close()
        process.join()


class Turns(Silent):
    """Times our blocks of steps, and has the plain loop run as many steps after each."""

    def __init__(self, pipe: Connection, device: torch.device, block: int) -> None:
        self.pipe, self.block = pipe, block
        self.meter = Meter(device, block)
        self.pairs: list[tuple[Cost, Cost]] = []
        self._done = -1

    def step(self, phase: str, done: int, total: int) -> None:
        """Called before every step of ours, and inside it."""
        if done == self._done or done % self.block:
            return
        if done:
            ours = self.meter.cost()
            self.pipe.send(done - self.block)
            plain = self.pipe.recv()
            self.pairs.append((ours, plain))
            print(f"{ours.seconds:.2f} s, plain {plain.seconds:.2f} s", file=sys.stderr, flush=True)
        self._done = done
        self.meter.begin()


def compare(
    case: str, model: TextImageModel, config: EditConfig, block: int, pipe: Connection
) -> str:
    """A row of the table. pipe: connects to the plain loop's process."""
    turns = Turns(pipe, model.device, block)
    ours = prepare(case, model, config, report=turns)
    pipe.send((case, config))
    train.train(ours.setup, ours)
    pipe.send(None)
    return row_of(case, turns.pairs[1:])


def row_of(case: str, pairs: list[tuple[Cost, Cost]]) -> str:
    """A row of the table. pairs: (ours, plain)."""
    a, b = (sum(pair[side].seconds for pair in pairs) / len(pairs) for side in (0, 1))
    median = statistics.median(plain.seconds / ours.seconds for ours, plain in pairs)
    clock = sum(plain.clock for _, plain in pairs) / sum(ours.clock for ours, _ in pairs)
    peaks = [max(pair[side].peak for pair in pairs) for side in (0, 1)]
    return (
        f"| {case} | {a:.2f} | {peaks[0]:.1f} | {b:.2f} | {peaks[1]:.1f} | {b / a:.2f} "
        f"| {median:.2f} | {clock:.2f} |"
    )


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts calls and the bytes they read and write; views of a tensor count as nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls, self.bytes = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.calls += 1
            touched = tree_leaves((args, kwargs, made))
            self.bytes += sum(
                t.numel() * t.element_size() for t in touched if isinstance(t, Tensor)
            )
        return made


def count(case: str, model: TextImageModel, config: EditConfig) -> str:
    """A row of --arithmetic: an ordinary step of ours on a GPU."""
    ours = prepare(case, model, config)
    optimizer = Madgrad(ours.network.parameters(), momentum=0.9, weight_decay=0.01)
    for weight in ours.network.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()  # makes its state
    as_on_a_gpu = mock.patch.object(generator, "normalised_convolution", plain_convolution)
    with as_on_a_gpu, FlopCounterMode(display=False) as flops, Traffic() as traffic:
        optimizer.zero_grad(set_to_none=True)
        loss, _ = ours.setup.criterion(ours.examples(1), 1)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    total = flops.get_total_flops()
    products = total / (SHARE * PEAK_FLOPS)
    memory = traffic.bytes / (SHARE * PEAK_BYTES)
    calls = traffic.calls * CALL
    return (
        f"| {case} | {total / 1e12:.2f} | {traffic.bytes / 1e9:.1f} | {traffic.calls} "
        f"| {products * 1e3:.1f} | {memory * 1e3:.1f} | {calls * 1e3:.1f} "
        f"| {config.steps * max(products + memory, calls):.0f} |"
    )


def clip_of_size(quick: bool, device: torch.device) -> TextImageModel:
    """A text-image model with random weights: of ViT-B/32's size, or a small one."""
    torch.manual_seed(0)
    cfg = QUICK_CLIP if quick else open_clip.get_model_config("ViT-B-32")
    return TextImageModel(
        CLIP(**{**cfg, "quick_gelu": not quick}), open_clip.SimpleTokenizer(),
        mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD, name="random", device=device,
    )  # fmt: skip


def config_of(case: str, args: argparse.Namespace) -> EditConfig:
    """The reference's settings, with the command line's changes."""
    config = preset("final", video=case == "video", layer="background")
    config = replace(config, bootstrap=0.0, precision=args.precision, preview_every=10**9)
    config = replace(config, internal_count=int(args.known))
    if args.quick:
        config = replace(config, size=64, channels=8, scales=3)
        config = replace(config, views=replace(config.views, count=2))
    if args.fixed:
        config = replace(config, internal_scale=(1.0, 1.0), internal_crop=(1.0, 1.0))
    if args.size:
        config = replace(config, size=args.size)
    if args.views:
        config = replace(config, views=replace(config.views, count=args.views))
    return config


def main(words: list[str] | None = None) -> int:
    """Print the table."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.benchmark_edit", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    p.add_argument("--case", choices=["image", "video"], help="run only this case")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--steps", type=int, default=5, help="number of timed blocks of each loop")
    p.add_argument(
        "--block",
        type=int,
        default=0,
        help="steps to time together (default: 1 on a CPU, 10 on a GPU)",
    )
    p.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    p.add_argument("--size", type=int, default=0, help="long side of the images, pixels")
    p.add_argument("--views", type=int, default=0, help="views of each image")
    p.add_argument("--threads", type=int, default=1, help="CPU threads")
    p.add_argument("--fixed", action="store_true", help="images of one size")
    p.add_argument("--known", action="store_true", help="stills: a single crop that recurs")
    p.add_argument("--quick", action="store_true", help="small sizes, to test that it runs")
    p.add_argument("--arithmetic", action="store_true", help="count operations instead of timing")
    args = p.parse_args(words)
    device = torch.device(args.device)
    args.block = args.block or (1 if device.type == "cpu" else 10)
    torch.set_num_threads(args.threads)
    model = clip_of_size(args.quick, device)
    print(f"{machine(device)}, torch {torch.__version__}, {args.precision}\n")
    print(COUNTED if args.arithmetic else TIMED)
    print("|---|---|---|---|---|---|---|---|")
    cases = [args.case] if args.case else ["image", "video"]
    if args.arithmetic:
        for case in cases:
            print(count(case, model, config_of(case, args)), flush=True)
        return 0
    keep_freed()
    with beside_plain(args) as pipe:
        for case in cases:
            config = replace(config_of(case, args), steps=(args.steps + 1) * args.block)
            print(compare(case, model, config, args.block, pipe), flush=True)
    return 0


def machine(device: torch.device) -> str:
    """The device's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    raise SystemExit(main())
