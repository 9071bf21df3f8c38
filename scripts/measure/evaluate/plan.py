"""Which cells to make, in which order; make as many as the time allows."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from backend.edit import config as edit_config
from backend.edit.config import EditTexts
from backend.edit.recipes import with_recipe
from protocol.jobs import ClipModel
from scripts.measure.evaluate import cells
from scripts.measure.evaluate.cases import Case, MaskedClip
from scripts.measure.evaluate.variants import OURS, VARIANTS

KINDS = ("clip", "still")
TEXTURE = "texture"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all cells share. model: steers the edits. parallel: processes to run at once."""

    out: Path
    preset: str
    device: str
    model: ClipModel
    parallel: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the table."""

    case: Case
    still: bool
    prompt: int
    variant: str
    seed: int

    @property
    def kind(self) -> str:
        """Only cells of one kind are comparable: ``clip``, ``still``, or either with a recipe."""
        return kind_of(self.case, self.still)

    @property
    def name(self) -> str:
        """Shown to people."""
        return f"{self.case.clip} ({self.kind}), {self.case.prompts[self.prompt]}, {self.variant}"


def kind_of(case: Case, still: bool) -> str:
    """See `Cell.kind`."""
    recipe = "" if case.recipe == TEXTURE else f", {case.recipe}"
    return ("still" if still else "clip") + recipe


def cells_of(
    cases: Sequence[Case],
    kinds: Sequence[str],
    variants: Sequence[str],
    repeats: dict[str, int],
) -> list[Cell]:
    """All cells, variant by variant, so that a run that is stopped leaves whole columns.

    Variants and stills exist only for the recipe texture. repeats: clip → number of seeds to run
    `ours` with, to measure the spread.
    """
    found = []
    for name in variants:
        variant = VARIANTS[name]
        for kind in kinds:
            if not (variant.stills if kind == "still" else variant.clips):
                continue
            for case in cases:
                if case.recipe != TEXTURE and (name != OURS or kind == "still"):
                    continue
                found += [
                    Cell(case=case, still=kind == "still", prompt=p, variant=name, seed=seed)
                    for p in range(len(case.prompts))
                    for seed in range(repeats.get(case.clip, 1) if name == OURS else 1)
                ]
    return sorted(found, key=lambda cell: cell.seed > 0)


def part(footage: MaskedClip, still: bool) -> MaskedClip:
    """The whole clip, or its middle frame."""
    if not still:
        return footage
    middle = slice(footage.middle, footage.middle + 1)
    return MaskedClip(footage.frames[middle], footage.inside[middle])


def order_of(cell: Cell, footage: MaskedClip, settings: Settings) -> cells.Order:
    """Everything a cell is made from."""
    variant, case = VARIANTS[cell.variant], cell.case
    config = edit_config.preset(
        settings.preset, video=not cell.still, layer=case.layer, seed=cell.seed
    )
    return cells.Order(
        footage=part(footage, cell.still),
        texts=EditTexts(
            prompt=(case.prompts[cell.prompt],),
            source=(case.source,),
            screen=case.screen(cell.prompt),
        ),
        config=variant.change(with_recipe(config, case.recipe), cell.still),
        how=variant.how,
        layer=case.layer,
        model=settings.model,
        device=settings.device,
        atlas=None if cell.still else atlas_folder(footage, settings),
    )


def atlas_folder(footage: MaskedClip, settings: Settings) -> Path:
    """The folder of a clip's atlas, which all its cells share."""
    key = cells.atlas_key(footage, settings.preset, 0, settings.device)
    return settings.out / "atlases" / key


def cell_folder(order: cells.Order, settings: Settings) -> Path:
    """The folder of a cell."""
    return settings.out / "cells" / cells.cell_key(order)


def run(
    wanted: Sequence[Cell], footage: dict[str, MaskedClip], settings: Settings, minutes: float
) -> Iterator[tuple[Cell, cells.Cost, int]]:
    """Make the missing cells; yields each with its cost and the number of cells left.

    footage: by clip. No cell is started later than `minutes` after the start.
    """
    end = time.monotonic() + 60 * minutes
    left = []
    for cell in wanted:
        order = order_of(cell, footage[cell.case.clip], settings)
        folder = cell_folder(order, settings)
        if not (folder / cells.DONE).exists():
            left.append((cell, order, folder))
    with pool(settings.parallel) as workers:
        running: dict[Future[cells.Cost], Cell] = {}
        while left or running:
            while left and len(running) < settings.parallel and time.monotonic() < end:
                cell, order, folder = left.pop(0)
                if order.atlas is not None and not order.atlas.exists():
                    made = workers.submit(
                        cells.make_atlas, order.footage, settings.preset, 0, settings.device,
                        order.atlas,
                    )  # fmt: skip
                    made.result()
                running[workers.submit(cells.fill, order, folder)] = cell
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result(), len(left) + len(running)


def pool(parallel: int) -> ProcessPoolExecutor:
    """A fresh process for every cell, forked from one that has only imported the modules."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([cells.__name__])
    return ProcessPoolExecutor(parallel, mp_context=context, max_tasks_per_child=1)
