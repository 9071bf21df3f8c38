"""The comparison of precisions: the same run twice, and only the arithmetic differs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from flat_atlas import FlatAtlas
from tiny_clip import tiny_model

from backend.edit import train
from backend.media import read_image
from scripts.measure import compare_precision


class Noise(FlatAtlas):
    """A still picture of noise; the object is a fixed part of it."""

    def __init__(self) -> None:
        super().__init__((5, 216, 384), (216, 384))

    def image(self, layer: str) -> torch.Tensor:
        return torch.rand(1, 3, *self.texels, generator=torch.Generator().manual_seed(0))

    def opacity(
        self, layer: str, t: torch.Tensor, size: tuple[int, int] | None = None
    ) -> torch.Tensor:
        height, width = size or (self.height, self.width)
        made = torch.zeros(len(t), 1, height, width)
        made[..., height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
        return made


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_precision, "decompose", lambda *_: Noise())
    monkeypatch.setattr(compare_precision, "load_clip", lambda *_: tiny_model())


def measured(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[list[float], str]:
    words = ["--seeds", "0", "1", "--steps", "4", "--frames", "5", *more]
    assert compare_precision.main(words) == 0
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith("| 0 |"))
    return [float(number) for number in row.strip("| ").split("|")], printed


@pytest.mark.slow
def test_without_bfloat16_both_runs_are_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for room in (train, compare_precision):
        monkeypatch.setattr(room, "uses_bfloat16", lambda config, device: False)
    (_, one, other, gap, apart, *_), printed = measured(capsys)
    assert "NOT used" in printed
    assert one == other > 0
    assert gap == apart == 0


@pytest.mark.slow
def test_with_bfloat16_they_differ_a_little_and_the_images_are_saved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for room in (train, compare_precision):
        monkeypatch.setattr(
            room, "uses_bfloat16", lambda config, device: config.precision == "bfloat16"
        )
    (_, one, other, gap, *_), printed = measured(capsys, "--out", str(tmp_path))
    assert "bfloat16 is used" in printed
    assert 0 < gap < 0.05 * one
    assert one == pytest.approx(other, rel=0.05)
    assert read_image(tmp_path / "precisions.png").shape == (2 * 216, 2 * 384, 3)
