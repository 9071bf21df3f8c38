"""The real recipes with few steps and a tiny CLIP, so that whole jobs take seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_clip import tiny_model

from backend.atlas.explicit import config as atlas_config
from backend.clip import cache
from backend.edit import config as edit_config


def make_brief(
    monkeypatch: pytest.MonkeyPatch, atlas: tuple[int, int, int], edit_steps: int
) -> None:
    """Presets with these steps (atlas: UV, half size, full size), a CLIP of random weights."""
    real_atlas, real_edit = atlas_config.preset, edit_config.preset
    uv, half, full = atlas
    monkeypatch.setattr(
        atlas_config,
        "preset",
        lambda name, seed=0: replace(
            real_atlas(name, seed), long_side=96, uv_steps=uv, half_steps=half, full_steps=full
        ),
    )
    monkeypatch.setattr(
        edit_config,
        "preset",
        lambda name, **kw: replace(
            real_edit(name, **kw), steps=edit_steps, channels=4, scales=3, size=64, atlas_limit=96
        ),
    )
    monkeypatch.setattr(cache, "text_image_model", lambda model, device: tiny_model())
