"""The options that edit and paint share, and the clip they are about."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

from msgspec.structs import replace

from backend.cli.local_backend import local_backend, running_backend
from backend.cli.mask_options import add_mask_options
from backend.cli.source import DEFAULT_FPS
from protocol.client import Client
from protocol.jobs import ENGINES, LAYERS, PRESETS, ClipModel, JobError
from protocol.local import data_folder
from protocol.models import parse_clip_model, with_weights

MAX_FPS = 1000


def add_clip_options(
    p: argparse.ArgumentParser, out_required: bool = True, layers: tuple[str, ...] = LAYERS
) -> None:
    """Add the layer, the masks, the preset, the output folder and the backend."""
    p.add_argument(
        "--layer",
        choices=layers,
        default="foreground",
        help="the layer to work on; layers are numbered front to back (default: %(default)s)",
    )
    p.add_argument(
        "--preset", default="preview", help=f"{', '.join(PRESETS)} (default: %(default)s)"
    )
    p.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="atlas engine (default: %(default)s)"
    )
    p.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="random seed; another one gives another variant (default: %(default)s)",
    )
    p.add_argument(
        "--fps",
        type=_rate,
        metavar="RATE",
        help="frame rate of preview.mp4, for example 25 or 24000/1001 (default: the movie's own, "
        f"{DEFAULT_FPS} for images)",
    )
    p.add_argument(
        "--start-number",
        type=int,
        metavar="N",
        help="number of the first frame that is written (default: the number in the name of the "
        "first image, 0 for movies)",
    )
    p.add_argument(
        "--out",
        type=_named_path,
        required=out_required,
        metavar="DIR",
        help="folder for layer/, composite/, preview.mp4 and sheet.png; frames of an earlier run "
        "in it are replaced",
    )
    add_mask_options(p)
    backend = p.add_argument_group("backend")
    backend.add_argument(
        "--connection",
        type=Path,
        metavar="FILE",
        help="connection file of a running backend (default: start one for this job)",
    )
    backend.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help=f"data folder of the backend to start (default: {data_folder()})".replace("%", "%%"),
    )
    backend.add_argument(
        "--device",
        default="auto",
        help="device of the backend to start: auto, cpu, cuda or cuda:N (default: %(default)s)",
    )


def model_of(args: argparse.Namespace) -> ClipModel:
    """The model of --model, --pretrained and --checkpoint.

    Its checkpoint is a full path if it is here and the backend is started here; otherwise it is the
    name of a file or folder in the backend's models folder. Raises JobError ``bad_words``.
    """
    model = parse_clip_model(args.model)
    if args.pretrained or args.checkpoint:
        if ":" in args.model:
            raise JobError(
                "bad_words",
                f"--model {args.model} says which weights to use, and so does "
                f"--{'pretrained' if args.pretrained else 'checkpoint'}.",
                "Give --model only a name such as ViT-B-32, or leave the other option out.",
            )
        model = with_weights(args.model, args.pretrained, args.checkpoint)
    path = Path(model.checkpoint).expanduser()
    here = bool(model.checkpoint) and not args.connection and path.exists()
    return replace(model, checkpoint=str(path.absolute())) if here else model


def _named_path(text: str) -> Path:
    """A path of the command line that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def _rate(text: str) -> Fraction:
    """A frame rate of the command line, as a number or a fraction."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate") from None
    if not 0 < rate <= MAX_FPS:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MAX_FPS}")
    return rate


def backend_of(args: argparse.Namespace) -> AbstractContextManager[Client]:
    """A client of the backend named by --connection, or of one started for this program."""
    if args.connection:
        _check_connection_file(args.connection)
        return running_backend(args.connection)
    return local_backend(args.data or data_folder(), device=args.device)


def _check_connection_file(path: Path) -> None:
    """Raise JobError ``not_a_connection`` if a file is something else than a connection file."""
    try:
        found = json.loads(path.read_bytes())
    except OSError:
        if not path.is_dir():
            return  # reading it as a connection file says what is wrong
        found = None
    except ValueError:
        found = None
    if not isinstance(found, dict) or "server_key" not in found:
        raise JobError(
            "not_a_connection",
            f"{path} is not a connection file.",
            "The backend writes connection.json into its data folder and prints its path when it "
            "starts. Leave --connection out to start a backend for this job.",
        )
