"""The same float32 computation on the device and on the CPU, and the largest gaps between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from backend.atlas import engines
from backend.atlas.explicit import config as atlas_config
from backend.atlas.explicit.fit import decompose
from backend.atlas.interface import LayeredAtlas
from backend.atlas.quality import rebuild
from backend.atlas.render import render_layer
from backend.atlas.sampling import splat
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig, preset
from backend.edit.generator import Generator
from backend.edit.madgrad import Madgrad
from backend.progress import Silent
from scripts.gpu_check.bench import CPU, Bench
from scripts.measure.benchmark_edit import clip_of_size, prepare


def check_values(bench: Bench) -> str:
    """Compare model, generator, an edit's step, an atlas's steps, splat and render."""
    gaps = Gaps(bench)
    with plain_float32():
        on_cpu = bench.model if not bench.on_cuda else clip_of_size(bench.quick, CPU)
        with bench.attempt("model"):
            _compare_model(gaps, on_cpu, bench.model)
        with bench.attempt("generator"):
            _compare_generator(gaps)
        for case in ("image", "video"):
            with bench.attempt(f"edit step, {case}"):
                _compare_edit(gaps, case, on_cpu)
        with bench.attempt("splat"):
            _compare_splat(gaps)
        with bench.attempt("atlas"):
            _compare_atlas(gaps)
    name, share = max(gaps.found.items(), key=lambda one: one[1], default=("nothing", 0.0))
    return f"{len(gaps.found)} compared; largest share of its tolerance: {share:.2g} ({name})"


@dataclass
class Gaps:
    """Differences from the CPU as shares of what is tolerated."""

    bench: Bench

    def __post_init__(self) -> None:
        self.found: dict[str, float] = {}

    def compare(self, name: str, wanted: Tensor, found: Tensor, tolerance: float) -> None:
        """Compare by the largest difference, relative to the largest value wanted."""
        wanted, found = wanted.detach().double(), found.detach().to(CPU).double()
        scale = float(wanted.abs().max().clamp_min(1e-12))
        self.put(name, float((wanted - found).abs().max()) / scale, tolerance)

    def put(self, name: str, gap: float, tolerance: float) -> None:
        """Keep a gap; a problem if it is too large."""
        self.found[name] = gap / tolerance
        self.bench.put(f"gap.{name}", gap)
        if not gap <= tolerance:  # also when it is not a number
            self.bench.problem(f"{name}: gap {gap:.3g} exceeds {tolerance:.1g}")


@contextmanager
def plain_float32() -> Iterator[None]:
    """Without TF32, whose products keep ten bits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _compare_model(gaps: Gaps, on_cpu: TextImageModel, on_device: TextImageModel) -> None:
    side = on_cpu.image_size
    images = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    found: list[dict[str, Tensor]] = []
    for model in (on_cpu, on_device):
        x = images.to(model.device).requires_grad_()
        embedded = model.encode_image(x)
        (gradient,) = torch.autograd.grad(embedded.square().sum(), x)
        text = model.encode_text(["a golden swan"])
        found.append(
            {
                "embedding": embedded,
                "embedding's gradient": gradient,
                "tokens": model.tokens(images.to(model.device)),
                "text": text,
                "relevancy": model.relevancy(images[:1].to(model.device), text[0], windows=2),
            }
        )
    for name, wanted in found[0].items():
        gaps.compare(name, wanted, found[1][name], 1e-3 if "gradient" in name else 1e-4)


def _compare_generator(gaps: Gaps) -> None:
    quick, weights = gaps.bench.quick, torch.Generator().manual_seed(1)
    side, channels, scales = (32, 8, 3) if quick else (256, 128, 7)
    image = torch.rand(1, 3, side, side, generator=weights)
    pattern = torch.rand(1, 4, side, side, generator=weights)
    made = []
    for device in (CPU, gaps.bench.device):
        network = Generator(channels=channels, scales=scales, side=side, seed=0).to(device)
        layer = network(image.to(device))
        (layer * pattern.to(device)).mean().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        Madgrad(network.parameters(), lr=2.5e-3, momentum=0.9, weight_decay=0.01).step()
        made.append((layer, gradients, [p.detach() for p in network.parameters()]))
    (layer, gradients, weights_cpu), (layer_2, gradients_2, weights_2) = made
    gaps.compare("generator", layer, layer_2, 1e-3)
    # A bias before a BatchNorm has a gradient of rounding alone: all share one scale.
    gaps.compare("generator's gradient", _joined(gradients), _joined(gradients_2), 1e-3)
    gaps.compare("weights after a step", _joined(weights_cpu), _joined(weights_2), 2e-2)


