"""Train the head on key frames, copies of them, and later the tracker's own best masks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from backend.masks.tracker.copies import Copier, Example
from backend.masks.tracker.features import Features, extract, full_precision
from backend.masks.tracker.head import Head, dropout, loss, new_head
from backend.masks.tracker.network import Network
from backend.motion.flow import F32
from backend.progress import Tick

RATE, OWN_RATE = 4e-3, 2e-3  # most learning rate: on the keys, on the tracker's own masks
WARM = 0.2  # share of the steps in which the rate grows
DECAY = 1e-3
DROPOUT = 0.1
KEY_SHARE = 0.15  # of the examples drawn: key frames themselves, not copies
UNKNOWN = 0.35  # share of the examples without a last mask
FAR_OFF = 0.15  # share of the last masks, where given, that are far off


@dataclass
class Pool:
    """Examples with their features; the first `keys` are key frames, then their copies."""

    features: list[Features] = field(default_factory=list)
    masks: list[F32] = field(default_factory=list)
    weights: list[F32] = field(default_factory=list)
    keys: int = 0
    given: int = 0
    """Key frames and copies; what follows are the tracker's own masks."""

    def add(self, features: Features, mask: F32, weight: F32) -> None:
        """Add an example: features, share of the object and weight at the tracker's size."""
        half = Features([one.half() for one in features.maps], features.colours.half())
        self.features.append(half)
        self.masks.append(mask)
        self.weights.append(weight)

    def spread(self) -> list[tuple[Tensor, Tensor]]:
        """Mean and deviation of each map's channels over all examples, each [1,C,1,1]."""
        out = []
        for level in range(len(self.features[0].maps)):
            every = torch.cat([one.maps[level].float() for one in self.features])
            deviation = every.std((0, 2, 3), keepdim=True) + 1e-3
            out.append((every.mean((0, 2, 3), keepdim=True), deviation))
        return out


def pool_of(
    keys: list[Example], count: int, network: Network, rng: np.random.Generator, tick: Tick
) -> Pool:
    """The key frames and `count` copies of them, in turn."""
    pool = Pool(keys=len(keys), given=len(keys) + count)
    for one in keys:
        tick()
        pool.add(extract(one.image, network), one.mask, one.weight)
    copiers = [Copier(one, rng) for one in keys]
    for i in range(count):
        tick()
        drawn = copiers[i % len(copiers)].draw()
        pool.add(extract(drawn.image, network), drawn.mask, drawn.weight)
    return pool


def learn(pool: Pool, steps: int, rng: np.random.Generator, device: torch.device,
          tick: Tick) -> Head:  # fmt: skip
    """A head trained on the key frames and copies."""
    head = new_head(pool.spread(), 0, device)

    def draw() -> list[int]:
        low, high = (0, pool.keys) if rng.random() < KEY_SHARE else (0, pool.given)
        return [int(rng.integers(low, high)), int(rng.integers(0, pool.given))]

    _train(head, pool, steps, RATE, draw, rng, device, tick)
    return head


def learn_own(head: Head, pool: Pool, steps: int, rng: np.random.Generator, device: torch.device,
              tick: Tick) -> Head:  # fmt: skip
    """A copy of the head, trained further: each step on one given and one of its own masks."""
    head = copy.deepcopy(head)

    def draw() -> list[int]:
        return [int(rng.integers(pool.given)), int(rng.integers(pool.given, len(pool.masks)))]

    _train(head, pool, steps, OWN_RATE, draw, rng, device, tick)
    return head


def _train(head: Head, pool: Pool, steps: int, most: float, draw: Callable[[], list[int]],
           rng: np.random.Generator, device: torch.device, tick: Tick) -> None:  # fmt: skip
    optimiser = torch.optim.AdamW(head.parameters(), most, weight_decay=DECAY)
    for step in range(steps):
        tick()
        for group in optimiser.param_groups:
            group["lr"] = most * one_cycle((step + 0.5) / steps)
        picked = draw()
        features = _batch([pool.features[i] for i in picked])
        masks = [pool.masks[i] for i in picked]
        weights = [pool.weights[i] for i in picked]
        before = np.stack([last_mask(shrink(one, 4), rng) for one in masks])
        kept = dropout(DROPOUT, len(picked), rng, device)
        rough, sharp = head(features, torch.from_numpy(before)[:, None].to(device), kept)
        total = torch.zeros((), device=device)
        for found, stride in ((rough, 4), (sharp, 2)):
            truth, weight = (
                torch.from_numpy(np.stack([shrink(one, stride) for one in each]))[:, None].to(
                    device
                )
                for each in (masks, weights)
            )
            total = total + loss(found, truth, weight)
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def one_cycle(share: float) -> float:
    """Learning rate over a training, relative to the most: up, then down to 0. share: 0..1."""
    if share < WARM:
        return 0.04 + 0.96 * (0.5 - 0.5 * float(np.cos(np.pi * share / WARM)))
    return 0.5 + 0.5 * float(np.cos(np.pi * (share - WARM) / (1 - WARM)))


def _batch(each: list[Features]) -> Features:
    maps = [torch.cat(level) for level in zip(*(one.maps for one in each), strict=True)]
    return full_precision(Features(maps, torch.cat([one.colours for one in each])))


def shrink(mask: F32, stride: int) -> F32:
    """A mask [h,w] by area, `stride` times smaller."""
    size = (mask.shape[1] // stride, mask.shape[0] // stride)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)


def last_mask(truth: F32, rng: np.random.Generator) -> F32:
    """What the tracker may have found on the frame before: [h,w], −1 outside, 1 inside.

    Often nothing (0 everywhere); otherwise the true mask moved, grown, shrunk or broken.
    """
    if rng.random() < UNKNOWN:
        return np.zeros_like(truth)
    h, w = truth.shape
    ys, xs = np.nonzero(truth > 0.5)
    if len(xs) < 2:
        out = np.zeros_like(truth)
        axes = (int(rng.integers(2, 14)), int(rng.integers(2, 14)))
        centre = (int(rng.integers(w)), int(rng.integers(h)))
        cv2.ellipse(out, centre, axes, 0, 0, 360, 1.0, -1)
    else:
        side = float(np.sqrt(len(xs)))
        centre_at = (float(xs.mean()), float(ys.mean()))
        move = cv2.getRotationMatrix2D(
            centre_at, float(rng.uniform(-8, 8)), float(np.exp(rng.normal(0, 0.08)))
        )
        far = 0.5 if rng.random() < FAR_OFF else 0.1
        move[:, 2] = move[:, 2] + side * rng.normal(0, far, 2)
        out = np.asarray(cv2.warpAffine(truth, move, (w, h)), np.float32)
        kernel = np.ones((int(rng.integers(1, 4)),) * 2, np.uint8)
        kind = rng.random()
        if kind < 0.2:
            out = np.asarray(cv2.dilate(out, kernel), np.float32)
        elif kind < 0.4:
            out = np.asarray(cv2.erode(out, kernel), np.float32)
        elif kind < 0.65:
            i = int(rng.integers(len(xs)))
            radius = max(1, int(side * rng.uniform(0.15, 0.5)))
            cv2.circle(out, (int(xs[i]), int(ys[i])), radius, float(rng.random() < 0.4), -1)
    return as_last_mask(out)


def as_last_mask(mask: F32) -> F32:
    """A mask [h,w], 0..1, as the head is given it: softened, −1..1."""
    return np.asarray(2 * cv2.GaussianBlur(mask, (0, 0), 1.5) - 1, np.float32)
