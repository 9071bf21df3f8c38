"""Composite layers as the Sequencer does: straight alpha, 8-bit sRGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def composite(frame: Pixels, layer: Pixels) -> Pixels:
    """Composite a layer over a frame, straight alpha in sRGB as the Sequencer does.

    frame [H,W,3], layer [H,W,4] → [H,W,3] uint8; exactly the frame where alpha is 0.
    """
    alpha = layer[..., 3:].astype(np.float32) / 255.0
    mixed = alpha * layer[..., :3] + (1.0 - alpha) * frame
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def lay_over(front: Pixels, back: Pixels) -> Pixels:
    """Merge two layers, in sRGB; over any frame, the result looks like compositing both in turn.

    Layers and result are [H,W,4] uint8, straight alpha. Where one layer is transparent, the result
    is exactly the other; where both are, it is 0.
    """
    a = front[..., 3:].astype(np.float32) / 255.0
    b = back[..., 3:].astype(np.float32) / 255.0 * (1.0 - a)
    alpha = a + b
    colour = (a * front[..., :3] + b * back[..., :3]) / np.maximum(alpha, 1e-6)
    mixed = np.concatenate([colour * (alpha > 0), alpha * 255.0], axis=-1)
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def fill_under(front: Pixels, back: Pixels) -> Pixels:
    """Raise the alpha of the layer behind, so that no seam shows along the front layer's edge.

    An object that fills half a pixel has α ½ there, and the layer behind has the other half.
    Composited, they would leave a quarter to the footage, a seam around the object; the layer
    behind must fill everything that the front one leaves. Each [H,W,4] uint8, straight alpha.
    """
    left = 255.0 - front[..., 3:].astype(np.float32)
    alpha = np.minimum(back[..., 3:] * 255.0 / np.maximum(left, 1.0), 255.0)
    return np.asarray(np.concatenate([back[..., :3], np.rint(alpha)], axis=-1), dtype=np.uint8)
