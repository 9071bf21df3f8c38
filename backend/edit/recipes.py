"""The kinds of edit an artist may ask for, as settings on top of a preset. Imports no torch.

``texture``  another material or look of a thing: the preset as it is.
``effect``   something half transparent over the layer: fire, smoke, snow, fog. It needs a text of
             its own for the layer alone (screen: "fire"), or CLIP paints the thing once more.
``style``    all of the layer in another look, its drawing kept.

A layer never leaves what it lies on: an effect on an object burns on its surface, inside its
outline. For fire round an object, or snow over the whole scene, edit the background too (layer
``both``), or say that there is no object (mask mode ``none``), so that all of the clip is one
background.
"""

from __future__ import annotations

from dataclasses import replace

from backend.edit import config as presets
from backend.edit.config import EditConfig
from protocol.jobs import EditJob, JobError
from protocol.painters import RECIPES, Text2LiveSettings, settings_of

WARM_SHARE = 0.3
"""Share of the steps that an edit takes which starts from an earlier one.

Six frames of the demo clip, preset draft, after "a golden swan"; loss of the texts over the last
ten steps: "a wooden swan" 1.97, afresh in as few steps 2.09, in all of them 1.90; "a golden swan,
shiny" 1.88, 2.12 and 1.87."""


def config_of(spec: EditJob, *, video: bool, layer: str, warm: bool = False) -> EditConfig:
    """The settings of a job's layer: its preset, recipe and strength; fewer steps if warm.

    video: an atlas is edited rather than one picture. layer: ``foreground`` or ``background``.
    Raises JobError("unknown_preset"), ("unknown_layer"), and those of the job's settings.
    """
    config = presets.preset(spec.preset, video=video, layer=layer, seed=spec.seed)
    settings = settings_of(spec)
    assert isinstance(settings, Text2LiveSettings)
    config = stronger(recipe(settings.recipe, config), settings.strength)
    if settings.detail is not None:
        config = replace(config, detail=settings.detail)
    says_where = any(text.strip() for text in (*spec.region, *spec.avoid))
    if video and says_where:
        config = bootstrapped(config)
    return warmed(config) if warm else config


def recipe(name: str, config: EditConfig) -> EditConfig:
    """A preset's settings for a recipe; ``texture`` leaves them. Raises JobError."""
    if name == "texture":
        return config
    if name == "effect":
        return effect(config)
    if name == "style":
        return style(config)
    raise JobError(
        "unknown_recipe",
        f"There is no recipe {name!r}.",
        f"Choose one of: {', '.join(RECIPES)}.",
    )


def effect(config: EditConfig) -> EditConfig:
    """Half transparent: the run starts with α at one half everywhere and may not fill it up.

    What lies below stays readable by the structure loss; sparsity takes the layer away where the
    text asks for nothing, so that flames stand on their own. α is hardly stretched: it is meant.
    The footage shows through with its detail; the layer has none of it.
    """
    return replace(
        bootstrapped(config),
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


def style(config: EditConfig) -> EditConfig:
    """The whole layer in another look: nothing narrows it down, the drawing is held fast.

    The run starts with all of the layer covered; without that, holes stay where the first steps
    found nothing to do.
    """
    return replace(
        bootstrapped(config),
        structure=2 * config.structure,
        sparsity=0.0,
        bootstrap_where="layer",
        matte=(0.0, 0.95),
    )


def bootstrapped(config: EditConfig) -> EditConfig:
    """With a bootstrap, over a third of the run where the preset has none."""
    if config.bootstrap and config.bootstrap_steps:
        return config
    return replace(config, bootstrap=10.0, bootstrap_steps=max(1, config.steps // 3))


def stronger(config: EditConfig, strength: float) -> EditConfig:
    """How far the edit may go. The texts' weights grow with strength, what holds them back shrinks.

    strength 1 changes nothing; 0.25 to 2. The texts gain by it, structure, sparsity and the prior
    against opaque layers lose by it; below 1 the bootstrap asks for a clearer layer too. A golden
    swan, six frames of the demo clip, draft: at 0.25 mean α on the swan .36 and the frame changes
    by 4.2 of 255, at 1 .93 and 11.7, at 2 .95 and 11.8: what is opaque already gains little.
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


def warmed(config: EditConfig) -> EditConfig:
    """The run of an edit that starts from another's weights: a share of its steps.

    The learning rate falls as far as in a whole run. What the bootstrap says was learnt before: it
    is weaker, so that it takes nothing back.
    """
    steps = max(1, round(WARM_SHARE * config.steps))
    return replace(
        config,
        steps=steps,
        decay=config.decay ** (config.steps / steps),
        bootstrap=WARM_SHARE * config.bootstrap,
        bootstrap_steps=min(steps, config.bootstrap_steps),
    )
