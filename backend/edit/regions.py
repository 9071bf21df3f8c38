"""Where a text is in a clip: found on a few frames, brought together in the layer's atlas.

A map per frame would flicker as the model's attention does. In the atlas the frames' maps meet
texel by texel, and what comes back to every frame moves with what it lies on.

Shapes: T frames, h×w frame, Ha×Wa atlas.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.atlas.sampling import push_pull, sample, splat
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig
from backend.edit.footage import Footage, Place, Places
from backend.edit.texts import TextTargets
from backend.progress import Reporter

PHASE = "Looking for the texts"
SHOWN = 0.5  # opacity from which a frame shows the layer at a pixel


@torch.no_grad()
def places_of(
    footage: Footage,
    targets: TextTargets,
    clip: TextImageModel,
    config: EditConfig,
    report: Reporter,
) -> Places:
    """What the bootstrap of a clip starts from; without a bootstrap no text is looked for.

    wanted: the layer's opacity, times the relevancy of a region text where there is one, times the
    config's level.
    """
    bootstrap = bool(config.bootstrap and config.bootstrap_steps)
    texts = {"wanted": targets.place_D, "avoid": targets.avoid_D} if bootstrap else {}
    found = {
        name: _place(footage, text_D, clip, config, report)
        for name, text_D in texts.items()
        if text_D is not None
    }
    frames, atlas = footage.opacity, footage.coverage
    if "wanted" in found:
        frames, atlas = frames * found["wanted"].frames, atlas * found["wanted"].atlas
    level = config.bootstrap_level
    return Places(Place(frames * level, atlas * level), found.get("avoid"))


def _place(
    footage: Footage,
    text_D: Tensor,
    clip: TextImageModel,
    config: EditConfig,
    report: Reporter,
) -> Place:
    size = (footage.atlas.shape[-2], footage.atlas.shape[-1])
    total = footage.atlas.new_zeros(1, 2, *size)
    looked = _looked_at(footage, config.relevancy_frames)
    for number, t in enumerate(looked):
        report.step(PHASE, number, len(looked))
        area = footage.area(t)
        found = clip.relevancy(
            area.cut(footage.frames[t : t + 1]),
            text_D,
            layers=config.relevancy_layers,
            windows=config.relevancy_windows,
            edges=config.relevancy_windows > 1,
        )
        shown = area.cut(footage.opacity[t : t + 1])
        uv = area.cut(footage.uv[t : t + 1]).permute(0, 2, 3, 1)
        total += splat(torch.cat([found * shown, shown], dim=1), uv, size)
    report.step(PHASE, len(looked), len(looked))
    weight = total[:, 1:]
    known = weight > 1e-3
    mean = torch.where(known, total[:, :1] / weight.clamp(min=1e-3), 0.0)
    seen = mean[known]
    if seen.numel():
        low, high = seen.min(), seen.max()
        mean = ((mean - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    atlas = push_pull(mean * known, known.float())
    maps = [sample(atlas, uv[None].permute(0, 2, 3, 1)) for uv in footage.uv]
    return Place(torch.cat(maps), atlas)


def _looked_at(footage: Footage, most: int) -> list[int]:
    """At most so many frames that show the layer, spread over the clip; all alike if none does."""
    count = len(footage.frames)
    shown = [t for t in range(count) if (footage.opacity[t] > SHOWN).any()] or list(range(count))
    wanted = min(most, len(shown))
    return [shown[round((i + 0.5) * len(shown) / wanted - 0.5)] for i in range(wanted)]
