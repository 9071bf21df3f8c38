"""The losses and switches of the paper and of the reference, at the sizes of a preset.

Where Text2LIVE's paper (Bar-Tal et al., ECCV 2022), its released implementation and ours differ,
EditConfig has a switch. These functions set the switches to one or the other. Steps, sizes, number
of views, width of the generator and arithmetic stay the preset's; with the preset ``final`` all of
them but the arithmetic (float32) and the atlas limit are the published ones. docs/reference.md
lists what still differs, and why.
"""

from __future__ import annotations

from dataclasses import replace

from backend.edit.config import EditConfig


def reference(config: EditConfig, *, video: bool) -> EditConfig:
    """The released implementation: spherical distance, means over pixels, texts in pairs.

    Clips have no bootstrap and are composited over the layer alone. Stills are bootstrapped over
    the whole run, which the implementation does only if its configuration says so. Source and
    output are scored in views that are drawn separately.
    """
    config = replace(
        config, distance="spherical", structure_norm="mse", same_views=False, matte=(0.0, 1.0),
        internal=True, internal_count=0, composition=1.0, direction=1.0, screen=1.0,
        screen_templates=2,
        detail=0.0, views=replace(
            config.views, shape="picture", one_share=True, beyond_crop="fill"
        ),
        last_norm=False, still_side="short", internal_one_share=True, paired_texts=True,
        template_draws="any", relevancy_templates=False, bootstrap_avoid="second",
    )  # fmt: skip
    if video:
        return replace(
            config, structure=3.0, sparsity=0.1, sparsity_l1=0.01, sparsity_l0=0.005,
            bootstrap=0.0, bootstrap_steps=0, backdrop="atlas", direct=True,
        )  # fmt: skip
    return replace(
        config, structure=2.0, sparsity=6.0, sparsity_l1=0.01, sparsity_l0=0.01,
        bootstrap=10.0, bootstrap_steps=config.steps, relevancy_layers=1, relevancy_windows=1,
    )  # fmt: skip


def paper(config: EditConfig, *, video: bool) -> EditConfig:
    """The paper: cosine distance, Frobenius norm, λ_g 1, λ_s 2, λ_r 0.05, γ 2, one screen sentence.

    It names no other weights for clips. It bootstraps images with a relevancy map, and says of the
    weight only that it falls to 0.
    """
    return replace(
        reference(config, video=video),
        distance="cosine",
        structure_norm="frobenius",
        same_views=True,
        screen_templates=1,
        structure=2.0,
        sparsity=5e-2,
        sparsity_l1=2.0,
        sparsity_l0=1.0,
    )
