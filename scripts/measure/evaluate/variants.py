"""What is compared: our settings, ours without one part each, the reference's, two baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from backend.edit.config import EditConfig
from scripts.measure.evaluate import published

How = Literal["atlas", "atlas alone", "frames alone"]


Change = Callable[[EditConfig, bool], EditConfig]
"""Changes a preset's settings; the second argument says whether it is a still."""


def as_it_is(config: EditConfig, still: bool) -> EditConfig:
    """No change."""
    return config


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One column of the table.

    about: a description for people. change: of the preset's settings. how: what the generator is
    trained on, for clips. clips, stills: whether the variant exists for them.
    """

    about: str
    change: Change = as_it_is
    how: How = "atlas"
    clips: bool = True
    stills: bool = True


def without_bootstrap(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, bootstrap=0.0, bootstrap_steps=0)


def without_sparsity(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, sparsity=0.0)


def without_structure(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, structure=0.0)


def without_screen(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, screen=0.0)


def without_internal(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, internal=False)


def without_detail(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, detail=0.0)


def without_last_norm(config: EditConfig, still: bool) -> EditConfig:
    return replace(config, last_norm=False)


def reference(config: EditConfig, still: bool) -> EditConfig:
    return published.reference(config, video=not still)


def paper(config: EditConfig, still: bool) -> EditConfig:
    return published.paper(config, video=not still)


OURS = "ours"
VARIANTS = {
    OURS: Variant(about="the preset as it ships"),
    "atlas alone": Variant(
        about="the atlas edited as an image, without any frame (the paper's atlas baseline)",
        how="atlas alone", stills=False,
    ),
    "frames alone": Variant(
        about="every frame edited on its own by one generator (the paper's frames baseline)",
        how="frames alone", stills=False,
    ),
    "reference": Variant(about="the released implementation's settings", change=reference),
    "paper": Variant(about="the paper's losses and weights, where the two differ", change=paper),
    "no bootstrap": Variant(about="α starts anywhere", change=without_bootstrap),
    "no sparsity": Variant(about="a large layer has no cost", change=without_sparsity),
    "no structure": Variant(about="the shape may change", change=without_structure),
    "no screen": Variant(about="the layer alone need not show anything", change=without_screen),
    "no detail": Variant(about="the layer has no detail of the footage", change=without_detail),
    "no last norm": Variant(
        about="the generator without its last normalisation, as in the reference",
        change=without_last_norm,
    ),
    "no internal": Variant(about="the same input at every step", change=without_internal),
}  # fmt: skip
"""Name → variant."""
