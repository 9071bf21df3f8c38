"""The edit command with a stand-in backend: the files it writes, a sentence for each bad input."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend import media
from backend.cli import edit, local_backend
from backend.cli.arrays import JobArrays
from backend.cli.progress import Progress
from protocol.client import Client, ConnectionChanged, JobEvent, JobList, new_job_id
from protocol.jobs import Clip, EditJob, Event, JobError, Problem
from protocol.keys import read_connection_file

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def stand_in(data: Path, pause: str) -> Iterator[Path]:
    """A backend of stand-ins that waits `pause` seconds between frames; its connection file."""
    command = [sys.executable, "-m", "backend.serve", "--mock", "ok", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--data", str(data)],
        cwd=ROOT,
        env={**os.environ, "TEXT2LIVE_MOCK_PAUSE": pause},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert any(line.startswith("Ready") for line in server.stdout)
        yield data / "connection.json"
        server.terminate()


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with stand_in(tmp_path_factory.mktemp("backend"), "0.005") as file:
        yield file


@pytest.fixture
def slow_connection(tmp_path: Path) -> Iterator[Path]:
    with stand_in(tmp_path / "backend", "0.2") as file:
        yield file


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(4):
        frame = rng.integers(0, 256, (36, 48, 3), dtype=np.uint8)
        media.write_png(tmp_path / "frames" / f"{i:05d}.png", frame)
    return tmp_path / "frames"


def run(connection: Path, frames: Path, out: Path, *more: str) -> int:
    words = ["--connection", str(connection), "--out", str(out), "--preset", "draft"]
    return edit.main([str(frames), *words, *more])


def test_one_rgba_png_per_frame_and_something_to_look_at(
    connection: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(connection, frames, out, "--prompt", "golden swan") == 0
    source = media.read_frames(frames)
    for i in range(4):
        layer = cv2.imread(str(out / "layer" / f"{i:05d}.png"), cv2.IMREAD_UNCHANGED)
        assert layer is not None
        assert layer.dtype == np.uint8
        assert layer.shape == (36, 48, 4)
        over = media.read_image(out / "composite" / f"{i:05d}.png")
        clear = layer[..., 3] == 0
        assert 0 < clear.mean() < 1
        np.testing.assert_array_equal(over[clear], source[i][clear])
    assert len(media.read_frames(out / "preview.mp4")) == 4
    assert media.read_image(out / "sheet.png").shape[1] > 4 * 384
    said = capsys.readouterr().out
    assert "done" in said
    assert "100 %" in said


def test_both_layers_get_a_folder_each_and_the_job_can_be_continued(
    connection: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent: list[EditJob] = []
    monkeypatch.setattr(edit, "check", sent.append)
    out = tmp_path / "out"
    words = ["--layer", "both", "--background", "snow", "--recipe", "effect", "--strength", "0.5"]
    words += ["--detail", "0.25"]
    words += ["--background-source", "grass", "--prompt", "golden swan"]
    assert run(connection, frames, out, *words) == 0
    joined, *parts = (
        media.read_rgba(out / name / "00002.png") for name in ("layer", "foreground", "background")
    )
    np.testing.assert_array_equal(joined, media.lay_over(*parts))
    *_, job = capsys.readouterr().out.split()
    assert run(connection, frames, out, "--prompt", "wooden swan", "--after", job) == 0
    first, second = sent
    assert first.settings == {"recipe": "effect", "strength": 0.5, "detail": 0.25}
    assert first.after == ""
    assert (first.background, first.background_source) == (("snow",), ("grass",))
    assert (second.settings, second.after) == ({}, job)


def test_masks_travel_with_the_job(connection: Path, frames: Path, tmp_path: Path) -> None:
    mask = np.zeros((36, 48), np.uint8)
    mask[10:20, 10:30] = 255
    media.write_png(tmp_path / "mask.png", mask)
    key = f"2={tmp_path / 'mask.png'}"
    assert run(connection, frames, tmp_path / "o", "--prompt", "x", "--key-mask", key) == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--prompt", "  "], "prompt is empty"),
        (["--prompt", "x", "--preset", "best"], "no preset"),
        (["--prompt", "x", "--recipe", "cartoon"], "no recipe"),
        (["--prompt", "x", "--strength", "9"], "strength 9 is out of range"),
        (["--prompt", "x", "--detail", "9"], "detail 9 is out of range"),
        (["--prompt", "x", "--background", "snow"], "layer is foreground"),
        (["--prompt", "x", "--after", "yesterday"], "32 hex digits"),
        (["--prompt", "x", "--key-mask", "mask.png"], "does not say which frame"),
        (["--prompt", "x", "--key-mask", "0=none.png"], "none.png"),
        (["--prompt", "x", "--masks", "."], "no images in"),
        (["--prompt", "x", "--masks", "nowhere"], "The folder nowhere cannot be read"),
        (
            ["--prompt", "x", "--key-mask", "0=a", "--key-mask", "0=b"],
            "0= is given twice",
        ),
    ],
)
def test_bad_options_give_one_sentence_and_write_nothing(
    connection: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run(connection, frames, tmp_path / "out", *words) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_key_mask_of_another_size_is_refused(
    connection: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media.write_png(tmp_path / "m.png", np.full((8, 8), 255, np.uint8))
    key = f"0={tmp_path / 'm.png'}"
    assert run(connection, frames, tmp_path / "out", "--prompt", "x", "--key-mask", key) == 2
    assert "8" in capsys.readouterr().err


def test_frames_of_different_sizes_name_the_file(
    connection: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media.write_png(frames / "00002.png", np.zeros((36, 49, 3), np.uint8))
    assert run(connection, frames, tmp_path / "out", "--prompt", "x") == 2
    assert "00002.png is 49×36" in capsys.readouterr().err


def test_a_missing_backend_is_reported(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "connection.json", frames, tmp_path / "out", "--prompt", "x") == 2
    assert "Start the backend" in capsys.readouterr().err


def test_a_read_only_folder_is_reported_before_the_work(
    connection: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(connection, frames, tmp_path / "file" / "out", "--prompt", "x") == 2
    said = capsys.readouterr()
    assert "Could not write" in said.err
    assert "running" not in said.out


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_cancels_the_job_and_says_so(
    slow_connection: Path, frames: Path, tmp_path: Path
) -> None:
    for i in range(4, 100):  # the stand-in is busy for a while
        media.write_png(frames / f"{i:05d}.png", np.full((36, 48, 3), i % 256, np.uint8))
    words = [str(frames), "--connection", str(slow_connection), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.edit", *words, "--prompt", "stopped in the middle"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell puts in the background ignores the signal, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as script:
        assert script.stdout is not None
        assert any("running" in line for line in script.stdout)
        script.send_signal(signal.SIGINT)
        _, errors = script.communicate(timeout=30)
    assert (script.returncode, errors.strip()) == (130, "Stopped.")
    with Client(read_connection_file(slow_connection)) as client:
        client.list_jobs()
        while not isinstance(news := client.events.get(timeout=20), JobList):
            pass
    assert [j.state for j in news.jobs if j.title == "stopped in the middle"] == ["cancelled"]


def test_the_folder_of_a_backend_that_runs_is_left_alone(
    connection: Path, frames: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(connection.parent), "--out", str(tmp_path / "out"), "--prompt", "x"]
    assert edit.main([str(frames), *words]) == 2
    said = capfd.readouterr().err
    assert "Another backend is already using the folder" in said
    assert f"--connection {connection}" in said
    assert connection.exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_started_backend_that_dies_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    started: list[subprocess.Popen[bytes]] = []
    ordinary = subprocess.Popen

    def recorded(*words: object, **more: object) -> subprocess.Popen[bytes]:
        started.append(ordinary(*words, **more))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(local_backend.subprocess, "Popen", recorded)
    objects = JobArrays()
    refs = tuple(objects.add(np.full((64, 64, 3), i, np.uint8)) for i in range(3))
    began = time.monotonic()
    with (
        pytest.raises(JobError, match="ended during the job") as why,
        local_backend.local_backend(tmp_path, device="cpu", echo=False) as client,
    ):
        client.run(
            new_job_id(),
            EditJob(clip=Clip(frames=refs), prompt=("x",)),
            objects,
            on_event=lambda _: started[0].kill(),
        )
    assert "-9" in why.value.problem.message
    assert time.monotonic() - began < 60


def test_a_lost_connection_is_reported_once_and_so_is_its_return() -> None:
    out = io.StringIO()
    show = Progress(out)
    lost = ConnectionChanged("lost", Problem(code="x", message="It was lost.", hint="Wait."))
    show(lost)  # never reached: the caller says that
    show(ConnectionChanged("ready"))
    assert out.getvalue() == ""
    show(JobEvent("j", Event(seq=1, at=0.0, kind="state", state="running")))
    for news in (lost, lost, ConnectionChanged("ready"), ConnectionChanged("ready")):
        show(news)
    said = ["running", "It was lost. Wait.", "The backend answers again."]
    assert [line.strip() for line in out.getvalue().splitlines()] == said
