"""A fit of the networks that is stopped anywhere resumes, and ends in the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import small_networks
import torch
from held_checkpoint import HOLD
from jobs import Job
from live_worker import SLOT, LiveWorker, is_a
from tiny_mlp import CPU, TINY, H, T, W, keys

from backend.atlas import engines
from backend.atlas.mlp import config as mlp_config
from backend.atlas.mlp.model import MlpAtlas
from backend.atlas.mlp.train import FITTING, WARMING, decompose_mlp
from backend.checkpoint import Checkpoint
from backend.executors.base import AnyReport, Failed, Finished, Gone, Note, Ready, Step
from backend.masks.prompts import MaskPrompts
from backend.methods import atlas as method
from backend.progress import Cancelled, Silent
from protocol.jobs import AtlasJob, Masks
from scripts.make_clip import SyntheticClip, make_clip

torch.set_num_threads(1)
SMALL = replace(TINY, warm_passes=3, steps=6)
EARLY = replace(SMALL, warm_passes=40, warm_until=12.0)
"""Its warm start ends by its error, after a few of its forty passes."""


class StopAt(Silent):
    """Cancels at a step of a phase."""

    def __init__(self, phase: str = "", at: int = -1) -> None:
        self.wanted = (phase, at)
        self.notes: list[str] = []
        self.seen: list[tuple[str, int]] = []

    def step(self, phase: str, done: int, total: int) -> None:
        if (phase, done) == self.wanted:
            raise Cancelled
        self.seen.append((phase, done))

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return make_clip(T, H, W, seed=1)


def run(
    clip: SyntheticClip,
    report: Silent,
    checkpoint: Checkpoint | None = None,
    config: mlp_config.MlpConfig = SMALL,
) -> MlpAtlas:
    return decompose_mlp(
        clip.frames, MaskPrompts("all", keys(clip)), config, CPU, report, checkpoint
    )


@pytest.fixture(scope="module")
def undisturbed(clip: SyntheticClip) -> MlpAtlas:
    return run(clip, Silent())


def same(one: MlpAtlas, other: MlpAtlas) -> None:
    assert one.numbers == other.numbers
    assert one.tensors.keys() == other.tensors.keys()
    for name, value in one.tensors.items():
        assert torch.equal(value, other.tensors[name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "stops",
    [
        ((WARMING, 1),),
        ((WARMING, T),),
        ((FITTING, 0),),
        ((FITTING, 4),),
        ((WARMING, 6), (FITTING, 2), (FITTING, 5)),
    ],
    ids=["warm start", "between passes", "between", "joint", "often"],
)
def test_interrupted_networks_end_in_the_same_bytes(
    clip: SyntheticClip, undisturbed: MlpAtlas, tmp_path: Path, stops: tuple[tuple[str, int], ...]
) -> None:
    checkpoint = Checkpoint(tmp_path / "fit.part", every=0)
    for stop in stops:
        with pytest.raises(Cancelled):
            run(clip, StopAt(*stop), checkpoint)
    report = StopAt()
    same(run(clip, report, checkpoint), undisturbed)
    assert report.notes[0] == "The atlas resumes from where it was interrupted."
    first = next(one for one in report.seen if one[0] in (WARMING, FITTING))
    assert first == stops[-1], "nothing is done twice"


@pytest.mark.slow
def test_a_warm_start_that_ends_by_its_error_resumes_too(
    clip: SyntheticClip, tmp_path: Path
) -> None:
    whole = StopAt()
    wanted = run(clip, whole, config=EARLY)
    warm = [done for phase, done in whole.seen if phase == WARMING]
    assert 2 * T < warm[-1] < 40 * T - 1, "it is long enough to be stopped, and ends early"
    for stop in ((WARMING, warm[-1] - T), (FITTING, 0)):
        checkpoint = Checkpoint(tmp_path / f"{stop[0]}.part", every=0)
        with pytest.raises(Cancelled):
            run(clip, StopAt(*stop), checkpoint, EARLY)
        same(run(clip, Silent(), checkpoint, EARLY), wanted)


def test_the_state_is_as_young_as_it_is_to_be(clip: SyntheticClip, tmp_path: Path) -> None:
    path = tmp_path / "fit.part"
    with pytest.raises(Cancelled):
        run(clip, StopAt(FITTING, 4), Checkpoint(path, every=1e9))
    assert not path.exists()


def engine(clip: SyntheticClip, report: StopAt, checkpoint: Checkpoint) -> MlpAtlas:
    made = engines.decompose(
        "mlp", "draft", 0, clip.frames, [MaskPrompts("all", keys(clip))], CPU, report, checkpoint
    )
    assert isinstance(made, MlpAtlas)
    return made


def spoil(path: Path, how: str) -> None:
    """Make the checkpoint one that does not fit, or no checkpoint at all."""
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
    if how == "a weight is missing":
        del tensors["network.map_bg.layers.0.bias"]
    elif how == "other networks":
        tensors["network.atlas.layers.0.weight"] = torch.zeros(1)
    elif how == "no moments":
        tensors = {name: one for name, one in tensors.items() if not name.startswith("second.")}
    elif how == "other random numbers":
        tensors["random"] = torch.zeros(8, dtype=torch.uint8)
    elif how == "another phase":
        about = {"about": about["about"].replace("joint", "half")}
    safetensors.torch.save_file(tensors, path, about)
    if how == "half a file":
        path.write_bytes(path.read_bytes()[:200])


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    ["a weight is missing", "other networks", "no moments", "other random numbers",
     "another phase", "half a file"],
)  # fmt: skip
def test_a_state_that_does_not_fit_is_dropped_and_the_atlas_starts_over(
    clip: SyntheticClip,
    undisturbed: MlpAtlas,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(mlp_config, "preset", lambda name, seed=0: SMALL)
    path = tmp_path / "fit.part"
    with pytest.raises(Cancelled):
        engine(clip, StopAt(FITTING, 3), Checkpoint(path, every=0))
    spoil(path, how)
    report = StopAt()
    same(engine(clip, report, Checkpoint(path, every=1e9, report=report)), undisturbed)
    (told,) = [note for note in report.notes if "interrupted atlas" in note]
    assert ("cannot be read" if how == "half a file" else "does not fit") in told
    assert not path.exists(), "or the next try would fail on it again"


# Jobs


def atlas_job(job: Job, clip: SyntheticClip) -> AtlasJob:
    masks = Masks(mode="all", keys=job.keys_of(keys(clip)))
    return AtlasJob(clip=job.clip_of(clip.frames), masks=masks, engine="mlp")


def reached(phase: str, done: int) -> Callable[[list[AnyReport]], bool]:
    """Whether a job has reported this step of a phase."""
    return lambda reports: any(
        isinstance(r, Step) and r.phase == phase and r.done >= done for r in reports
    )


def files(data: Path) -> dict[str, bytes]:
    """Contents of the atlas cache, by path."""
    shelf = data / "atlases"
    return {
        str(path.relative_to(shelf)): path.read_bytes()
        for path in sorted(shelf.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_a_cancelled_job_that_is_sent_again_resumes(
    clip: SyntheticClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlp_config, "preset", lambda name, seed=0: replace(SMALL, seed=seed))
    monkeypatch.setattr(
        method, "Checkpoint", lambda path, **rest: Checkpoint(path, every=0, **rest)
    )
    monkeypatch.setattr("backend.context.STEP_INTERVAL", 0.0)
    whole = Job(tmp_path / "whole")
    method.run(atlas_job(whole, clip), whole.ctx)
    for phase, at in ((WARMING, 2), (FITTING, 3)):
        stopped = Job(tmp_path / "parts", stop=reached(phase, at))
        spec = atlas_job(stopped, clip)
        with pytest.raises(Cancelled):
            method.run(spec, stopped.ctx)
        assert [Path(name).suffix for name in files(tmp_path / "parts")] == [".part"]
    again = Job(tmp_path / "parts")
    method.run(atlas_job(again, clip), again.ctx)
    assert "resumes" in again.notes()
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[LiveWorker]:
    made = LiveWorker(tmp_path / "killed", "small_networks:run")
    yield made
    made.executor.close()


@pytest.mark.slow
def test_a_killed_workers_networks_go_on_to_the_same_bytes(
    clip: SyntheticClip, worker: LiveWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as short:
        # Set to what they are: the runner changes them here too, and then they are put back.
        short.setattr(mlp_config, "preset", mlp_config.preset)
        short.setattr(method, "Checkpoint", method.Checkpoint)
        whole = Job(tmp_path / "whole")
        small_networks.run(atlas_job(whole, clip), whole.ctx)
    spec = atlas_job(Job(tmp_path / "killed"), clip)
    worker.until(is_a(Ready))
    (tmp_path / "killed" / HOLD).touch()
    worker.executor.start(SLOT, "a" * 32, spec)
    worker.kill_when_held(tmp_path / "killed")
    ended = worker.until(is_a(Finished, Failed))
    assert isinstance(ended, Failed), ended
    assert ended.problem.code == "worker_died"
    assert Gone() in worker.reports
    assert [Path(name).suffix for name in files(tmp_path / "killed")] == [".part"]
    worker.until(is_a(Ready))
    worker.executor.start(SLOT, "b" * 32, spec)
    resumed = worker.until(is_a(Finished, Failed))
    assert isinstance(resumed, Finished), resumed
    assert any("resumes" in r.text for r in worker.reports if isinstance(r, Note))
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
