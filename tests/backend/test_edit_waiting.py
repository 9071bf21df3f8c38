"""A step never waits for the device: nothing the device computed is read by the host inside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from flat_atlas import FlatAtlas
from tiny_clip import tiny_clip, tiny_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backend.clip.model import TextImageModel
from backend.edit import criterion, image, loss_log, train, video
from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.crops import Extents
from backend.edit.image import edit_image
from backend.edit.loss_log import LossLog
from backend.edit.train import Setup
from backend.edit.video import edit_atlas
from backend.progress import Silent
from protocol.jobs import JobError

CPU = torch.device("cpu")
TINY = EditConfig(
    steps=3, size=56, channels=4, scales=3, bootstrap_steps=3, views=ViewConfig(count=2),
    whole_every=2, internal_jitter=0.5,
)  # fmt: skip
TEXTS = EditTexts(prompt=("gold",), source=("noise",))
FRAMES = np.random.default_rng(0).integers(0, 255, (5, 48, 56, 3), np.uint8)

READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique")


class Noise(FlatAtlas):
    """Random colours; its maps come on the device."""

    def image(self, layer: str) -> torch.Tensor:
        return torch.rand(1, 3, *self.texels, generator=torch.Generator().manual_seed(0))

    def uv(self, layer: str, t: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        return super().uv(layer, t.cpu(), size).to(self.device)

    def opacity(
        self, layer: str, t: torch.Tensor, size: tuple[int, int] | None = None
    ) -> torch.Tensor:
        return super().opacity(layer, t, size).to(self.device)


def noise(device: torch.device = CPU) -> Noise:
    made = Noise((5, 48, 56), (60, 70), shift=2.0, object=(10, 8, 40, 40))
    made.device = device
    return made


class Watch(TorchDispatchMode):
    """Tells the host's own numbers (draws, constants, what follows from them) from the device's.

    Everything that was there before, and all that is computed from it, counts as the device's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.on = False
        self._of_host: dict[int, Any] = {}

    def owned(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._of_host

    def own(self, tensor: torch.Tensor) -> None:
        # Kept alive, or its place would be given to another.
        self._of_host[tensor.untyped_storage()._cdata] = tensor.untyped_storage()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        device_side = [x for x in given if not self.owned(x)]
        if self.on and device_side:
            masks = [x for x in given[1:] if x.dtype in (torch.bool, torch.uint8)]
            if name in READS or (name.startswith("index") and masks):
                self.reads.append(name)
        made = func(*args, **kwargs)
        if name == "lift_fresh" or not device_side:
            for x in tree_leaves(made):
                if isinstance(x, torch.Tensor):
                    self.own(x)
        return made

    def begin(self, of_host: list[torch.Tensor]) -> None:
        """Watch from here on; what there is already is the device's, but for these."""
        self._of_host.clear()
        for tensor in of_host:
            self.own(tensor)
        self.on = True

    def paused(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def calm(*args: Any) -> Any:
            before, self.on = self.on, False
            try:
                return function(*args)
            finally:
                self.on = before

        return calm


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    real_train, add = train.train, Extents.add
    cells: list[torch.Tensor] = []

    def watched(setup: Setup, subject: Any) -> list[float]:
        made.begin(cells)
        subject.preview = made.paused(subject.preview)
        try:
            return real_train(setup, subject)
        finally:
            made.on = False

    def adding(extents: Extents, *args: Any) -> None:
        add(extents, *args)
        cells.append(extents._cells[-1])

    for room in (image, video):
        monkeypatch.setattr(room, "train", watched)
    monkeypatch.setattr(loss_log, "READ_EVERY", 10)
    monkeypatch.setattr(Extents, "add", adding)
    monkeypatch.setattr(LossLog, "read", made.paused(LossLog.read))
    real_init = LossLog.__init__

    def on_a_gpu(self: LossLog, known: list[float], device: torch.device) -> None:
        real_init(self, known, torch.device("cuda"))

    monkeypatch.setattr(LossLog, "__init__", on_a_gpu)
    return made


def still(config: EditConfig) -> None:
    edit_image(FRAMES[0], Setup(TEXTS, tiny_model(), config, Silent()))


def moving(config: EditConfig) -> None:
    edit_atlas(FRAMES, noise(), "foreground", Setup(TEXTS, tiny_model(), config, Silent()))


@pytest.mark.slow
@pytest.mark.parametrize("edit", [still, moving])
def test_no_step_reads_what_the_device_computed(
    edit: Callable[[EditConfig], None], watch: Watch
) -> None:
    with watch:
        edit(TINY)
    assert watch.reads == []


@pytest.mark.slow
def test_the_watch_sees_a_read(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    real = criterion.sparsity_loss

    def reading(alpha: torch.Tensor, *weights: float) -> torch.Tensor:
        float(alpha.detach().mean())
        alpha[alpha > 0.5]
        return real(alpha, *weights)

    monkeypatch.setattr(criterion, "sparsity_loss", reading)
    with watch:
        still(replace(TINY, steps=1))
    assert watch.reads == ["_local_scalar_dense", "index"] * 2


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("room", [image, video])
def test_cuda_itself_sees_no_wait(room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    real_train = train.train

    def mode(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def within(*args: Any) -> Any:
            before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode(name)
            try:
                return function(*args)
            finally:
                torch.cuda.set_sync_debug_mode(before)

        return within

    def strict(setup: Setup, subject: Any) -> list[float]:
        subject.preview = mode("default", subject.preview)
        losses: list[float] = mode("error", real_train)(setup, subject)
        return losses

    monkeypatch.setattr(room, "train", strict)
    monkeypatch.setattr(LossLog, "read", mode("default", LossLog.read))
    model = TextImageModel(
        tiny_clip(), open_clip.SimpleTokenizer(context_length=16), mean=(0.48, 0.46, 0.41),
        std=(0.27, 0.26, 0.28), name="tiny", device=device,
    )  # fmt: skip
    if room is image:
        edit_image(FRAMES[0], Setup(TEXTS, model, TINY, Silent()))
    else:
        edit_atlas(FRAMES, noise(device), "foreground", Setup(TEXTS, model, TINY, Silent()))


# --- the losses, asked for late ------------------------------------------------------------------


def test_losses_are_read_every_few_steps_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    real = LossLog.read
    monkeypatch.setattr(LossLog, "read", lambda self: asked.append(None) or real(self))
    book = LossLog([], torch.device("cuda"))
    for step in range(25):
        book.add(torch.tensor(float(step)), {})
    assert len(asked) == 2
    assert book.read() == [float(step) for step in range(25)]


def test_a_late_reading_still_names_the_first_step_and_its_terms() -> None:
    book = LossLog([1.0, 1.0], torch.device("cuda"))
    good = {"composition": torch.tensor(1.0), "screen": torch.tensor(1.0)}
    book.add(torch.tensor(2.0), good)
    book.add(torch.tensor(torch.nan), {**good, "screen": torch.tensor(torch.nan)})
    book.add(torch.tensor(torch.nan), dict.fromkeys(good, torch.tensor(torch.nan)))
    with pytest.raises(JobError) as caught:
        book.read()
    assert caught.value.problem.message == "The edit failed at step 4: screen is not a number."


def test_on_a_cpu_every_step_is_checked() -> None:
    book = LossLog([], CPU)
    with pytest.raises(JobError, match="step 1: the loss"):
        book.add(torch.tensor(torch.inf), {})
