"""Clips × prompts × variants: every edit made once, measured by a model that no loss has seen.

    python -m scripts.measure.evaluate --judge FOLDER --out DIR [--minutes 8]
    python -m scripts.measure.evaluate --judge "ViT-L-14 openai" --model ViT-B-32 \\
        --pretrained openai --cases FILE --clips DIR --preset final --device cuda:0 --out DIR

The judge is a folder of weights (a twin of the demo CLIP from another seed, made by
scripts.demo_model.train) or one of open_clip's. Every cell is kept in --out and made anew only when
something that it is made from has changed: run the same command again until nothing is left.
Writes evaluation.csv (every cell), evaluation.md (means over the prompts that all variants have
been asked so far) and evaluation.jpg (the middle frames).
On Linux and macOS.
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
from scripts.measure.evaluate.cases import BUILT_IN, Case, Footage, read_cases, read_footage
from scripts.measure.evaluate.judge import Judge
from scripts.measure.evaluate.measure import Bench
from scripts.measure.evaluate.metrics import Pixels
from scripts.measure.evaluate.report import Row
from scripts.measure.evaluate.variants import OURS, VARIANTS

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "clips"
SOURCE = "source"
SHOWS_TEXT = (
    "similarity", "direction", "named", "structure", "edges", "fine_edges", "coverage", "density",
)  # fmt: skip
KEEPS_REST = ("psnr_outside", "alpha_outside", "flicker", "drift", "seconds", "peak_mb")
JPEG = 82
LEAST_ROOM = 100_000_000  # bytes


@dataclass(frozen=True)
class Found:
    """Measured cells, and the middle frame's composite of each: row → picture."""

    rows: list[Row]
    pictures: dict[report.Place, Pixels]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.measure.evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("--judge", required=True, help="the model that measures: a folder, or a name")
    p.add_argument("--out", type=Path, required=True, help="where cells and results are kept")
    p.add_argument("--cases", type=Path, default=BUILT_IN, help="clips and prompts, JSON")
    p.add_argument("--clips", type=Path, default=CLIPS, help="where the clips' folders lie")
    p.add_argument("--only", nargs="+", default=[], metavar="CLIP", help="of the cases")
    p.add_argument("--kinds", nargs="+", choices=plan.KINDS, default=list(plan.KINDS))
    p.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    p.add_argument(
        "--repeat", nargs=2, action="append", default=[], metavar=("CLIP", "N"),
        help="seeds that `ours` is run with on a clip",
    )  # fmt: skip
    p.add_argument("--prompts", type=int, help="the first so many of each clip (default: all)")
    p.add_argument("--frames", type=int, default=20, help="the middle ones of each clip")
    p.add_argument("--width", type=int, default=384, help="of the frames, at most")
    p.add_argument("--preset", choices=PRESETS, default="draft")
    p.add_argument("--device", default="cpu", help="cpu or cuda:N")
    p.add_argument("--model", default="demo", help="the model that steers the edits")
    p.add_argument("--pretrained", default="", help="the open_clip tag of its weights")
    p.add_argument("--checkpoint", default="", help="a file with its weights")
    p.add_argument("--shown", type=int, default=2, help="prompts of each clip on the sheet")
    p.add_argument("--parallel", type=int, default=1, help="edits at once")
    p.add_argument("--minutes", type=float, default=1e6, help="begin no cell later than that")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run what is left, measure what is there: 0, or 2 after saying why not."""
    args = parser().parse_args(argv)
    try:
        evaluate(args)
    except JobError as error:
        print(f"{error.problem.message} {error.problem.hint}".rstrip(), file=sys.stderr)
        return 2
    return 0


def evaluate(args: argparse.Namespace) -> None:
    """The whole of it. Raises JobError."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    media.prepare_folder(args.out, LEAST_ROOM)
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
        case.clip: read_footage(case.clip, args.clips, args.frames, args.width) for case in cases
    }
    repeats = {clip: int(count) for clip, count in args.repeat}
    wanted = plan.cells_of(cases, args.kinds, args.variants, repeats)
    for cell, cost, left in plan.run(wanted, footage, settings, args.minutes):
        said = cost.problem or f"{cost.seconds:.0f} s, {cost.peak_mb:.0f} MB"
        print(f"{cell.name}, seed {cell.seed}: {said}; {left} left", flush=True)
    found = measured(wanted, footage, judge, settings)
    write(found, args, cases)
    missing = len(wanted) - sum(row.variant != SOURCE for row in found.rows)
    print(f"{len(found.rows)} rows in {args.out / 'evaluation.csv'}; {missing} cells are left")


def measured(
    wanted: Sequence[plan.Cell],
    footage: dict[str, Footage],
    judge: Judge,
    settings: plan.Settings,
) -> Found:
    """Measures of all cells that are there, and of the untouched source for every prompt."""
    found = Found([], {})
    for case, still in dict.fromkeys((cell.case, cell.still) for cell in wanted):
        whole = plan.part(footage[case.clip], still).of_layer(case.layer)
        bench = Bench(whole, judge)
        nothing = np.zeros((*whole.frames.shape[:3], 4), np.uint8)
        there: list[tuple[str, int, int, Pixels, cells.Cost | None]] = [
            (SOURCE, prompt, 0, nothing, None) for prompt in range(len(case.prompts))
        ]
        for cell in wanted:
            if (cell.case, cell.still) == (case, still):
                order = plan.order_of(cell, footage[case.clip], settings)
                kept = cells.read(plan.cell_folder(order, settings))
                if kept is not None:
                    there.append((cell.variant, cell.prompt, cell.seed, *kept))
        x0, y0, x1, y1 = report.around(whole.inside[whole.middle])
        for name, prompt, seed, layers, cost in there:
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
    """evaluation.csv, evaluation.md and evaluation.jpg."""
    names = [SOURCE, *args.variants]
    (args.out / "evaluation.csv").write_text(report.as_csv(found.rows), encoding="utf-8")
    parts = []
    kinds = list(dict.fromkeys(row.kind for row in found.rows))
    for kind in kinds:
        mine = [row for row in found.rows if row.kind == kind and row.seed == 0]
        parts += [f"## {kind}: {OURS}, prompt by prompt\n"]
        ours = [row for row in mine if row.variant == OURS]
        parts += [report.by_prompt(ours, part) for part in (SHOWS_TEXT, KEEPS_REST)]
        parts += [f"## {kind}: all variants, on the prompts that each of them was asked\n"]
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
