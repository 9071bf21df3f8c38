"""How much of a GPU's memory a training takes, found out before it starts.

What the backward pass keeps per view and per pixel is measured by small forward passes on the GPU
itself, because it depends on the text-image model and on the precision. The rest is arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from backend.clip.model import TextImageModel
from backend.device import memory_of
from backend.edit.generator import Generator
from backend.edit.train import Setup

FRAME_BYTES = 4 * (3 + 2 + 1 + 1 + 1 + 1)
"""A pixel of a clip at working size: frame, UV, opacity, detail, wanted and avoided, float32."""
FRAMES_SHARE = 0.3
"""Share of the free memory that a clip's frames may take; more stay in the host's memory."""
PROBE = 128
"""Side in pixels of the image that the generator's memory is measured with."""
TEMPORARY = 1.25
"""Peak of a step divided by what the backward pass keeps: gradients on their way back."""
LIBRARIES = 3 * 2**28
"""Bytes that cuDNN and cuBLAS take to work in, about, and what fragmentation loses."""
USABLE = 0.92
"""Share of the free memory to plan with."""


@dataclass(frozen=True)
class Needs:
    """Bytes that a training takes on the device.

    fixed: frames, atlas, weights and libraries. pixels: the generator's activations in the largest
    step. view: the text-image model's activations for one view. views: views in that step.
    """

    fixed: int
    pixels: int
    view: int
    views: int

    def total(self, at_once: int) -> int:
        """Bytes with this many views at a time."""
        return self.fixed + self.pixels + self.view * min(at_once, self.views)

    def at_once(self, free: int) -> int:
        """How many views fit at a time into this much free memory; at least one."""
        left = USABLE * free - self.fixed - self.pixels
        return max(1, min(self.views, int(left // max(1, self.view))))


def frames_stay_on_host(device: torch.device, count: int, size: tuple[int, int]) -> bool:
    """Whether a clip's frames would take too much of a GPU's free memory."""
    free = _free(device)
    return free is not None and count * math.prod(size) * FRAME_BYTES > FRAMES_SHARE * free


def plan_memory(
    setup: Setup, network: Generator, pixels: int, examples: int, frames: int, *, on_host: bool
) -> None:
    """Choose how many views are scored at once, and tell the artist what the edit needs.

    pixels: what the generator sees in the largest step. examples: images of that step. frames:
    bytes of the clip's frames on the device. on_host: they are not there. Does nothing on a CPU.
    """
    free = _free(setup.device)
    if free is None:
        return
    needs = needs_of(setup, network, pixels, examples, frames)
    at_once = needs.at_once(free)
    if at_once < needs.views:
        setup.criterion.scorer.at_once = at_once
    setup.report.note(sentence(needs, at_once, free, on_host=on_host))


def needs_of(setup: Setup, network: Generator, pixels: int, examples: int, frames: int) -> Needs:
    """Measure what a training takes. See `plan_memory`."""
    images = 2 if setup.config.screen else 1
    weights = sum(one.nbytes for one in network.parameters())
    return Needs(
        fixed=frames + 4 * weights + LIBRARIES,  # the weights, their gradient, MADGRAD's two states
        pixels=round(TEMPORARY * pixels * generator_bytes(network)),
        view=round(TEMPORARY * view_bytes(setup.clip)),
        views=examples * images * setup.config.views.count,
    )


def generator_bytes(network: Generator) -> float:
    """Bytes that the generator's backward pass keeps for a pixel of its input."""
    device = next(network.parameters()).device
    image = torch.full((1, 3, PROBE, PROBE), 0.5, device=device)
    kept = kept_for_backward(lambda: network(image), network.parameters())
    return kept / PROBE**2


def view_bytes(model: TextImageModel) -> int:
    """Bytes that the image model's backward pass keeps for one view."""
    side = model.image_size
    view = torch.full((1, 3, side, side), 0.5, device=model.device, requires_grad=True)
    return kept_for_backward(lambda: model.encode_image(view), model.visual.parameters())


def kept_for_backward(compute: Callable[[], Tensor], weights: Iterable[Tensor]) -> int:
    """Bytes of the tensors that autograd keeps from a forward pass, without the weights."""
    own = {one.untyped_storage().data_ptr() for one in weights}
    kept: dict[int, int] = {}

    def count(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.enable_grad(), saved_tensors_hooks(count, lambda x: x):
        made = compute()  # held until all is counted: freed memory would be counted twice
        return sum(size for place, size in kept.items() if place not in own) + made.nbytes


def sentence(needs: Needs, at_once: int, free: int, *, on_host: bool) -> str:
    """What the artist reads before the training starts."""
    total = needs.total(at_once)
    text = f"This edit needs about {_gb(total)} of the GPU's memory; {_gb(free)} is free."
    if at_once < needs.views:
        parts = math.ceil(needs.views / at_once)
        text += f" Views are scored in {parts} parts: the same result, but slower."
    if on_host:
        text += " The frames stay in the computer's own memory."
    if total > free:
        text += " It may not fit: if it fails, use a smaller preset or close other programs."
    return text


def _free(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    memory = memory_of(str(device))
    return None if memory is None else memory.free


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
