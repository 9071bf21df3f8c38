"""Predict how well a shot will edit: measures of an edit's likely errors, and a report sheet.

The PSNR of fitted pixels misleads: an atlas can store what its maps do not explain. Two measures
count: the PSNR of held-out pixels, and whether a texel stays on its point of the scene, by an
optical flow that the fit did not use.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, PREFIXES, prefix
from backend.atlas.quality import rebuild
from backend.atlas.sampling import sample
from backend.atlas.slip import CORE, folded, slip
from backend.progress import Reporter
from protocol.jobs import OBJECTS

PHASE = "Checking the atlas"

GAP = 8  # frames over which slip is measured
PAIRS = 6  # frame pairs that slip is measured on

LEAK = 3.5  # dB that fitted pixels may be better than held-out ones
POOR = 24.0  # held-out dB below which the inside of a layer is blurred
SLIP = 1.5  # pixels a texel may slip over GAP frames
FOLDS = 0.01  # share of an object's pixels where its map is folded

TILE = (256, 144)  # width and height of an image on the sheet
GREY = 24
INK = (228, 228, 231)


@torch.no_grad()
def examine(
    atlas: LayeredAtlas, frames: Tensor, kept: Tensor, report: Reporter
) -> dict[str, float]:
    """Held-out PSNR by region, slip and folds.

    frames: uint8 [T,3,h,w] at the working size; kept: bool [T,1,h,w]. Returns, where it can be
    measured: psnr_held_out_fg, _bg (insides of the layers) and _edge, dB; slip_fg, slip_bg: median
    distance in pixels between a texel and the point it was on GAP frames earlier, see `slip`;
    folds_fg: share of the object's pixels with a flipped map. Further objects: _fg2, _fg3.
    """
    numbers = _held_out(atlas, frames, kept, report)
    count = atlas.frames
    gap = min(GAP, count - 1)
    slips: dict[str, list[Tensor]] = {layer: [] for layer in atlas.layers}
    folds: dict[str, list[Tensor]] = {layer: [] for layer in atlas.layers}
    starts = sorted({round(s) for s in np.linspace(0, count - 1 - gap, PAIRS)}) if gap else []
    for start in starts:
        report.step(PHASE, int(start), count)
        for layer in atlas.layers:
            slips[layer].append(slip(atlas, layer, frames, int(start), int(start) + gap))
            folds[layer].append(folded(atlas, layer, int(start)))
    for layer in atlas.layers if starts else ():
        moved, turned = torch.cat(slips[layer]), torch.cat(folds[layer])
        if len(moved):
            numbers[f"slip_{prefix(layer)}"] = round(float(moved.median()), 3)
        if len(turned) and layer != BACKGROUND:
            numbers[f"folds_{prefix(layer)}"] = round(float(turned.float().mean()), 4)
    return numbers


def verdict(numbers: dict[str, float]) -> list[str]:
    """Notes on what will not edit well; empty if nothing stands out."""
    notes = []
    if numbers.get("psnr", 0) - numbers.get("psnr_held_out", math.inf) > LEAK:
        notes.append(
            "The atlas copies single frames instead of following the motion: expect smears in an "
            "edit. A better mask usually helps."
        )
    several = f"coverage_{PREFIXES[OBJECTS[1]]}" in numbers
    for layer, short in PREFIXES.items():
        name = "object" if layer == OBJECTS[0] and not several else layer
        if numbers.get(f"psnr_held_out_{short}", math.inf) < POOR:
            notes.append(
                f"The {name} changes in ways the atlas cannot follow: fine detail will blur."
            )
        moved = numbers.get(f"slip_{short}", 0.0)
        if moved > SLIP:
            notes.append(f"An edit may slip on the {name} by about {moved:.1f} pixels.")
        if numbers.get(f"folds_{short}", 0.0) > FOLDS:
            notes.append(f"The {name}'s UV map is folded in places: patterns will break there.")
    return notes


def _held_out(
    atlas: LayeredAtlas, frames: Tensor, kept: Tensor, report: Reporter
) -> dict[str, float]:
    total = {name: [0.0, 0.0] for name in (*map(prefix, atlas.layers), "edge")}
    for index in range(atlas.frames):
        if bool(kept[index].all()):
            continue
        report.step(PHASE, index, atlas.frames)
        t = torch.tensor([index], device=atlas.device)
        seen, parts = rebuild(atlas, t, atlas.work)
        square = (seen.clamp(0, 1) - frames[t].float() / 255).pow(2).mean(1, keepdim=True)
        out = 1 - kept[t].float()
        weights = {prefix(layer): (part > CORE).float() * out for layer, part in parts.items()}
        weights["edge"] = out - torch.stack([*weights.values()]).sum(0)
        for name, weight in weights.items():
            total[name][0] += float((square * weight).sum())
            total[name][1] += float(weight.sum())
    return {
        f"psnr_held_out_{name}": round(-10 * math.log10(max(error / weight, 1e-10)), 3)
        for name, (error, weight) in total.items()
        if weight > 0
    }


@torch.no_grad()
def sheet(atlas: LayeredAtlas, frames: NDArray[np.uint8], title: str = "") -> NDArray[np.uint8]:
    """A report sheet that shows how a shot will edit: uint8 [H,W,3].

    frames: the clip, uint8 [T,H,W,3] at any size. Rows: the atlases; then for the first, middle and
    last frame: the frame, each object's matte, a checkerboard on each layer, and the reconstruction
    error (black: none, white: a quarter of the range or more).
    """
    rows = [_row([_covered(atlas, layer) for layer in atlas.layers])]
    for index in sorted({0, atlas.frames // 2, atlas.frames - 1}):
        t = torch.tensor([index], device=atlas.device)
        frame = np.asarray(
            cv2.resize(frames[index], atlas.work[::-1], interpolation=cv2.INTER_AREA)
        )
        seen, parts = rebuild(atlas, t, atlas.work)
        target = torch.from_numpy(frame).permute(2, 0, 1)[None].to(atlas.device).float() / 255
        error = (seen.clamp(0, 1) - target).abs().mean(1, keepdim=True) * 4
        objects = [part for layer, part in parts.items() if layer != BACKGROUND]
        shown = [_pixels(target), *(_pixels(part.expand(-1, 3, -1, -1)) for part in objects)]
        for layer, share in parts.items():
            board = sample(_checkerboard(atlas, layer), atlas.uv(layer, t, atlas.work))
            shown.append(_pixels(target + 0.75 * share * (board - target)))
        rows.append(_row([*shown, _pixels(error.expand(-1, 3, -1, -1))]))
    names = f"atlases: {', '.join(atlas.layers)} | frame, alpha, checkerboards, unexplained x4"
    head = np.full((30, rows[1].shape[1], 3), GREY, np.uint8)
    text = f"{title}   {names}" if title else names
    cv2.putText(head, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
    wide = cv2.copyMakeBorder(
        rows[0],
        0,
        0,
        0,
        rows[1].shape[1] - rows[0].shape[1],
        cv2.BORDER_CONSTANT,
        value=(GREY,) * 3,
    )
    return np.vstack([head, wide, *rows[1:]])


def _checkerboard(atlas: LayeredAtlas, layer: str) -> Tensor:
    """Black and white squares of 8 texels, redder to the right and bluer towards the bottom."""
    h, w = atlas.image(layer).shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(h, device=atlas.device), torch.arange(w, device=atlas.device), indexing="ij"
    )
    board = ((x // 8 + y // 8) % 2).float()
    tint = torch.stack([x / w, torch.full_like(board, 0.5), y / h])
    return (0.75 * board + 0.25 * tint)[None]


def _covered(atlas: LayeredAtlas, layer: str) -> NDArray[np.uint8]:
    """A layer's colours where it is covered, grey elsewhere."""
    cover = atlas.coverage(layer)
    return _pixels(atlas.image(layer) * cover + 0.3 * (1 - cover))


def _pixels(image: Tensor) -> NDArray[np.uint8]:
    """[1,3,H,W] 0..1 → uint8 [H,W,3]."""
    out = (image[0].clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(out.permute(1, 2, 0).cpu().numpy())


def _row(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images side by side, each fitted into a tile with a narrow margin."""
    width, height = TILE
    tiles = []
    for image in images:
        scale = min(width / image.shape[1], height / image.shape[0])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        tile = np.full((height + 8, width + 8, 3), GREY, np.uint8)
        y, x = (height + 8 - size[1]) // 2, (width + 8 - size[0]) // 2
        tile[y : y + size[1], x : x + size[0]] = small
        tiles.append(tile)
    return np.hstack(tiles)
