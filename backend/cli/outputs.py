"""The files of a finished job: RGBA frames, composites, a preview movie and a contact sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from backend import media
from backend.cli.output_folder import OutputFolder
from backend.cli.sheet import contact_sheet
from backend.cli.source import print_notes
from backend.media import Pixels, SourceClip
from protocol.client import Client
from protocol.jobs import Result

LAYER, COMPOSITE = "layer", "composite"


def write_outputs(
    out: OutputFolder, title: str, clip: SourceClip, client: Client, result: Result
) -> None:
    """Fetch a finished job and write layer/, composite/, preview.mp4 and sheet.png.

    An edit of both layers also gets a folder for each of them. Frames have the numbers of the
    clip's; frames of an earlier run are removed.
    """
    frames = clip.frames
    names = [f"{number:05d}.png" for number in clip.numbers]
    layer = client.fetch_all(list(result.layer))
    parts = {name: client.fetch_all(list(refs)) for name, refs in result.parts.items()}
    pictures = dict(
        zip(result.pictures, client.fetch_all(list(result.pictures.values())), strict=True)
    )
    out.begin([LAYER, COMPOSITE, *parts], names)
    composites = []
    for name, frame, rgba in zip(names, frames, layer, strict=True):
        composites.append(media.composite(frame, rgba))
        out.write(LAYER, name, rgba)
        out.write(COMPOSITE, name, composites[-1])
    for part, images in parts.items():
        for name, rgba in zip(names, images, strict=True):
            out.write(part, name, rgba)
    media.write_video(out.path / "preview.mp4", composites, clip.fps or Fraction(1))
    removed = out.finish()
    if removed:
        print_notes([f"{removed} frames of an earlier run were removed from {out.path}."])

    shot = Shown(list(frames), composites, layer, pictures, parts)
    media.write_png(out.path / "sheet.png", contact_sheet(title, rows_of(shot)))


@dataclass(frozen=True)
class Shown:
    """What the sheet of a shot is made of: its frames, and what came back for them."""

    frames: Sequence[Pixels]
    composites: Sequence[Pixels]
    layer: Sequence[Pixels]
    pictures: Mapping[str, Pixels]
    parts: Mapping[str, Sequence[Pixels]]


def rows_of(shot: Shown) -> list[tuple[str, list[Pixels]]]:
    """Rows of the contact sheet: a frame before and after, then what it is made of, then others."""
    count = len(shot.frames)
    middle = count // 2
    rows = [("Source, layer over source", [shot.frames[middle], shot.composites[middle]])]
    named = {name.replace("_", " "): image for name, image in shot.pictures.items()}
    made = {**named, "layer (RGBA)": shot.layer[middle]}
    rows.append((", ".join(made).capitalize().replace("rgba", "RGBA"), list(made.values())))
    for name, images in shot.parts.items():
        rows.append((f"{name.capitalize()} (RGBA)", [images[i] for i in spread(count)]))
    if count > 1:
        rows.append(("Layer over source", [shot.composites[i] for i in spread(count)]))
    return rows


def spread(count: int) -> list[int]:
    """Up to four frames from first to last."""
    return sorted({0, count // 3, 2 * count // 3, count - 1})
