"""Run one job on a backend and write what it makes."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty

from backend.cli.mask_options import mask_files
from backend.cli.options import backend_of
from backend.cli.output_folder import OutputFolder
from backend.cli.outputs import COMPOSITE, LAYER, write_outputs
from backend.cli.progress import Progress
from backend.media import SourceClip
from protocol.client import Client, JobList, new_job_id
from protocol.jobs import BOTH, FINAL_STATES, LAYERS, EditJob, JobError, JobSpec, Result
from protocol.transfer import Source

CANCEL_TIMEOUT_S = 10.0  # the backend kills a worker that ignores the cancel sooner than this


def make_layer(
    args: argparse.Namespace, spec: JobSpec, source: Source, clip: SourceClip, title: str
) -> Result:
    """Run an edit or paint job on a clip and write its layer. Raises JobError."""
    parts = LAYERS if spec.changes == BOTH else ()
    out = OutputFolder(args.out, (LAYER, COMPOSITE, *parts))
    # Half of the frames' size is the least that the PNGs can take.
    painted = [getattr(args, name, None) for name in ("paint", "atlas", "painted_frames")]
    painted += getattr(args, "reference", [])
    sources = [args.frames, *mask_files(args), *(Path(path) for path in painted if path)]
    out.prepare(clip.frames.nbytes // 2, sources)
    started = time.monotonic()
    job = new_job_id()
    with backend_of(args) as client:
        result = run_or_cancel(client, spec, source, job)
        write_outputs(out, title, clip, client, result)
    numbers = ", ".join(f"{name} {value:.3g}" for name, value in result.numbers.items())
    print(f"  {len(clip.frames)} frames in {time.monotonic() - started:.0f} s ({numbers})")
    print(f"  {args.out / 'sheet.png'}")
    if isinstance(spec, EditJob):
        print(f"  Continue from this edit with --after {job}")
    return result


def run_or_cancel(client: Client, spec: JobSpec, source: Source, job: str = "") -> Result:
    """Run a job; if it is interrupted, cancel it so that the backend does not go on with it."""
    job = job or new_job_id()
    try:
        return client.run(job, spec, source, on_event=Progress(sys.stdout))
    except (KeyboardInterrupt, JobError) as why:
        if not isinstance(why, JobError) or why.problem.code != "closed":
            _cancel(client, job)
        raise


def _cancel(client: Client, job: str) -> None:
    """Cancel a job and wait until the backend lists it as ended, or no longer answers."""
    client.cancel(job)
    client.list_jobs()
    deadline = time.monotonic() + CANCEL_TIMEOUT_S
    while client.connection.state == "ready" and time.monotonic() < deadline:
        with suppress(Empty):
            news = client.events.get(timeout=0.1)
            if isinstance(news, JobList):
                if all(one.job != job or one.state in FINAL_STATES for one in news.jobs):
                    return
                client.list_jobs()
