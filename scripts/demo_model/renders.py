"""Renders of Blender as scenes to train on, beside the drawn ones."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from scripts.demo_model.captions import Facts
from scripts.demo_model.looks import LOOKS
from scripts.demo_model.scenes import BACKGROUNDS
from scripts.demo_model.things import THINGS
from scripts.demo_model.world import CANVAS, HELD_OUT_PAIRS, Scene

COMMAND = (
    ".venv-blender/bin/python -m scripts.demo_model.blender_set --training --count 240 --seed 100 "
    "--photos PHOTOS --frames CLIPS --out"
)


def read_renders(folder: Path) -> list[Scene]:
    """The scenes of a folder that scripts.demo_model.blender_set wrote.

    Looks and things that are no classes are left out, and pairs that training must never show.
    Raises FileNotFoundError, which says how to make the folder.
    """
    path = folder / "labels.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; make the renders with: {COMMAND} {folder}")
    scenes = []
    for label in json.loads(path.read_text(encoding="utf-8")):
        if label["look"] not in LOOKS or label["thing"] not in THINGS:
            continue
        look, thing = LOOKS.index(label["look"]), THINGS.index(label["thing"])
        if (look, thing) in HELD_OUT_PAIRS:
            continue
        known = label["background"] in BACKGROUNDS
        background = BACKGROUNDS.index(label["background"]) if known else -1
        image = cv2.imread(str(folder / label["file"]))
        matte = cv2.imread(str(folder / label["matte"]), cv2.IMREAD_GRAYSCALE)
        if image is None or matte is None or image.shape[:2] != (CANVAS, CANVAS):
            raise FileNotFoundError(
                f"{folder / label['file']} or its matte cannot be read at {CANVAS} x {CANVAS} "
                f"pixels; make the renders again with: {COMMAND} {folder}"
            )
        canvas = np.ascontiguousarray(image[..., ::-1], np.uint8)
        facts = Facts(look, thing, background)
        scenes.append(Scene(canvas, np.asarray(matte, np.uint8), facts))
    return scenes