def _compare_edit(gaps: Gaps, case: str, on_cpu: TextImageModel) -> None:
    config = _small(preset("draft", video=case == "video", layer="background"))
    found = []
    for model in (on_cpu, gaps.bench.model):
        ready = prepare(case, model, config)
        loss, terms = ready.setup.criterion(ready.examples(1), 1)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in ready.network.parameters() if p.grad is not None]
        found.append((torch.stack([loss.detach(), *terms.values()]), _joined(gradients)))
    (terms_cpu, gradient), (terms_device, gradient_device) = found
    gaps.compare(f"{case} losses", terms_cpu, terms_device, 1e-3)
    gaps.compare(f"{case} gradient", gradient, gradient_device, 1e-2)


def _small(config: EditConfig) -> EditConfig:
    """In float32, and of a size that a CPU computes quickly."""
    views = replace(config.views, count=2)
    return replace(config, precision="float32", size=96, views=views, bootstrap=0.0)


def _joined(tensors: Any) -> Tensor:
    return torch.cat([one.detach().to(CPU).flatten() for one in tensors])


def _compare_splat(gaps: Gaps) -> None:
    random = torch.Generator().manual_seed(2)
    values = torch.rand(2, 4, 40, 60, generator=random)
    uv = torch.rand(2, 40, 60, 2, generator=random) * 2.2 - 1.1
    device = gaps.bench.device
    made = splat(values.to(device), uv.to(device), (50, 70))
    gaps.compare("splat", splat(values, uv, (50, 70)), made, 1e-4)


def _compare_atlas(gaps: Gaps) -> None:
    """A few steps of each kind on the same pairs of frames; then one atlas on both devices."""
    bench = gaps.bench
    frames, masks = bench.shot.frames, dict(enumerate(bench.shot.masks()))
    config = replace(
        atlas_config.preset("draft"), long_side=160, uv_steps=2, half_steps=2, full_steps=2
    )
    from backend.masks.prompts import MaskPrompts

    atlases: list[LayeredAtlas] = []
    all_pairs = mock.patch(
        "backend.atlas.explicit.joint._draw", lambda pairs, *_: list(range(len(pairs)))
    )
    with all_pairs:
        for device in (CPU, bench.device):
            given = [MaskPrompts("all", masks)]
            atlases.append(decompose(frames, given, config, device, Silent()))
    on_cpu, on_device = atlases
    size = on_cpu.work
    t = torch.arange(len(frames))
    wanted, found = (rebuild(a, t.to(a.device), size)[0].to(CPU) for a in atlases)
    apart = (wanted - found).abs().flatten()
    gaps.put("fitted atlas, 99 % of rebuilt pixels", float(apart.kthvalue(
        int(0.99 * len(apart))).values), 4 / 255)  # fmt: skip
    bench.put("atlas.rebuilt_largest_gap", float(apart.max()))
    for layer in on_cpu.layers:
        uv, other = (a.uv(layer, t.to(a.device), size).to(CPU) for a in atlases)
        texels = torch.tensor(on_cpu.image(layer).shape[-2:]).flip(0) / 2
        bench.put(f"atlas.{layer}_map_mean_gap_texels", float(((uv - other) * texels).abs().mean()))
    _compare_render(gaps, on_device)


def _compare_render(gaps: Gaps, on_device: LayeredAtlas) -> None:
    """An atlas of the device, saved, loaded on the CPU, rendered on both."""
    folder = gaps.bench.scratch / "crossed"
    on_device.save(folder)
    loaded = engines.load_atlas(folder, CPU)
    height, width = on_device.image("foreground").shape[-2:]
    rgba = torch.rand(1, 4, height, width, generator=torch.Generator().manual_seed(3))
    layers = [
        np.stack(list(render_layer(atlas, "foreground", rgba, Silent()))).astype(np.int16)
        for atlas in (loaded, on_device)
    ]
    apart = np.abs(layers[0] - layers[1])
    gaps.bench.put("render.share_of_other_bytes", float((apart > 0).mean()))
    gaps.put("render, 99.9 % of bytes", float(np.quantile(apart, 0.999)), 1.0)
