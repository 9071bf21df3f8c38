"""How well edited frames come back as a layer: flicker, closeness to the edit, what stays exact.

The demo clip is edited perfectly: its swan becomes gold with engraved lines, and the beak stays.
Then the edit gets a flicker (gain ±10 %, shift ±1 pixel, noise of 4 of 255), or only one of its
frames is given. The painter `from_frames` makes a layer of what it was given.

    python -m scripts.measure.edited_frames --out DIR [--preset draft] [--data DIR]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from backend import media
from backend.context import Context
from backend.methods.dispatch import run_job
from protocol.jobs import Clip, EditJob, KeyMask, Masks, Result
from protocol.painters import FromFramesSettings, PaintedFrame, packed_settings
from scripts.make_clip import make_clip

F32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GAIN, SHIFT, NOISE = 0.1, 1.0, 4.0  # of the flicker: ±, ± pixels, standard deviation of 255
ONE, APART = 2, 25  # the single frame that is given, and how far from it the layer is judged
CHANGED = 2  # difference of the perfect edit to the footage that counts as a change, of 255
MARGIN = 2  # pixels around the change that do not count as outside


def golden(canvas: F32) -> F32:
    """The swan's canvas with its blue yarn made of engraved gold."""
    side = canvas.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    light = 0.8 * canvas[..., :3].mean(-1, keepdims=True) + 0.1 * canvas[..., 3:]
    lines = (0.5 + 0.5 * np.sin(70 * (x + 0.35 * np.sin(9 * y))))[..., None] * canvas[..., 3:]
    gold = light * np.array([1.9, 1.35, 0.35]) + lines * np.array([0.25, 0.18, 0.02])
    blue = np.clip(2 * (canvas[..., 2:3] - canvas[..., :1]), 0, 1)
    made = canvas.copy()
    made[..., :3] += blue * (np.clip(gold, 0, canvas[..., 3:]) - canvas[..., :3])
    return made


def flickering(frames: Pixels, seed: int = 0) -> Pixels:
    """Frames [T,H,W,3] with a gain, a shift and noise of their own in each."""
    random = np.random.default_rng(seed)
    made = []
    for frame in frames:
        gain, shift = 1 + random.uniform(-GAIN, GAIN), random.uniform(-SHIFT, SHIFT, 2)
        moved = cv2.warpAffine(
            frame.astype(np.float32), np.array([[1, 0, shift[0]], [0, 1, shift[1]]]),
            frame.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        noisy = moved * gain + random.normal(0, NOISE, moved.shape)
        made.append(np.rint(noisy).clip(0, 255).astype(np.uint8))
    return np.stack(made)


@dataclass(frozen=True)
class Bench:
    """The demo clip, its perfect edit, and a place for jobs."""

    frames: Pixels
    edit: Pixels
    mask: Pixels
    ctx: Context
    preset: str

    def layer(self, given: dict[int, Pixels]) -> tuple[Pixels, Result]:
        """The layer [T,H,W,4] that the painter makes of edited frames."""
        painted = tuple(
            PaintedFrame(frame=frame, image=self.ctx.store(np.ascontiguousarray(image)))
            for frame, image in given.items()
        )
        key = KeyMask(frame=0, mask=self.ctx.store(np.ascontiguousarray(self.mask[..., None])))
        spec = EditJob(
            clip=Clip(
                frames=tuple(self.ctx.store(np.ascontiguousarray(one)) for one in self.frames)
            ),
            masks=Masks(mode="key", keys=(key,)),
            preset=self.preset,
            painter="from_frames",
            settings=packed_settings(FromFramesSettings(painted_frames=painted)),
        )
        result = run_job(spec, self.ctx)
        return np.stack([self.ctx.load(ref) for ref in result.layer]), result

    def figures(self, layer: Pixels, given: Pixels | None) -> dict[str, float]:
        """Measures against the perfect edit. given: the flickering edit, if there is one."""
        out = self.composites(layer)
        changed = np.abs(self.edit.astype(int) - self.frames).max(-1) > CHANGED
        around = np.ones((2 * MARGIN + 1,) * 2, np.uint8)
        outside = np.stack([cv2.dilate(one.astype(np.uint8), around) == 0 for one in changed])
        error = (out.astype(np.float64) - self.edit) ** 2
        apart = ONE + APART
        made = {
            "psnr_inside": _decibels(error[changed].mean()),
            f"psnr_inside_frame_{apart}": _decibels(error[apart][changed[apart]].mean()),
            "pixels_not_exact_outside": float((out != self.frames).any(-1)[outside].sum()),
            "pixels_outside": float(outside.sum()),
        }
        if given is not None:
            before = ((given.astype(np.float64) - self.edit) ** 2)[changed].mean()
            made["psnr_given"] = _decibels(before)
            made["share_of_energy_left"] = float(error[changed].mean() / before)
            made["share_of_variance_left"] = _variance(out, self.edit, changed) / _variance(
                given, self.edit, changed
            )
        return made

    def composites(self, layer: Pixels) -> Pixels:
        """The layer over the clip."""
        pairs = zip(self.frames, layer, strict=True)
        return np.stack([media.composite(frame, one) for frame, one in pairs])


def _variance(out: Pixels, edit: Pixels, where: NDArray[np.bool_]) -> float:
    """Mean square of how the error changes from frame to frame, where both frames are edited."""
    change = np.diff(out.astype(np.float64) - edit, axis=0)
    return float((change**2)[where[1:] & where[:-1]].mean())


def _decibels(error: float) -> float:
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def sheet(bench: Bench, rows: list[tuple[Pixels, Pixels]]) -> Pixels:
    """For each run: the given frame, the layer over the footage, the matte, and the error × 8."""
    at = ONE + APART
    made = [np.concatenate([bench.frames[at], bench.edit[at]], 1)]
    for given, layer in rows:
        out = bench.composites(layer)[at]
        error = np.abs(out.astype(int) - bench.edit[at]) * 8
        matte = np.repeat(layer[at][..., 3:], 3, 2)
        made.append(np.concatenate([given, out], 1))
        made.append(np.concatenate([matte, error.clip(0, 255).astype(np.uint8)], 1))
    return np.concatenate(made)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.measure.edited_frames", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for sheet.png")
    parser.add_argument("--preset", default="draft", help="default: %(default)s")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keeps the atlas between runs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    clip = make_clip()
    edit = make_clip(look=golden).frames
    ctx = Context("0" * 32, "cpu", args.data or args.out / "data", lambda _: None)
    bench = Bench(clip.frames, edit, clip.masks()[0], ctx, args.preset)
    given = flickering(edit)
    rows = []
    for name, images, flicker in (
        ("every frame, flickering", dict(enumerate(given)), given),
        (f"frame {ONE} alone", {ONE: edit[ONE]}, None),
    ):
        started = time.process_time()
        layer, result = bench.layer(images)
        print(f"{name}: {time.process_time() - started:.0f} s of CPU", flush=True)
        measured = {**bench.figures(layer, flicker), **_reported(result)}
        for key, value in measured.items():
            print(f"  {key:28} {value:.4g}", flush=True)
        rows.append((images.get(ONE + APART, images[max(images)]), layer))
    media.write_png(args.out / "sheet.png", sheet(bench, rows))


def _reported(result: Result) -> dict[str, float]:
    names = ("flicker_before", "flicker_after", "untouched", "edit_psnr")
    return {f"report.{name}": result.numbers[name] for name in names if name in result.numbers}


if __name__ == "__main__":
    main()
