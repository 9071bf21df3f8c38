"""Edits and atlases on a pretended GPU: no operation mixes devices, and no step waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fits import TINY as TINY_FIT
from fits import every_mask
from flat_atlas import FlatAtlas
from pretended import GPU, Gpu, OnGpu, pretended_gpu
from tiny_clip import tiny_clip, tokenizer
from tiny_mlp import TINY as TINY_NETWORKS

from backend.atlas.explicit import fit
from backend.atlas.explicit.model import Atlas
from backend.atlas.mlp.train import FITTING
from backend.atlas.mlp.train import decompose_mlp as train_networks
from backend.atlas.render import render_layer
from backend.checkpoint import Checkpoint
from backend.clip.model import TextImageModel
from backend.edit import footage, image, texts, train, video
from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.pixels import to_image, to_tensor
from backend.edit.train import Setup
from backend.masks.prompts import MaskPrompts
from backend.progress import Silent
from backend.to_device import send
from scripts.make_clip import make_clip

pytestmark = pytest.mark.slow
TINY = EditConfig(
    steps=2, size=48, channels=4, scales=2, bootstrap_steps=2, views=ViewConfig(count=2),
    whole_every=2, internal_jitter=0.5, detail=1.0, structure=1.0, precision="bfloat16",
)  # fmt: skip
TEXTS = EditTexts(prompt=("gold",), source=("noise",), region=("noise",))
FRAMES = np.random.default_rng(0).integers(0, 255, (3, 40, 48, 3), np.uint8)
STEP = tuple(
    f"backend.{name}."
    for name in (
        "atlas.explicit.joint", "atlas.explicit.losses", "atlas.explicit.model", "atlas.row_adam",
        "atlas.mlp.rays", "atlas.mlp.networks", "atlas.mlp.objective", "atlas.mlp.losses",
        "to_device",
    )
)  # fmt: skip
"""Modules that run in a step of a fit; others run between the phases."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    monkeypatch.setattr(texts, "TEMPLATES", texts.TEMPLATES[:3])
    with pretended_gpu(monkeypatch) as made:
        yield made


class Noise(FlatAtlas):
    """Random colours; its maps are on the GPU."""

    def __init__(self) -> None:
        super().__init__((3, 40, 48), (50, 60), shift=2.0, object=(4, 4, 40, 36))
        self.device = GPU

    def image(self, layer: str) -> torch.Tensor:
        return torch.rand(1, 3, *self.texels, generator=torch.Generator().manual_seed(0))

    def uv(self, layer: str, t: torch.Tensor, size: Any = None) -> torch.Tensor:
        return super().uv(layer, t.cpu(), size).to(GPU)

    def opacity(self, layer: str, t: torch.Tensor, size: Any = None) -> torch.Tensor:
        return super().opacity(layer, t, size).to(GPU)


def setup(checkpoint: Checkpoint | None = None, config: EditConfig = TINY) -> Setup:
    model = TextImageModel(
        tiny_clip(), tokenizer(), mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28), name="tiny",
        device=GPU,
    )  # fmt: skip
    return Setup(TEXTS, model, config, Silent(), checkpoint)


