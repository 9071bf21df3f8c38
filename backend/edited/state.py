"""The state of a painting from edited frames, for its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.checkpoint import State
from backend.edited.placement import Placement
from backend.edited.register import Registered
from backend.progress import EDIT_PHASE

TABLE, IMAGE = "registered", "image"
COLUMNS = 18


@dataclass(frozen=True)
class Kept:
    """done: steps that are finished. registered: by frame. image: the average in the atlas."""

    done: int
    registered: dict[int, Registered]
    image: Tensor | None = None


def pack(kept: Kept) -> State:
    """The state as a checkpoint holds it."""
    rows = [_row(frame, one) for frame, one in kept.registered.items()]
    tensors = {TABLE: torch.tensor(rows, dtype=torch.float64)}
    if kept.image is not None:
        tensors[IMAGE] = kept.image
    return State(EDIT_PHASE, kept.done, tensors, {})


def read(state: State | None) -> Kept | None:
    """What a checkpoint holds, or None."""
    if state is None or state.phase != EDIT_PHASE or TABLE not in state.tensors:
        return None
    table = state.tensors[TABLE]
    if table.ndim != 2 or table.shape[1] != COLUMNS:
        return None
    registered = dict(_one(row) for row in table.tolist())
    return Kept(state.step, registered, state.tensors.get(IMAGE))


def _row(frame: int, one: Registered) -> list[float]:
    at, common = one.placement, one.common
    numbers = [at.sx, at.sy, at.tx, at.ty, common.sx, common.sy, common.tx, common.ty]
    flags = [float(one.exact), float(one.matched)]
    return [float(frame), *numbers, *one.gain, *one.offset, one.noise, *flags]


def _one(row: Sequence[float]) -> tuple[int, Registered]:
    gain, offset = row[9:12], row[12:15]
    return int(row[0]), Registered(
        placement=Placement(*row[1:5]),
        common=Placement(*row[5:9]),
        gain=(gain[0], gain[1], gain[2]),
        offset=(offset[0], offset[1], offset[2]),
        noise=row[15],
        exact=bool(row[16]),
        matched=bool(row[17]),
    )
