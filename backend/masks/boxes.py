"""From a box or a few strokes on one frame to the object's mask on that frame.

Inside a box, GrabCut learns the object's colours against those around the box: from the whole box,
from what moves against the camera, and from what is far from the box's sides by colour. These
masks and unions of colours are refined by place, colour and motion together; then they vote, each
weighted by how much it looks like a boxed object. Strokes spread to the pixels that colour connects
to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.masks import appearance
from backend.masks.by_motion import against_camera
from backend.masks.geodesic import geodesic
from backend.masks.grabcut import cut
from backend.masks.graph_refine import graph_refine, tidy
from backend.masks.proposals import (
    Box,
    alike,
    by_colour,
    contrast,
    fills,
    moves_alone,
    separate,
    softened,
    solid,
)
from backend.motion import fields
from backend.motion.fields import signed_distance
from backend.motion.flow import F32, Flows, Mask
from backend.progress import Tick, nothing

NOTHING, BACKGROUND, OBJECT = 0, 1, 2
"""Labels of `read_strokes`."""
CUTS = 5  # GrabCut's rounds
ROUNDS = 2  # refinements by place, colour and motion
KNOWN = 1500  # colour samples per side
DOUBT = 2.5  # pixels around the first mask's edge that give no samples
RIM = 0.12  # width of the sure background around the box, share of the box's size
LOOKS, MOVES, FIRST = 2.5, 2.5, 1.0  # most logits of appearance, motion and of the first mask
TRIED = 4  # unions of colours that are refined
AROUND = 0.3  # of the box's longer side: how far around it an object is compared with the frame
CUT_BONUS = 1.2  # factor for GrabCut's masks: unions of colours leave out windows and beaks
SHARP = 8  # exponent of likelihoods as votes: masks nearly as good as the best count, others hardly
SAME = 0.95  # overlap above which two candidates count as one
LOST = 0.3  # confidence of the box's own ellipse, where colours give no mask
MIN_FILL = 0.08  # a mask that fills less of its box than this is a failure of the colours


@dataclass(frozen=True)
class Boxed:
    """The object in a box. mask: bool [h,w]. sure: how far the candidates agree with it, 0..1.

    A mask overlaps the true one about as much as the candidates overlap each other: .8 to .9 where
    the background shares the object's colours, 1 where all candidates are the same.
    """

    mask: Mask
    sure: float


def from_box(
    t: int,
    box: Box,
    frames: NDArray[np.uint8],
    flows: Flows,
    guess: Mask | None = None,
    tick: Tick = nothing,
) -> Boxed:
    """The mask of the object in a box on frame t. box: x0 y0 x1 y1, working pixels.

    guess: one more candidate mask. tick: called regularly.
    """
    h, w = flows.size
    x0, y0 = (max(0, int(np.floor(v))) for v in box[:2])
    x1, y1 = min(w, int(np.ceil(box[2]))), min(h, int(np.ceil(box[3])))
    allowed = np.zeros((h, w), np.bool_)
    allowed[y0:y1, x0:x1] = True
    if not allowed.any():
        return Boxed(allowed, 0.0)
    likeness = _Likeness(
        lab=softened(frames[t]),
        moving=np.asarray(cv2.resize(against_camera(t, len(frames), flows), (w, h)), np.float32),
        box=(float(x0), float(y0), float(x1), float(y1)),
        around=fields.dilate(allowed, max(8, round(AROUND * max(y1 - y0, x1 - x0)))),
        tick=tick,
    )
    cuts = _cuts(frames[t], allowed, likeness.moving, tick)
    cuts += [] if guess is None else [guess & allowed]
    colours = sorted(by_colour(frames[t], allowed, MIN_FILL, tick), key=likeness, reverse=True)
    candidates = _refined(t, frames, flows, cuts + colours[:TRIED], allowed, tick)
    votes = [
        0.0
        if one.sum() < MIN_FILL * allowed.sum()
        else (CUT_BONUS if k < len(cuts) else 1.0) * likeness(one)
        for k, one in enumerate(candidates)
    ]
    best = max(votes, default=0.0)
    if best == 0:
        ellipse = _ellipse((h, w), (x0, y0, x1, y1))
        return Boxed(refine_mask(t, frames, flows, ellipse, allowed, tick=tick), LOST)
    votes_N = np.array(votes) / best
    shares_N = votes_N**SHARP
    mask = tidy(np.tensordot(shares_N, np.stack(candidates), 1) > 0.5 * shares_N.sum())
    agree_N = np.array([alike(one, mask) for one in candidates])
    return Boxed(mask, float(np.average(agree_N, weights=votes_N**2)))


@dataclass(frozen=True)
class _Likeness:
    """How much a mask looks like the object in a box, 0..1.

    lab: the frame, see `softened`. moving: see `against_camera`, [h,w]. around: bool [h,w], what
    the mask is compared with.
    """

    lab: F32
    moving: F32
    box: Box
    around: Mask
    tick: Tick

    def __call__(self, mask: Mask) -> float:
        self.tick()
        return (
            fills(mask, self.box)
            * solid(mask)
            * contrast(self.lab, mask)
            * separate(self.lab, mask, self.around)
            * moves_alone(self.moving, mask, self.around)
        )


def _refined(
    t: int,
    frames: NDArray[np.uint8],
    flows: Flows,
    candidates: list[Mask],
    allowed: Mask,
    tick: Tick,
) -> list[Mask]:
    """Each candidate refined; one like an earlier candidate takes the earlier one's result."""
    out: list[Mask] = []
    for k, one in enumerate(candidates):
        twin = next((i for i in range(k) if alike(one, candidates[i]) > SAME), None)
        out.append(
            refine_mask(t, frames, flows, one, allowed, tick=tick) if twin is None else out[twin]
        )
    return out


