"""Where an edited frame lies on the clip: its size, squeeze and crop.

An edited frame may have any size, and may show a part of the frame only or the frame with bars.
Images are float32 [H,W,3] in 0..1; positions are pixels whose outer edges are whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

WORKING = 256  # long side of the images that orientations are compared on, pixels
REACH = 0.04  # largest shift that is not a crop, as a share of the long side
BETTER = 0.02  # by which a crop must agree more than the whole frame does
CROPS = (0.25, 4.0)  # least and largest scale of a crop against the whole frame
RATIO = 0.75  # of a feature's best distance to its second best
MATCHES = 12  # features that must agree on a crop
TRIALS = 400


@dataclass(frozen=True)
class Placement:
    """The pixel (x, y) of the clip is (sx·x + tx, sy·y + ty) in the edited frame."""

    sx: float
    sy: float
    tx: float = 0.0
    ty: float = 0.0

    def moved(self, dx: float, dy: float) -> Placement:
        """The placement for content that lies dx, dy pixels of the clip further on."""
        return Placement(self.sx, self.sy, self.tx + self.sx * dx, self.ty + self.sy * dy)

    def stretched(self, ex: float, ey: float, dx: float, dy: float) -> Placement:
        """The placement after clip positions are scaled by 1 + ex, 1 + ey and moved."""
        return Placement(
            self.sx * (1 + ex), self.sy * (1 + ey), self.tx + self.sx * dx, self.ty + self.sy * dy
        )


def whole(size: tuple[int, int], clip: tuple[int, int]) -> Placement:
    """The placement of a frame that shows all of the clip's. Sizes are rows and columns."""
    return Placement(size[1] / clip[1], size[0] / clip[0])


