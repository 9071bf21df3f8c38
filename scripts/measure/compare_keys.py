"""Compare one atlas of the object for all frames with several key atlases over time.

    python -m scripts.measure.compare_keys [CLIP ...] [--keys 1 20] [--long-side 384] [--out DIR]

A clip is a folder with frames/ and masks/ in --clips, ``demo`` for the generated one, or
``demo-light`` for that one under drifting light; CLIP:N takes its first N frames. The masks are the
true ones with their edges moved by about 2 px. Held out: dB on 8×8 blocks that the colours were not
fitted to, inside the object, in the background, at its edge, and over all. Slip is over 8 frames,
in pixels; EPE is the error of a point that is painted on the first frame, 25 frames later. IoU is
with the true masks. Seconds are CPU time of all threads, and wall time from frames to atlas.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from backend import media
from backend.atlas.explicit.config import AtlasConfig, preset
from backend.atlas.explicit.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.render import render_layer
from backend.atlas.report import sheet
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from scripts.make_clip import SyntheticClip, make_clip

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"
JITTER, COARSE = 2.0, 12  # distance by which edges move, and between independent moves, pixels
AHEAD = 25  # frames over which a painted point is followed
LIGHT = 0.2  # how much brighter and darker the drifting light makes a clip
SHOWN = 8  # frames on an image
COLUMNS = {"held fg": "psnr_held_out_fg", "bg": "psnr_held_out_bg", "edge": "psnr_held_out_edge",
           "held out": "psnr_held_out", "fitted": "psnr", "slip": "slip_fg"}  # fmt: skip

Pixels = NDArray[np.uint8]


def load(name: str, clips: Path, long_side: int) -> tuple[Pixels, Pixels, SyntheticClip | None]:
    """Frames [T,H,W,3] and true masks [T,H,W] at the working size; the clip if it is generated."""
    name, _, count = name.partition(":")
    if name in ("demo", "demo-light"):
        made = make_clip(int(count or 30), round(long_side * 9 / 16), long_side)
        return drifting(made.frames) if name == "demo-light" else made.frames, made.masks(), made
    files = sorted((clips / name / "frames").iterdir())[: int(count) if count else None]
    masks = [clips / name / "masks" / f"{file.stem}.png" for file in files]
    frames = [_small(f, cv2.IMREAD_COLOR, long_side)[..., ::-1] for f in files]
    shares = [_small(m, cv2.IMREAD_GRAYSCALE, long_side) for m in masks]
    return np.stack(frames), np.stack(shares), None


def drifting(frames: Pixels) -> Pixels:
    """Frames under light that is up to a fifth brighter or darker, varying in space and time."""
    count, h, w = frames.shape[:3]
    t, y, x = np.meshgrid(*(np.arange(n) / n for n in (count, h, w)), indexing="ij")
    light = 1 + LIGHT * np.sin(2 * np.pi * (t + 0.7 * x + 0.3 * y))
    return np.asarray(np.clip(frames * light[..., None], 0, 255).round(), np.uint8)


def _small(path: Path, flag: int, long_side: int) -> Pixels:
    image = cv2.imread(str(path), flag)
    if image is None:
        raise SystemExit(f"{path} cannot be read.")
    scale = long_side / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def jittered(masks: Pixels, seed: int = 0) -> Pixels:
    """Masks whose edges are moved in and out by smooth noise, different on each frame."""
    random = np.random.default_rng(seed)
    out = np.zeros_like(masks)
    for moved, mask in zip(out, masks, strict=True):
        inside = (mask > 127).astype(np.uint8)
        if not inside.any():
            continue
        away = cv2.distanceTransform(inside, cv2.DIST_L2, 5) - cv2.distanceTransform(
            1 - inside, cv2.DIST_L2, 5
        )
        noise = random.standard_normal([-(-n // COARSE) + 1 for n in mask.shape])
        move = cv2.resize(noise, mask.shape[::-1], interpolation=cv2.INTER_CUBIC) * JITTER
        moved[away + move > 0] = 255
    return out


def end_point_error(atlas: LayeredAtlas, clip: SyntheticClip) -> tuple[float, float]:
    """Median and mean error in pixels of points painted on the object, AHEAD frames later."""
    h, w = clip.alpha.shape[1:]
    end = min(AHEAD, len(clip.alpha) - 1)
    y, x = np.nonzero(cv2.erode((clip.alpha[0] > 0.99).astype(np.uint8), np.ones((3, 3))))
    here = np.stack([x, y], -1).astype(np.float64) + 0.5
    there = clip.track(here, 0, end, "foreground")
    seen = (there > 1).all(-1) & (there < (w - 1, h - 1)).all(-1)
    here, there = here[seen], there[seen]

    def at(t: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        uv = atlas.uv("foreground", torch.tensor([t])).permute(0, 3, 1, 2)
        grid = torch.tensor(points / (w, h) * 2 - 1, dtype=torch.float32)[None, None]
        found = F.grid_sample(uv, grid, align_corners=False)[0, :, 0].T
        return np.asarray(found.numpy(), np.float64)

    halves = 0.5 * np.eye(2, dtype=np.float64)
    wrong = at(0, here) - at(end, there)
    slopes = [at(end, there + half) - at(end, there - half) for half in halves]
    error = np.linalg.norm(np.linalg.solve(np.stack(slopes, -1), wrong[..., None])[..., 0], axis=-1)
    return float(np.median(error)), float(error.mean())


def overlap(atlas: LayeredAtlas, masks: Pixels) -> float:
    """Intersection over union of the opacity and the true masks."""
    each = [
        atlas.opacity("foreground", torch.tensor([t]))[0, 0].numpy() for t in range(atlas.frames)
    ]
    found = np.stack(each) > 0.5
    return float((found & (masks > 127)).sum() / (found | (masks > 127)).sum())


def painted(atlas: LayeredAtlas, frames: Pixels) -> Pixels:
    """Evenly spaced frames in a column, each beside itself with a checkerboard on the object."""
    h, w = atlas.image("foreground").shape[2:]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    board = ((x // 16 + y // 16) % 2).float()
    rgba = torch.stack([board, x / w, y / h, torch.full_like(board, 0.7)])[None]
    rows = []
    for t in np.linspace(0, len(frames) - 1, SHOWN).astype(int):
        layer = next(iter(render_layer(atlas, "foreground", rgba, Silent(), (int(t), int(t)))))
        share = layer[..., 3:] / 255.0
        laid = frames[t] * (1 - share) + layer[..., :3] * share
        rows.append(np.hstack([frames[t], laid.round().astype(np.uint8)]))
    return np.ascontiguousarray(np.vstack(rows))


def changed(config: AtlasConfig, changes: list[str]) -> AtlasConfig:
    """A config with NAME=NUMBER replaced."""
    kinds = {field.name: type(getattr(config, field.name)) for field in fields(config)}
    pairs = [change.split("=") for change in changes]
    return replace(config, **{name: kinds[name](value) for name, value in pairs})


def main(argv: list[str] | None = None) -> int:
    """Print the table; with --out, write the quality sheet and the painted frames of each run."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.compare_keys", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("names", nargs="*", default=["demo", "blackswan:40", "car-roundabout"],
                   metavar="CLIP")  # fmt: skip
    p.add_argument("--clips", type=Path, default=CLIPS, help="folder of the clips' folders")
    p.add_argument("--keys", type=int, nargs="+", default=[1, preset("preview").keys],
                   help="numbers of key atlases to compare")  # fmt: skip
    p.add_argument("--preset", default="preview", help="of the explicit engine")
    p.add_argument("--long-side", type=int, default=384, help="working size, pixels")
    p.add_argument("--threads", type=int, default=1, help="CPU threads")
    p.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=NUMBER", help="change fields of the config"
    )
    p.add_argument("--out", type=Path, help="folder for the quality sheets and painted frames")
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    print(f"{'clip':18}{'keys':>5}" + "".join(f"{name:>9}" for name in COLUMNS)
          + "      IoU    EPE median, mean    CPU   wall")  # fmt: skip
    for name in args.names:
        frames, masks, made = load(name, args.clips, args.long_side)
        given = [MaskPrompts("all", dict(enumerate(jittered(masks))))]
        for keys in args.keys:
            config = replace(preset(args.preset), long_side=args.long_side, keys=keys)
            start, began = time.process_time(), time.monotonic()
            atlas = decompose(
                frames, given, changed(config, args.set), torch.device("cpu"), Silent()
            )
            seconds, wall = time.process_time() - start, time.monotonic() - began
            cells = [f"{atlas.numbers.get(c, float('nan')):9.2f}" for c in COLUMNS.values()]
            error = "{:.3f}, {:.3f}".format(*end_point_error(atlas, made)) if made else ""
            count = len(atlas.tensors.get("fg_times", [0]))
            print(f"{name:18}{count:5d}{''.join(cells)}{overlap(atlas, masks):9.3f}"
                  f"{error:>20}{seconds:7.0f}{wall:7.0f}", flush=True)  # fmt: skip
            if args.out:
                media.write_png(args.out / f"{name}-{keys}.png", sheet(atlas, frames))
                media.write_png(args.out / f"{name}-{keys}-painted.png", painted(atlas, frames))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
