"""The kinds of edit, as settings on top of a preset. Imports no torch.

``texture``  another material or look of an object: the preset as it is.
``effect``   something translucent over the layer: fire, smoke, snow, fog. Give the layer a text of
             its own (screen: "fire"), or CLIP paints the object again.
``style``    the whole layer in another look, with its structure kept.

A layer stays within its object: an effect on an object burns on its surface, inside its outline.
For fire around an object, or snow over the whole scene, edit the background too (layer ``both``),
or choose the mask mode ``none``, which makes the whole clip one background.
"""

from __future__ import annotations

from dataclasses import replace

from backend.edit import config as presets
from backend.edit.config import EditConfig
from protocol.jobs import EditJob, JobError
from protocol.painters import RECIPES, Text2LiveSettings, settings_of

WARM_SHARE = 0.3
"""Share of the preset's steps that an edit takes when it starts from an earlier one.

Text loss over the last ten steps, on six frames of the demo clip, preset draft, after "a golden
swan": "a wooden swan" 1.97 (from scratch in as few steps 2.09, in all steps 1.90); "a golden swan,
shiny" 1.88 (2.12 and 1.87)."""


def config_of(spec: EditJob, *, video: bool, layer: str, warm: bool = False) -> EditConfig:
    """The settings for one layer of a job: its preset, recipe and strength; fewer steps if warm.

    video: an atlas is edited rather than one image. layer: ``foreground`` or ``background``. warm:
    the edit starts from another's weights.
    Raises JobError("unknown_preset"), ("unknown_layer"), and those of the job's settings.
    """
    config = presets.preset(
        spec.preset, video=video, layer=layer, seed=(spec.seed + spec.variant) % 2**63
    )
    settings = settings_of(spec)
    assert isinstance(settings, Text2LiveSettings)
    config = with_strength(with_recipe(config, settings.recipe), settings.strength)
    if settings.reference:
        config = replace(config, reference=settings.reference_weight)
    if settings.detail is not None:
        config = replace(config, detail=settings.detail)
    says_where = any(text.strip() for text in (*spec.region, *spec.avoid))
    if video and says_where:
        config = with_bootstrap(config)
    return for_warm_start(config) if warm else config


def with_recipe(config: EditConfig, name: str) -> EditConfig:
    """A preset's settings for a recipe; ``texture`` leaves them. Raises JobError."""
    if name == "texture":
        return config
    if name == "effect":
        return _effect(config)
    if name == "style":
        return _style(config)
    raise JobError(
        "unknown_recipe",
        f"There is no recipe {name!r}.",
        f"Choose one of: {', '.join(RECIPES)}.",
    )


def _effect(config: EditConfig) -> EditConfig:
    """Translucent: α starts at one half everywhere and is kept from saturating.

    The structure loss keeps the footage below readable. Sparsity makes the layer transparent where
    the text needs nothing, so that flames stand apart. α is hardly stretched: soft values are
    intended.
    The footage's detail shows through the layer, so the layer is given none.
    """
    return replace(
        with_bootstrap(config),
        structure=2 * config.structure,
        screen=2 * config.screen,
        sparsity=max(4.0, config.sparsity),
        bootstrap_where="layer",
        bootstrap_level=0.5,
        opaque=3.0,
        opaque_above=0.6,
        detail=0.0,
        matte=(0.04, 1.0),
    )


def _style(config: EditConfig) -> EditConfig:
    """The whole layer in another look: no region limits it; structure is kept.

    The run starts with the whole layer covered. Otherwise holes remain where the first steps found
    nothing to do.
    """
    return replace(
        with_bootstrap(config),
        structure=2 * config.structure,
        sparsity=0.0,
        bootstrap_where="layer",
        matte=(0.0, 0.95),
    )


def with_bootstrap(config: EditConfig) -> EditConfig:
    """Settings with a bootstrap; it lasts a third of the run if the preset has none."""
    if config.bootstrap and config.bootstrap_steps:
        return config
    return replace(config, bootstrap=10.0, bootstrap_steps=max(1, config.steps // 3))


def with_strength(config: EditConfig, strength: float) -> EditConfig:
    """Scale how far the edit may go: the texts' weights up, the restraining weights down.

    strength: 0.25 to 2; 1 changes nothing. The restraining terms are structure, sparsity and the
    prior against opaque layers; below 1 the bootstrap also asks for a more transparent layer. For
    a golden swan (six frames of the demo clip, draft), mean α on the swan is .36 at 0.25, .93 at 1
    and .95 at 2; the frame changes by 4.2, 11.7 and 11.8 of 255: an opaque layer gains little.
    """
    return replace(
        config,
        composition=config.composition * strength,
        direction=config.direction * strength,
        screen=config.screen * strength,
        structure=config.structure / strength,
        sparsity=config.sparsity / strength,
        opaque=config.opaque / strength,
        bootstrap_level=config.bootstrap_level * min(1.0, strength),
    )


def for_warm_start(config: EditConfig) -> EditConfig:
    """The run of an edit that starts from another's weights: a share of its steps.

    The learning rate falls as far as in a whole run. The bootstrap is weaker: the earlier edit has
    learnt it already, and it should not undo anything.
    """
    steps = max(1, round(WARM_SHARE * config.steps))
    return replace(
        config,
        steps=steps,
        decay=config.decay ** (config.steps / steps),
        bootstrap=WARM_SHARE * config.bootstrap,
        bootstrap_steps=min(steps, config.bootstrap_steps),
    )
