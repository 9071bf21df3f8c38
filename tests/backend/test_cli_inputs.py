"""The command line with real inputs: one run per folder, numbers, rates, masks, usage errors.

A stand-in for the backend's client answers at once, so what is checked before a backend starts is
told apart from what a backend would say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from movies import numbered, write_movie

from backend import media
from backend.cli import edit, paint, run_job
from protocol.jobs import EditJob, JobSpec, ObjectRef, Result

H, W = 48, 64


class Backend:
    """Answers every job with a red layer; keeps the jobs."""

    def __init__(self) -> None:
        self.jobs: list[EditJob] = []
        self.starts = 0

    def run(self, _client: object, spec: JobSpec, _source: object, _job: str = "") -> Result:
        assert isinstance(spec, EditJob)
        self.jobs.append(spec)
        refs = tuple(
            ObjectRef(digest=f"{i:064x}", dtype="uint8", shape=(H, W, 4))
            for i in range(len(spec.clip.frames))
        )
        parts = {"foreground": refs, "background": refs} if spec.layer == "both" else {}
        return Result(layer=refs, parts=parts)

    def fetch_all(self, refs: list[ObjectRef]) -> list[np.ndarray]:
        return [np.full((H, W, 4), (200, 0, 0, 255), np.uint8) for _ in refs]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    found = Backend()

    @contextmanager
    def started(_args: object) -> Iterator[Any]:
        found.starts += 1
        yield found

    monkeypatch.setattr(run_job, "backend_of", started)
    monkeypatch.setattr(run_job, "run_or_cancel", found.run)
    return found


def clip(folder: Path, count: int, first: int = 0, name: str = "{:05d}.png") -> Path:
    for k in range(count):
        frame = np.full((H, W, 3), 10 * k, np.uint8)
        frame[:, :20] = 200
        media.write_png(folder / name.format(first + k), frame)
    return folder


def run(source: Path, out: Path, *words: str) -> int:
    return edit.main([str(source), "--prompt", "x", "--out", str(out), *words])


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_an_output_folder_holds_one_run(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(clip(tmp_path / "long", 9), out, "--layer", "both") == 0
    (out / "layer" / "notes.txt").write_text("mine")
    (out / "foreground" / "12345.png").write_bytes(b"mine too")
    assert run(clip(tmp_path / "short", 3), out) == 0
    three = ["00000.png", "00001.png", "00002.png"]
    assert names(out / "layer") == [*three, "notes.txt"]
    assert names(out / "composite") == three
    assert names(out / "foreground") == ["12345.png"]
    assert not (out / "background").exists()
    assert "30 frames of an earlier run were removed" in capsys.readouterr().out


def test_frames_of_unknown_origin_are_left_alone(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    media.write_png(out / "layer" / "00007.png", np.zeros((4, 4, 4), np.uint8))
    assert run(clip(tmp_path / "clip", 3), out) == 2
    assert "layer/00007.png" in capsys.readouterr().err
    assert names(out / "layer") == ["00007.png"]
    assert backend.starts == 0


def test_a_run_never_overwrites_what_it_reads(backend: Backend, tmp_path: Path) -> None:
    source = clip(tmp_path / "shot" / "layer", 3)
    assert run(source, tmp_path / "shot") == 2
    assert run(source / "00001.png", tmp_path / "shot") == 2
    assert backend.starts == 0


def test_a_run_never_adds_to_the_folder_that_it_reads(backend: Backend, tmp_path: Path) -> None:
    source = clip(tmp_path / "shot", 3)
    before = names(source)
    assert run(source, source) == 2
    (tmp_path / "out").mkdir()
    movie = write_movie(tmp_path / "out" / "preview.mp4", numbered(2))
    assert run(movie, tmp_path / "out") == 2
    masks = mask(tmp_path / "edit" / "layer" / "m.png")
    assert run(source, tmp_path / "edit", "--masks", str(masks)) == 2
    assert run(source, tmp_path / "edit", "--key-mask", f"0={masks}") == 2
    assert names(source) == before
    assert backend.starts == 0


def test_negative_numbers_are_kept_and_their_frames_replaced(
    backend: Backend, tmp_path: Path
) -> None:
    source = clip(tmp_path / "plate", 2, first=1, name="f.-{:04d}.png")
    out = tmp_path / "out"
    assert run(source, out) == 0
    assert names(out / "layer") == ["-0001.png", "-0002.png"]
    assert run(source, out, "--start-number", "7") == 0
    assert names(out / "layer") == ["00007.png", "00008.png"]


def test_a_run_that_was_cut_off_is_cleared_by_the_next(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert run(clip(tmp_path / "a", 4), out) == 0
    monkeypatch.setattr(media, "write_video", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run(clip(tmp_path / "b", 6), out) == 130
    monkeypatch.undo()
    assert len(names(out / "layer")) == 6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_job, "backend_of", lambda _: _Opened(backend))
        patch.setattr(run_job, "run_or_cancel", backend.run)
        assert run(clip(tmp_path / "c", 2), out) == 0
    assert len(names(out / "layer")) == 2


class _Opened:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __enter__(self) -> Backend:
        return self._backend

    def __exit__(self, *_: object) -> None:
        return None


def test_frames_keep_the_numbers_of_their_source(backend: Backend, tmp_path: Path) -> None:
    source = clip(tmp_path / "plate", 3, first=1001, name="sh010.{:04d}.png")
    assert run(source, tmp_path / "a") == 0
    assert names(tmp_path / "a" / "layer") == ["01001.png", "01002.png", "01003.png"]
    assert run(source, tmp_path / "b", "--start-number", "7") == 0
    assert names(tmp_path / "b" / "composite") == ["00007.png", "00008.png", "00009.png"]
    assert run(source, tmp_path / "c", "--start-number", "-3") == 2


def test_the_preview_has_the_rate_of_its_source(backend: Backend, tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    movie = write_movie(tmp_path / "a.mp4", numbered(4), rate=rate)
    for words, fps in (((), rate), (("--fps", "24000/1001"), Fraction(24000, 1001))):
        assert run(movie, tmp_path / "out", *words) == 0
        preview = media.read_clip(tmp_path / "out" / "preview.mp4")
        assert (len(preview.frames), preview.fps) == (4, fps)
    assert backend.jobs[0].clip.fps == pytest.approx(29.97, abs=0.001)
    assert run(clip(tmp_path / "images", 2), tmp_path / "out") == 0
    assert media.read_clip(tmp_path / "out" / "preview.mp4").fps == 24


def mask(file: Path, value: int = 255) -> Path:
    image = np.zeros((H, W), np.uint8)
    image[10:30, 10:40] = value
    media.write_png(file, image)
    return file


def test_one_mask_serves_all_frames_and_some_masks_are_tracked(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = clip(tmp_path / "clip", 6, first=10)
    assert run(source, tmp_path / "a", "--masks", str(mask(tmp_path / "m.png"))) == 0
    masks = backend.jobs[-1].masks
    assert (masks.mode, [key.frame for key in masks.keys]) == ("all", [0, 1, 2, 3, 4, 5])
    assert "the one mask is used for all 6 frames" in capsys.readouterr().out
    for number in (10, 14):
        mask(tmp_path / "some" / f"{number:05d}.png", 1)
    assert run(source, tmp_path / "b", "--masks", str(tmp_path / "some")) == 0
    masks = backend.jobs[-1].masks
    assert (masks.mode, [key.frame for key in masks.keys]) == ("key", [0, 4])
    said = capsys.readouterr().out
    assert "masks of 2 of the 6 frames" in said
    assert "everything that is not black counts" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--key-mask", "-1=m.png"], "there is no frame -1. Frames count from 0"),
        (["--key-mask", "4=m.png"], "there is no frame 4"),
        (["--box", "-2=1,2,30,40"], "there is no frame -2"),
        (["--key-mask", "0="], "--key-mask 0= names nothing"),
        (["--key-mask", "²=m.png"], "does not say which frame it is for"),
        (["--key-mask", "0=black.png"], "is empty: the brightest value of black.png is 0 of 255"),
        (["--masks", "black.png"], "is empty"),
        (["--strokes", "0=black.png"], "black.png has no strokes"),
        (["--masks", "three"], "there are 3 masks, but the clip has 4 frames"),
        (["--key-mask", "0=small.png"], "is 8×8, but the clip is 64×48"),
        (["--connection", "notes.txt", "--no-object", "--layer", "background"],
         "notes.txt is not a connection file"),
        (["--out", "m.png"], "--out m.png is a file"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_a_backend_starts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr(
        "backend.cli.options.local_backend", lambda *_, **__: pytest.fail("started")
    )
    monkeypatch.chdir(tmp_path)
    mask(Path("m.png"))
    media.write_png(Path("black.png"), np.zeros((H, W), np.uint8))
    media.write_png(Path("small.png"), np.full((8, 8), 255, np.uint8))
    clip(Path("three"), 3, first=50)
    Path("notes.txt").write_text("not a connection")
    assert run(clip(Path("clip"), 4), Path("out"), *words) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_small_frames_are_refused_before_a_backend_starts(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(2):
        media.write_png(tmp_path / "tiny" / f"{k}.png", np.zeros((24, 320, 3), np.uint8))
    assert run(tmp_path / "tiny", tmp_path / "out") == 2
    assert "Frames of 320×24 are too small" in capsys.readouterr().err
    assert backend.starts == 0


@pytest.mark.parametrize("program", [edit, paint])
def test_a_usage_error_is_one_line(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["clip", "--seed", "x"], ["clip", "--fps", "0", "--prompt", "x"],
                  ["clip", "--prompt", "x", "--out", ""]):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            program.main(words)
        assert end.value.code == 2
        said = capsys.readouterr().err
        assert len(said.strip().splitlines()) == 1
        assert "--help" in said


@pytest.mark.parametrize("program", [edit, paint])
def test_the_help_names_defaults_and_shows_examples(
    program: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("examples:", "(default: preview)", "another variant (default: 0)",
                  "24 for images", "--start-number", "(default: the movie's own"):  # fmt: skip
        assert words in text
    assert "data folder of the backend to start (default: /" in text or "\\" in text


def test_line_breaks_in_a_prompt_become_spaces(backend: Backend, tmp_path: Path) -> None:
    words = [str(clip(tmp_path / "clip", 2)), "--out", str(tmp_path / "out")]
    assert edit.main([*words, "--prompt", "golden\n  swan\t"]) == 0
    assert backend.jobs[-1].prompt == ("golden swan",)
