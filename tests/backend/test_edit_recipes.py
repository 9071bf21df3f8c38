"""What a recipe, a strength and an earlier edit change in a preset's settings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_fields

from backend.edit.config import EditConfig, preset
from backend.edit.recipes import WARM_SHARE, config_of, for_warm_start, with_recipe, with_strength
from protocol.jobs import PRESETS, Clip, EditJob, JobError
from protocol.painters import RECIPES

SPEC = EditJob(clip=Clip(frames=()), prompt=("x",), preset="draft", seed=4)
TEXTS = ("composition", "direction", "screen")


@pytest.mark.parametrize("video", [False, True])
@pytest.mark.parametrize("name", PRESETS)
def test_an_ordinary_job_is_its_preset(name: str, video: bool) -> None:
    spec = with_fields(SPEC, preset=name)
    for layer in ("foreground", "background"):
        config = config_of(spec, video=video, layer=layer)
        assert config == preset(name, video=video, layer=layer, seed=4)
        other = config_of(with_fields(spec, variant=3), video=video, layer=layer)
        assert other == preset(name, video=video, layer=layer, seed=7)


def test_every_recipe_of_the_protocol_is_known_and_no_other() -> None:
    assert len({with_recipe(EditConfig(), name) for name in RECIPES}) == len(RECIPES)
    with pytest.raises(JobError, match="cartoon"):
        with_recipe(EditConfig(), "cartoon")


def test_an_effect_is_not_stretched_to_opaque_and_keeps_the_structure() -> None:
    before = preset("draft", video=True, layer="foreground")
    effect = with_recipe(before, "effect")
    assert effect.matte[1] == 1.0
    assert 0.2 < effect.bootstrap_level < 0.9
    assert effect.opaque > 0
    assert effect.structure > before.structure
    assert effect.bootstrap_where == "layer"


def test_no_region_limits_a_style() -> None:
    before = preset("draft", video=False, layer="background")
    style = with_recipe(before, "style")
    assert (style.sparsity, style.bootstrap_where) == (0, "layer")
    assert style.structure > before.structure


@pytest.mark.parametrize("name", ["effect", "style"])
def test_recipes_that_cover_the_layer_start_covered_with_every_preset(name: str) -> None:
    for each in PRESETS:
        made = with_recipe(preset(each, video=True, layer="background"), name)
        assert made.bootstrap > 0
        assert 0 < made.bootstrap_steps <= made.steps


def test_strength_weighs_the_texts_against_the_restraints() -> None:
    config = replace(EditConfig(), opaque=1.0)
    assert with_strength(config, 1.0) == config
    weak, strong = with_strength(config, 0.5), with_strength(config, 2.0)
    for name in TEXTS:
        assert getattr(weak, name) < getattr(config, name) < getattr(strong, name)
    for name in ("structure", "sparsity", "opaque"):
        assert getattr(weak, name) > getattr(config, name) > getattr(strong, name)
    assert weak.bootstrap_level < strong.bootstrap_level == 1.0
    assert config_of(
        with_fields(SPEC, settings={"strength": 2.0}), video=True, layer="foreground"
    ) == with_strength(config_of(SPEC, video=True, layer="foreground"), 2.0)


def test_every_preset_keeps_the_footages_detail_and_an_effect_has_none() -> None:
    def detail(preset: str = SPEC.preset, **settings: object) -> float:
        spec = with_fields(SPEC, preset=preset, settings=settings)
        return config_of(spec, video=True, layer="foreground").detail

    assert detail() == detail(preset="preview") == detail(preset="final") > 0
    assert detail(recipe="style") == detail()
    assert detail(recipe="effect") == 0
    for recipe_ in RECIPES:
        assert detail(recipe=recipe_, detail=0.25, preset="final") == 0.25
        assert detail(recipe=recipe_, detail=0.0) == 0


def test_a_warm_run_is_short_and_ends_at_the_same_learning_rate() -> None:
    cold = config_of(SPEC, video=True, layer="foreground")
    warm = config_of(SPEC, video=True, layer="foreground", warm=True)
    assert warm == for_warm_start(cold)
    assert warm.steps == round(WARM_SHARE * cold.steps)
    assert warm.decay**warm.steps == pytest.approx(cold.decay**cold.steps)
    assert warm.bootstrap < cold.bootstrap
    assert 0 < warm.bootstrap_steps <= warm.steps


def test_a_region_text_switches_the_bootstrap_on() -> None:
    final = with_fields(SPEC, preset="final")
    assert config_of(final, video=True, layer="foreground").bootstrap == 0
    for field in ("region", "avoid"):
        said = with_fields(final, **{field: ("wing",)})
        config = config_of(said, video=True, layer="foreground")
        assert config.bootstrap > 0
        assert 0 < config.bootstrap_steps < config.steps
    blank = with_fields(final, region=("  ",))
    assert config_of(blank, video=True, layer="foreground").bootstrap == 0


def test_recipes_need_no_torch() -> None:
    code = "import sys, backend.edit.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
