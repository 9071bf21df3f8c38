"""Single operations that were suspected to be slow, each beside its alternative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.edit.generator import Generator
from backend.edit.madgrad import Madgrad
from scripts.gpu_check.bench import Bench

TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def check_micro(bench: Bench) -> str:
    """Time padding, enlarging, convolution, attention, casts, the optimiser and small copies."""
    for name, check in (
        ("pad", _pads), ("enlarge", _enlargements), ("convolution", _convolutions),
        ("attention", _attention), ("casts", _casts), ("optimiser", _optimiser),
        ("launch", _launches), ("gridsample", _grid_sample),
    ):  # fmt: skip
        with bench.attempt(name):
            for key, value in check(bench).items():
                bench.put(f"{name}.{key}", value)
    return "milliseconds each, see the table"


def _image(bench: Bench, kind: torch.dtype, channels: int = 132) -> Tensor:
    """A decoder's widest tensor, channels innermost."""
    channels, side = (4, 32) if bench.quick else (channels, 512)
    x = torch.rand(1, channels, side, side, device=bench.device, dtype=kind)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def _both_ways(bench: Bench, x: Tensor, work: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Milliseconds forwards, and forwards with backwards."""
    made = work(x)
    gradient = torch.rand_like(made)

    def whole() -> None:
        torch.autograd.grad(work(x), x, gradient)

    repeats = 2 if bench.quick else 20
    with torch.no_grad():
        forwards = bench.milliseconds(lambda: work(x), repeats)
    return {"forward_ms": forwards, "both_ms": bench.milliseconds(whole, repeats)}


def _slices(x: Tensor) -> Tensor:
    """Reflection padding by one, of slices."""
    x = torch.cat([x[:, :, 1:2], x, x[:, :, -2:-1]], 2)
    return torch.cat([x[..., 1:2], x, x[..., -2:-1]], 3)


def _pads(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kind in TYPES.items():
        x = _image(bench, kind)
        found[f"reflect_{name}"] = _both_ways(bench, x, lambda y: F.pad(y, (1,) * 4, "reflect"))
        found[f"slices_{name}"] = _both_ways(bench, x, _slices)
    return found


def _enlargements(bench: Bench) -> dict[str, Any]:
    found = {}
    for name, kind in TYPES.items():
        x = _image(bench, kind, 128).detach()[..., ::2, ::2]
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        found[name] = _both_ways(
            bench,
            x,
            lambda y: F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False),
        )
    return found


def _convolutions(bench: Bench) -> dict[str, Any]:
    found = {}
    for name, kind in TYPES.items():
        for layout in (torch.channels_last, torch.contiguous_format):
            x = _image(bench, kind, 128).detach().contiguous(memory_format=layout).requires_grad_()
            layer = nn.Conv2d(x.shape[1], x.shape[1], 3, padding=1).to(bench.device, kind)
            layer = layer.to(memory_format=layout)
            label = "nhwc" if layout is torch.channels_last else "nchw"
            found[f"{name}_{label}"] = _both_ways(bench, x, layer)
    return found


def _attention(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    views = 2 if bench.quick else 32
    for name, kind in TYPES.items():
        q = torch.rand(views, 12, 50, 64, device=bench.device, dtype=kind, requires_grad=True)
        found[name] = _both_ways(bench, q, lambda y: F.scaled_dot_product_attention(y, y, y))
    return found


def _casts(bench: Bench) -> dict[str, Any]:
    """The weights of an image tower from float32 to bfloat16, as autocast does at every pass."""
    weights = [p for p in bench.model.visual.parameters() if p.ndim > 1]
    total = sum(p.numel() for p in weights)
    cast = bench.milliseconds(lambda: [p.to(torch.bfloat16) for p in weights], 5)
    return {"tower_ms": cast, "tensors": len(weights), "million_weights": total / 1e6}


def _optimiser(bench: Bench) -> dict[str, Any]:
    channels, scales = (8, 3) if bench.quick else (128, 7)
    network = Generator(channels=channels, scales=scales, side=256).to(bench.device)
    for weight in network.parameters():
        weight.grad = torch.rand_like(weight)
    madgrad = Madgrad(network.parameters(), lr=1e-3, momentum=0.9, weight_decay=0.01)
    return {"madgrad_ms": bench.milliseconds(madgrad.step, 10)}


def _launches(bench: Bench) -> dict[str, Any]:
    """A kernel that does nothing much; a pinned copy of a few numbers; an ordinary one."""
    x = torch.rand(8, device=bench.device)
    host = torch.rand(8)
    pinned = host.pin_memory() if bench.on_cuda else host
    return {
        "add_us": bench.milliseconds(lambda: x + 1, 500) * 1e3,
        "pageable_copy_us": bench.milliseconds(lambda: host.to(bench.device), 200) * 1e3,
        "pinned_copy_us": bench.milliseconds(
            lambda: pinned.to(bench.device, non_blocking=True), 200
        )
        * 1e3,
        "item_us": bench.milliseconds(x[0].item, 200) * 1e3,
    }


def _grid_sample(bench: Bench) -> dict[str, Any]:
    """An atlas seen through eight frames: the gradient adds by atomics."""
    height, width = (40, 60) if bench.quick else (432, 768)
    image = torch.rand(1, 3, height, width, device=bench.device, requires_grad=True)
    ys, xs = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).to(bench.device)
    tall = grid.repeat(8, 1, 1)[None]
    found = _both_ways(bench, image, lambda y: F.grid_sample(y, tall, align_corners=False))
    return dict(found)
