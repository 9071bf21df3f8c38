"""Edit a clip from the command line: frames and a prompt in, one RGBA PNG per frame out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from queue import Empty

from backend import media
from backend.cli.local_backend import local_backend, running_backend
from backend.cli.mask_options import Objects, Pixels, add_mask_arguments, behind_of, masks_of
from backend.cli.progress import Progress
from backend.cli.sheet import contact_sheet
from protocol.client import Client, JobList, new_job_id
from protocol.jobs import (
    BOTH,
    FINAL_STATES,
    LAYERS,
    Clip,
    ClipModel,
    EditJob,
    JobError,
    JobSpec,
    Result,
)
from protocol.local import data_folder
from protocol.validate import check

CANCEL_TIMEOUT_S = 10.0  # a worker that does not hear is killed before


def write_outputs(
    out: Path, title: str, frames: Pixels, client: Client, result: Result, fps: float
) -> list[Pixels]:
    """Fetch a finished edit and write layer/, composite/, preview.mp4 and sheet.png.

    Of an edit of both layers each has a folder of its name too. frames [T,H,W,3]. Returns the
    layer's frames, [H,W,4] uint8 straight alpha each.
    """
    layer = client.fetch_all(list(result.layer))
    composites = []
    for i, (frame, rgba) in enumerate(zip(frames, layer, strict=True)):
        composites.append(media.composite(frame, rgba))
        media.write_png(out / "layer" / f"{i:05d}.png", rgba)
        media.write_png(out / "composite" / f"{i:05d}.png", composites[-1])
    media.write_video(out / "preview.mp4", composites, fps)
    picked = sorted({0, len(frames) // 3, 2 * len(frames) // 3, len(frames) - 1})
    pictures = dict(
        zip(result.pictures, client.fetch_all(list(result.pictures.values())), strict=True)
    )
    rows: list[tuple[str, list[Pixels]]] = [("Source", [frames[i] for i in picked])]
    if pictures:
        rows.append((", ".join(pictures).replace("_", " ").capitalize(), list(pictures.values())))
    for name, refs in result.parts.items():
        part = client.fetch_all(list(refs))
        for i, rgba in enumerate(part):
            media.write_png(out / name / f"{i:05d}.png", rgba)
        rows.append((f"{name.capitalize()} (RGBA)", [part[i] for i in picked]))
    rows.append(("Layer (RGBA)", [layer[i] for i in picked]))
    rows.append(("Layer over source", [composites[i] for i in picked]))
    media.write_png(out / "sheet.png", contact_sheet(title, rows))
    return layer


def parser() -> argparse.ArgumentParser:
    """The command line of scripts.edit."""
    p = argparse.ArgumentParser(prog="python -m scripts.edit", description=__doc__)
    p.add_argument("frames", type=Path, help="a folder of images, one image, or a movie")
    p.add_argument(
        "--prompt",
        action="append",
        required=True,
        help="what the edited frame shows; may be repeated",
    )
    p.add_argument("--source", action="append", default=[], help="what is there now")
    p.add_argument(
        "--screen",
        action="append",
        default=[],
        help="what the layer alone shows (default: the prompt)",
    )
    p.add_argument(
        "--region", action="append", default=[], help="where the edit belongs (default: the source)"
    )
    p.add_argument("--avoid", action="append", default=[], help="where it must not go")
    p.add_argument(
        "--recipe",
        default="texture",
        help="texture (another material of a thing), effect (fire, smoke, snow, fog over it; say "
        "what in --screen) or style (all of it in another look)",
    )
    p.add_argument(
        "--background",
        action="append",
        default=[],
        help="with --layer both: what the background shows (default: the prompt)",
    )
    p.add_argument(
        "--background-source",
        action="append",
        default=[],
        help="with --layer both: what the background shows now",
    )
    p.add_argument("--strength", type=float, default=1.0, help="how far the edit may go: 0.25 to 2")
    p.add_argument(
        "--detail",
        type=float,
        help="how much of the footage's own fine detail the layer takes on: 0 to 2 (default: 1, "
        "none in effects)",
    )
    p.add_argument(
        "--after",
        default="",
        metavar="JOB",
        help="start from this finished edit of the same clip: a third of the steps",
    )
    add_clip_arguments(p, layers=(*LAYERS, BOTH))
    p.add_argument(
        "--model", default="demo", help="demo (embedded), or an open_clip name such as ViT-B-32"
    )
    p.add_argument("--pretrained", default="", help="the open_clip tag of its weights")
    p.add_argument(
        "--checkpoint", default="", help="a file with its weights on the backend's machine"
    )
    return p


def add_clip_arguments(
    p: argparse.ArgumentParser, out_required: bool = True, layers: tuple[str, ...] = LAYERS
) -> None:
    """What every job about a clip is told: its layer, masks, settings, backend and folder."""
    p.add_argument(
        "--layer", choices=layers, default="foreground", help="what is changed, front to back"
    )
    add_mask_arguments(p)
    p.add_argument("--preset", default="preview", help="draft, preview or final")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--fps", type=float, default=24.0)
    p.add_argument(
        "--out",
        type=Path,
        required=out_required,
        help="where layer/, composite/, preview.mp4 and sheet.png go",
    )
    p.add_argument(
        "--connection", type=Path, help="connection file of a running backend (default: start one)"
    )
    p.add_argument("--data", type=Path, help="data folder of the backend that is started")
    p.add_argument(
        "--device", default="auto", help="auto, cpu or cuda:N, for the backend that is started"
    )


def main(argv: list[str] | None = None) -> int:
    """Run one edit: 0 when the layer is written, 2 after saying why not, 130 when stopped."""
    args = parser().parse_args(argv)
    return said(lambda: run(args))


def said(what: Callable[[], object]) -> int:
    """Do it: 0 when it is done, 2 after saying why not, 130 when stopped."""
    try:
        what()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except JobError as error:
        print(f"\n{error.problem.message} {error.problem.hint}".rstrip(), file=sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> Result:
    """Read, submit, wait, write. Raises JobError."""
    objects = Objects()
    frames = media.read_frames(args.frames)
    clip = Clip(frames=tuple(objects.add(frame) for frame in frames), fps=args.fps)
    spec = EditJob(
        clip=clip,
        prompt=tuple(args.prompt),
        source=tuple(args.source),
        screen=tuple(args.screen),
        region=tuple(args.region),
        avoid=tuple(args.avoid),
        recipe=args.recipe,
        background=tuple(args.background),
        background_source=tuple(args.background_source),
        strength=args.strength,
        detail=args.detail,
        after=args.after,
        masks=masks_of(args, objects),
        behind=behind_of(args, objects),
        atlas_engine=args.engine,
        layer=args.layer,
        preset=args.preset,
        seed=args.seed,
        model=ClipModel(name=args.model, pretrained=args.pretrained, checkpoint=args.checkpoint),
    )
    check(spec)
    title = f"{args.prompt[0]}  -  {args.layer}, {args.preset}, seed {args.seed}"
    return make_layer(args, spec, objects, frames, title)


def backend_of(args: argparse.Namespace) -> AbstractContextManager[Client]:
    """A client of the backend that was named, or of one started for the script."""
    if args.connection:
        return running_backend(args.connection)
    return local_backend(args.data or data_folder(), device=args.device)


def make_layer(
    args: argparse.Namespace, spec: JobSpec, objects: Objects, frames: Pixels, title: str
) -> Result:
    """Run a job that makes a layer of frames [T,H,W,3], and write all there is to see of it."""
    media.prepare_folder(args.out, frames.nbytes // 2)  # what PNGs of both take at the very least
    started = time.monotonic()
    job = new_job_id()
    with backend_of(args) as client:
        result = run_or_cancel(client, spec, objects, job)
        write_outputs(args.out, title, frames, client, result, args.fps)
    numbers = ", ".join(f"{name} {value:.3g}" for name, value in result.numbers.items())
    print(f"  {len(frames)} frames in {time.monotonic() - started:.0f} s ({numbers})")
    print(f"  {args.out / 'sheet.png'}")
    if isinstance(spec, EditJob):
        print(f"  go on from it with --after {job}")
    return result


def run_or_cancel(client: Client, spec: JobSpec, objects: Objects, job: str = "") -> Result:
    """Run a job, and leave none behind: the backend would go on with it, now or when it starts."""
    job = job or new_job_id()
    try:
        return client.run(job, spec, objects, on_event=Progress(sys.stdout))
    except (KeyboardInterrupt, JobError) as why:
        if isinstance(why, JobError) and why.problem.code == "closed":
            raise  # there is nobody left to tell
        client.cancel(job)
        client.list_jobs()
        deadline = time.monotonic() + CANCEL_TIMEOUT_S
        while client.connection.state == "ready" and time.monotonic() < deadline:
            with suppress(Empty):
                news = client.events.get(timeout=0.1)
                if isinstance(news, JobList):
                    if all(one.job != job or one.state in FINAL_STATES for one in news.jobs):
                        break
                    client.list_jobs()
        raise


if __name__ == "__main__":
    sys.exit(main())
