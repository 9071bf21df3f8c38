"""Run a campaign of random faults against a backend of its own, and audit every job.

    python -m scripts.chaos --seed 1 --faults 1000

One in twenty faults hits the real worker on the CPU, unless --real says otherwise; the rest a
stand-in that needs no torch. The same seed draws the same faults; when they strike depends on the
machine. Ctrl-C ends the faults early and audits what was done. Ends with status 1 if a job was
lost, doubled or stuck, or a process orphaned (Linux).
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from scripts.chaos.campaign import Campaign, Report


def main(argv: list[str] | None = None) -> int:
    """Run it. Returns 0 if nothing broke."""
    parser = argparse.ArgumentParser(
        prog="scripts.chaos", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--faults", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument(
        "--real", type=int, metavar="N", help="of these, against the real worker (default: N/20)"
    )
    args = parser.parse_args(argv)
    real = args.faults // 20 if args.real is None else args.real
    started = time.monotonic()
    total = Report()
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    for count, is_real in ((args.faults - real, False), (real, True)):
        if count <= 0 or stop.is_set():
            continue
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        one = Campaign(folder, args.seed, real=is_real).run(count, stop.is_set)
        if one.broken:
            print(f"The backend's folder is kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
        total.faults += one.faults
        total.ended += one.ended
        total.requeued += one.requeued
        total.broken += one.broken
    _print(total, args.seed, time.monotonic() - started)
    return 1 if total.broken else 0


def _print(report: Report, seed: int, seconds: float) -> None:
    print(f"seed {seed}: {report.faults.total()} faults in {seconds / 60:.0f} minutes")
    for name, count in sorted(report.faults.items()):
        print(f"{count:6}  {name}")
    ended = ", ".join(f"{count} {state}" for state, count in sorted(report.ended.items()))
    print(f"jobs: {ended}; {report.requeued} requeued")
    kinds = Counter(sentence.partition(":")[0] for sentence in report.broken)
    print(", ".join(f"{kinds[kind]} {kind}" for kind in ("lost", "doubled", "stuck", "orphaned")))
    for sentence in report.broken:
        print(f"  {sentence}")


if __name__ == "__main__":
    sys.exit(main())
