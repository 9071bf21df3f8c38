"""Paint by hand on a clip's atlas or on one frame: one RGBA PNG per frame out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from backend import media
from backend.cli.arrays import JobArrays
from backend.cli.mask_options import behind_of, masks_of
from backend.cli.options import add_clip_options, backend_of
from backend.cli.program import Parser, exit_status, joined_values, program_name
from backend.cli.run_job import make_layer, run_or_cancel
from backend.cli.source import read_source
from backend.media import Pixels
from protocol.jobs import AtlasJob, JobError, PaintJob
from protocol.validate import check

EXAMPLES = """examples:
  {name} CLIP --export-atlas DIR                           # the images to paint over
  {name} CLIP --atlas PNG --layer foreground --out DIR     # a painted atlas
  {name} CLIP --frame 12 --paint PNG --out DIR             # a painted frame
"""


def parser() -> argparse.ArgumentParser:
    """The command line of text2live-paint and ``python -m scripts.paint``."""
    p = Parser(program_name("scripts.paint"), __doc__, EXAMPLES)
    p.add_argument(
        "frames", type=Path, help="folder of images, one image, a movie or an animated image"
    )
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--export-atlas", type=Path, metavar="DIR", help="write every layer's atlas to this folder"
    )
    what.add_argument("--atlas", type=Path, metavar="PNG", help="the layer's atlas, painted over")
    what.add_argument("--paint", type=Path, metavar="PNG", help="the frame --frame, painted over")
    p.add_argument(
        "--frame", type=int, metavar="N", help="the frame that --paint is for, counted from 0"
    )
    add_clip_options(p, out_required=False)
    return p


def main(argv: list[str] | None = None) -> int:
    """Run one job. Returns 0 when all is written, 2 after an error, 130 after Ctrl-C."""
    words = joined_values(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    return exit_status(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Read the clip and the paint, run the job, write what it makes. Raises JobError."""
    if (args.paint is None) != (args.frame is None):
        raise JobError(
            "bad_words", "--frame and --paint belong together.", "Give both, or --atlas alone."
        )
    if args.out is None and not args.export_atlas:
        raise JobError("bad_words", "No output folder was given.", "Add --out DIR.")
    arrays = JobArrays()
    source = read_source(args)
    frames, clip = source.frames, arrays.add_clip(source)
    masks = masks_of(args, arrays, source.numbers)
    behind = behind_of(args, arrays, source.numbers)
    if args.frame is not None and not 0 <= args.frame < len(frames):
        raise JobError(
            "paint_out_of_range",
            f"--frame {args.frame}: there is no frame {args.frame}, the clip has {len(frames)} "
            "frames.",
            f"Frames count from 0; the last one is {len(frames) - 1}.",
        )
    if args.export_atlas:
        _export(
            args,
            AtlasJob(
                clip=clip,
                masks=masks,
                behind=behind,
                preset=args.preset,
                seed=args.seed,
                engine=args.engine,
            ),
            arrays,
        )
        return
    image = media.read_rgba(args.atlas or args.paint)
    if args.frame is not None:
        image = without_frame(image, frames[args.frame])
    spec = PaintJob(
        clip=clip,
        image=arrays.add(image),
        frame=args.frame,
        masks=masks,
        behind=behind,
        layer=args.layer,
        preset=args.preset,
        seed=args.seed,
        engine=args.engine,
    )
    check(spec)
    where = "the atlas" if args.frame is None else f"frame {args.frame + 1}"
    title = f"Painted on {where}  -  {args.layer}, {args.preset}, seed {args.seed}"
    make_layer(args, spec, arrays, source, title)


def without_frame(image: Pixels, frame: Pixels) -> Pixels:
    """Make an opaque image [H,W,4] transparent where it still equals the frame [H,W,3].

    An image that has transparency of its own, or another size, is returned as it is.
    """
    if image.shape[:2] != frame.shape[:2] or image[..., 3].min() < 255:
        return image
    return np.where((image[..., :3] == frame).all(-1, keepdims=True), np.uint8(0), image)


def _export(args: argparse.Namespace, spec: AtlasJob, arrays: JobArrays) -> None:
    check(spec)
    media.prepare_folder(args.export_atlas, 0)
    with backend_of(args) as client:
        result = run_or_cancel(client, spec, arrays)
        for name, ref in result.pictures.items():
            (picture,) = client.fetch_all([ref])
            media.write_png(args.export_atlas / f"{name}.png", picture)
            print(f"  {args.export_atlas / f'{name}.png'}")
