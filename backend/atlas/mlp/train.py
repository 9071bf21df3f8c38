"""Fit the networks to a clip: warm start, joint steps, and the atlas that comes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.explicit.colours import held_out_blocks
from backend.atlas.explicit.optim import RowAdam
from backend.atlas.explicit.start import check, working_size
from backend.atlas.mlp import losses, resume
from backend.atlas.mlp.bake import bake
from backend.atlas.mlp.config import MlpConfig
from backend.atlas.mlp.footage import Footage
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.networks import Frame, Networks
from backend.atlas.mlp.objective import terms
from backend.atlas.quality import measure, picture
from backend.atlas.report import examine, verdict
from backend.checkpoint import Checkpoint, State
from backend.masks.objects import resolve_objects
from backend.masks.prompts import MaskPrompts
from backend.motion import flow
from backend.progress import Reporter

WARMING = "Laying out the networks"
FITTING = "Fitting the networks"
PREVIEWS = (32, 8, 3, 1.5)  # a preview after this fraction of the steps: 1/32, 1/8, ...
PREVIEW_SIDE = 128  # pixels; each goes through the networks
BETAS = (0.9, 0.999)
BATCH = {"cpu": 2048, "cuda": 1 << 17}  # points put through the networks at once, to look
ERROR = "error"  # of the pass under way, in a state of the warm start


class _Adam:
    """Adam with its usual moments. torch.optim takes seconds to import, deaf to a cancel."""

    def __init__(self, networks: torch.nn.Module, lr: float) -> None:
        tensors: dict[str, Tensor] = dict(networks.named_parameters())
        self.adam = RowAdam(tensors, dict.fromkeys(tensors, lr), BETAS)
        self.rows: dict[str, Tensor | None] = dict.fromkeys(tensors)

    def step(self) -> None:
        """Move all parameters, then drop their gradients."""
        self.adam.step(self.rows, 1.0)


class Trainer:
    """Networks, their optimiser and the draws: one step at a time.

    checkpoint: where the state is kept meanwhile; the caller drops it.
    """

    def __init__(
        self, footage: Footage, config: MlpConfig, checkpoint: Checkpoint | None = None
    ) -> None:
        self.footage, self.config = footage, config
        self.checkpoint = checkpoint or Checkpoint()
        self.networks = Networks(config).to(footage.device)
        self.maps = {"fg": self.networks.map_fg, "bg": self.networks.map_bg}
        self.frame = Frame((footage.height, footage.width), footage.count, config.uv_scale)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.warming = _Adam(torch.nn.ModuleDict(self.maps), config.lr)
        self.optimiser = _Adam(self.networks, config.lr)
        self.chunk = config.chunk if footage.device.type == "cpu" else config.chunk_cuda
        self.warmed, self.error = 0, 0.0
        """Steps of the warm start that are done, and the sum of errors in the pass under way."""
        self.warm = False
        """Whether the warm start is over."""
        self.done = 0
        self.losses: dict[str, Tensor] = {}
        """The last step's losses, averaged over its rays, without weights; and their total."""

    def state(self) -> State:
        """All that the steps to come depend on."""
        rest = partial(resume.pack, networks=self.networks, random=self.generator)
        if self.warm:
            return rest(resume.JOINT, self.done, adam=self.optimiser.adam, numbers={})
        numbers = {ERROR: self.error}
        return rest(resume.WARM, self.warmed, adam=self.warming.adam, numbers=numbers)

    def take_up(self, report: Reporter) -> None:
        """Go on from the state that was kept, if there is one; one that does not fit is dropped."""
        state = self.checkpoint.load(self.footage.device)
        if state is None:
            return
        warm = state.phase == resume.JOINT
        adam = (self.optimiser if warm else self.warming).adam
        if not (resume.fits(state, self.networks, adam) and (warm or ERROR in state.numbers)):
            self.checkpoint.drop()
            report.note("What was kept of the interrupted atlas does not fit: it is begun anew.")
            return
        resume.unpack(state, self.networks, adam, self.generator)
        self.warm = warm
        if warm:
            self.done = state.step
        else:
            self.warmed, self.error = state.step, state.numbers[ERROR]
        report.note("The atlas goes on from where it was interrupted.")

    def warm_start(self, report: Reporter) -> None:
        """(E13): both mappings learn to lay every frame flat, so that they start as isometries."""
        count = self.footage.count
        total = self.config.warm_passes * count
        while not self.warm and self.warmed < total:
            rays = self.footage.draw(self.config.rays, self.generator, self.warmed % count)
            for part in rays.parts(self.chunk):
                report.step(WARMING, self.warmed, total)
                points = self.frame.points(part.xy, part.t)
                loss = points.new_zeros(())
                for net in self.maps.values():
                    away = losses.warm(net(points), points, self.config.uv_scale)
                    loss = loss + (away * part.of_all).sum()
                torch.autograd.backward(loss)
                if self.config.warm_until:
                    self.error += float(loss.detach()) / (2 * count)
            self.warming.step()
            self.warmed += 1
            if self.warmed % count == 0:  # a pass is over
                self.warm = self.error * self.frame.pixels_per_uv < self.config.warm_until
                self.error = 0.0
            self.checkpoint.keep(self.state)
        self.warm = True

    def step(self, report: Reporter) -> None:
        """One joint step; its losses are then in `losses`."""
        weights = self.config.weights(self.done)
        far = weights["global_fg"] > 0 or weights["global_bg"] > 0
        rays = self.footage.draw(self.config.rays, self.generator)
        sums: dict[str, Tensor] = {}
        for part in rays.parts(self.chunk):
            report.step(FITTING, min(self.done, self.config.steps), self.config.steps)
            each = terms(self.networks, self.frame, part, self.config, far)
            total = sum(
                (weights[name] * value for name, value in each.items() if weights[name]),
                start=part.xy.new_zeros(()),
            )
            torch.autograd.backward(total)
            for name, value in (*each.items(), ("total", total)):
                sums[name] = sums.get(name, 0) + value.detach()
        self.optimiser.step()
        self.losses = sums
        self.done += 1
        self.checkpoint.keep(self.state)

    @torch.no_grad()
    def explain(self, xy: Tensor, t: Tensor, report: Reporter) -> tuple[Tensor, Tensor]:
        """(E4) at pixels [N,2] of frames t [N]: colour [N,3] and opacity [N,1]."""
        out = []
        batch = BATCH[self.footage.device.type]
        for place, moment in zip(torch.split(xy, batch), torch.split(t, batch), strict=True):
            report.step(FITTING, min(self.done, self.config.steps), self.config.steps)
            out.append(self.networks.explain(self.frame.points(place, moment)))
        return torch.cat([c for c, _ in out]), torch.cat([a for _, a in out])

    def preview(self, report: Reporter) -> NDArray[np.uint8]:
        """The middle frame as the networks explain it, small: uint8 [h,w,3]."""
        footage = self.footage
        scale = min(1.0, PREVIEW_SIDE / max(footage.height, footage.width))
        h, w = max(1, round(footage.height * scale)), max(1, round(footage.width * scale))
        y, x = torch.meshgrid(
            (torch.arange(h, device=footage.device) + 0.5) * (footage.height / h),
            (torch.arange(w, device=footage.device) + 0.5) * (footage.width / w),
            indexing="ij",
        )
        xy = torch.stack([x, y], -1).reshape(-1, 2)
        t = torch.full((len(xy),), footage.count // 2, device=footage.device)
        seen, _ = self.explain(xy, t, report)
        return (seen.view(h, w, 3) * 255).round().to(torch.uint8).cpu().numpy()


def gather(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    config: MlpConfig,
    device: torch.device,
    report: Reporter,
) -> tuple[Footage, dict[str, float]]:
    """The clip at its working size with flow, rough masks and held-out blocks; mask measures.

    Same rules and errors as the explicit engine's `backend.atlas.explicit.fit.decompose`.
    """
    objects = check(frames, [prompts])
    size = working_size(frames.shape[1], frames.shape[2], config.long_side)
    small = np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in frames])
    small = np.ascontiguousarray(small, np.uint8)
    complete = prompts.mode == "all" and len(prompts.keys) == len(frames)
    gaps = (1,) if complete else config.carry_gaps
    flows = flow.estimate(small, gaps, config.consistent, report)
    (masks,), numbers = resolve_objects(small, objects, flows, report)
    generator = torch.Generator().manual_seed(config.seed)
    kept = held_out_blocks((len(small), *size), config.held_out, generator)
    return Footage(small, masks, flows, kept, device), numbers


