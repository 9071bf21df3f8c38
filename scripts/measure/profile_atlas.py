"""Profile the making of an atlas, and estimate a GPU's time for it from its memory traffic.

    python -m scripts.measure.profile_atlas [CLIP] [--frames 16] [--long-side 768] [--preset final]

Prints the seconds of every phase on this machine's CPU (one thread), and the costliest operations
of a shorter run. Then counts the tensor operations of such a run and the bytes they read and write.
These bound a GPU's time: bytes over the bandwidth of its memory, and one kernel launch per
operation. Figures extrapolated to --target-frames are marked. No GPU is used.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from backend.atlas.explicit.config import AtlasConfig, preset
from backend.atlas.explicit.fit import decompose
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from scripts.measure.compare_keys import CLIPS, jittered, load

CPU = torch.device("cpu")
BANDWIDTH = 3.35e12  # bytes per second, H100 SXM's HBM3 by its data sheet
USED = 0.4  # share of it that a chain of small kernels is assumed to reach
LAUNCH = 5e-6  # seconds per kernel, eager mode
ON_CPU = ("Computing motion", "Finding the object", "Checking the mask", "Aligning frames")
"""Phases that OpenCV and NumPy compute, even on a machine with a GPU."""
PER_STEP = {"Unwrapping": ("uv_steps",), "Fitting the atlas": ("half_steps", "full_steps")}
"""Phases whose work grows with steps of the config; that of the others grows with the frames."""
SHOWN = 12  # number of costliest operations to print


class Phases(Silent):
    """Seconds of CPU time by phase."""

    def __init__(self) -> None:
        self.phase, self.since = "Starting", time.process_time()
        self.seconds: dict[str, float] = defaultdict(float)

    def step(self, phase: str, done: int, total: int) -> None:
        """Add the time since the last call to the phase that it belongs to."""
        now = time.process_time()
        self.seconds[self.phase] += now - self.since
        self.phase, self.since = phase, now


@dataclass
class Work:
    """Number of tensor operations, and the bytes they read and write."""

    operations: int = 0
    nbytes: int = 0


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what every operation reads and writes, except views, by the reporter's phase."""

    def __init__(self, phases: Phases) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.phases = phases
        self.work: dict[str, Work] = defaultdict(Work)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count it."""
        out = func(*args, **(kwargs or {}))
        read, made = list(_tensors((args, kwargs))), list(_tensors(out))
        inside = {tensor.untyped_storage().data_ptr() for tensor in read}
        in_place = func.__name__.split(".")[0].endswith("_")
        view = made and all(one.untyped_storage().data_ptr() in inside for one in made)
        if made and (in_place or not view):
            work = self.work[self.phases.phase]
            work.operations += 1
            work.nbytes += sum(one.numel() * one.element_size() for one in read + made)
        return out


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one thread, so that CPU times are comparable."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


@dataclass(frozen=True)
class Estimate:
    """A phase on a GPU. operations, nbytes: of the whole run. seconds: the larger bound."""

    operations: float
    nbytes: float
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        bound = max(self.nbytes / (BANDWIDTH * USED), self.operations * LAUNCH)
        object.__setattr__(self, "seconds", bound)


def estimates(
    work: dict[str, Work], counted: AtlasConfig, config: AtlasConfig, growth: float
) -> dict[str, Estimate]:
    """The cost of the whole run on a GPU, from a shorter run that was counted.

    growth: frames of the whole run per frame of the counted one; a step costs the same in both.
    """
    out = {}
    for phase, one in work.items():
        if phase in ON_CPU:
            continue
        names = PER_STEP.get(phase)
        factor = growth
        if names:
            factor = sum(getattr(config, n) for n in names) / sum(
                getattr(counted, n) for n in names
            )
        out[phase] = Estimate(one.operations * factor, one.nbytes * factor)
    return out


def main(argv: list[str] | None = None) -> int:
    """Print phases, operations and estimates."""
    p = argparse.ArgumentParser(prog="python -m scripts.measure.profile_atlas", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    p.add_argument("name", nargs="?", default="demo", help="a clip of --clips, or demo")
    p.add_argument("--clips", type=Path, default=CLIPS)
    p.add_argument("--frames", type=int, default=16)
    p.add_argument("--target-frames", type=int, default=70)
    p.add_argument("--long-side", type=int, default=768)
    p.add_argument("--preset", default="final")
    args = p.parse_args(argv)
    frames, masks, _ = load(f"{args.name}:{args.frames}", args.clips, args.long_side)
    given = [MaskPrompts("all", dict(enumerate(jittered(masks))))]
    config = replace(preset(args.preset), long_side=args.long_side)
    with one_thread():
        phases = Phases()
        decompose(frames, given, config, CPU, phases)
        phases.step("", 0, 0)
        _print_phases(phases)
        # The two halves of a fit work at different sizes: take a tenth of each.
        short = replace(config, uv_steps=config.uv_steps // 10,
                        half_steps=config.half_steps // 10,
                        full_steps=config.full_steps // 10)  # fmt: skip
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            decompose(frames, given, short, CPU, Silent())
        _print_operations(seen)
        counting = Phases()
        with Traffic(counting) as traffic:
            decompose(frames, given, short, CPU, counting)
    _print_gpu(estimates(traffic.work, short, config, args.target_frames / len(frames)), args)
    return 0


def _print_phases(phases: Phases) -> None:
    total = sum(phases.seconds.values())
    print(f"CPU seconds of one thread, {total:.0f} in all:")
    for phase, seconds in sorted(phases.seconds.items(), key=lambda one: -one[1]):
        if seconds >= 0.005 * total:
            print(f"  {phase:24}{seconds:8.1f} {seconds / total:6.1%}")


def _print_operations(seen: Any) -> None:
    spent: Counter[str] = Counter()
    for one in seen.key_averages():
        spent[one.key] += one.self_cpu_time_total / 1e6
    total = sum(spent.values())
    print("Costliest tensor operations of a run of a tenth of the steps, share of all of them:")
    for name, seconds in spent.most_common(SHOWN):
        print(f"  {name:44}{seconds:8.1f} {seconds / total:6.1%}")


def _print_gpu(found: dict[str, Estimate], args: argparse.Namespace) -> None:
    print(
        f"{args.target_frames} frames at long side {args.long_side}, {args.preset}, on a GPU of "
        f"{BANDWIDTH / 1e12:.2f} TB/s of which {USED:.0%} are reached, {LAUNCH * 1e6:.0f} µs per "
        f"kernel (extrapolated; {', '.join(ON_CPU)} run on the CPU):"
    )
    for phase, one in sorted(found.items(), key=lambda pair: -pair[1].seconds):
        print(f"  {phase:24}{one.operations:11.0f} kernels {one.nbytes / 1e9:9.1f} GB "
              f"{one.seconds:7.2f} s")  # fmt: skip
    print(f"  {'together':24}{sum(one.seconds for one in found.values()):41.2f} s")


if __name__ == "__main__":
    raise SystemExit(main())