def _cuts(frame: NDArray[np.uint8], allowed: Mask, moving: F32, tick: Tick) -> list[Mask]:
    """GrabCut of a box, seeded by the whole box, by motion, and by colours unlike its sides."""
    ys, xs = np.nonzero(allowed)
    pad = max(8, round(0.25 * max(np.ptp(ys) + 1, np.ptp(xs) + 1)))
    far = geodesic(frame, ~allowed)
    out: list[Mask] = []
    for seed in (allowed, _upper(moving, allowed), _upper(far, allowed)):
        label = np.where(allowed, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
        label[seed] = cv2.GC_PR_FGD
        found = cut(frame, label, CUTS, pad, tick)
        if found is not None and found.any():
            out.append(found)
    return out


def _upper(values: F32, allowed: Mask) -> Mask:
    """Where allowed values are in the upper of two classes (Otsu, 1979)."""
    scaled = np.clip(255 * values / max(1e-6, float(np.percentile(values[allowed], 98))), 0, 255)
    inside = scaled[allowed].astype(np.uint8).reshape(-1, 1)
    level, _ = cv2.threshold(inside, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(allowed & (scaled > level))


def read_strokes(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Labels [h,w] NOTHING, BACKGROUND, OBJECT of a stroke image uint8 [H,W].

    image: 0 not painted, 1..127 background, 128..255 object. A stroke one pixel wide survives: a
    small pixel is painted when any pixel it covers is, object before background.
    """
    h, w = size
    out = np.zeros((h, w), np.uint8)
    for value, painted in (
        (BACKGROUND, (image > 0) & (image < 128)),
        (OBJECT, image >= 128),
    ):
        share = cv2.resize(painted.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        out[share > 1e-4] = value
    return out


def from_strokes(
    t: int,
    strokes: NDArray[np.uint8],
    frames: NDArray[np.uint8],
    flows: Flows,
    tick: Tick = nothing,
) -> Mask:
    """The mask of the object that strokes on frame t mark: bool [h,w]. strokes: see `read_strokes`.

    Without a background stroke the frame's border counts as one. tick: called regularly.
    """
    sure, never = strokes == OBJECT, strokes == BACKGROUND
    if not sure.any():
        return np.zeros(flows.size, np.bool_)
    rest = never
    if not never.any():
        rest = np.ones_like(sure)
        rest[2:-2, 2:-2] = False
        rest &= ~fields.dilate(sure, 8)
    nearer = geodesic(frames[t], sure) < geodesic(frames[t], rest)
    label = np.where(nearer, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    label[sure], label[rest] = cv2.GC_FGD, cv2.GC_BGD
    first = cut(frames[t], label, CUTS, max(flows.size), tick)
    if first is None:
        first = nearer
    joined = _touching(first, sure)
    return np.asarray(refine_mask(t, frames, flows, joined, ~never, sure, tick) | sure)


def refine_mask(
    t: int,
    frames: NDArray[np.uint8],
    flows: Flows,
    first: Mask,
    allowed: Mask,
    sure: Mask | None = None,
    tick: Tick = nothing,
) -> Mask:
    """A mask of frame t refined by place, colour and motion, inside the allowed area: bool [h,w].

    sure: pixels of the object that stay in it.
    """
    sure = np.zeros_like(allowed) if sure is None else sure
    feature = appearance.features(frames[t])
    rng = np.random.default_rng(0)
    found = first
    around = max(20.0, RIM * float(np.sqrt(allowed.sum())) * 2)
    for _ in range(ROUNDS):
        if not found.any() or found.all():
            break
        tick()
        distance = signed_distance(found)
        known = appearance.draw(feature, distance, KNOWN, around, rng, gap=DOUBT)
        looks = appearance.votes(feature, allowed, [known])
        tick()
        moves = fields.motion_votes(t, len(frames), flows, found)
        evidence = np.clip(-distance / 6, -FIRST, FIRST) + np.clip(looks, -LOOKS, LOOKS)
        evidence = evidence + np.clip(moves, -MOVES, MOVES)
        evidence = np.where(allowed, evidence, -10.0)
        weighed = np.asarray(np.where(sure, 10.0, evidence), np.float32)
        again = tidy(graph_refine(frames[t], weighed, allowed & ~sure))
        if again.sum() < 0.3 * found.sum():
            break
        found = again
    return found


def _touching(mask: Mask, seeds: Mask) -> Mask:
    """The pieces of a mask that contain a seed, and the seeds."""
    _, label = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = np.unique(label[seeds & mask])
    return np.isin(label, kept[kept > 0]) | seeds


def _ellipse(size: tuple[int, int], box: tuple[int, int, int, int]) -> Mask:
    x0, y0, x1, y1 = box
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    rx, ry = max(1.0, (x1 - x0) / 2), max(1.0, (y1 - y0) / 2)
    return np.asarray(((x - (x0 + x1) / 2) / rx) ** 2 + ((y - (y0 + y1) / 2) / ry) ** 2 < 0.8)
