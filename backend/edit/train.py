"""What image and video edits share: the loss of a step's pictures, and the training loop.

Shapes: B pictures, V views, C channels, H×W pixels, D embedding width, L tokens, E token width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from backend.checkpoint import Checkpoint, State
from backend.clip.model import TextImageModel
from backend.edit import resume
from backend.edit.config import EditConfig
from backend.edit.generator import Generator
from backend.edit.loss_log import Ledger
from backend.edit.losses import (
    bootstrap_loss,
    direction_loss,
    opaque_loss,
    sparsity_loss,
    structure_loss,
    text_distance,
)
from backend.edit.madgrad import Madgrad
from backend.edit.scoring import Scorer
from backend.edit.texts import TextTargets
from backend.edit.views import Views, draw_views
from backend.progress import Reporter
from protocol.jobs import PRESETS, JobError

PHASE = resume.PHASE
VERSION = "edit-9"
"""Raised when the same settings come to train otherwise: what was begun before is begun anew."""
# The structure loss looks at the whole picture, its long side at most this multiple of the short.
MAX_STRUCTURE_ASPECT = 380 / 224


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One picture of a step, all [1,C,H,W] in 0..1.

    source: before. output: with the layer over it. screen: the layer over green. alpha: what
    sparsity pushes down. relevancy, avoid: where the bootstrap wants the layer, or None. name: of a
    source that is the same whenever it comes again under this name; empty: of one that is not.
    views: that such a source always comes with; None: new ones are drawn.
    """

    source: Tensor
    output: Tensor
    screen: Tensor
    alpha: Tensor
    relevancy: Tensor | None = None
    avoid: Tensor | None = None
    name: str = ""
    views: Views | None = None


def compose(layer_B4HW: Tensor, background: Tensor) -> Tensor:
    """A straight-alpha layer over a background [B,3,H,W] (or [1,3,1,1])."""
    alpha_B1HW = layer_B4HW[:, 3:]
    return alpha_B1HW * layer_B4HW[:, :3] + (1 - alpha_B1HW) * background


