"""Have an independent model name the demo's edits: python -m scripts.demo_model.judge --help.

The demo clip is edited with eight prompts that name eight looks. A twin of the demo CLIP (trained
by the same script from another seed, and never used in a loss) then says which of all looks it sees
on the object. Writes every edit, and one image of all eight.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from backend import media
from backend.cli import edit
from backend.cli.local_backend import local_backend
from scripts.demo_model.evaluate import class_embeddings, image_embeddings
from scripts.demo_model.export import load_exported
from scripts.demo_model.looks import LOOKS
from scripts.demo_model.views import SIZE
from scripts.make_clip import make_clip, write_clip

Pixels = NDArray[np.uint8]
SOURCE = "a blue swan"
PROMPTS = {
    "gold": "a golden swan",
    "lava": "a swan made of lava",
    "wood": "a wooden swan",
    "leopard": "a leopard print swan",
    "stained glass": "a stained glass swan",
    "brick": "a swan made of bricks",
    "zebra": "a zebra striped swan",
    "rainbow": "a rainbow swan",
}
"""Look → prompt."""
MARGIN = 0.08
"""Around the object, as a share of its longer side."""


def close_up(frame: Pixels, layer: Pixels) -> Pixels:
    """The square around what a layer `[H, W, 4]` covers, of a frame `[H, W, 3]`, `[64, 64, 3]`."""
    rows, columns = np.nonzero(layer[..., 3] > 127)
    if not len(rows):
        return np.asarray(cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)
    height, width = frame.shape[:2]
    side = (1 + 2 * MARGIN) * max(np.ptp(rows), np.ptp(columns))
    y, x = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    top, left = max(0, round(y - side / 2)), max(0, round(x - side / 2))
    bottom, right = min(height, round(y + side / 2)), min(width, round(x + side / 2))
    piece = frame[top:bottom, left:right]
    return np.asarray(cv2.resize(piece, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def captioned(picture: Pixels, text: str) -> Pixels:
    """A picture with a line of text under it."""
    band = np.full((30, picture.shape[1], 3), 24, np.uint8)
    cv2.putText(
        band, text, (10, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (228, 228, 231), 1, cv2.LINE_AA
    )
    return np.vstack([picture, band])


def name_look(folder: Path, pictures: Sequence[Pixels]) -> list[str]:
    """The looks a model sees in pictures `[64, 64, 3]`, likeliest first."""
    model, tokens = load_exported(folder)
    with torch.no_grad():
        score = image_embeddings(model, pictures) @ class_embeddings(model, tokens, "look").T
    return [LOOKS[i] for i in score.mean(0).argsort(descending=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--twin", type=Path, required=True, help="folder of the judge's exported model"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the edits")
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    out: Path = options.out
    source = out / "source"
    write_clip(make_clip(), source)
    frames = media.read_frames(source / "frames")
    picked = [0, len(frames) // 3, len(frames) // 2, len(frames) - 1]
    shown: list[Pixels] = []
    right = 0
    with local_backend(out / "data", device="auto"):
        for look, prompt in PROMPTS.items():
            folder = out / look.replace(" ", "_")
            done = edit.main([
                str(source / "frames"), "--out", str(folder), "--prompt", prompt,
                "--source", SOURCE, "--preset", options.preset, "--seed", str(options.seed),
                "--connection", str(out / "data" / "connection.json"),
            ])  # fmt: skip
            if done != 0:
                return done
            views = []
            for i in picked:
                name = f"{i:05d}.png"
                layer = media.read_rgba(folder / "layer" / name)
                views.append(close_up(media.read_image(folder / "composite" / name), layer))
            named = name_look(options.twin, views)
            right += named[0] == look
            print(f"{prompt}: the twin sees {', '.join(named[:3])}", flush=True)
            middle = media.read_image(folder / "composite" / f"{picked[2]:05d}.png")
            shown.append(captioned(middle, prompt))
    print(f"{right} of {len(PROMPTS)} named right")
    picture = np.vstack([np.hstack(shown[:4]), np.hstack(shown[4:])])
    media.write_png(out / "looks.png", picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
