"""A real backend with the demo CLIP, asked on the command line for all an edit can be asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend import media
from backend.cli import edit
from backend.cli.local_backend import local_backend
from scripts.make_clip import make_clip


@pytest.mark.slow
def test_fire_on_the_object_and_snow_behind_it_and_once_more_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shot = make_clip(frames=1, height=72, width=96, seed=3)
    mask = shot.masks()[0].reshape(72, 96) > 127
    media.write_png(tmp_path / "frame.png", shot.frames[0])
    media.write_png(tmp_path / "mask.png", np.where(mask, 255, 0).astype(np.uint8))
    words = [str(tmp_path / "frame.png"), "--key-mask", f"0={tmp_path / 'mask.png'}"]
    words += ["--recipe", "effect", "--preset", "draft"]
    words += ["--prompt", "a swan on fire", "--source", "a swan", "--screen", "fire"]
    words += ["--connection", str(tmp_path / "data" / "connection.json")]
    both = ["--layer", "both", "--background", "snow"]
    with local_backend(tmp_path / "data", device="cpu", echo=False):
        assert edit.main([*words, *both, "--out", str(tmp_path / "first")]) == 0
        *_, job = capsys.readouterr().out.split()
        assert edit.main([*words, "--out", str(tmp_path / "next"), "--after", job]) == 0
    front, back, joined, later = (
        media.read_rgba(tmp_path / name / "00000.png")
        for name in ("first/foreground", "first/background", "first/layer", "next/layer")
    )
    np.testing.assert_array_equal(joined, media.lay_over(front, back))
    for layer, place in ((front, mask), (back, ~mask), (later, mask)):
        alpha = layer[..., 3] / 255
        assert not alpha[~place].any()
        assert (alpha[place] > 0.05).mean() > 0.2
        assert 0.2 < alpha[alpha > 0.05].mean() < 0.9
    assert (later != front).any()
