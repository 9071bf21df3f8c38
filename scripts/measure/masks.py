"""Measure each source of masks on clips with known masks: overlap and confidence, as a table.

    python -m scripts.measure.masks [CLIP ...] [--clips DIR] [--sources key,box,auto] [--out DIR]

A clip is a folder with frames/ and masks/ (0 or 255), or ``demo`` for the generated one. Its middle
41 frames are used. On the middle one, the true mask (key) or its box (box) is given; auto is given
nothing. worst is the frame with the least overlap.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend import media
from backend.masks.confidence import outlined
from backend.masks.prompts import MaskPrompts
from backend.masks.resolve import resolve_masks
from backend.motion import flow
from backend.progress import Silent
from protocol.jobs import JobError
from scripts.make_clip import make_clip

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"
FRAMES, SIZE = 41, (216, 384)
SOURCES = ("key", "box", "auto")
SHOWN = 8  # frames in a row of the contact sheet

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def read(name: str, clips: Path) -> tuple[Pixels, Bools]:
    """The middle frames of a clip and their true masks at the measured size."""
    if name == "demo":
        made = make_clip(30, *SIZE)
        return made.frames, made.alpha > 0.5
    folder = clips / name
    files = sorted((folder / "frames").glob("*.*"))
    start = max(0, (len(files) - FRAMES) // 2)
    frames, masks = [], []
    for file in files[start : start + FRAMES]:
        frame = media.read_image(file)
        frames.append(cv2.resize(frame, SIZE[::-1], interpolation=cv2.INTER_AREA))
        mask = media.read_mask(folder / "masks" / f"{file.stem}.png")
        share = (mask > 127).astype(np.float32)
        masks.append(cv2.resize(share, SIZE[::-1], interpolation=cv2.INTER_AREA) >= 0.5)
    return np.stack(frames).astype(np.uint8), np.stack(masks)


def overlap(one: Bools, other: Bools) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def given(source: str, truth: Bools) -> MaskPrompts:
    """The mask prompts of a source, from the true mask of the middle frame."""
    middle = len(truth) // 2
    if source == "key":
        return MaskPrompts("key", {middle: truth[middle].astype(np.uint8) * 255})
    if source == "box":
        ys, xs = np.nonzero(truth[middle])
        box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
        return MaskPrompts("key", boxes={middle: box})
    return MaskPrompts("auto")


def main(argv: list[str] | None = None) -> int:
    """Print the table; with --out, write a sheet of outlines per clip."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.masks", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("names", nargs="*", default=["demo", "blackswan", "car-roundabout"],
                   metavar="CLIP")  # fmt: skip
    p.add_argument("--clips", type=Path, default=CLIPS, help="folder of the clips' folders")
    p.add_argument("--sources", default=",".join(SOURCES), help="which of them to measure")
    p.add_argument("--out", type=Path, help="folder for the contact sheets")
    args = p.parse_args(argv)
    cv2.setNumThreads(1)
    print(f"{'clip':16}{'source':8}{'IoU':>6}{'worst':>7}{'at':>4}{'conf':>7}{'least':>7}{'s':>6}")
    for name in args.names:
        frames, truth = read(name, args.clips)
        flows = flow.estimate(frames, (1, 2, 4, 8), 1.0, Silent())
        rows = []
        for source in args.sources.split(","):
            prompts = given(source, truth)
            start = time.process_time()
            try:
                resolved = resolve_masks(frames, prompts, flows, Silent())
            except JobError as why:
                print(f"{name:16}{source:8} {why.problem.message}", flush=True)
                continue
            found = resolved.masks > 0.5
            each = [overlap(a, b) for a, b in zip(found, truth, strict=True)]
            print(
                f"{name:16}{source:8}{np.mean(each):6.3f}{min(each):7.3f}{int(np.argmin(each)):4d}"
                f"{resolved.numbers['mask_confidence']:7.2f}"
                f"{resolved.numbers['mask_confidence_worst']:7.2f}"
                f"{time.process_time() - start:6.0f}",
                flush=True,
            )
            picked = np.linspace(0, len(frames) - 1, SHOWN).astype(int)
            rows.append(np.hstack([outlined(frames[t], found[t]) for t in picked]))
        if args.out and rows:
            media.write_png(args.out / f"{name}.png", np.ascontiguousarray(np.vstack(rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
