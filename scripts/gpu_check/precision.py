"""bfloat16 against float32, and what differs between two runs of one seed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from backend.atlas.explicit import config as atlas_config
from backend.atlas.explicit.fit import decompose
from backend.edit.config import EditConfig, preset
from backend.edit.image import Still
from backend.edit.train import Setup, train
from backend.masks.prompts import MaskPrompts
from backend.media import write_png
from backend.progress import Silent
from scripts.gpu_check.bench import TEXTS, Bench, tiny
from scripts.measure.compare_precision import PRECISIONS, smoothed


def check_precision(bench: Bench) -> str:
    """Embeddings of both precisions, and the losses of a short edit in each."""
    side = bench.model.image_size
    random = torch.Generator().manual_seed(0)
    images = torch.rand(16, 3, side, side, generator=random).to(bench.device)
    with torch.no_grad():
        wanted = bench.model.encode_image(images)
        found = bench.model.configured(bfloat16=True).encode_image(images)
    cosines = F.cosine_similarity(wanted, found)
    bench.put("embedding_cosine_least", float(cosines.min()))
    if not float(cosines.min()) > 0.99:
        bench.problem(f"embeddings in bfloat16 are at cosine {float(cosines.min()):.4f}")
    curves = {}
    for precision in PRECISIONS:
        layer, losses = _still(bench, replace(_config(bench, 100), precision=precision))
        curves[precision] = np.array(losses)
        bench.put(f"losses.{precision}", losses)
        bench.put(f"final_loss.{precision}", float(np.mean(losses[-len(losses) // 10 :])))
        bench.put(f"alpha.{precision}", float(layer[..., 3].mean() / 255))
    gap = float(np.abs(smoothed(curves["float32"]) - smoothed(curves["bfloat16"])).max())
    bench.put("largest_loss_gap", gap)
    write_png(bench.out / "losses.png", _plot(list(curves.values())))
    return f"cosine at least {float(cosines.min()):.5f}, smoothed losses apart by at most {gap:.3f}"


def check_repeat(bench: Bench) -> str:
    """Two runs of one seed: an image's edit in both presets' precision, and an atlas fit."""
    layers, curves = zip(*(_still(bench, _config(bench, 50)) for _ in range(2)), strict=True)
    apart = np.abs(layers[0].astype(np.int16) - layers[1])
    bench.put("still.mean", float(apart.mean()))
    bench.put("still.most", int(apart.max()))
    differing = [i for i, (a, b) in enumerate(zip(*curves, strict=True)) if a != b]
    bench.put("still.first_differing_step", differing[0] if differing else -1)
    fit = replace(
        atlas_config.preset("draft"), long_side=160, uv_steps=20, half_steps=20, full_steps=10
    )
    if bench.quick:
        fit = replace(fit, uv_steps=4, half_steps=4, full_steps=4)
    prompts = MaskPrompts("all", dict(enumerate(bench.shot.masks())))
    images = [
        decompose(bench.shot.frames, [prompts], fit, bench.device, Silent()).image("foreground")
        for _ in range(2)
    ]
    if images[0].shape == images[1].shape:
        differences = (images[0] - images[1]).abs() * 255
        bench.put("atlas.mean", float(differences.mean()))
        bench.put("atlas.most", float(differences.max()))
    else:
        bench.put("atlas.shapes", [list(one.shape) for one in images])
    first = f"from step {differing[0] + 1} on" if differing else "in no step"
    return f"layers differ by {apart.mean():.3f} of 255 on average, losses {first}"


def _config(bench: Bench, steps: int) -> EditConfig:
    config = preset("draft", video=False, layer="background")
    if bench.quick:
        return tiny(replace(config, steps=8, bootstrap_steps=8))
    return replace(config, steps=steps)


def _still(bench: Bench, config: EditConfig) -> tuple[NDArray[np.uint8], list[float]]:
    """An edit's layer, and the loss of every step."""
    setup = Setup(TEXTS, bench.demo, config, Silent())
    still = Still(bench.shot.frames[0], setup)
    losses = train(setup, still)
    return still.layer(), losses


def _plot(curves: list[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Loss curves on white: black for the first, red for the second."""
    image = np.full((240, 480, 3), 255, np.uint8)
    low, high = min(c.min() for c in curves), max(c.max() for c in curves)
    for curve, colour in zip(curves, ((0, 0, 0), (220, 30, 30)), strict=True):
        x = np.linspace(5, 474, len(curve))
        y = 234 - (curve - low) / max(high - low, 1e-9) * 228
        cv2.polylines(image, [np.stack([x, y], -1).astype(np.int32)], False, colour, 1, cv2.LINE_AA)
    return image
