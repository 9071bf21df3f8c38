"""Edit a clip: frames and a prompt in, one RGBA PNG per frame out."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend import media
from backend.cli.arrays import JobArrays
from backend.cli.mask_options import behind_of, masks_of
from backend.cli.options import add_clip_options
from backend.cli.program import exit_status, program_name
from backend.cli.run_job import make_layer
from protocol.jobs import BOTH, LAYERS, RECIPES, ClipModel, EditJob, Result
from protocol.validate import check


def parser() -> argparse.ArgumentParser:
    """The command line of text2live-edit and ``python -m scripts.edit``."""
    p = argparse.ArgumentParser(prog=program_name("scripts.edit"), description=__doc__)
    p.add_argument("frames", type=Path, help="folder of images, one image, or a movie")
    _add_texts(p)
    _add_edit(p)
    add_clip_options(p, layers=(*LAYERS, BOTH))
    return p


def _add_texts(p: argparse.ArgumentParser) -> None:
    """Add the texts. Each may be repeated; repeats are alternatives that mean the same."""
    texts = p.add_argument_group("texts", "Each is repeatable, to say the same in other words.")
    for option, required, text in (
        ("--prompt", True, "what the frame shows after the edit"),
        ("--source", False, "what is there now"),
        ("--screen", False, "what the layer shows on its own (default: the prompt)"),
        ("--region", False, "what the edit should cover (default: the source)"),
        ("--avoid", False, "what the edit must not touch"),
        ("--background", False, "with --layer both: the background's prompt (default: the prompt)"),
        ("--background-source", False, "with --layer both: what the background shows now"),
    ):
        texts.add_argument(
            option, action="append", required=required, default=[], metavar="TEXT", help=text
        )


def _add_edit(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--recipe",
        default=RECIPES[0],
        help="texture (a new material or look for a thing), effect (fire, smoke, snow or fog over "
        "it; describe it with --screen) or style (a new look for everything) "
        "(default: %(default)s)",
    )
    p.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="how far the edit may go, 0.25 to 2 (default: %(default)g)",
    )
    p.add_argument(
        "--detail",
        type=float,
        help="how much of the footage's fine detail the layer keeps, 0 to 2 (default: 1; 0 for "
        "effects)",
    )
    p.add_argument(
        "--after",
        default="",
        metavar="JOB",
        help="continue from this finished edit of the same clip, in a third of the steps",
    )
    model = p.add_argument_group("text-image model")
    model.add_argument(
        "--model",
        default="demo",
        help="demo, which is built in, or an open_clip name such as ViT-B-32 "
        "(default: %(default)s)",
    )
    model.add_argument(
        "--pretrained", default="", metavar="TAG", help="open_clip's tag of the weights"
    )
    model.add_argument(
        "--checkpoint", default="", metavar="FILE", help="weights on the backend's machine"
    )


def main(argv: list[str] | None = None) -> int:
    """Run one edit. Returns 0 when the layer is written, 2 after an error, 130 after Ctrl-C."""
    args = parser().parse_args(argv)
    return exit_status(lambda: run(args))


def run(args: argparse.Namespace) -> Result:
    """Read the clip, run the edit, write the layer. Raises JobError."""
    arrays = JobArrays()
    frames = media.read_frames(args.frames)
    spec = EditJob(
        clip=arrays.add_clip(frames, args.fps),
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
        masks=masks_of(args, arrays),
        behind=behind_of(args, arrays),
        atlas_engine=args.engine,
        layer=args.layer,
        preset=args.preset,
        seed=args.seed,
        model=ClipModel(name=args.model, pretrained=args.pretrained, checkpoint=args.checkpoint),
    )
    check(spec)
    title = f"{args.prompt[0]}  -  {args.layer}, {args.preset}, seed {args.seed}"
    return make_layer(args, spec, arrays, frames, title)
