"""Whole jobs through the product's front door: they run, and their layers look like layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from backend.atlas.explicit import config as atlas_config
from backend.atlas.mlp import config as mlp_config
from backend.context import Context
from backend.edit import config as edit_config
from backend.methods.dispatch import run_job
from protocol.jobs import AtlasJob, Clip, EditJob, JobSpec, KeyMask, Masks, PaintJob, Result
from scripts.gpu_check.bench import Bench, tiny


def check_smoke(bench: Bench) -> str:
    """A still, a clip's foreground, both layers of it, a painted frame, an atlas of networks."""
    jobs = Jobs(bench, bench.scratch / "smoke")
    frames = bench.shot.frames
    done = []
    with short_presets(edit_steps=2 if bench.quick else 20, quick=bench.quick):
        with bench.attempt("still"):
            layer = jobs.layer(jobs.edit(1))
            bench.put("still.alpha", _mean_alpha(layer))
            done.append("still")
        with bench.attempt("clip"):
            layer = jobs.layer(jobs.edit(len(frames)))
            assert layer.shape == (*frames.shape[:3], 4), f"layer of shape {layer.shape}"
            bench.put("clip.alpha", _mean_alpha(layer))
            done.append("clip")
        with bench.attempt("both layers, region, avoid"):
            jobs.edit(len(frames), layer="both", region=("swan",), avoid=("brick wall",))
            done.append("both")
        with bench.attempt("paint"):
            layer = jobs.layer(jobs.paint())
            assert layer[0, ..., 3].any(), "the painted frame is empty"
            done.append("paint")
        with bench.attempt("mlp"):
            bench.put("mlp.numbers", jobs.networks().numbers)
            done.append("mlp")
    return f"ran: {', '.join(done) or 'nothing'}"


@contextmanager
def short_presets(edit_steps: int, quick: bool) -> Iterator[None]:
    """The product's presets with few steps; with quick also small."""
    edit, atlas, mlp = edit_config.preset, atlas_config.preset, mlp_config.preset
    shrink = tiny if quick else lambda config: config
    fit: dict[str, Any] = {"uv_steps": 4, "half_steps": 4, "full_steps": 3} if quick else {}
    with (
        mock.patch.object(
            edit_config,
            "preset",
            lambda *a, **k: shrink(replace(edit(*a, **k), steps=edit_steps)),
        ),
        mock.patch.object(atlas_config, "preset", lambda *a, **k: replace(atlas(*a, **k), **fit)),
        mock.patch.object(
            mlp_config,
            "preset",
            lambda *a, **k: replace(
                mlp(*a, **k), steps=6 if quick else 60, warm_passes=1, rays=200, bake=60
            ),
        ),
    ):
        yield


class Jobs:
    """Jobs on the small clip in a data folder."""

    def __init__(self, bench: Bench, data: Path) -> None:
        self.shot = bench.shot
        self.reports: list[Any] = []
        self.context = Context("0" * 32, str(bench.device), data, self.reports.append)

    def clip(self, count: int) -> dict[str, Any]:
        """The fields of a job on the first frames, with a mask for each."""
        frames, masks = self.shot.frames[:count], self.shot.masks()[:count]
        stored = tuple(self.context.store(np.ascontiguousarray(frame)) for frame in frames)
        keys = tuple(
            KeyMask(frame=t, mask=self.context.store(np.ascontiguousarray(mask[..., None])))
            for t, mask in enumerate(masks)
        )
        return {
            "clip": Clip(frames=stored), "masks": Masks(mode="all", keys=keys), "preset": "draft",
        }  # fmt: skip

    def edit(self, count: int, **fields: Any) -> Result:
        """Edit the first frames."""
        texts = {"prompt": ("a golden swan",), "source": ("a blue swan",)}
        return self.run(EditJob(**{**self.clip(count), **texts, **fields}))

    def paint(self) -> Result:
        """Paint a red block over the middle of the first frame's object."""
        frames = self.shot.frames
        rows, columns = np.nonzero(self.shot.masks()[0])
        y, x = int(np.median(rows)), int(np.median(columns))
        image = np.zeros((*frames.shape[1:3], 4), np.uint8)
        image[y - 4 : y + 5, x - 4 : x + 5] = 255, 0, 0, 255
        stored = self.context.store(image)
        return self.run(PaintJob(**self.clip(len(frames)), image=stored, frame=0))

    def networks(self) -> Result:
        """An atlas by the engine mlp."""
        return self.run(AtlasJob(**self.clip(len(self.shot.frames)), engine="mlp"))

    def run(self, job: JobSpec) -> Result:
        """Run a job to its end."""
        return run_job(job, self.context)

    def layer(self, result: Result) -> NDArray[np.uint8]:
        """The layer of a result, [T,H,W,4]."""
        return np.stack([self.context.load(ref) for ref in result.layer])


def _mean_alpha(layer: NDArray[np.uint8]) -> float:
    return float(layer[..., 3].mean() / 255)
