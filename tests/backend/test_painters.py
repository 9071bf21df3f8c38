"""A painter is one file: a toy one, registered with one line, runs as a job on a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from msgspec import Meta
from numpy.typing import NDArray

from backend.atlas.interface import LayeredAtlas
from backend.cli.edit import parser
from backend.cli.painter_options import chosen_painter, painter_settings
from backend.executors.local import LocalExecutor
from backend.methods import dispatch
from backend.painters.base import Plan, Run, Task
from backend.painters.registry import load_painter, register
from backend.progress import EDIT_PHASE
from backend.server import Server
from protocol.client import Client, JobEvent, new_job_id
from protocol.jobs import Clip, EditJob, JobError, KeyMask, Masks, reference
from protocol.keys import Connection, keypair
from protocol.painters import PAINTER_SETTINGS, PainterSettings, declared, settings_of
from protocol.validate import check

STEPS = 5


class ToySettings(PainterSettings, frozen=True):
    """What the toy can be asked for."""

    amount: Annotated[float, Meta(ge=0.0, le=1.0, title="Amount", description="How opaque")] = 0.5
    hue: Annotated[Literal["red", "blue"], Meta(title="Hue", description="Its colour")] = "red"
    words: Annotated[tuple[str, ...], Meta(title="Words", description="Unused")] = ()


class Toy:
    """Fills the layer with one colour."""

    def __init__(self, spec: EditJob, device: torch.device) -> None:
        self.device = device

    def remarks(self, spec: EditJob) -> Sequence[str]:
        return ()

    def plan(self, task: Task) -> Plan:
        return Plan(steps=STEPS, identity="toy-1")

    def prepare(self, task: Task, frames: NDArray[np.uint8], run: Run) -> None:
        pass

    def paint_still(
        self, task: Task, image: NDArray[np.uint8], mask: NDArray[np.uint8] | None, run: Run
    ) -> NDArray[np.uint8]:
        rgba = np.broadcast_to(np.rint(self._fill(task) * 255), (*image.shape[:2], 4))
        layer = rgba.astype(np.uint8)
        if mask is not None:
            layer[mask == 0] = 0
        return layer

    def paint_atlas(
        self, task: Task, frames: NDArray[np.uint8], atlas: LayeredAtlas, run: Run
    ) -> torch.Tensor:
        for step in range(STEPS):
            run.report.step(EDIT_PHASE, step + 1, STEPS)
        run.report.preview(frames[0])
        fill = torch.tensor(self._fill(task), dtype=torch.float32, device=self.device)
        rows, columns = atlas.image(task.layer).shape[-2:]
        return fill.reshape(1, 4, 1, 1).expand(1, 4, rows, columns).contiguous()

    def _fill(self, task: Task) -> NDArray[np.float64]:
        settings = settings_of(task.job)
        assert isinstance(settings, ToySettings)
        red = settings.hue == "red"
        return np.array([float(red), 0.0, float(not red), settings.amount])


register("toy", ToySettings, f"{__name__}:Toy")

run_job = dispatch.run_job  # a worker that imports this module knows the toy too


class ToyBackend:
    """A real server in a thread of this process; its worker is a process of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._keys = keypair(data / "server.json")
        self._client = keypair(data / "client.json")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        executor = LocalExecutor(self._data, ("cpu",), f"{__name__}:run_job")
        allowed = {self._client.public: "test"}
        self.server = Server(
            "tcp://127.0.0.1:0",
            self._data,
            self._keys,
            allowed,
            executor,
            on_ready=lambda _device: self._ready.set(),
        )
        self.server.run()

    @property
    def connection(self) -> Connection:
        return Connection(
            address=self.server.address,
            server_key=self._keys.public,
            client_public=self._client.public,
            client_secret=self._client.secret,
        )

    def stop(self) -> None:
        self.server.stop()
        self._thread.join(30)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    backend = ToyBackend(tmp_path_factory.mktemp("toy"))
    client = Client(backend.connection, name="test")
    client.start()
    try:
        yield client
    finally:
        client.close()
        backend.stop()


