"""Edit a clip: frames and a prompt in, one RGBA PNG per frame out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from backend import clip
from backend.cli.arrays import JobArrays
from backend.cli.mask_options import behind_of, masks_of
from backend.cli.options import add_clip_options, model_of
from backend.cli.painted_frames import JobFiles
from backend.cli.painter_options import (
    DEFAULT_PAINTER,
    add_painter_options,
    chosen_painter,
    painter_settings,
)
from backend.cli.program import Parser, exit_status, joined_values, program_name
from backend.cli.run_job import make_layer
from backend.cli.source import one_line, print_notes, read_source
from backend.cli.text2live_config import OPTION as CONFIG_OPTION
from backend.cli.text2live_config import with_configs
from backend.clip.words import FILE_NAME as WORDS_NAME
from backend.clip.words import KnownWords
from protocol.jobs import BOTH, LAYERS, EditJob, Result
from protocol.painters import settings_type
from protocol.validate import check

EXAMPLES = """examples:
  {name} FRAMES --key-mask 0=MASK.png --prompt "golden swan" --source "blue swan" --out DIR
  {name} shot.mp4 --box 0=120,60,400,300 --prompt "rusty car" --preset draft --out DIR
  {name} FRAMES --key-mask 0=MASK.png --painted-frames edited.mp4 --out DIR
  {name} FRAMES --no-object --layer background --recipe style --prompt "watercolour" --out DIR
"""


class ListLooks(argparse.Action):
    """Print what the built-in model knows, and leave."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(looks_of_demo())
        parser.exit()


def looks_of_demo() -> str:
    """The demo model's classes, a line each, with the words that mean them."""
    known = KnownWords.read(Path(clip.__file__).parent / "demo" / WORDS_NAME)
    lines = []
    for kind, named in known.classes.items():
        lines.append(f"{kind} ({len(named)})")
        lines += [f"  {name:14} {', '.join(phrases)}" for name, phrases in named.items()]
    return "\n".join(lines)


def parser(painter: str = DEFAULT_PAINTER) -> argparse.ArgumentParser:
    """The command line of text2live-edit and ``python -m scripts.edit``, with a painter's options.

    Raises JobError("unknown_painter").
    """
    p = Parser(program_name("scripts.edit"), __doc__, EXAMPLES)
    p.add_argument(
        "frames", type=Path, help="folder of images, one image, a movie or an animated image"
    )
    p.add_argument(
        CONFIG_OPTION,
        action="append",
        metavar="YAML",
        help="take texts, layer and model from a configuration of the released Text2LIVE; repeat "
        "it for a base configuration and an example. Other options win",
    )
    _add_texts(p, prompted=settings_type(painter).prompted)
    _add_edit(p, painter)
    add_clip_options(p, layers=(*LAYERS, BOTH))
    return p


def _add_texts(p: argparse.ArgumentParser, *, prompted: bool) -> None:
    """Add the texts. Each may be repeated; repeats are alternatives that mean the same."""
    texts = p.add_argument_group("texts", "Each is repeatable, to say the same in other words.")
    for option, required, text in (
        ("--prompt", prompted, "what the frame shows after the edit"),
        ("--source", False, "what is there now"),
        ("--region", False, "what the edit should cover (default: the source)"),
        ("--avoid", False, "what the edit must not touch"),
        ("--background", False, "with --layer both: the background's prompt (default: the prompt)"),
        ("--background-source", False, "with --layer both: what the background shows now"),
    ):
        texts.add_argument(
            option, action="append", required=required, default=[], metavar="TEXT", help=text
        )


def _add_edit(p: argparse.ArgumentParser, painter: str) -> None:
    p.add_argument(
        "--after",
        default="",
        metavar="JOB",
        help="start from this finished edit of the same clip and layer; takes 30 %% of the steps",
    )
    add_painter_options(p, painter)
    model = p.add_argument_group("text-image model")
    model.add_argument(
        "--model",
        default="demo",
        help="demo, which is built in; an open_clip name such as ViT-B-32; ViT-B/32, which is "
        "OpenAI's; hf-hub:OWNER/NAME; or a folder. NAME:TAG, NAME:FILE and NAME:TAG:FILE say "
        "which weights (default: %(default)s)",
    )
    model.add_argument(
        "--list-looks",
        action=ListLooks,
        nargs=0,
        help="show the looks, things, places and effects that demo knows, and their words",
    )
    model.add_argument(
        "--pretrained", default="", metavar="TAG", help="open_clip's tag of the weights"
    )
    model.add_argument(
        "--checkpoint",
        default="",
        metavar="FILE",
        help="weights: a file, or the name of one in the backend's models folder",
    )


def main(argv: list[str] | None = None) -> int:
    """Run one edit. Returns 0 when the layer is written, 2 after an error, 130 after Ctrl-C."""
    words = joined_values(sys.argv[1:] if argv is None else argv)
    return exit_status(lambda: run(parse(words)))


def parse(words: list[str]) -> argparse.Namespace:
    """Read a command line; prints notes on a configuration that it names. Raises JobError."""
    whole, notes = with_configs(words)
    args = parser(chosen_painter(whole)).parse_args(whole)
    print_notes(notes)
    return args


def run(args: argparse.Namespace) -> Result:
    """Read the clip, run the edit, write the layer. Raises JobError."""
    arrays = JobArrays()
    clip = read_source(args)
    prompt = one_line(args.prompt)
    spec = EditJob(
        clip=arrays.add_clip(clip),
        prompt=prompt,
        source=one_line(args.source),
        region=one_line(args.region),
        avoid=one_line(args.avoid),
        background=one_line(args.background),
        background_source=one_line(args.background_source),
        painter=args.painter,
        settings=painter_settings(args, args.painter, JobFiles(clip, arrays)),
        after=args.after,
        masks=masks_of(args, arrays, clip.numbers),
        behind=behind_of(args, arrays, clip.numbers),
        engine=args.engine,
        layer=args.layer,
        preset=args.preset,
        seed=args.seed,
        model=model_of(args),
    )
    check(spec)
    title = f"{spec.title}  -  {args.layer}, {args.preset}, seed {args.seed}"
    return make_layer(args, spec, arrays, clip, title)
