"""Measure the tracker: one true mask on the first frame, every other frame found.

    python -m scripts.measure.tracking [CLIP ...] [--hard] [--preset draft] [--out DIR] [--fit]

A clip is a folder with frames/ and masks/ (0 or 255), or one of the drawn shots of hard_shots.py
(--hard: all of them). J is the overlap with the true masks at full size, without the first frame;
expected is what the tracker expects it to be. --out keeps each clip's figures and a sheet of
outlines; clips that are there already are not measured again. --fit fits the confidence to all of
them, leaving one clip out at a time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend import media
from backend.atlas.explicit.config import preset
from backend.device import find_device
from backend.masks.confidence import DOUBTFUL, outlined
from backend.masks.tracker.certainty import Cues, expected_of
from backend.masks.tracker.track import Tracker
from backend.motion import flow
from backend.progress import Silent
from scripts.measure.hard_shots import SHOTS, Shot, make_shot
from scripts.measure.masks import CLIPS, overlap

NAMES = ("blackswan", "car-roundabout", "libby", "dog", "kite-surf", "breakdance", "drift-chicane")
BAD = 0.5  # overlap below which a mask is wrong
SHOWN = 8  # frames in a sheet
RIDGE = 0.03  # of the fit, relative to the number of frames


@dataclass(frozen=True)
class Measured:
    """One clip: true overlaps and expected ones [T−1], cues [T−1,4], empty ones NaN."""

    name: str
    true: NDArray[np.float64]
    expected: NDArray[np.float64]
    cues: NDArray[np.float64]
    seconds: float


def read_shot(folder: Path) -> Shot:
    """The clip in a folder with frames/ and masks/."""
    files = sorted((folder / "frames").glob("*.*"))
    images = [media.read_image(file) for file in files]
    truth = [media.read_mask(folder / "masks" / f"{file.stem}.png") > 127 for file in files]
    return Shot(folder.name, np.stack(images), np.stack(truth))


def measure(shot: Shot, level: str, device: torch.device, sheet: Path | None) -> Measured:
    """Track a clip at a preset; seconds are of CPU time, a frame."""
    config = preset(level)
    images, truth = shot.frames, shot.masks
    size = flow.working_size(images[0].shape[0], images[0].shape[1], config.long_side)
    frames = np.stack([
        np.asarray(cv2.resize(one, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        for one in images
    ])  # fmt: skip
    share = cv2.resize(truth[0].astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    flows = flow.estimate(frames, (1, 2, 4, 8), config.consistent, Silent())
    start = time.process_time()
    tracked = Tracker(config.tracker, device).track(frames, {0: share >= 0.5}, flows, Silent())
    seconds = (time.process_time() - start) / len(frames)
    if tracked.cues is None:
        raise SystemExit(f"{shot.name}: too short, flow alone carries its masks")
    full = truth[0].shape[::-1]
    each = [
        overlap(cv2.resize(a.astype(np.float32), full) > 0.5, b)
        for a, b in zip(tracked.masks, truth, strict=True)
    ]
    if sheet is not None:
        picked = np.linspace(0, len(frames) - 1, SHOWN).astype(int)
        shown = [outlined(frames[t], tracked.masks[t]) for t in picked]
        halves = shown[: SHOWN // 2], shown[SHOWN // 2 :]
        media.write_png(sheet, np.ascontiguousarray(np.vstack([np.hstack(one) for one in halves])))
    cues = [one.values if one.empty is None else (np.nan,) * 4 for one in tracked.cues]
    expected = expected_of(tracked.cues).astype(np.float64)
    return Measured(shot.name, np.array(each[1:]), expected[1:], np.array(cues[1:]), seconds)


def row(one: Measured) -> str:
    """A line of the table."""
    last = one.true[-len(one.true) // 4 :]
    return (
        f"{one.name:16}{one.true.mean():6.3f}{last.mean():6.3f}{one.true.min():6.3f}"
        f"{one.expected.mean():6.2f}{np.abs(one.expected - one.true).mean():7.3f}{one.seconds:6.2f}"
    )


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's, −1..1; ties in the order of the frames."""
    ranks = [np.argsort(np.argsort(x, kind="stable")).astype(np.float64) for x in (one, other)]
    a, b = (x - x.mean() for x in ranks)
    return float((a @ b) / np.sqrt((a @ a) * (b @ b)))


