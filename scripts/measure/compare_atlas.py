"""Compare both atlas engines on the same clips: our explicit one and the paper's networks.

    python -m scripts.measure.compare_atlas demo --seconds 120 [--docs docs] \\
        [--long-side 384 --frames 30]
    python -m scripts.measure.compare_atlas demo FOLDER ...
        (FOLDER/frames/*.png|jpg, FOLDER/masks/*.png)

Times are CPU time of this process on a CPU (which a busy machine hardly changes) and wall time on a
GPU. They cover everything from the flow to the last step, but not the measuring. A PSNR that was
not reached is reported as such, and extrapolations are marked.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend.atlas.explicit import config as explicit_config
from backend.atlas.explicit.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.mlp.config import VARIANTS
from backend.atlas.mlp.train import Trainer, finish, prepare
from backend.atlas.quality import rebuild
from backend.cli.sheet import contact_sheet
from backend.masks.prompts import MaskPrompts
from backend.motion.flow import working_size
from backend.progress import Silent
from scripts.make_clip import make_clip

Pixels = NDArray[np.uint8]
HELD_OUT = 0.03  # share of the colours held out from either engine
LAYERS = ("background", "foreground")


class Clock:
    """Seconds of work, without pauses. CPU time on a CPU, wall time on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spent, self.since = 0.0, self._now()

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def read(self) -> float:
        """Seconds so far."""
        return self.spent + self._now() - self.since

    def unpaused(self, work: Callable[[], float]) -> float:
        """Do work whose time does not count."""
        self.spent = self.read()
        result = work()
        self.since = self._now()
        return result


class Budget(Silent):
    """Stops the run that reports to it after the time limit; prints the PSNR every few seconds."""

    class Over(Exception):  # noqa: N818
        """The time is used up."""

    def __init__(self, clock: Clock, limit: float, every: float, log: Callable[[], float]) -> None:
        self.clock, self.limit, self.every, self.log = clock, limit, every, log
        self.next = every
        self.curve: list[tuple[float, float]] = []

    def step(self, phase: str, done: int, total: int) -> None:
        """Evaluate when it is due."""
        now = self.clock.read()
        if now >= self.next or now >= self.limit:
            self.curve.append((now, self.clock.unpaused(self.log)))
            print(f"    {now:7.1f} s  {self.curve[-1][1]:6.2f} dB  {phase} {done}/{total}")
            self.next = now + self.every
        if now >= self.limit:
            raise Budget.Over


@dataclass
class Run:
    """One engine's run: its atlas, and the PSNR over seconds on the fixed pixels."""

    name: str
    atlas: LayeredAtlas
    seconds: float
    curve: list[tuple[float, float]]
    about: str
    numbers: dict[str, float] = field(default_factory=dict)


@dataclass
class Judge:
    """Fixed random pixels of the clip at the working size: t, y, x [N] and their colours [N,3]."""

    frames: torch.Tensor
    t: torch.Tensor
    y: torch.Tensor
    x: torch.Tensor

    @classmethod
    def draw(cls, frames: Pixels, count: int, device: torch.device) -> Judge:
        """Depends only on the clip's size, so that all runs are judged on the same pixels."""
        generator = torch.Generator().manual_seed(0)
        t, y, x = (
            torch.randint(n, (count,), generator=generator).to(device) for n in frames.shape[:3]
        )
        return cls(torch.from_numpy(frames).to(device), t, y, x)

    def psnr(self, seen: torch.Tensor) -> float:
        """dB of colours [N,3], 0..1."""
        truth = self.frames[self.t, self.y, self.x].float() / 255
        return -10 * math.log10(max(1e-10, float((seen.clamp(0, 1) - truth).square().mean())))

    def of_networks(self, trainer: Trainer) -> float:
        """PSNR of the networks themselves, before they are baked."""
        xy = torch.stack([self.x, self.y], 1) + 0.5
        return self.psnr(trainer.evaluate(xy, self.t, Silent())[0])

    def of_atlas(self, atlas: LayeredAtlas) -> float:
        """PSNR of a finished atlas as it is rendered."""
        seen = torch.zeros(len(self.t), 3, device=self.t.device)
        for index in range(atlas.frames):
            mine = self.t == index
            whole = rebuild(atlas, torch.tensor([index], device=atlas.device), atlas.work)[0][0]
            seen[mine] = whole[:, self.y[mine], self.x[mine]].T
        return self.psnr(seen)


