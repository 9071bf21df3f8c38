"""Presets and the numbers the papers give."""

import subprocess
import sys

import pytest

from backend.edit.config import EditConfig, preset
from protocol.jobs import JobError


def test_final_is_the_papers_setting():
    image = preset("final", video=False, layer="foreground")
    assert (image.channels, image.scales, image.steps, image.lr) == (128, 7, 1000, 2.5e-3)
    assert (image.screen, image.structure, image.views.count) == (1.0, 2.0, 16)
    assert (image.decay, image.weight_decay, image.momentum) == (0.99, 0.01, 0.9)
    assert image.views.fill == 1.0
    video = preset("final", video=True, layer="foreground")
    assert (video.channels, video.scales, video.steps, video.decay) == (128, 7, 3000, 0.999)
    assert (video.screen, video.structure, video.views.count) == (1.0, 3.0, 6)
    assert video.neighbours == 2
    assert video.whole_every == 75
    assert video.views.fill == 0.0


def test_green_is_the_screens():
    assert tuple(round(255 * c) for c in EditConfig().green) == (0, 177, 64)


@pytest.mark.parametrize("video", [False, True])
def test_presets_grow(video):
    draft, middle, final = (
        preset(name, video=video, layer="background", seed=9)
        for name in ("draft", "preview", "final")
    )
    for field in ("steps", "size", "channels", "scales", "atlas_limit"):
        assert getattr(draft, field) < getattr(middle, field) <= getattr(final, field)
    assert {draft.seed, middle.seed, final.seed} == {9}
    for config in (draft, middle, final):
        assert config.bootstrap_steps <= config.steps


def test_whole_background_atlas_goes_in_at_a_third():
    assert preset("final", video=True, layer="background").atlas_whole_scale == 1 / 3
    assert preset("final", video=True, layer="foreground").atlas_whole_scale == 1


@pytest.mark.parametrize(
    ("name", "layer", "code"),
    [("best", "foreground", "unknown_preset"), ("draft", "sky", "unknown_layer")],
)
def test_unknown_names_are_named(name, layer, code):
    with pytest.raises(JobError) as caught:
        preset(name, video=True, layer=layer)
    assert caught.value.problem.code == code
    assert "Choose one of" in caught.value.problem.hint


def test_config_needs_no_torch():
    code = "import sys, backend.edit.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
