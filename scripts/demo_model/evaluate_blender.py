"""The demo CLIP on images rendered by Blender, with solids, materials and light it never learnt."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SIDE = 64
COMMAND = ".venv-blender/bin/python -m scripts.demo_model.blender_set --out"
FACETS = ("look", "thing")


def read_set(folder: Path) -> tuple[list[NDArray[np.uint8]], list[dict[str, str | None]]]:
    """Pictures `[64, 64, 3]` RGB and their labels; FileNotFoundError says how to make them."""
    path = folder / "labels.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; make the set with: {COMMAND} {folder}")
    labels = json.loads(path.read_text(encoding="utf-8"))
    pictures = []
    for label in labels:
        picture = cv2.imread(str(folder / label["file"]))
        if picture is None:
            raise FileNotFoundError(
                f"{folder / label['file']} cannot be read; make the set again: {COMMAND} {folder}"
            )
        small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8))
    return pictures, labels


def scores(
    images: Tensor,
    labels: Sequence[dict[str, str | None]],
    names: dict[str, tuple[str, ...]],
    classes: Callable[[str], Tensor],
) -> tuple[dict[str, float], list[str]]:
    """Top-1 shares of look and thing among all classes, and every class's misses, worst first.

    images: unit embeddings [N, D]; classes: a facet's unit embeddings. Labels that are no class of
    this model's are left out and named.
    """
    found: dict[str, float] = {}
    notes: list[str] = []
    for facet in FACETS:
        guesses = (images @ classes(facet).T).argmax(1).tolist()
        misses: dict[str, Counter[str]] = defaultdict(Counter)
        total: Counter[str] = Counter()
        unknown: set[str] = set()
        for label, guess in zip(labels, guesses, strict=True):
            truth = label[facet]
            if truth is None or truth not in names[facet]:
                unknown.add(str(truth))
                continue
            total[truth] += 1
            if names[facet][guess] != truth:
                misses[truth][names[facet][guess]] += 1
        if not total:
            raise ValueError(f"no {facet} of the set is a class of this model's")
        wrong = {name: sum(taken.values()) for name, taken in misses.items()}
        found[facet] = 1 - sum(wrong.values()) / sum(total.values())
        if unknown:
            notes.append(f"{facet}: left out, no classes: {', '.join(sorted(unknown))}")
        for name in sorted(wrong, key=lambda name: -wrong[name] / total[name]):
            taken = ", ".join(f"{other} ({n})" for other, n in misses[name].most_common(4))
            notes.append(
                f"{facet} {name}: {wrong[name]} of {total[name]} missed, taken for {taken}"
            )
    return found, notes
