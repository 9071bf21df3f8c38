"""Measure edits of clips × prompts × variants with a model that took no part in any loss.

    python -m scripts.measure.evaluate --judge FOLDER --out DIR [--minutes 8]
    python -m scripts.measure.evaluate --judge "ViT-L-14 openai" --model ViT-B-32 \\
        --pretrained openai --cases FILE --clips DIR --preset final --device cuda:0 --out DIR

The judge is a folder of weights (a twin of the demo CLIP trained from another seed by
scripts.demo_model.train) or one of open_clip's models. Every edit is kept in --out and made again
only if something that it depends on has changed: repeat the command until no cell is left. Writes
evaluation.csv (every cell), evaluation.md (means over the prompts that all variants have so far)
and evaluation.jpg (the middle frames). Linux and macOS only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from backend import media
from protocol.jobs import PRESETS, ClipModel, JobError
from scripts.measure.evaluate import cells, plan, report
from scripts.measure.evaluate.cases import BUILT_IN, Case, MaskedClip, read_cases, read_clip
from scripts.measure.evaluate.judge import Judge
from scripts.measure.evaluate.measure import Bench
from scripts.measure.evaluate.metrics import Pixels
from scripts.measure.evaluate.report import Row
from scripts.measure.evaluate.variants import OURS, VARIANTS

CLIPS = Path(__file__).resolve().parents[4] / "shared" / "clips"
SOURCE = "source"
SHOWS_TEXT = (
    "similarity", "direction", "named", "structure", "edges", "fine_edges", "coverage", "density",
)  # fmt: skip
KEEPS_REST = ("psnr_outside", "alpha_outside", "flicker", "drift", "seconds", "peak_mb")
JPEG = 82
LEAST_FREE = 100_000_000  # bytes of free disk space


@dataclass(frozen=True)
class Found:
    """Measured cells, and each one's composite of the middle frame, by its place in the table."""

    rows: list[Row]
    pictures: dict[report.Place, Pixels]


def parser() -> argparse.ArgumentParser:
    """The command line's arguments."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("--judge", required=True, help="the model that measures: a folder or a name")
    p.add_argument("--out", type=Path, required=True, help="folder for edits and results")
    p.add_argument("--cases", type=Path, default=BUILT_IN, help="JSON file of clips and prompts")
    p.add_argument("--clips", type=Path, default=CLIPS, help="folder of the clips' folders")
    p.add_argument("--only", nargs="+", default=[], metavar="CLIP", help="use only these clips")
    p.add_argument("--kinds", nargs="+", choices=plan.KINDS, default=list(plan.KINDS))
    p.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    p.add_argument(
        "--repeat", nargs=2, action="append", default=[], metavar=("CLIP", "N"),
        help="run `ours` with N seeds on a clip",
    )  # fmt: skip
    p.add_argument("--prompts", type=int, help="use only the first N of each clip")
    p.add_argument(
        "--frames", type=int, default=20, help="number of frames, from the middle of each clip"
    )
    p.add_argument("--width", type=int, default=384, help="largest width of the frames, pixels")
    p.add_argument("--preset", choices=PRESETS, default="draft")
    p.add_argument("--device", default="cpu", help="cpu or cuda:N")
    p.add_argument("--model", default="demo", help="the model that steers the edits")
    p.add_argument("--pretrained", default="", help="open_clip's tag of its weights")
    p.add_argument("--checkpoint", default="", help="file with its weights")
    p.add_argument("--shown", type=int, default=2, help="prompts of each clip on the contact sheet")
    p.add_argument("--parallel", type=int, default=1, help="edits to run at the same time")
    p.add_argument("--minutes", type=float, default=1e6, help="start no edit after this time")
    return p


def main(argv: list[str] | None = None) -> int:
    """Make the missing edits and measure all: returns 0, or 2 after printing an error."""
    args = parser().parse_args(argv)
    try:
        evaluate(args)
    except JobError as error:
        print(f"{error.problem.message} {error.problem.hint}".rstrip(), file=sys.stderr)
        return 2
    return 0


def evaluate(args: argparse.Namespace) -> None:
    """Run the evaluation. Raises JobError."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    media.prepare_folder(args.out, LEAST_FREE)
    settings = plan.Settings(
        out=args.out, preset=args.preset, device=args.device, parallel=args.parallel,
        model=ClipModel(name=args.model, pretrained=args.pretrained, checkpoint=args.checkpoint),
    )  # fmt: skip
    cases = [
        case.cut(args.prompts)
        for case in read_cases(args.cases)
        if not args.only or case.clip in args.only
    ]
    judge = Judge(args.judge, torch.device(args.device))
    footage = {
        case.clip: read_clip(case.clip, args.clips, args.frames, args.width) for case in cases
    }
    repeats = {clip: int(count) for clip, count in args.repeat}
    wanted = plan.cells_of(cases, args.kinds, args.variants, repeats)
    for cell, cost, left in plan.run(wanted, footage, settings, args.minutes):
        outcome = cost.problem or f"{cost.seconds:.0f} s, {cost.peak_mb:.0f} MB"
        print(f"{cell.name}, seed {cell.seed}: {outcome}; {left} left", flush=True)
    found = measured(wanted, footage, judge, settings)
    write(found, args, cases)
    missing = len(wanted) - sum(row.variant != SOURCE for row in found.rows)
    print(f"{len(found.rows)} rows in {args.out / 'evaluation.csv'}; {missing} cells are left")