def place(image: F32, at: Placement, clip: tuple[int, int]) -> F32:
    """An edited frame resampled to the clip's size, its edge repeated beyond it."""
    if at == Placement(1.0, 1.0) and image.shape[:2] == clip:
        return image
    if at == whole((image.shape[0], image.shape[1]), clip):
        shrinks = image.shape[0] >= clip[0] and image.shape[1] >= clip[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(image, clip[::-1], interpolation=how), np.float32)
    blur = [0.5 * max(scale * scale - 1, 0) ** 0.5 for scale in (at.sx, at.sy)]
    source = image
    if max(blur) > 0.1:
        wide, high = (max(sigma, 1e-2) for sigma in blur)
        source = np.asarray(cv2.GaussianBlur(image, (0, 0), wide, sigmaY=high), np.float32)
    matrix = np.array([
        [at.sx, 0, at.tx + (at.sx - 1) / 2],
        [0, at.sy, at.ty + (at.sy - 1) / 2],
    ])  # fmt: skip
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(source, matrix, clip[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def shown(size: tuple[int, int], at: Placement, clip: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels of the clip [H,W] that an edited frame of this size shows."""
    x = at.sx * (np.arange(clip[1]) + 0.5) + at.tx
    y = at.sy * (np.arange(clip[0]) + 0.5) + at.ty
    rim_x, rim_y = min(0.5, at.sx / 2) - 1e-3, min(0.5, at.sy / 2) - 1e-3
    across = (x >= rim_x) & (x <= size[1] - rim_x)
    down = (y >= rim_y) & (y <= size[0] - rim_y)
    return np.asarray(down[:, None] & across[None])


def find_placement(edits: Sequence[F32], frames: Sequence[F32]) -> tuple[Placement, float]:
    """How edited frames of one size lie on their frames of the clip, and how well they agree.

    Tried are the whole frame stretched, the whole frame within bars, its middle, and the crop that
    local features agree on. The agreement is `agreement` of the best.
    """
    size, clip = edits[0].shape[:2], frames[0].shape[:2]
    plain = whole((size[0], size[1]), (clip[0], clip[1]))
    candidates = [plain]
    for scale in sorted({plain.sx, plain.sy}):
        rest = size[1] - scale * clip[1], size[0] - scale * clip[0]
        candidates.append(Placement(scale, scale, rest[0] / 2, rest[1] / 2))
    found = _by_features(edits, frames)
    if found is not None:
        candidates.append(found)
    scores = [_agreement_at(edits, frames, one) for one in candidates]
    best = int(np.argmax(scores))
    if scores[best] < scores[0] + BETTER:
        best = 0
    return candidates[best], scores[best]


def _agreement_at(edits: Sequence[F32], frames: Sequence[F32], at: Placement) -> float:
    clip = (frames[0].shape[0], frames[0].shape[1])
    return agreement([place(edit, at, clip) for edit in edits], frames)[0]


def agreement(edits: Sequence[F32], frames: Sequence[F32]) -> tuple[float, float, float, float]:
    """How well the edges of images of one size agree with frames, whatever their colours.

    Returns the correlation of edge orientations −1..1 at the best small shift, how far it stands
    out from that of all shifts in standard deviations, and that shift dx, dy in pixels: the edited
    frames show dx, dy further on what the footage shows.
    """
    h, w = frames[0].shape[:2]
    scale = min(1.0, WORKING / max(h, w))
    size = max(8, round(w * scale)), max(8, round(h * scale))
    total = np.zeros((size[1], size[0]))
    for edit, frame in zip(edits, frames, strict=True):
        a, b = _orientations(edit, size), _orientations(frame, size)
        power = np.sqrt((np.abs(a) ** 2).sum() * (np.abs(b) ** 2).sum()) + 1e-9
        total += np.fft.ifft2(np.fft.fft2(a) * np.conj(np.fft.fft2(b))).real / power
    total /= len(edits)
    reach = max(2, round(REACH * max(size)))
    near = np.roll(total, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    y, x = np.unravel_index(int(near.argmax()), near.shape)
    spread = float(total.std()) + 1e-9
    dx, dy = _peak(near, int(y), int(x))
    return (
        float(near.max()),
        float((near.max() - total.mean()) / spread),
        (dx - reach) * w / size[0],
        (dy - reach) * h / size[1],
    )


def _orientations(image: F32, size: tuple[int, int]) -> NDArray[np.complex64]:
    """Gradients with doubled angles, so that an edge counts the same whichever side is lighter."""
    grey = cv2.resize(image.mean(-1), size, interpolation=cv2.INTER_AREA)
    gy, gx = np.gradient(cv2.GaussianBlur(grey, (0, 0), 1.0))
    z = gx + 1j * gy
    q = z * z / (np.abs(z) + 0.01)
    return np.asarray(q - q.mean(), np.complex64)


def _peak(values: NDArray[np.float64], y: int, x: int) -> tuple[float, float]:
    """A maximum's position x, y between the samples, by a parabola in each direction."""

    def vertex(low: float, middle: float, high: float) -> float:
        bend = low - 2 * middle + high
        return 0.0 if bend >= -1e-12 else float(np.clip((low - high) / (2 * bend), -0.5, 0.5))

    h, w = values.shape
    dx = vertex(*values[y, x - 1 : x + 2]) if 0 < x < w - 1 else 0.0
    dy = vertex(*values[y - 1 : y + 2, x]) if 0 < y < h - 1 else 0.0
    return x + dx, y + dy


def _by_features(edits: Sequence[F32], frames: Sequence[F32]) -> Placement | None:
    """The placement that most matches of local features agree on, or None."""
    found = [_matches(edit, frame) for edit, frame in zip(edits, frames, strict=True)]
    pairs = np.concatenate(found)
    if len(pairs) < MATCHES:
        return None
    random = np.random.default_rng(0)
    size, clip = edits[0].shape[:2], frames[0].shape[:2]
    tolerance = 2.0 * max(size) / max(clip)
    best = np.zeros(len(pairs), bool)
    for _ in range(TRIALS):
        two = pairs[random.choice(len(pairs), 2, replace=False)]
        apart = two[1, :2] - two[0, :2]
        if np.abs(apart).min() < 0.05 * max(clip):
            continue
        scale = (two[1, 2:] - two[0, 2:]) / apart
        relative = scale * np.array([clip[1] / size[1], clip[0] / size[0]])
        if relative.min() < CROPS[0] or relative.max() > CROPS[1]:
            continue
        error = np.abs(pairs[:, 2:] - (two[0, 2:] + scale * (pairs[:, :2] - two[0, :2]))).max(1)
        if (error < tolerance).sum() > best.sum():
            best = error < tolerance
    if best.sum() < MATCHES:
        return None
    sx, tx = np.polyfit(pairs[best, 0], pairs[best, 2], 1)
    sy, ty = np.polyfit(pairs[best, 1], pairs[best, 3], 1)
    return Placement(float(sx), float(sy), float(tx), float(ty))


def _matches(edit: F32, frame: F32) -> NDArray[np.float64]:
    """Matched features of a frame and its edit: [N,4], x y in the frame, x y in the edit."""
    sift = cv2.SIFT_create(nfeatures=1000)  # type: ignore[attr-defined]
    both = []
    for image in (frame, edit):
        grey = np.rint(image.mean(-1) * 255).clip(0, 255).astype(np.uint8)
        both.append(sift.detectAndCompute(grey, None))
    (points, near), (points_edit, near_edit) = both
    if near is None or near_edit is None or len(near_edit) < 2:
        return np.empty((0, 4))
    pairs = []
    for first, second in cv2.BFMatcher().knnMatch(near, near_edit, k=2):
        if first.distance < RATIO * second.distance:
            pairs.append((*points[first.queryIdx].pt, *points_edit[first.trainIdx].pt))
    return np.array(pairs, np.float64).reshape(-1, 4) + 0.5
