"""Contact sheets: rows of labelled images on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
MARGIN = 14
LABEL = 30
CELL = 10
TALLEST = 0.6
"""Height of a row's images, at most, as a share of their width."""
PAPER = (24, 24, 27)
INK = (228, 228, 231)


def on_checkerboard(rgba: Pixels, cell: int) -> Pixels:
    """Composite a layer [H,W,4] over a grey checkerboard → [H,W,3]."""
    h, w = rgba.shape[:2]
    rows, columns = np.mgrid[0:h, 0:w] // cell
    board = np.where((rows + columns) % 2 == 0, 150, 105)[..., None].astype(np.float32)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(alpha * rgba[..., :3] + (1 - alpha) * board).astype(np.uint8)


def fit(image: Pixels, width: int, height: int) -> Pixels:
    """Scale an RGB image to fit a box, centred, with its aspect ratio kept."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, size, interpolation=method)
    box = np.full((height, width, 3), PAPER, np.uint8)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    box[y : y + size[1], x : x + size[0]] = small
    return box


def contact_sheet(
    title: str, rows: Sequence[tuple[str, Sequence[Pixels]]], width: int = 1606
) -> Pixels:
    """Lay out rows of RGB or RGBA images under their labels → [H,width,3] uint8.

    Each row fills the width: the fewer images, the larger they are. RGBA images are shown over a
    checkerboard.
    """
    head = np.full((56, width, 3), PAPER, np.uint8)
    _text(head, title, MARGIN, 38, 0.85)
    return np.vstack([head, *(_row(label, images, width) for label, images in rows)])


def _row(label: str, images: Sequence[Pixels], width: int) -> Pixels:
    """A label and its images side by side, [H,width,3]."""
    across = (width - MARGIN) // len(images) - MARGIN
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    height = round(across * min(tallest, TALLEST))
    band = np.full((LABEL + height + MARGIN, width, 3), PAPER, np.uint8)
    _text(band, label, MARGIN, 20, 0.55)
    for number, image in enumerate(images):
        x = MARGIN + number * (across + MARGIN)
        scale = min(across / image.shape[1], height / image.shape[0])
        cell = max(1, round(CELL / scale))  # squares of one size on the sheet
        rgb = on_checkerboard(image, cell) if image.shape[2] == 4 else image
        band[LABEL : LABEL + height, x : x + across] = fit(rgb, across, height)
    return band


def _text(sheet: Pixels, text: str, x: int, y: int, scale: float) -> None:
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