def measured(
    wanted: Sequence[plan.Cell],
    footage: dict[str, MaskedClip],
    judge: Judge,
    settings: plan.Settings,
) -> Found:
    """Measure all cells that have been made, and the untouched source for every prompt."""
    found = Found([], {})
    for case, still in dict.fromkeys((cell.case, cell.still) for cell in wanted):
        whole = plan.part(footage[case.clip], still).of_layer(case.layer)
        bench = Bench(whole, judge)
        empty = np.zeros((*whole.frames.shape[:3], 4), np.uint8)
        made: list[tuple[str, int, int, Pixels, cells.Cost | None]] = [
            (SOURCE, prompt, 0, empty, None) for prompt in range(len(case.prompts))
        ]
        for cell in wanted:
            if (cell.case, cell.still) == (case, still):
                order = plan.order_of(cell, footage[case.clip], settings)
                kept = cells.read(plan.cell_folder(order, settings))
                if kept is not None:
                    made.append((cell.variant, cell.prompt, cell.seed, *kept))
        x0, y0, x1, y1 = report.around(whole.inside[whole.middle])
        for name, prompt, seed, layers, cost in made:
            numbers = bench.measure(layers, case.source, case.prompts, prompt)
            if cost is not None:
                numbers |= {"seconds": cost.seconds, "peak_mb": cost.peak_mb}
            row = Row(
                clip=case.clip, kind=plan.kind_of(case, still), prompt=case.prompts[prompt],
                variant=name, seed=seed, numbers=numbers, problem=cost.problem if cost else "",
            )  # fmt: skip
            found.rows.append(row)
            shown = media.composite(whole.frames[whole.middle], layers[whole.middle])
            found.pictures[row.place] = shown[y0:y1, x0:x1]
    return found


def write(found: Found, args: argparse.Namespace, cases: Sequence[Case]) -> None:
    """Write evaluation.csv, evaluation.md and evaluation.jpg."""
    names = [SOURCE, *args.variants]
    (args.out / "evaluation.csv").write_text(report.as_csv(found.rows), encoding="utf-8")
    parts = []
    kinds = list(dict.fromkeys(row.kind for row in found.rows))
    for kind in kinds:
        mine = [row for row in found.rows if row.kind == kind and row.seed == 0]
        parts += [f"## {kind}: {OURS}, prompt by prompt\n"]
        ours = [row for row in mine if row.variant == OURS]
        parts += [report.by_prompt(ours, part) for part in (SHOWS_TEXT, KEEPS_REST)]
        parts += [f"## {kind}: all variants, on the prompts that every variant has\n"]
        fair = report.comparable(mine)
        parts += [report.table(fair, names, part) for part in (SHOWS_TEXT, KEEPS_REST)]
    repeated = report.spreads([row for row in found.rows if row.variant == OURS])
    if repeated:
        parts += ["## Spread over seeds, ours\n", report.listed(repeated)]
    (args.out / "evaluation.md").write_text("\n".join(parts), encoding="utf-8")
    made = {place[3] for place in found.pictures}
    columns = [name for name in names if name in made]
    rows_shown = []
    for kind in kinds:
        for case in cases:
            for prompt in case.prompts[: args.shown]:
                pictures = [found.pictures.get((case.clip, kind, prompt, n, 0)) for n in columns]
                if any(one is not None for one in pictures[1:]):
                    rows_shown.append((f"{case.clip} ({kind}): {prompt}", pictures))
    page = cv2.cvtColor(report.sheet(columns, rows_shown), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(args.out / "evaluation.jpg"), page, [cv2.IMWRITE_JPEG_QUALITY, JPEG])


if __name__ == "__main__":
    sys.exit(main())
