"""Fit the networks to a clip: warm start, joint steps, and the resulting atlas."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.atlas.inputs import check_clip, held_out_blocks, shrink
from backend.atlas.mlp import losses, resume
from backend.atlas.mlp.bake import bake
from backend.atlas.mlp.config import MlpConfig
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.networks import Frame, Networks
from backend.atlas.mlp.objective import terms
from backend.atlas.mlp.rays import RaySampler
from backend.atlas.quality import measure, preview_image
from backend.atlas.report import examine, verdict
from backend.atlas.row_adam import RowAdam
from backend.checkpoint import Checkpoint, State
from backend.masks.objects import resolve_objects
from backend.masks.prompts import MaskPrompts
from backend.masks.tracker.track import Tracker
from backend.motion import flow
from backend.motion.flashes import bridge_flashes
from backend.progress import Reporter

WARMING = "Laying out the networks"
FITTING = "Fitting the networks"
PREVIEWS = (32, 8, 3, 1.5)  # a preview after 1/32, 1/8, ... of the steps
PREVIEW_SIDE = 128  # pixels; every pixel is a pass through the networks
BETAS = (0.9, 0.999)
BATCH = {"cpu": 2048, "cuda": 1 << 17}  # points per pass when evaluating
ERROR = "error"  # name of the current pass' error in a checkpoint of the warm start


class _Adam:
    """Ordinary Adam. Importing torch.optim takes seconds in which a job cannot be cancelled."""

    def __init__(self, networks: torch.nn.Module, lr: float) -> None:
        tensors: dict[str, Tensor] = dict(networks.named_parameters())
        self.adam = RowAdam(tensors, dict.fromkeys(tensors, lr), BETAS)
        self.rows: dict[str, Tensor | None] = dict.fromkeys(tensors)

    def step(self) -> None:
        """Move all parameters, then drop their gradients."""
        self.adam.step(self.rows, 1.0)


class Trainer:
    """Networks, their optimiser and the draws: one step at a time.

    checkpoint: where the state is saved; the caller drops it.
    """

    def __init__(
        self, clip: RaySampler, config: MlpConfig, checkpoint: Checkpoint | None = None
    ) -> None:
        self.clip, self.config = clip, config
        self.checkpoint = checkpoint or Checkpoint()
        self.networks = Networks(config).to(clip.device)
        self.maps = {"fg": self.networks.map_fg, "bg": self.networks.map_bg}
        self.frame = Frame(
            (clip.height, clip.width), clip.count, config.uv_scale, config.coordinates
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        self.warming = _Adam(torch.nn.ModuleDict(self.maps), config.lr)
        self.optimiser = _Adam(self.networks, config.lr)
        self.chunk = config.chunk if clip.device.type == "cpu" else config.chunk_cuda
        self.warm_steps, self.error = 0, 0.0
        """Finished steps of the warm start, and the sum of errors in the current pass."""
        self.warm = False
        """Whether the warm start is over."""
        self.done = 0
        self.losses: dict[str, Tensor] = {}
        """The last step's losses, averaged over its rays, without weights; and their total."""

    def state(self) -> State:
        """Everything the remaining steps depend on."""
        pack = partial(resume.pack, networks=self.networks, random=self.generator)
        if self.warm:
            return pack(resume.JOINT, self.done, adam=self.optimiser.adam, numbers={})
        numbers = {ERROR: self.error}
        return pack(resume.WARM, self.warm_steps, adam=self.warming.adam, numbers=numbers)

    def resume(self, report: Reporter) -> None:
        """Resume from the checkpoint, if there is one; one that does not fit is dropped."""
        state = self.checkpoint.load(self.clip.device)
        if state is None:
            return
        warm = state.phase == resume.JOINT
        adam = (self.optimiser if warm else self.warming).adam
        if not (resume.fits(state, self.networks, adam) and (warm or ERROR in state.numbers)):
            self.checkpoint.drop()
            report.note(resume.UNUSABLE)
            return
        resume.unpack(state, self.networks, adam, self.generator)
        self.warm = warm
        if warm:
            self.done = state.step
        else:
            self.warm_steps, self.error = state.step, state.numbers[ERROR]
        report.note("The atlas resumes from where it was interrupted.")

    def warm_start(self, report: Reporter) -> None:
        """(E13): both mappings learn to lay every frame flat, and so start as isometries."""
        count = self.clip.count
        total = self.config.warm_passes * count
        while not self.warm and self.warm_steps < total:
            rays = self.clip.draw(self.config.rays, self.generator, self.warm_steps % count)
            for part in rays.parts(self.chunk):
                report.step(WARMING, self.warm_steps, total)
                points = self.frame.points(part.xy, part.t)
                loss = points.new_zeros(())
                for net in self.maps.values():
                    away = losses.warm(net(points), points, self.config.uv_scale)
                    loss = loss + (away * part.of_all).sum()
                torch.autograd.backward(loss)
                if self.config.warm_until:
                    self.error += float(loss.detach()) / (2 * count)
            self.warming.step()
            self.warm_steps += 1
            if self.warm_steps % count == 0:  # a pass is over
                self.warm = self.error * self.frame.pixels_per_uv < self.config.warm_until
                self.error = 0.0
            self.checkpoint.keep(self.state)
        self.warm = True

    def step(self, report: Reporter) -> None:
        """One joint step; sets `losses`."""
        weights = self.config.weights(self.done)
        far = weights["global_fg"] > 0 or weights["global_bg"] > 0
        rays = self.clip.draw(self.config.rays, self.generator)
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
    def evaluate(self, xy: Tensor, t: Tensor, report: Reporter) -> tuple[Tensor, Tensor]:
        """(E4) at pixels [N,2] of frames t [N]: colour [N,3] and opacity [N,1]."""
        out = []
        batch = BATCH[self.clip.device.type]
        for place, frame in zip(torch.split(xy, batch), torch.split(t, batch), strict=True):
            report.step(FITTING, min(self.done, self.config.steps), self.config.steps)
            out.append(self.networks.render(self.frame.points(place, frame)))
        return torch.cat([c for c, _ in out]), torch.cat([a for _, a in out])

    def preview(self, report: Reporter) -> NDArray[np.uint8]:
        """The middle frame as the networks render it, small: uint8 [h,w,3]."""
        clip = self.clip
        scale = min(1.0, PREVIEW_SIDE / max(clip.height, clip.width))
        h, w = max(1, round(clip.height * scale)), max(1, round(clip.width * scale))
        y, x = torch.meshgrid(
            (torch.arange(h, device=clip.device) + 0.5) * (clip.height / h),
            (torch.arange(w, device=clip.device) + 0.5) * (clip.width / w),
            indexing="ij",
        )
        xy = torch.stack([x, y], -1).reshape(-1, 2)
        t = torch.full((len(xy),), clip.count // 2, device=clip.device)
        seen, _ = self.evaluate(xy, t, report)
        return (seen.view(h, w, 3) * 255).round().to(torch.uint8).cpu().numpy()


def prepare(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    config: MlpConfig,
    device: torch.device,
    report: Reporter,
) -> tuple[RaySampler, dict[str, float]]:
    """The clip at its working size with flow, rough masks and held-out blocks; mask measures.

    Checks and errors as in `backend.atlas.explicit.fit.decompose`.
    """
    objects = check_clip(frames, [prompts])
    size = flow.working_size(frames.shape[1], frames.shape[2], config.long_side)
    bridged = bridge_flashes(shrink(frames, size), report, prompts.first_frame)
    small = bridged.frames
    complete = prompts.mode == "all" and len(prompts.keys) == len(frames)
    gaps = (1,) if complete else config.carry_gaps
    flows = flow.estimate(small, gaps, config.consistent, report)
    tracker = Tracker(config.tracker, device, bridged.flashes)
    (masks,), numbers = resolve_objects(small, objects, flows, report, tracker)
    generator = torch.Generator().manual_seed(config.seed)
    kept = held_out_blocks((len(small), *size), config.held_out, generator)
    return RaySampler(small, masks, flows, kept, device), numbers


def decompose_mlp(
    frames: NDArray[np.uint8],
    prompts: MaskPrompts,
    config: MlpConfig,
    device: torch.device,
    report: Reporter,
    checkpoint: Checkpoint | None = None,
) -> MlpAtlas:
    """Decompose a clip with the paper's networks.

    frames: uint8 [T,H,W,3] sRGB. prompts: of the one object. checkpoint: where the state is
    saved and resumed from; the caller drops it. Returns the MlpAtlas on `device`; measures of the
    masks are in its numbers. JobErrors as of the explicit engine. On a CPU the same input and seed
    give the same bytes, interrupted or not.
    """
    if prompts.mode == "none":  # without an object, opacity must be held at 0 to the end
        config = replace(config, mask_steps=config.steps)
    clip, mask_numbers = prepare(frames, prompts, config, device, report)
    trainer = Trainer(clip, config, checkpoint)
    trainer.resume(report)
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
    """The atlas of the networks as they are now, measured. size: frames, height, width."""
    clip = trainer.clip
    atlas = bake(trainer.networks, trainer.frame, clip, size, report)
    frames = clip.frames.permute(0, 3, 1, 2)
    kept = clip.kept[:, None]
    atlas.numbers = {
        **measure(atlas, frames, kept, report),
        **examine(atlas, frames, kept, report),
    }
    for sentence in verdict(atlas.numbers):
        report.note(sentence)
    report.preview(preview_image(atlas, clip.count // 2))
    return atlas
