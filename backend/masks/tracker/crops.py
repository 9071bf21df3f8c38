"""A second look: crops that follow the object, so that small objects get larger features."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks.tracker.features import ClipFeatures
from backend.masks.tracker.follow import Motion
from backend.masks.tracker.network import Network
from backend.masks.tracker.shot import Shot
from backend.masks.tracker.working import WorkingMotion
from backend.motion.flow import F32, Mask, grid

MARGIN = 1.6  # side of a crop, relative to the object's box
LEAST_SHARE = 0.3  # of the frame's width: smallest crop
MOST_SHARE = 0.85  # median crop beyond which a second look gains nothing
SMOOTH = 3  # frames on each side over which the crops' motion is averaged
PIECE = 0.08  # of the largest piece: smaller pieces of a mask do not count
BLUR_BELOW = 0.8  # scale of a crop below which it is blurred before it is sampled


@dataclass(frozen=True)
class Crops:
    """Where a crop lies on each frame, as a map from working pixels to its own: [T,2,3]."""

    maps: NDArray[np.float64]
    size: tuple[int, int]
    working_size: tuple[int, int]

    def cut(self, t: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The crop of frame t, uint8 [h,w,3]."""
        if self.maps[t, 0, 0] < BLUR_BELOW:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.6), np.uint8)
        out = cv2.warpAffine(
            image, self.maps[t], self.size[::-1], borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(out, np.uint8)

    def cut_mask(self, t: int, mask: Mask) -> F32:
        """A mask of frame t in its crop, 0..1; beyond the frame 0."""
        out = cv2.warpAffine(mask.astype(np.float32), self.maps[t], self.size[::-1])
        return np.asarray(out, np.float32)

    def paste(self, t: int, mask: F32) -> F32:
        """A crop's mask on frame t, 0 outside the crop."""
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        out = cv2.warpAffine(mask, self.maps[t], self.working_size[::-1], flags=how)
        return np.asarray(out, np.float32)

    def shot(
        self,
        frames: NDArray[np.uint8],
        given: dict[int, Mask],
        motion: WorkingMotion,
        network: Network,
        hidden: NDArray[np.bool_] | None,
    ) -> Shot:
        """The shot as the crops show it. All inputs at the working size."""
        features = ClipFeatures(
            np.stack([self.cut(t, one) for t, one in enumerate(frames)]), network
        )
        keys = {t: self.cut_mask(t, mask) for t, mask in given.items()}
        fronts = None
        if hidden is not None:
            fronts = np.stack([self.cut_mask(t, one) > 0.5 for t, one in enumerate(hidden)])

        def moved(t: int, before: int) -> Motion:
            whole = motion.of(t, before)
            at = _applied(cv2.invertAffineTransform(self.maps[t]), grid(self.size))
            back = cv2.remap(whole.back, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
            trust = cv2.remap(whole.trust, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
            there = _applied(self.maps[before], np.asarray(at + back, np.float32))
            return Motion(
                np.asarray(there - grid(self.size), np.float32), np.asarray(trust, np.float32)
            )

        return Shot(features, keys, moved, fronts)


def _applied(map_23: NDArray[np.float64], points: F32) -> F32:
    """Points [h,w,2] through an affine map."""
    return np.asarray(points @ map_23[:, :2].T + map_23[:, 2], np.float32)


def around(masks: F32, working_size: tuple[int, int]) -> Crops | None:
    """Crops that follow masks [T,h,w], 0..1, as large as these; None if the object fills frames."""
    size = (masks.shape[1], masks.shape[2])
    boxes = np.array([_box(mask > 0.5) for mask in masks])
    seen = np.flatnonzero(~np.isnan(boxes[:, 0]))
    if not len(seen):
        return None
    scale = np.array([working_size[1] / size[1], working_size[0] / size[0]] * 2)
    every = np.arange(len(masks))
    boxes = np.stack([np.interp(every, seen, boxes[seen, i]) for i in range(4)], 1) * scale
    width = working_size[1]
    extent = boxes[:, 2:] - boxes[:, :2]
    side = MARGIN * np.maximum(extent[:, 0], extent[:, 1] * size[1] / size[0])
    side = np.clip(_smooth(side[:, None])[:, 0], LEAST_SHARE * width, width)
    if np.median(side) > MOST_SHARE * width:
        return None
    centre = _smooth((boxes[:, :2] + boxes[:, 2:]) / 2)
    zoom = size[1] / side
    maps = np.zeros((len(masks), 2, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = zoom
    middle = np.array([size[1], size[0]]) / 2
    # Pixel centres lie at halves, indices at whole numbers.
    maps[:, :, 2] = middle - zoom[:, None] * (centre - 0.5) - 0.5
    return Crops(maps, size, working_size)


def _box(mask: Mask) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a mask without its small pieces; NaN if it is empty."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return (np.nan,) * 4
    area = stats[1:, cv2.CC_STAT_AREA]
    kept = stats[1:][area > PIECE * area.max()]
    left, top = kept[:, cv2.CC_STAT_LEFT], kept[:, cv2.CC_STAT_TOP]
    right, bottom = left + kept[:, cv2.CC_STAT_WIDTH], top + kept[:, cv2.CC_STAT_HEIGHT]
    return float(left.min()), float(top.min()), float(right.max()), float(bottom.max())


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A moving average over time of values [T,n]; the ends are repeated."""
    padded = np.pad(values, ((SMOOTH, SMOOTH), (0, 0)), mode="edge")
    shifted = [padded[i : i + len(values)] for i in range(2 * SMOOTH + 1)]
    return np.asarray(np.mean(shifted, 0), np.float64)
