"""The paper's and the reference's own losses and switches, on the sizes of a preset.

Where Text2LIVE's paper (Bar-Tal et al., ECCV 2022) and its released implementation differ, both are
switches of EditConfig. Here they are set as either has them; steps, sizes, the number of views, the
generator's width and the arithmetic stay the preset's, and with the preset ``final`` all but the
arithmetic (float32) are theirs.
"""

from __future__ import annotations

from dataclasses import replace

from backend.edit.config import EditConfig


def reference(config: EditConfig, *, video: bool) -> EditConfig:
    """As the released implementation has it: spherical distance, means over pixels.

    Clips have no bootstrap and are composed over the reconstruction; source and output are scored
    under views that are drawn apart.
    """
    config = replace(
        config, distance="spherical", structure_norm="mse", same_views=False, matte=(0.0, 1.0),
        internal=True, internal_count=0, composition=1.0, direction=1.0, screen=1.0,
        screen_templates=2,
        detail=0.0, templates=0.5, views=replace(config.views, shape="picture"),
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
    """As the paper has it: cosine distance, Frobenius norm, λ_g 1, λ_s 2, λ_r 0.05, γ 2, one screen
    sentence.

    Its text names no other weights for clips. It bootstraps pictures, by a relevancy map; of the
    weight of that it says only that it falls to 0.
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