class Criterion:
    """The whole loss of a step: composition, screen, structure, sparsity, bootstrap.

    generator: drives the views and the draw of texts.
    """

    def __init__(
        self,
        model: TextImageModel,
        targets: TextTargets,
        config: EditConfig,
        device: torch.device,
        generator: torch.Generator,
    ) -> None:
        self.model, self.targets, self.config = model, targets, config
        self.scorer = Scorer(model)
        self.generator = generator
        self.device = device
        self.green_1311 = torch.tensor(config.green, device=device).reshape(1, 3, 1, 1)
        self._tokens: dict[str, Tensor] = {}
        self._embedded: dict[str, Tensor] = {}

    def __call__(self, shots: Sequence[Shot], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss (a scalar with gradient) and its weighted parts, without."""
        config = self.config
        terms = self._text_terms(shots)
        if config.structure:
            terms["structure"] = config.structure * self._structure(shots)
        terms["sparsity"] = config.sparsity * _mean(
            sparsity_loss(shot.alpha, config.sparsity_l1, config.sparsity_l0) for shot in shots
        )
        if config.opaque:
            terms["opaque"] = config.opaque * _mean(
                opaque_loss(shot.alpha, config.opaque_above) for shot in shots
            )
        remaining = 1 - step / config.bootstrap_steps if config.bootstrap_steps else 0.0
        maps = [
            bootstrap_loss(shot.alpha, shot.relevancy, shot.avoid, config.bootstrap_negative)
            for shot in shots
            if shot.relevancy is not None
        ]
        if maps and config.bootstrap * remaining > 0:
            terms["bootstrap"] = config.bootstrap * remaining * _mean(maps)
        total = torch.stack(list(terms.values())).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def _text_terms(self, shots: Sequence[Shot]) -> dict[str, Tensor]:
        """Composition and screen: one batch with gradient, one of the sources without."""
        config, texts = self.config, self.targets.draw(self.config.templates, self.generator)
        views = [shot.views or self._draw(shot.source) for shot in shots]
        seen = [(v, shot.output) for v, shot in zip(views, shots, strict=True)]
        if config.screen:
            seen += [(self._draw(shot.screen), shot.screen) for shot in shots]
        embedded_VD = self.scorer.embed(seen)
        output_VD = embedded_VD[: len(shots) * config.views.count]
        screen_VD = embedded_VD[len(output_VD) :]
        distance = text_distance(config.distance, output_VD, texts.prompt)
        terms = {"composition": config.composition * distance}
        if config.direction and texts.source is not None:
            if not config.same_views:
                views = [self._draw(shot.source) for shot in shots]
            source_VD = self._sources(views, shots)
            terms["direction"] = config.direction * direction_loss(
                output_VD, source_VD, texts.prompt, texts.source
            )
        if config.screen:
            terms["screen"] = config.screen * text_distance(
                config.distance, screen_VD, texts.screen
            )
        return terms

    @torch.no_grad()
    def _sources(self, views: Sequence[Views], shots: Sequence[Shot]) -> Tensor:
        """Embeddings of the sources' views; what always comes with the same is looked at once.

        It is looked at alone, for the same reason as `_source_tokens`.
        """
        seen = [(v, shot.source) for v, shot in zip(views, shots, strict=True)]
        kept = [self.config.same_views and bool(shot.views) for shot in shots]
        for one, shot, again in zip(seen, shots, kept, strict=True):
            if again and shot.name not in self._embedded:
                self._embedded[shot.name] = self.scorer.embed([one])
        fresh = [one for one, again in zip(seen, kept, strict=True) if not again]
        count = self.config.views.count
        made = iter(torch.split(self.scorer.embed(fresh), count) if fresh else ())
        return torch.cat(
            [
                self._embedded[shot.name] if again else next(made)
                for shot, again in zip(shots, kept, strict=True)
            ]
        )

    def _draw(self, picture: Tensor) -> Views:
        height, width = picture.shape[-2:]
        return draw_views(self.config.views, height, width, self.generator)

    def _structure(self, shots: Sequence[Shot]) -> Tensor:
        groups: dict[tuple[int, int], list[Shot]] = {}
        for shot in shots:
            size = structure_size(self.model, *shot.source.shape[-2:])
            groups.setdefault(size, []).append(shot)
        losses = []
        for size, group in groups.items():
            source = self._source_tokens(group, size)
            output = self.scorer.tokens(_resized([s.output for s in group], size))
            losses.append(len(group) * structure_loss(output, source, self.config.structure_norm))
        return torch.stack(losses).sum() / len(shots)

    @torch.no_grad()
    def _source_tokens(self, group: Sequence[Shot], size: tuple[int, int]) -> Tensor:
        """Tokens of the sources; those that come again are computed once.

        They are computed alone: in a batch with others their last digits would hang on the step,
        and a run that was interrupted would end in other bytes.
        """
        for shot in group:
            if shot.name and shot.name not in self._tokens:
                self._tokens[shot.name] = self.model.tokens(_resized([shot.source], size))
        fresh = [shot.source for shot in group if not shot.name]
        made = iter(self.scorer.tokens(_resized(fresh, size)) if fresh else ())
        return torch.stack(
            [self._tokens[shot.name][0] if shot.name else next(made) for shot in group]
        )


def structure_size(model: TextImageModel, height: int, width: int) -> tuple[int, int]:
    """Size at which structure is compared: short side the model's own, both in whole patches."""
    short = model.image_size / min(height, width)
    limit = model.image_size * MAX_STRUCTURE_ASPECT
    sides = [
        max(1, round(min(n * short, limit) / model.patch)) * model.patch for n in (height, width)
    ]
    return sides[0], sides[1]


def train(
    network: Generator,
    shots_of: Callable[[int], list[Shot]],
    criterion: Criterion,
    config: EditConfig,
    report: Reporter,
    preview: Callable[[], NDArray[np.uint8]],
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """Train the generator; returns the loss of every step.

    shots_of: makes a step's pictures through the generator, all its draws from the criterion's
    generator. preview: a picture of the layer so far. checkpoint: where the state is kept meanwhile
    and after the last step, and gone on from; the caller drops it.
    Raises JobError: "diverged" when the loss is not a number, "out_of_memory" when a GPU's is too
    small even with one view at a time. Cancelled passes through.
    """
    checkpoint = checkpoint or Checkpoint()
    optimizer = Madgrad(
        network.parameters(), lr=config.lr, momentum=config.momentum,
        weight_decay=config.weight_decay,
    )  # fmt: skip
    first_preview = max(1, config.steps // 25)
    known = resume.take_up(
        checkpoint, network, optimizer, criterion.generator, criterion.device, report
    )
    ledger, step = Ledger(known, criterion.device), len(known)
    first = step

    def pulse() -> None:
        report.step(PHASE, step, config.steps)

    def state() -> State:
        return resume.pack(network, optimizer, criterion.generator, ledger.settle())

    def attempt() -> bool:
        """The step's loss and gradient; False where memory ran out."""
        optimizer.zero_grad(set_to_none=True)
        try:
            loss, parts = criterion(shots_of(step), step)
            loss.backward()  # type: ignore[no-untyped-call]
        except torch.OutOfMemoryError:
            return False
        ledger.add(loss.detach(), parts)
        return True

    network.pulse = criterion.model.pulse = pulse
    criterion.model.bfloat16 = uses_bfloat16(config, criterion.device)
    try:
        for step in range(first, config.steps):
            pulse()
            for group in optimizer.param_groups:
                group["lr"] = max(config.lr_min, config.lr * config.decay**step)
            drawn = criterion.generator.get_state()
            while not attempt():  # with the same draws
                criterion.generator.set_state(drawn)
                make_room(criterion, config, report)
            optimizer.step()
            checkpoint.keep(state)
            done = step + 1
            if done == first_preview or done % config.preview_every == 0:
                ledger.settle()
                report.preview(preview())
        checkpoint.keep(state, now=True)  # what follows may be interrupted too
        report.step(PHASE, config.steps, config.steps)
        return ledger.settle()
    except JobError as why:
        if why.problem.code == "diverged":
            checkpoint.drop()
        raise
    finally:
        network.pulse = criterion.model.pulse = None
        criterion.model.bfloat16 = False


def make_room(criterion: Criterion, config: EditConfig, report: Reporter) -> None:
    """After a step ran out of memory: score fewer views at once, and say so.

    Raises JobError("out_of_memory") where they are one by one already.
    """
    if criterion.device.type == "cuda":
        torch.cuda.empty_cache()
    if criterion.scorer.halve():
        report.note(
            "The GPU's memory is too small for all views at once: from here on "
            f"{criterion.scorer.at_once} are scored at a time. The result is the same, it takes "
            "longer."
        )
        return
    smaller = PRESETS[: PRESETS.index(config.preset)] if config.preset in PRESETS else PRESETS
    less = f"Use the preset {smaller[-1]}, which needs a small part of it, or c" if smaller else "C"
    raise JobError(
        "out_of_memory",
        "The GPU's memory is too small for this edit, even with one view at a time.",
        f"{less}lose other programs that use the GPU.",
        retryable=True,
    )


@contextmanager
def beating(model: TextImageModel, config: EditConfig, report: Reporter) -> Iterator[None]:
    """Let the model report step 0 while it works, so that a cancel is felt before training."""
    model.pulse = lambda: report.step(PHASE, 0, config.steps)
    try:
        yield
    finally:
        model.pulse = None


def autocast(config: EditConfig, device: torch.device) -> torch.autocast:
    """The arithmetic the generator runs in: bfloat16 on CUDA only.

    On CPUs oneDNN's bfloat16 gradient of a convolution's weights was seen to return NaN at random
    (torch 2.15, AMX, two threads on a busy machine); the image model's products are not touched.
    """
    enabled = device.type == "cuda" and uses_bfloat16(config, device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def uses_bfloat16(config: EditConfig, device: torch.device) -> bool:
    """Whether the config wants bfloat16 and this device computes it faster than float32."""
    if config.precision != "bfloat16":
        return False
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def fit_size(height: int, width: int, limit: int) -> tuple[int, int]:
    """Size with its long side at most limit, same shape, at least 8 pixels a side."""
    factor = min(1.0, limit / max(height, width))
    return max(8, round(height * factor)), max(8, round(width * factor))


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """[H,W,C] uint8 → [1,C,H,W] float32 in 0..1."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    return tensor.permute(2, 0, 1)[None].float() / 255


def to_image(x_1CHW: Tensor) -> NDArray[np.uint8]:
    """[1,C,H,W] in 0..1 → [H,W,C] uint8."""
    rounded = (x_1CHW[0].detach().clamp(0, 1) * 255).round().to(torch.uint8)
    image: NDArray[np.uint8] = np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())
    return image


def resize(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, averaging where it shrinks."""
    if tuple(x_BCHW.shape[-2:]) == size:
        return x_BCHW
    return F.interpolate(x_BCHW, size, mode="bilinear", antialias=True, align_corners=False)


def _resized(pictures: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    return torch.cat([resize(picture, size) for picture in pictures]).clamp(0, 1)


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