def run_explicit(
    frames: Pixels, keys: dict[int, Pixels], name: str, judge: Judge, long_side: int, seed: int
) -> Run:
    """Our engine with a preset, until it is done: it has no result before."""
    device = judge.t.device
    config = replace(explicit_config.preset(name, seed), long_side=long_side, held_out=HELD_OUT)
    clock = Clock(device)
    atlas = decompose(frames, [MaskPrompts("all", keys)], config, device, Silent())
    seconds = clock.read()
    curve = [(seconds, judge.of_atlas(atlas))]
    print(f"    {seconds:7.1f} s  {curve[0][1]:6.2f} dB  done")
    steps = config.uv_steps + config.half_steps + config.full_steps
    return Run(f"explicit, {name}", atlas, seconds, curve, f"{steps} steps", atlas.numbers)


def run_networks(
    frames: Pixels, keys: dict[int, Pixels], name: str, judge: Judge, args: argparse.Namespace
) -> Run:
    """The paper's networks, until the time is up."""
    config = replace(
        VARIANTS[name], long_side=args.long_side, held_out=HELD_OUT, seed=args.seed, chunk=500,
        bake=min(VARIANTS[name].bake, 2 * args.long_side),
    )  # fmt: skip
    if args.warm_passes is not None:
        config = replace(config, warm_passes=args.warm_passes)
    clock = Clock(judge.t.device)
    prompts = MaskPrompts("all", keys)
    footage, _ = prepare(frames, prompts, config, judge.t.device, Silent())
    trainer = Trainer(footage, config)
    budget = Budget(clock, args.seconds, args.every, lambda: judge.of_networks(trainer))
    warm = "the warm start was not finished"
    try:
        trainer.warm_start(budget)
        warm = f"warm start {clock.read():.0f} s"
        while trainer.done < config.steps:
            trainer.step(budget)
    except Budget.Over:
        pass
    about = f"{trainer.done} of {config.steps} steps of {config.rays} rays, {warm}"
    print(f"    {about}")
    atlas = finish(trainer, (len(frames), *frames.shape[1:3]), Silent())
    return Run(f"networks, {name}", atlas, args.seconds, budget.curve, about, atlas.numbers)


def reached(run: Run, target: float, explicit: bool) -> str:
    """When a PSNR was reached; if it was not, a marked extrapolation where one is possible."""
    for seconds, psnr in run.curve:
        if psnr >= target:
            return f"≤ {seconds:.0f} s (whole run)" if explicit else f"{seconds:.0f} s"
    if explicit:
        return f"not reached ({run.curve[0][1]:.1f} dB)"
    return f"not reached within {run.seconds:g} s; {extrapolated(run.curve, target)}"


