"""The measures of an edit: plain functions, each with its formula and its range.

frames, composites: uint8 [T,H,W,3] sRGB, the source and the layer over it. layers: uint8 [T,H,W,4],
straight alpha. inside: bool [T,H,W], the object's true mask. E: unit-length embeddings of a
text-image model that took no part in any loss; N texts, embedding width D.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.motion.flow import Flows, pull

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
F32 = NDArray[np.float32]

UNCHANGED_DB = 100.0  # PSNR of equal pixels, for which the formula gives infinity
SEEN = 0.1  # α from which a layer counts as present
EDGE_BLUR = 0.02  # share of the object's size; anything finer is texture, not outline


# --- does it show the text? ----------------------------------------------------------------------


def similarity(pictures_TD: F32, texts_ND: F32) -> float:
    """Mean cosine of images and texts, −1..1; higher is better."""
    return float((_unit(pictures_TD) @ _unit(texts_ND).T).mean())


def direction(output_TD: F32, source_TD: F32, prompt_ND: F32, before_ND: F32) -> float:
    """Cosine of the change of the image and the change of the text, −1..1; higher is better.

    Mean over T of cos(E(output) − E(source), Ē(prompt) − Ē(before)); Ē is the mean over the texts.
    An image that did not change has no direction and counts 0.
    """
    change_TD = _unit(output_TD) - _unit(source_TD)
    wanted_D = _unit(prompt_ND).mean(0) - _unit(before_ND).mean(0)
    return float((_unit(change_TD) @ _unit(wanted_D)).mean())


def named(pictures_TD: F32, texts: Sequence[F32], wanted: int) -> float:
    """Share of images that are nearer to the wanted text than to any other, 0..1.

    texts: [N,D] each; the mean of a text's N embeddings is compared.
    """
    means = np.stack([_unit(one).mean(0) for one in texts])
    nearest = (_unit(pictures_TD) @ _unit(means).T).argmax(1)
    return float((nearest == wanted).mean())


# --- is the object still itself? -----------------------------------------------------------------


def self_similarity_distance(output_TLE: F32, source_TLE: F32) -> float:
    """Root mean square difference of the tokens' cosine self-similarities, 0..2; lower is better.

    What the structure loss lowers (Text2LIVE eq. 5), measured by a model that it did not use.
    """
    output, source = _unit(output_TLE), _unit(source_TLE)
    gap = output @ output.transpose(0, 2, 1) - source @ source.transpose(0, 2, 1)
    return float(np.sqrt(np.square(gap).mean()))


def edge_distance(
    frames: Pixels, composites: Pixels, inside: Bools, size: float = EDGE_BLUR
) -> float:
    """1 − correlation of the gradient magnitudes inside the object, 0..2; lower is better.

    Needs no model: luma, blurred by a share (size) of the object's size (the square root of its
    area), by at least half a pixel; Sobel; Pearson's correlation over the object's pixels; mean
    over the frames that show it. 0: the same edges. 1: unrelated edges, or none. With size 0 it
    measures the finest detail: feathers, knit, seams.
    """
    found = []
    for frame, composite, mask in zip(frames, composites, inside, strict=True):
        if not mask.any():
            continue
        blur = max(0.5, size * float(np.sqrt(mask.sum())))
        one, other = (_slopes(picture, blur)[mask] for picture in (frame, composite))
        spread = float(one.std() * other.std())
        both = float(((one - one.mean()) * (other - other.mean())).mean())
        found.append(max(0.0, 1 - both / spread) if spread > 1e-6 else 1.0)
    return float(np.mean(found)) if found else 0.0


# --- is the rest left alone? ---------------------------------------------------------------------


def outside_of(inside: Bools) -> Bools:
    """Pixels that are surely not the object: at least one pixel away from it."""
    kernel = np.ones((3, 3), np.uint8)
    return np.stack([cv2.dilate(one.astype(np.uint8), kernel) == 0 for one in inside])


def psnr_outside(frames: Pixels, composites: Pixels, inside: Bools) -> float:
    """10·log10(255² / mean square change) outside the object, dB; UNCHANGED_DB at most."""
    changed = frames.astype(np.float32) - composites.astype(np.float32)
    square = float(np.square(changed[outside_of(inside)]).mean())
    return min(UNCHANGED_DB, float(10 * np.log10(255**2 / max(square, 1e-9))))


def alpha_outside(layers: Pixels, inside: Bools) -> float:
    """Share of all α that lies outside the object, 0..1; lower is better. 0 for an empty layer."""
    alpha = layers[..., 3].astype(np.float64)
    return float(alpha[outside_of(inside)].sum() / max(float(alpha.sum()), 1e-9))


def coverage(layers: Pixels, inside: Bools) -> float:
    """Mean α inside the object, 0..1; 1: the layer covers all of it."""
    return float(layers[..., 3][inside].mean() / 255) if inside.any() else 0.0


def presence(layers: Pixels) -> tuple[float, float]:
    """Share of the pixels with α above SEEN, and the mean α of those, each 0..1."""
    alpha = layers[..., 3].astype(np.float32) / 255
    there = alpha > SEEN
    return float(there.mean()), float(alpha[there].mean()) if there.any() else 0.0


# --- is it steady along the motion? -----------------------------------------------------------


def warp_error(layers: Pixels, flows: Flows, gap: int) -> float:
    """How much the layer changes along the footage's own motion, 0..1; lower is better.

    Frame t+gap pulled back to t by the optical flow of the source frames; root mean square
    difference of the premultiplied RGBA over pixels where the flow's round trip agrees and either
    of the two has α above SEEN. A faint layer changes little, so compare the coverage as well.
    """
    square, count = 0.0, 0
    height, width = flows.size
    small = [cv2.resize(premultiplied(one), (width, height), interpolation=cv2.INTER_AREA)
             for one in layers]  # fmt: skip
    for t in range(len(layers) - gap):
        motion, sure = flows.full(t, t + gap)
        now = small[t]
        then = pull(np.asarray(small[t + gap], np.float32), motion, cv2.BORDER_CONSTANT)
        seen = sure & (np.maximum(now[..., 3], then[..., 3]) > SEEN)
        square += float(np.square(now - then)[seen].sum())
        count += 4 * int(seen.sum())
    return float(np.sqrt(square / count)) if count else 0.0


def premultiplied(layer: Pixels) -> F32:
    """[H,W,4] straight alpha → float32, 0..1, colours times α."""
    rgba = layer.astype(np.float32) / np.float32(255)
    rgba[..., :3] *= rgba[..., 3:]
    return rgba


def _slopes(picture: Pixels, blur: float) -> F32:
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(luma, (0, 0), blur)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(across, down), np.float32)


def _unit(x: F32) -> F32:
    """Normalised to length one along the last axis; zero vectors stay 0."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-8), np.float32)
