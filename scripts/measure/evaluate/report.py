"""The results: a CSV of every cell, Markdown tables of the means, and a contact sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from backend.cli.sheet import INK, PAPER
from scripts.measure.evaluate.measure import COLUMNS, shown
from scripts.measure.evaluate.metrics import Bools, Pixels

CELL = (172, 129)  # width and height of an image on the sheet
LABEL, GAP = 20, 4
AROUND = 0.12  # margin shown around the object, as a share of its longer side


Place = tuple[str, str, str, str, int]
"""A cell's place in the table: clip, kind, prompt, variant, seed."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured cell. kind: as `plan.Cell.kind`. problem: why it has no layer."""

    clip: str
    kind: str
    prompt: str
    variant: str
    seed: int
    numbers: dict[str, float]
    problem: str = ""

    @property
    def place(self) -> Place:
        """The cell's place in the table."""
        return self.clip, self.kind, self.prompt, self.variant, self.seed


def as_csv(rows: Iterable[Row]) -> str:
    """Every cell, with six digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["clip", "kind", "prompt", "variant", "seed", *COLUMNS, "problem"])
    for row in rows:
        numbers = [f"{row.numbers[k]:.6g}" if k in row.numbers else "" for k in COLUMNS]
        writer.writerow([*row.place, *numbers, row.problem])
    return out.getvalue()


def means(rows: Sequence[Row]) -> dict[str, float]:
    """Mean of every measure that all rows have; cells without a layer are left out."""
    good = [row.numbers for row in rows if not row.problem]
    return {k: float(np.mean([n[k] for n in good])) for k in COLUMNS if all(k in n for n in good)}


def spreads(rows: Sequence[Row]) -> dict[str, float]:
    """Standard deviation over the seeds for each prompt, root mean square over the prompts."""
    asked = {row.place[:4] for row in rows}
    groups = [[r for r in rows if r.place[:4] == one and not r.problem] for one in asked]
    groups = [group for group in groups if len(group) > 1]
    return {
        k: float(np.sqrt(np.mean([np.var([r.numbers[k] for r in g], ddof=1) for g in groups])))
        for k in COLUMNS
        if groups and all(k in r.numbers for g in groups for r in g)
    }


def comparable(rows: Sequence[Row]) -> list[Row]:
    """The rows of the prompts that every variant has; only their means are comparable."""
    asked: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        asked.setdefault(row.variant, set()).add((row.clip, row.prompt))
    shared = set.intersection(*asked.values()) if asked else set()
    return [row for row in rows if (row.clip, row.prompt) in shared]


def by_prompt(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """One line per cell, in Markdown."""
    lines = [_heads("clip | prompt", columns), "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        cells = [shown(k, row.numbers[k]) if k in row.numbers else "–" for k in columns]
        lines.append(f"| {row.clip} | {row.prompt} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row], variants: Sequence[str], columns: Sequence[str]) -> str:
    """Means by variant, in Markdown, in the given order; variants without cells are left out.

    rows: of one kind. A measure that some cell lacks is shown as a dash.
    """
    lines = [_heads("variant | cells", columns), "|---" * (len(columns) + 2) + "|"]
    for name in variants:
        mine = [row for row in rows if row.variant == name]
        if not mine:
            continue
        found = means(mine)
        failed = sum(bool(row.problem) for row in mine)
        count = f"{len(mine)}" + (f" ({failed} failed)" if failed else "")
        cells = [shown(k, found[k]) if k in found else "–" for k in columns]
        lines.append(f"| {name} | {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def listed(numbers: dict[str, float]) -> str:
    """Measures as a list in Markdown."""
    return "\n".join(f"- {COLUMNS[k].title}: {shown(k, v)}" for k, v in numbers.items()) + "\n"


def _heads(first: str, columns: Sequence[str]) -> str:
    heads = [f"{COLUMNS[k].title}{_unit(k)}" for k in columns]
    return f"| {first} | " + " | ".join(heads) + " |"


def _unit(name: str) -> str:
    column = COLUMNS[name]
    way = {"higher": " ↑", "lower": " ↓", "": ""}[column.best]
    return f"{', ' + column.unit if column.unit else ''}{way}"


def around(inside: Bools) -> tuple[int, int, int, int]:
    """The part x0 y0 x1 y1 of a frame that the sheet shows: the object and a margin, 4:3."""
    height, width = inside.shape
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return 0, 0, width, height
    tall, wide = float(np.ptp(rows) + 1), float(np.ptp(columns) + 1)
    margin = 2 * AROUND * max(tall, wide)
    shape = CELL[0] / CELL[1]
    wide = min(width, max(wide + margin, (tall + margin) * shape))
    tall = min(height, wide / shape)
    wide = tall * shape
    x = min(max(0.0, float(columns.min() + columns.max() + 1 - wide) / 2), width - wide)
    y = min(max(0.0, float(rows.min() + rows.max() + 1 - tall) / 2), height - tall)
    return round(x), round(y), round(x + wide), round(y + tall)


def sheet(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Pixels | None]]]) -> Pixels:
    """Labelled rows of images [H,W,3] under the columns' names; None leaves a place empty."""
    width, height = CELL
    step = LABEL + height + GAP
    page = np.full(
        (LABEL + GAP + len(rows) * step, GAP + len(columns) * (width + GAP), 3), PAPER, np.uint8
    )
    for c, name in enumerate(columns):
        _text(page, name, GAP + c * (width + GAP), LABEL - 4)
    for r, (label, pictures) in enumerate(rows):
        y = LABEL + GAP + r * step
        _text(page, label, GAP, y + LABEL - 6)
        for c, picture in enumerate(pictures):
            if picture is None:
                continue
            shrinks = picture.shape[1] > width
            method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            x = GAP + c * (width + GAP)
            page[y + LABEL : y + LABEL + height, x : x + width] = cv2.resize(
                picture, CELL, interpolation=method
            )
    return page


def _text(page: Pixels, text: str, x: int, y: int) -> None:
    cv2.putText(page, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
