"""Check a GPU in one short visit: that all of it runs, its numbers, its speed and its memory.

    python -m scripts.gpu_check --device cuda [--out DIR] [--budget SECONDS] [--only 1,2 --skip 8]
    python -m scripts.gpu_check --device cpu --quick

Nothing is downloaded: the models are the built-in one and a ViT-B/32 of random weights, the clip is
synthetic. Every item has its own time limit and runs in a process that is killed when it hangs; no
failure stops the others. gpu.json is rewritten after every item. gpu.md has the same as tables.

--quick takes tiny sizes, to test that the checks themselves work; its times mean nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import tempfile
from pathlib import Path

from scripts.gpu_check.footage import CLIP_FILE, render_footage
from scripts.gpu_check.items import chosen
from scripts.gpu_check.report import line_of, write_report
from scripts.gpu_check.runner import RefusedError, Settings, Visit


def main(words: list[str] | None = None) -> int:
    """Run the items; 0 if all passed, 1 if one did not, 2 without such a device."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.gpu_check", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="folder for the files")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to test the checks")
    parser.add_argument("--budget", type=float, default=0, help="seconds for all (default: any)")
    parser.add_argument("--only", default="", help="items to run, by name or number: 1,waits")
    parser.add_argument("--skip", default="", help="items to leave out")
    args = parser.parse_args(words)
    try:
        items = chosen(args.only, args.skip)
    except ValueError as why:
        parser.error(str(why))
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        settings = Settings(args.device, args.quick, args.out, Path(scratch), args.budget)
        try:
            return _visit(Visit(settings, items))
        except RefusedError as why:
            print(f"gpu_check: {why}", file=sys.stderr)
            return 2


def _visit(visit: Visit) -> int:
    settings, text = visit.settings, ""
    renderer = multiprocessing.get_context("spawn").Process(
        target=render_footage, args=(settings.scratch / CLIP_FILE, settings.quick)
    )
    renderer.start()
    try:
        for item in visit.items:
            outcome = visit.run(item)
            print(line_of(outcome), flush=True)
            text = write_report(visit)
    finally:
        visit.close()
        renderer.kill()
    print(f"\n{text}", flush=True)
    return 0 if all(one.state == "passed" for one in visit.outcomes) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that its processes end too
    raise SystemExit(main())
