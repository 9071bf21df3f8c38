"""The files of a finished job: RGBA frames, composites, a preview movie and a contact sheet."""

from __future__ import annotations

from pathlib import Path

from backend import media
from backend.cli.sheet import contact_sheet
from backend.media import Pixels
from protocol.client import Client
from protocol.jobs import Result


def write_outputs(
    out: Path, title: str, frames: Pixels, client: Client, result: Result, fps: float
) -> None:
    """Fetch a finished job and write layer/, composite/, preview.mp4 and sheet.png.

    An edit of both layers also gets a folder for each of them. frames: [T,H,W,3], the footage.
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
