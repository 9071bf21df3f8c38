"""The files of a finished job: RGBA frames, composites, a preview movie and a contact sheet."""

from __future__ import annotations

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

    picked = sorted({0, len(frames) // 3, 2 * len(frames) // 3, len(frames) - 1})

    def row(label: str, images: list[Pixels]) -> tuple[str, list[Pixels]]:
        return label, [images[i] for i in picked]

    rows: list[tuple[str, list[Pixels]]] = [row("Source", list(frames))]
    if pictures:
        rows.append((", ".join(pictures).replace("_", " ").capitalize(), list(pictures.values())))
    rows += [row(f"{name.capitalize()} (RGBA)", images) for name, images in parts.items()]
    rows += [row("Layer (RGBA)", layer), row("Layer over source", composites)]
    media.write_png(out.path / "sheet.png", contact_sheet(title, rows))