def watch_steps(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What waits in the steps themselves: not previews, nor the losses that are read at times."""
    waits: list[tuple[str, str]] = []
    real = train._forward_backward

    def watched(*args: Any) -> Any:
        before = len(gpu.waits)
        made = real(*args)
        waits.extend(gpu.waits[before:])
        return made

    monkeypatch.setattr(train, "_forward_backward", watched)
    return waits


def test_an_image_is_edited(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = watch_steps(gpu, monkeypatch)
    layer = image.edit_image(FRAMES[0], setup())
    assert layer.shape == (40, 48, 4)
    assert waits == []


def test_a_clip_is_edited_and_an_interrupted_edit_resumes(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waits = watch_steps(gpu, monkeypatch)
    path = tmp_path / "edit"
    short = setup(Checkpoint(path), replace(TINY, steps=1))
    video.edit_atlas(FRAMES, Noise(), "foreground", short)
    assert path.exists()
    made = video.edit_atlas(FRAMES, Noise(), "foreground", setup(Checkpoint(path)))
    assert isinstance(made, OnGpu)
    assert waits == []


def test_frames_that_stay_on_the_host_are_copied_without_a_wait(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = watch_steps(gpu, monkeypatch)
    monkeypatch.setattr(footage, "frames_stay_on_host", lambda *_: True)
    subject = video.ClipLayer(FRAMES, Noise(), "foreground", made := setup())
    train.train(made, subject)
    assert not any(isinstance(one, OnGpu) for one in subject.footage.frames._maps)
    assert waits == []


class FitWatch(Silent):
    """Collects, by phase, what waits in a fit."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.phase = gpu, ""
        self.waits: dict[str, list[tuple[str, str]]] = {}

    def step(self, phase: str, done: int, total: int) -> None:
        self.close()
        self.phase = phase

    def preview(self, image: np.ndarray) -> None:
        self.close()
        self.phase = "preview"

    def close(self) -> None:
        """Put what waited since the last call into its phase."""
        self.waits.setdefault(self.phase, []).extend(self.gpu.waits)
        self.gpu.waits.clear()


def test_an_atlas_is_fitted_saved_loaded_and_rendered(gpu: Gpu, tmp_path: Path) -> None:
    clip = make_clip(4, 32, 48)
    config = replace(TINY_FIT, uv_steps=1, half_steps=1, full_steps=1, keys=2, key_every=2)
    watch = FitWatch(gpu)
    masks = [MaskPrompts("all", every_mask(clip))]
    path = tmp_path / "fit"
    atlas = fit.decompose(clip.frames, masks, config, GPU, watch, Checkpoint(path, every=0))
    watch.close()
    found = watch.waits["Unwrapping"] + watch.waits["Fitting the atlas"]
    assert [one for one in found if one[1].startswith(STEP)] == []
    assert all(isinstance(one, OnGpu) for one in atlas.tensors.values())
    again = fit.decompose(clip.frames, masks, config, GPU, Silent(), Checkpoint(path))
    assert again.tensors.keys() == atlas.tensors.keys()
    atlas.save(tmp_path / "atlas")
    kept = Atlas.load(tmp_path / "atlas", GPU)
    assert isinstance(kept.image("foreground"), OnGpu)
    layer = torch.ones(1, 4, 20, 20).to(GPU)
    assert len(list(render_layer(kept, "foreground", layer, Silent()))) == 4


def test_networks_are_trained_and_baked_and_resume(gpu: Gpu, tmp_path: Path) -> None:
    clip = make_clip(4, 32, 48)
    config = replace(TINY_NETWORKS, long_side=48, steps=2, rays=32, warm_passes=1, bake=16)
    masks, path = MaskPrompts("all", every_mask(clip)), tmp_path / "fit"
    watch = FitWatch(gpu)
    train_networks(clip.frames, masks, config, GPU, watch, Checkpoint(path, every=0))
    watch.close()
    assert [one for one in watch.waits[FITTING] if one[1].startswith(STEP)] == []
    atlas = train_networks(clip.frames, masks, config, GPU, Silent(), Checkpoint(path))
    assert all(isinstance(one, OnGpu) for one in atlas.tensors.values())


def test_the_pretended_gpu_sees_what_a_real_one_would_refuse(gpu: Gpu) -> None:
    here, there = torch.ones(2), torch.ones(2).to(GPU)
    with pytest.raises(AssertionError, match="mixes cuda:0 and cpu"):
        here + there
    with pytest.raises(AssertionError, match="numpy"):
        there.numpy()
    with pytest.raises(AssertionError, match="generator"):
        torch.rand(2, device=GPU, generator=torch.Generator())
    leaf = torch.ones(2, device=GPU, requires_grad=True)
    (leaf * there).sum().backward()
    assert isinstance(leaf.grad, OnGpu)
    assert (there + 2.0).cpu().tolist() == [3.0, 3.0]


def test_the_pretended_gpu_sees_what_waits_and_where(gpu: Gpu) -> None:
    x = to_tensor(FRAMES[0], GPU)
    send(torch.ones(2), GPU)
    assert gpu.waits == [("torch.tensor", "backend.edit.pixels.to_tensor")]
    to_image(x)
    assert gpu.waits[1:] == [("copy to the host", "backend.edit.pixels.to_image")]