def extrapolated(curve: list[tuple[float, float]], target: float) -> str:
    """When PSNR = a + b·log10(seconds), fitted to the later half of a curve, reaches a target."""
    late = curve[len(curve) // 2 :]
    if len(late) < 4:
        return "too few points to extrapolate"
    x, y = np.log10([s for s, _ in late]), np.array([p for _, p in late])
    b, a = np.polyfit(x, y, 1)
    spread = float(np.std(y - a - b * x))
    if b < 0.5:  # dB per tenfold time
        return f"no trend to extrapolate ({b:+.1f} dB per tenfold time)"
    power = (target - a) / b
    if power > 9:
        return f"extrapolation: beyond 10⁹ s ({b:+.1f} dB per tenfold time)"
    return (
        f"*extrapolation: {duration(10**power)}* ({b:+.1f} dB per tenfold time, ±{spread:.1f} dB)"
    )


def duration(seconds: float) -> str:
    """Seconds in a readable unit, two digits."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"≈ {seconds / length:.2g} {unit}"
    return f"≈ {seconds:.2g} s"


def table(runs: list[Run], targets: list[float], head: str) -> str:
    """All results, in Markdown."""
    lines = [head, "", "| engine | work | seconds | PSNR, fixed pixels | held out | foreground |"
             " mask IoU |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for run in runs:
        n = run.numbers
        cells = [f"{n[k]:.2f}" if k in n else "–" for k in ("psnr_held_out", "psnr_fg")]
        last = f"{run.curve[-1][1]:.2f}" if run.curve else "–"
        lines.append(f"| {run.name} | {run.about} | {run.seconds:.0f} | {last} | "
                     f"{' | '.join(cells)} | {n['mask_iou']:.3f} |")  # fmt: skip
    lines += ["", "Time to reach a PSNR on the fixed pixels:", ""]
    lines += ["| engine | " + " | ".join(f"{t:g} dB" for t in targets) + " |"]
    lines += ["|---|" + "---|" * len(targets)]
    for run in runs:
        cells = [reached(run, t, run.name.startswith("explicit")) for t in targets]
        lines.append(f"| {run.name} | " + " | ".join(cells) + " |")
    lines += ["", "PSNR over seconds:", ""]
    for run in runs:
        points = ", ".join(f"{s:.0f} s {p:.2f}" for s, p in run.curve)
        lines.append(f"- {run.name}: {points}")
    return "\n".join(lines) + "\n"


def pictures(runs: list[Run], judge: Judge) -> Pixels:
    """For each engine: atlases, then opacity, UV checkerboard and error on three frames."""
    rows: list[tuple[str, list[Pixels]]] = []
    count = judge.frames.shape[0]
    shown = [0, count // 2, count - 1]
    for run in runs:
        atlas = run.atlas
        atlases = []
        for layer in LAYERS:
            both = torch.cat([atlas.image(layer), atlas.coverage(layer)], 1)
            atlases.append(_bytes(both))
        rows.append((f"{run.name}: background and foreground atlas", atlases))
        alphas, boards, errors = [], [], []
        for index in shown:
            t = torch.tensor([index], device=atlas.device)
            seen, parts = rebuild(atlas, t, atlas.work)
            alpha = parts["foreground"]
            board = {k: _board(atlas.uv(k, t, atlas.work), atlas.image(k)) for k in LAYERS}
            both = board["background"] * 0.5 + 0.25
            tint = alpha.new_tensor([1.0, 0.55, 0.1])[:, None, None]
            both = both + alpha * (board["foreground"] * tint - both)
            truth = judge.frames[index].permute(2, 0, 1)[None].float() / 255
            error = ((seen.clamp(0, 1) - truth).abs().mean(1, keepdim=True) * 4).clamp(0, 1)
            alphas.append(_bytes(alpha.expand(-1, 3, -1, -1)))
            boards.append(_bytes(both))
            errors.append(_bytes(error.expand(-1, 3, -1, -1)))
        where = f"frames {', '.join(str(s) for s in shown)}"
        rows += [(f"opacity, {where}", alphas), (f"UV checkerboard, {where}", boards),
                 (f"error × 4, {where}", errors)]  # fmt: skip
    return contact_sheet("One clip, two engines", rows, width=1350)


def _board(uv: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """A checkerboard on the atlas, as a frame shows it: [1,1,H,W]; 12 squares across."""
    texels = uv.new_tensor([image.shape[3], image.shape[2]])
    cells = ((uv + 1) / 2 * texels / (max(image.shape[2:]) / 12)).floor()
    return cells.sum(-1).remainder(2)[:, None]


def _bytes(x: torch.Tensor) -> Pixels:
    array = (x[0].clamp(0, 1) * 255).round().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(array.astype(np.uint8))


def load(source: str, frames: int, long_side: int) -> tuple[Pixels, dict[int, Pixels]]:
    """Frames [T,H,W,3] and a mask for each, of the demo clip or of a folder."""
    if source == "demo":
        h, w = working_size(216, 384, long_side)
        clip = make_clip(frames, h, w)
        return clip.frames, dict(enumerate(clip.masks()))
    paths = sorted((Path(source) / "frames").iterdir())[:frames]
    shown = [_read(p, cv2.IMREAD_COLOR)[..., ::-1] for p in paths]
    masks = [_read(Path(source) / "masks" / f"{p.stem}.png", cv2.IMREAD_GRAYSCALE) for p in paths]
    return np.ascontiguousarray(np.stack(shown)), dict(enumerate(masks))


def _read(path: Path, flag: int) -> Pixels:
    image = cv2.imread(str(path), flag)
    if image is None:
        raise SystemExit(f"{path} cannot be read.")
    return np.asarray(image, np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", help="demo, or folders with frames/ and masks/")
    parser.add_argument(
        "--seconds", type=float, default=120, help="time for each run of the networks"
    )
    parser.add_argument("--every", type=float, default=10, help="seconds between two evaluations")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--long-side", type=int, default=384, help="working size, pixels")
    parser.add_argument("--pixels", type=int, default=2000, help="number of pixels to judge by")
    parser.add_argument("--targets", type=float, nargs="+", default=[15, 20, 25, 30])
    parser.add_argument(
        "--variants", nargs="+", choices=sorted(VARIANTS), default=["paper", "tuned"]
    )
    parser.add_argument(
        "--presets", nargs="+", default=["draft", "preview"], help="of the explicit engine"
    )
    parser.add_argument("--warm-passes", type=int, help="instead of each variant's default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--docs", type=Path, help="folder to write atlas_engines.md and its images to"
    )
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    parts = ["# The two atlas engines on the same clips\n\n" + f"    {' '.join(call(args))}\n"]
    for clip in args.clips:
        text, picture = compare(clip, args, device)
        print(f"\n{text}", flush=True)
        name = f"atlas_engines_{Path(clip).name}.jpg"
        parts.append(f"## {Path(clip).name}\n\n{text}\n![Atlases, opacity, UV, error]({name})\n")
        if args.docs:
            args.docs.mkdir(parents=True, exist_ok=True)
            (args.docs / "atlas_engines.md").write_text("\n".join(parts), encoding="utf-8")
            image = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(args.docs / name), image, [cv2.IMWRITE_JPEG_QUALITY, 80])


def call(args: argparse.Namespace) -> list[str]:
    """The command that repeats this run, without folders."""
    out = ["python -m scripts.measure.compare_atlas", *(Path(clip).name for clip in args.clips)]
    for name in ("seconds", "every", "frames", "long_side", "presets", "variants"):
        value = getattr(args, name)
        out += [
            f"--{name.replace('_', '-')}",
            *map(str, value if isinstance(value, list) else [value]),
        ]
    return out


def compare(source: str, args: argparse.Namespace, device: torch.device) -> tuple[str, Pixels]:
    """All runs on one clip: the tables in Markdown, and the contact sheet."""
    frames, keys = load(source, args.frames, args.long_side)
    size = working_size(frames.shape[1], frames.shape[2], args.long_side)
    small = np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in frames])
    judge = Judge.draw(np.asarray(small, np.uint8), args.pixels, device)
    runs = []
    for name in args.presets:
        print(f"explicit, {name}", flush=True)
        runs.append(run_explicit(frames, keys, name, judge, args.long_side, args.seed))
    for name in args.variants:
        print(f"networks, {name}", flush=True)
        runs.append(run_networks(frames, keys, name, judge, args))
    kind = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}"
    )
    clock = "wall time" if device.type == "cuda" else "CPU time of one thread"
    head = (
        f"{len(frames)} frames, worked at {size[1]}×{size[0]}; "
        f"{kind}, {clock}. {args.pixels} fixed pixels; {HELD_OUT:.0%} of the colours held out from "
        "every fit (none in a clip under 8 frames)."
    )
    return table(runs, args.targets, head), pictures(runs, judge)


if __name__ == "__main__":
    main()
