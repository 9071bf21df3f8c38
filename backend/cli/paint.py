"""Paint by hand on a clip's atlas or on one frame: one RGBA PNG per frame out.

python -m scripts.paint CLIP --export-atlas DIR                     # what to paint over
python -m scripts.paint CLIP --atlas PNG --layer foreground --out DIR
python -m scripts.paint CLIP --frame K --paint PNG --out DIR
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from backend import media
from backend.cli.edit import add_clip_arguments, backend_of, make_layer, run_or_cancel, said
from backend.cli.mask_options import Objects, Pixels, behind_of, masks_of
from protocol.jobs import AtlasJob, Clip, JobError, PaintJob
from protocol.validate import check


def parser() -> argparse.ArgumentParser:
    """The command line of scripts.paint."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.paint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("frames", type=Path, help="a folder of images or a movie")
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--export-atlas", type=Path, metavar="DIR", help="write all atlases there as PNGs"
    )
    what.add_argument("--atlas", type=Path, metavar="PNG", help="the layer's atlas, painted over")
    what.add_argument("--paint", type=Path, metavar="PNG", help="paint over the frame of --frame")
    p.add_argument("--frame", type=int, help="the frame that --paint is on, counted from 0")
    add_clip_arguments(p, out_required=False)
    return p


def main(argv: list[str] | None = None) -> int:
    """Carry it out: 0 when all is written, 2 after saying why not, 130 when stopped."""
    args = parser().parse_args(argv)
    return said(lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Read, submit, wait, write. Raises JobError."""
    if (args.paint is None) != (args.frame is None):
        raise JobError(
            "bad_words", "--frame and --paint belong together.", "Give both, or --atlas alone."
        )
    if args.out is None and not args.export_atlas:
        raise JobError("bad_words", "There is no folder to write into.", "Add --out DIR.")
    objects = Objects()
    frames = media.read_frames(args.frames)
    clip = Clip(frames=tuple(objects.add(frame) for frame in frames), fps=args.fps)
    masks, behind = masks_of(args, objects), behind_of(args, objects)
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
            objects,
        )
        return
    image = media.read_rgba(args.atlas or args.paint)
    if args.frame is not None and 0 <= args.frame < len(frames):
        image = without_frame(image, frames[args.frame])
    spec = PaintJob(
        clip=clip,
        image=objects.add(image),
        frame=args.frame,
        masks=masks,
        behind=behind,
        layer=args.layer,
        preset=args.preset,
        seed=args.seed,
        atlas_engine=args.engine,
    )
    check(spec)
    where = "the atlas" if args.frame is None else f"frame {args.frame + 1}"
    title = f"Painted on {where}  -  {args.layer}, {args.preset}, seed {args.seed}"
    make_layer(args, spec, objects, frames, title)


def without_frame(image: Pixels, frame: Pixels) -> Pixels:
    """Paint [H,W,4] that was saved with the frame [H,W,3] under it: clear where it is the frame."""
    if image.shape[:2] != frame.shape[:2] or image[..., 3].min() < 255:
        return image
    return np.where((image[..., :3] == frame).all(-1, keepdims=True), np.uint8(0), image)


def _export(args: argparse.Namespace, spec: AtlasJob, objects: Objects) -> None:
    check(spec)
    media.prepare_folder(args.export_atlas, 0)
    with backend_of(args) as client:
        result = run_or_cancel(client, spec, objects)
        for name, ref in result.pictures.items():
            (picture,) = client.fetch_all([ref])
            media.write_png(args.export_atlas / f"{name}.png", picture)
            print(f"  {args.export_atlas / f'{name}.png'}")


if __name__ == "__main__":
    sys.exit(main())
