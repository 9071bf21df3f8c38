"""Use atlases of the released Layered Neural Atlases: import a checkpoint, convert its edits."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from backend import media
from backend.cli.program import Parser, exit_status, program_name
from backend.cli.source import print_notes
from backend.imported_atlases import folder_for
from backend.media import Pixels
from backend.progress import Silent
from protocol.jobs import LAYERS, JobError, reference
from protocol.local import data_folder

EXAMPLES = """examples:
  {name} import checkpoint CLIP                                # then edit it with --engine mlp
  {name} import checkpoint CLIP --size 768x432 --data DIR
  {name} repaint texture_edit_user1.png CLIP --layer foreground --out paint.png
"""
WIDEST = 0.02  # how far the aspect ratios of the clip and of the fit may be apart
REFERENCE_SIZE = (432, 768)  # rows and columns of the released configuration


class Printed(Silent):
    """Prints the phases of the work."""

    def __init__(self) -> None:
        self._phase = ""

    def step(self, phase: str, done: int, total: int) -> None:
        """Print a phase when it begins."""
        if phase != self._phase:
            self._phase = phase
            print(f"  {phase} …", flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line of text2live-atlas and ``python -m scripts.atlas``."""
    p = Parser(program_name("scripts.atlas"), __doc__, EXAMPLES)
    commands = p.add_subparsers(dest="command", required=True, parser_class=argparse.ArgumentParser)
    take = commands.add_parser("import", help="make an atlas from a checkpoint")
    take.add_argument("checkpoint", type=Path, help="the file “checkpoint” that the training wrote")
    take.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="size that it was fitted at (default: that of config.json beside it, else 768x432)",
    )
    take.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    convert = commands.add_parser("repaint", help="fit an RGBA atlas edit to the imported atlas")
    convert.add_argument("edit", type=Path, metavar="PNG", help="the edit, a square with alpha")
    convert.add_argument("--layer", choices=(LAYERS[0], LAYERS[-1]), default=LAYERS[0])
    convert.add_argument(
        "--out", type=Path, required=True, metavar="PNG", help="paint for text2live-paint --atlas"
    )
    for one in (take, convert):
        one.add_argument("frames", type=Path, metavar="CLIP", help="the frames it was fitted to")
        one.add_argument(
            "--data", type=Path, metavar="DIR", help="data folder of the backend that will use it"
        )
    return p


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0 when it is done, 2 after an error, 130 after Ctrl-C."""
    args = parser().parse_args(argv)
    return exit_status(lambda: _import(args) if args.command == "import" else _repaint(args))


def _import(args: argparse.Namespace) -> None:
    """Read a checkpoint and its clip, and write the atlas. Raises JobError."""
    from backend.atlas.mlp import nla
    from backend.device import find_device
    from backend.motion.cuts import find_cuts

    networks = nla.read_networks(args.checkpoint)
    frames = _frames(args.frames)
    told = _config_beside(args.checkpoint)
    count, height, width = frames.shape[:3]
    limit = told.get("maximum_number_of_frames")
    most = limit if isinstance(limit, int) else count
    if count > most:
        raise JobError(
            "clip_too_long",
            f"The clip has {count} frames; the networks were fitted to its first {most}.",
            f"Give only the first {most} frames.",
        )
    if find_cuts(frames, Silent()):
        raise JobError(
            "clip_has_cuts",
            "The clip has a cut; the networks describe one shot.",
            "Give only the frames that they were fitted to.",
        )
    work = args.size or _size_of(told)
    if abs(width / height / (work[1] / work[0]) - 1) > WIDEST:
        raise JobError(
            "size_mismatch",
            f"The clip has {width}×{height} pixels, the networks were fitted at "
            f"{work[1]}×{work[0]}: another shape.",
            "Say at which size they were fitted: --size WIDTHxHEIGHT.",
        )
    import torch

    device, shown = find_device(args.device)
    print(f"  {count} frames, fitted at {work[1]}×{work[0]}; {shown}", flush=True)
    atlas = nla.import_atlas(networks, frames, work, torch.device(device), Printed())
    folder = _folder(args, frames)
    folder.parent.mkdir(parents=True, exist_ok=True)
    atlas.save(folder)
    print_notes([
        f"Imported to {folder}.",
        f"It reproduces the clip at {atlas.numbers['psnr']:.1f} dB. Below about 25 dB, the frames "
        "or the size are probably not those that the networks were fitted to.",
        "Jobs on these frames use it with --engine mlp (in Blender: Atlas, mlp).",
    ])  # fmt: skip


def _repaint(args: argparse.Namespace) -> None:
    """Convert an RGBA edit of the released code. Raises JobError."""
    import torch

    from backend.atlas.mlp import nla
    from backend.atlas.mlp.model import MlpAtlas

    folder = _folder(args, _frames(args.frames))
    if not folder.is_dir():
        raise JobError(
            "not_imported",
            "No atlas was imported for these frames.",
            "Import its checkpoint first: text2live-atlas import CHECKPOINT CLIP.",
        )
    edit = media.read_rgba(args.edit)
    if edit.shape[0] != edit.shape[1]:
        raise JobError(
            "paint_size",
            f"The edit has {edit.shape[1]}×{edit.shape[0]} pixels; the released code's are square.",
            "Give the PNG that it wrote, texture_edit_user1.png (object) or …2.png (background).",
        )
    made = nla.repainted(MlpAtlas.load(folder, torch.device("cpu")), args.layer, edit)
    media.write_png(args.out, made)
    print_notes([f"{args.out}: text2live-paint CLIP --engine mlp --layer {args.layer} --atlas PNG"])


def _frames(path: Path) -> Pixels:
    clip = media.read_clip(path)
    print_notes(clip.notes)
    return clip.frames


def _folder(args: argparse.Namespace, frames: Pixels) -> Path:
    return folder_for(args.data or data_folder(), [reference(one) for one in frames])


def _config_beside(checkpoint: Path) -> dict[str, Any]:
    """The released code's config.json in the checkpoint's folder, or nothing."""
    path = checkpoint.with_name("config.json")
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise JobError(
            "checkpoint_unreadable", f"{path} cannot be read: {why}.", "Correct it, or remove it."
        ) from why
    return found if isinstance(found, dict) else {}


def _size_of(config: dict[str, Any]) -> tuple[int, int]:
    rows, columns = config.get("resy"), config.get("resx")
    if isinstance(rows, int) and isinstance(columns, int) and min(rows, columns) > 0:
        return rows, columns
    return REFERENCE_SIZE


def _size(text: str) -> tuple[int, int]:
    """``WxH`` → rows and columns."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 768x432")
    return int(height), int(width)


if __name__ == "__main__":
    sys.exit(main())