def calibration(true: NDArray[np.float64], expected: NDArray[np.float64]) -> str:
    """How true the expected overlaps are, over all frames."""
    bad, flagged = true < BAD, expected < DOUBTFUL
    caught = f"{flagged[bad].mean():.0%}" if bad.any() else "–"
    return (
        f"{len(true)} frames, {int(bad.sum())} with J < {BAD}: rank correlation "
        f"{rank_correlation(true, expected):.2f}, mean error {np.abs(expected - true).mean():.3f}, "
        f"flagged {caught} of the bad and {flagged[~bad].mean():.0%} of the others"
    )


def fitted(cues: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the four cues and the offset: ridge regression on standardised cues."""
    mean, deviation = cues.mean(0), cues.std(0) + 1e-6
    z = np.c_[(cues - mean) / deviation, np.ones(len(cues))]
    penalty = np.diag([RIDGE * len(cues)] * cues.shape[1] + [0])
    weights = np.linalg.solve(z.T @ z + penalty, z.T @ true)
    slopes = weights[:-1] / deviation
    return np.append(slopes, weights[-1] - slopes @ mean)


def fit(clips: list[Measured]) -> None:
    """Print weights fitted to all clips, and how well those fitted to the others predict each."""
    seen = [~np.isnan(one.cues[:, 0]) for one in clips]
    true, predicted = [], []
    for i, left_out in enumerate(clips):
        others = [j for j in range(len(clips)) if j != i]
        weights = fitted(
            np.concatenate([clips[j].cues[seen[j]] for j in others]),
            np.concatenate([clips[j].true[seen[j]] for j in others]),
        )
        guess = left_out.expected.copy()
        guess[seen[i]] = np.clip(left_out.cues[seen[i]] @ weights[:-1] + weights[-1], 0, 1)
        true.append(left_out.true)
        predicted.append(guess)
        print(f"{left_out.name:16} left out: bias {np.mean(guess - left_out.true):+.3f}")
    print("left out:", calibration(np.concatenate(true), np.concatenate(predicted)))
    weights = fitted(
        np.concatenate([one.cues[s] for one, s in zip(clips, seen, strict=True)]),
        np.concatenate([one.true[s] for one, s in zip(clips, seen, strict=True)]),
    )
    print("weights", ", ".join(f"{one:.2f}" for one in weights[:-1]), f"offset {weights[-1]:.2f}")


def load(path: Path, name: str) -> Measured:
    """A clip's kept figures; what is expected is computed again."""
    with np.load(path) as kept:
        cues, expected = kept["cues"], kept["expected"].copy()
        seen = ~np.isnan(cues[:, 0])
        expected[seen] = expected_of(Cues(*one) for one in cues[seen])
        return Measured(name, kept["true"], expected, cues, float(kept["seconds"]))


def main(argv: list[str] | None = None) -> int:
    """Print the table and the calibration over all clips."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.tracking", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("names", nargs="*", default=list(NAMES), metavar="CLIP")
    p.add_argument("--hard", action="store_true", help="the drawn shots of hard_shots.py instead")
    p.add_argument("--clips", type=Path, default=CLIPS, help="folder of the clips' folders")
    p.add_argument("--preset", default="draft", help="draft, preview or final")
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--out", type=Path, help="folder for figures and sheets")
    p.add_argument("--fit", action="store_true", help="fit the confidence to these clips")
    args = p.parse_args(argv)
    cv2.setNumThreads(1)
    device = torch.device(find_device(args.device)[0])
    print(f"{'clip':16}{'J':>6}{'end':>6}{'worst':>6}{'exp.':>6}{'error':>7}{'s':>6}")
    clips = []
    for name in SHOTS if args.hard else args.names:
        kept = args.out / f"{name}_{args.preset}.npz" if args.out else None
        if kept is not None and kept.exists():
            clips.append(load(kept, name))
        else:
            sheet = None if kept is None else kept.with_suffix(".png")
            shot = make_shot(name) if name in SHOTS else read_shot(args.clips / name)
            clips.append(measure(shot, args.preset, device, sheet))
            if kept is not None:
                one = clips[-1]
                np.savez(kept, true=one.true, expected=one.expected, cues=one.cues,
                         seconds=one.seconds)  # fmt: skip
        print(row(clips[-1]), flush=True)
    every = [
        np.concatenate(one) for one in zip(*((c.true, c.expected) for c in clips), strict=True)
    ]
    print(f"mean J {np.mean([one.true.mean() for one in clips]):.3f};", calibration(*every))
    if args.fit:
        fit(clips)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
