"""Edited frames as they were given: what lies over what, and how sharp they are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.media import composite
from protocol.jobs import JobError

Pixels = NDArray[np.uint8]

ASPECT = 0.02  # tolerance of a layer's aspect ratio against its frame's


def on_frame(image: Pixels, frame: Pixels) -> Pixels:
    """An edited frame as RGB [H,W,3]; one with transparency is laid over its frame.

    Raises JobError("painted_aspect_differs") if its proportions differ from the frame's.
    """
    if image.shape[2] == 3:
        return image
    if (image[..., 3] == 255).all():
        return np.ascontiguousarray(image[..., :3])
    (h, w), (rows, columns) = image.shape[:2], frame.shape[:2]
    if abs(w * rows / (h * columns) - 1) > ASPECT:
        raise JobError(
            "painted_aspect_differs",
            f"An edited frame with transparency is {w}×{h}, but the clip is {columns}×{rows}.",
            "Export it with the proportions of the clip, or flattened.",
        )
    if (h, w) == (rows, columns):
        return composite(frame, image)
    full = image.astype(np.float32)
    full[..., :3] *= full[..., 3:] / 255
    how = cv2.INTER_AREA if h >= rows else cv2.INTER_LINEAR
    paint = np.asarray(cv2.resize(full, (columns, rows), interpolation=how), np.float32)
    laid = paint[..., :3] + (1 - paint[..., 3:] / 255) * frame
    return np.asarray(np.rint(laid).clip(0, 255), np.uint8)


def sharpness(image: Pixels) -> float:
    """Mean local contrast; larger for sharper images of the same thing."""
    grey = cv2.GaussianBlur(image.astype(np.float32).mean(-1), (0, 0), 1.0)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())
