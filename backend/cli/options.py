"""The options that edit and paint share, and the clip they are about."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from pathlib import Path

from backend.cli.local_backend import local_backend, running_backend
from backend.cli.mask_options import add_mask_options
from protocol.client import Client
from protocol.jobs import ENGINES, LAYERS, PRESETS
from protocol.local import data_folder


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
    p.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    p.add_argument(
        "--fps", type=float, default=24.0, help="frame rate of the clip (default: %(default)g)"
    )
    p.add_argument(
        "--out",
        type=Path,
        required=out_required,
        metavar="DIR",
        help="folder for layer/, composite/, preview.mp4 and sheet.png",
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
        "--data", type=Path, metavar="DIR", help="data folder of the backend to start"
    )
    backend.add_argument(
        "--device",
        default="auto",
        help="device of the backend to start: auto, cpu or cuda:N (default: %(default)s)",
    )


def checkpoint_of(args: argparse.Namespace) -> str:
    """The checkpoint of --checkpoint: a full path if it is here and the backend is started here.

    Otherwise it is the name of a file in the backend's models folder.
    """
    path = Path(args.checkpoint).expanduser()
    here = bool(args.checkpoint) and not args.connection and path.exists()
    return str(path.absolute()) if here else args.checkpoint


def backend_of(args: argparse.Namespace) -> AbstractContextManager[Client]:
    """A client of the backend named by --connection, or of one started for this program."""
    if args.connection:
        return running_backend(args.connection)
    return local_backend(args.data or data_folder(), device=args.device)