class MovingSquare:
    """A bright square that moves over noise, with its mask on the first frame."""

    def __init__(self, count: int) -> None:
        random = np.random.default_rng(3)
        wall = random.integers(60, 120, (48, 64, 3)).astype(np.uint8)
        self.frames, self.masks = [], []
        for t in range(count):
            frame, mask = wall.copy(), np.zeros((48, 64, 1), np.uint8)
            frame[14:34, 10 + 3 * t : 30 + 3 * t] = random.integers(180, 250, (20, 20, 3))
            mask[14:34, 10 + 3 * t : 30 + 3 * t] = 255
            self.frames.append(frame)
            self.masks.append(mask)
        self._arrays = {reference(one).digest: one for one in (*self.frames, *self.masks)}

    def job(self, **fields: object) -> EditJob:
        keys = tuple(KeyMask(frame=t, mask=reference(m)) for t, m in enumerate(self.masks))
        made = EditJob(
            clip=Clip(frames=tuple(reference(frame) for frame in self.frames)),
            masks=Masks(mode="all", keys=keys),
            prompt=("red square",),
            preset="draft",
            painter="toy",
            **fields,  # type: ignore[arg-type]
        )
        check(made)
        return made

    def __call__(self, digest: str) -> np.ndarray:
        return self._arrays[digest]


@pytest.mark.slow
def test_a_registered_painter_runs_as_a_job_through_a_real_server(client: Client) -> None:
    square = MovingSquare(4)
    news: list[object] = []
    spec = square.job(settings={"amount": 0.8})
    result = client.run(new_job_id(), spec, square, on_event=news.append)
    layer = client.fetch_all(list(result.layer))
    assert len(layer) == 4
    for rgba, mask in zip(layer, square.masks, strict=True):
        inside = mask[..., 0] > 0
        core = np.zeros_like(inside)
        ys, xs = np.nonzero(inside)
        core[ys.min() + 4 : ys.max() - 3, xs.min() + 4 : xs.max() - 3] = True
        assert (np.abs(rgba[core].astype(int) - [255, 0, 0, 204]) <= 2).all()
        assert rgba[:8, :, 3].max() == 0, "clear where the object never is"
    events = [one.event for one in news if isinstance(one, JobEvent)]
    steps = [(e.done, e.total) for e in events if e.kind == "progress" and e.phase == EDIT_PHASE]
    assert steps[-1] == (STEPS, STEPS)
    assert any(e.kind == "preview" for e in events)


@pytest.mark.slow
def test_both_layers_and_a_still_go_through_the_same_shell(client: Client) -> None:
    square = MovingSquare(4)
    spec = square.job(layer="both", settings={"hue": "blue"}, background=("snow",))
    result = client.run(new_job_id(), spec, square)
    assert set(result.parts) == {"foreground", "background"}
    (front,) = client.fetch_all([result.layer[0]])
    assert (front[..., 2] >= 250).all()
    still = MovingSquare(1)
    (one,) = client.fetch_all(list(client.run(new_job_id(), still.job(), still).layer))
    assert (one[..., 3] > 0).tolist() == (still.masks[0][..., 0] > 0).tolist()


def test_a_painters_settings_are_checked_before_anything_is_sent() -> None:
    square = MovingSquare(1)
    for settings, code in (
        ({"amount": 2.0}, "bad_amount"),
        ({"hue": "green"}, "unknown_hue"),
        ({"words": ("x" * 3000,)}, "prompt_too_long"),
        ({"strength": 1.0}, "bad_settings"),
    ):
        with pytest.raises(JobError) as why:
            square.job(settings=settings)
        assert why.value.problem.code == code
    names = [(one.name, one.kind, one.title) for one in declared("toy")]
    assert names == [
        ("amount", "number", "Amount"),
        ("hue", "choice", "Hue"),
        ("words", "texts", "Words"),
    ]


def test_the_command_line_offers_the_painters_own_options() -> None:
    words = ["clip", "--prompt", "x", "--out", "o", "--painter", "toy", "--amount", "0.3"]
    assert chosen_painter(words) == "toy"
    args = parser("toy").parse_args(words)
    assert (args.painter, painter_settings(args, "toy")) == ("toy", {"amount": 0.3})
    with pytest.raises(SystemExit):
        parser("text2live").parse_args(words)


def test_a_backend_without_the_painter_says_which_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAINTER_SETTINGS, "rubens", ToySettings)
    spec = EditJob(clip=Clip(frames=()), prompt=("x",), painter="rubens")
    with pytest.raises(JobError, match="rubens") as why:
        load_painter(spec, torch.device("cpu"))
    assert "text2live" in why.value.problem.hint