def decompose_mlp(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    config: MlpConfig,
    device: torch.device,
    report: Reporter,
    checkpoint: Checkpoint | None = None,
) -> MlpAtlas:
    """Decompose a clip with the paper's networks.

    frames: uint8 [T,H,W,3] sRGB. prompts: of the one object. checkpoint: where the state is kept
    meanwhile, and gone on from; the caller drops it. Returns the MlpAtlas on `device`; measures
    of the masks are in its numbers. JobError as the explicit engine. On a CPU the same input and
    seed give the same bytes, interrupted or not.
    """
    if prompts.mode == "none":  # there is nothing for the opacity to find once it is left alone
        config = replace(config, mask_steps=config.steps)
    footage, mask_numbers = gather(frames, prompts, config, device, report)
    trainer = Trainer(footage, config, checkpoint)
    trainer.take_up(report)
    trainer.warm_start(report)
    shown = {round(config.steps / part) for part in PREVIEWS}
    while trainer.done < config.steps:
        trainer.step(report)
        if trainer.done in shown:
            report.preview(trainer.preview(report))
    atlas = finish(trainer, (len(frames), frames.shape[1], frames.shape[2]), report)
    atlas.numbers.update(mask_numbers)
    return atlas


def finish(trainer: Trainer, size: tuple[int, int, int], report: Reporter) -> MlpAtlas:
    """The atlas of what the networks have learnt so far, measured. size: frames, height, width."""
    footage = trainer.footage
    atlas = bake(trainer.networks, trainer.frame, footage, size, report)
    frames = footage.frames.permute(0, 3, 1, 2)
    kept = footage.kept[:, None]
    atlas.numbers = {
        **measure(atlas, frames, kept, report),
        **examine(atlas, frames, kept, report),
    }
    for sentence in verdict(atlas.numbers):
        report.note(sentence)
    report.preview(picture(atlas, footage.count // 2))
    return atlas
