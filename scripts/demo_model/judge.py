"""Have independent models name edits of a clip: python -m scripts.demo_model.judge --help.

A clip (the demo clip, or one with masks) is edited with sixteen prompts that name sixteen looks. A
model that took no part says which of all looks it sees on the object; with --photos, a judge that
has only seen photographs names the materials that it knows. Writes every edit, and one image of
all sixteen.
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
from scripts.measure.photo_judge import PhotoJudge, surface

Pixels = NDArray[np.uint8]
PROMPTS = {
    "gold": "a golden {}",
    "silver": "a chrome {}",
    "copper": "a {} made of polished copper",
    "rust": "a rusty {}",
    "wood": "a wooden {}",
    "brick": "a {} made of bricks",
    "marble": "a marble {}",
    "terrazzo": "a terrazzo {}",
    "ice": "a {} made of ice",
    "lava": "a {} made of lava",
    "moss": "a {} covered in moss",
    "leopard": "a leopard print {}",
    "zebra": "a zebra striped {}",
    "polka dots": "a {} with polka dots",
    "stained glass": "a stained glass {}",
    "rainbow": "a rainbow {}",
}
"""Look → prompt for a thing."""
WIDTH, COLUMNS = 384, 4
"""Largest width of a clip's frames, pixels; edits in a row of the sheet."""
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


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--judge", type=Path, help="folder of a model that took no part")
    parser.add_argument("--photos", type=Path, help="photographs, for the judge of materials")
    parser.add_argument("--out", type=Path, required=True, help="folder for the edits")
    parser.add_argument("--clip", type=Path, help="folder with frames/ and masks/ (default: demo)")
    parser.add_argument("--count", type=int, default=20, help="frames of --clip to use")
    parser.add_argument("--thing", default="swan", help="what the object is (default: swan)")
    parser.add_argument("--source", default="a blue swan", help="what it looks like now")
    parser.add_argument("--looks", nargs="+", choices=list(PROMPTS), default=list(PROMPTS))
    parser.add_argument("--checkpoint", default="", help="steer by this model instead of demo")
    parser.add_argument("--preset", default="draft")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def source_of(options: argparse.Namespace) -> tuple[Path, list[str]]:
    """The folder of the frames to edit, and the options that say where the object is."""
    source: Path = options.out / "source"
    if options.clip is None:
        write_clip(make_clip(), source)
        return source / "frames", []
    for kind in ("frames", "masks"):
        (source / kind).mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(sorted((options.clip / kind).iterdir())[: options.count]):
            image = media.read_image(path)
            scale = min(1.0, WIDTH / image.shape[1])
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            media.write_png(source / kind / f"{number:05d}.png", np.asarray(small, np.uint8))
    return source / "frames", ["--masks", str(source / "masks")]


def main() -> int:
    options = options_of()
    frames_folder, where = source_of(options)
    count = len(list(frames_folder.iterdir()))
    picked = sorted({0, count // 3, count // 2, count - 1})
    photo_judge = PhotoJudge(options.photos) if options.photos else None
    if photo_judge is not None:
        print(f"the photo judge names {photo_judge.accuracy:.0%} of unseen photographs")
    shown: list[Pixels] = []
    tally = {"judge": [0, 0], "photos": [0, 0]}
    with local_backend(options.out / "data", device="auto"):
        for look in options.looks:
            prompt = PROMPTS[look].format(options.thing)
            folder = options.out / look.replace(" ", "_")
            done = edit.main([
                str(frames_folder), "--out", str(folder), "--prompt", prompt,
                "--source", options.source, "--preset", options.preset,
                "--seed", str(options.seed), "--checkpoint", options.checkpoint, *where,
                "--connection", str(options.out / "data" / "connection.json"),
            ])  # fmt: skip
            if done != 0:
                return done
            composites, layers = (
                sorted((folder / n).glob("*.png")) for n in ("composite", "layer")
            )
            pairs = [(media.read_image(composites[i]), media.read_rgba(layers[i])) for i in picked]
            said = []
            if options.judge:
                named = name_look(options.judge, [close_up(*pair) for pair in pairs])
                count_in(tally["judge"], named[0] == look)
                said.append(f"the judge sees {', '.join(named[:3])}")
            if photo_judge is not None and look in photo_judge.probe.names:
                crops = [c for frame, layer in pairs for c in surface(frame, layer[..., 3])]
                seen = list(photo_judge.materials(crops)) if crops else ["nothing"]
                count_in(tally["photos"], seen[0] == look)
                said.append(f"in photographs {', '.join(seen[:3])}")
            print(f"{prompt}: {'; '.join(said)}", flush=True)
            shown.append(captioned(pairs[len(pairs) // 2][0], prompt))
    for name, (right, total) in tally.items():
        if total:
            print(f"{name}: {right} of {total} named right")
    blank = np.zeros_like(shown[0])
    rows = [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]
    full = [np.hstack([*row, *[blank] * (COLUMNS - len(row))]) for row in rows]
    media.write_png(options.out / "looks.png", np.vstack(full))
    return 0


def count_in(tally: list[int], right: bool) -> None:
    """Add one answer to [right, all]."""
    tally[0] += right
    tally[1] += 1


if __name__ == "__main__":
    sys.exit(main())
