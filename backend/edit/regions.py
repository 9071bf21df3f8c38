"""Find where an image or a clip shows a text.

In a clip, a map per frame would flicker as the model's attention does. So the maps of a few frames
are averaged in the layer's atlas, texel by texel; the result moves with whatever it lies on.

Shapes: T frames, h×w frame, Ha×Wa atlas.
"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.atlas.sampling import push_pull, sample, splat
from backend.clip.model import TextImageModel
from backend.edit.config import EditConfig
from backend.edit.footage import EditRegions, Footage, Region
from backend.edit.texts import TextTargets
from backend.progress import Reporter

PHASE = "Finding the text regions"
SHOWN = 0.5  # opacity from which a frame shows the layer at a pixel


def relevancy_map(
    clip: TextImageModel, image_1CHW: Tensor, text_D: Tensor, config: EditConfig
) -> Tensor:
    """Where the text is in an image, [1,1,H,W] in 0..1."""
    return clip.relevancy(
        image_1CHW,
        text_D,
        layers=config.relevancy_layers,
        windows=config.relevancy_windows,
        edges=config.relevancy_windows > 1,
    )


@torch.no_grad()
def find_regions(
    footage: Footage,
    targets: TextTargets,
    clip: TextImageModel,
    config: EditConfig,
    report: Reporter,
) -> EditRegions:
    """The regions that a clip's bootstrap starts from; without one, no text is searched for.

    wanted: the layer's opacity, times the relevancy of a region text if there is one, times the
    config's level.
    """
    bootstrap = bool(config.bootstrap and config.bootstrap_steps)
    texts = {"wanted": targets.region_D, "avoid": targets.avoid_D} if bootstrap else {}
    found = {
        name: _region(footage, text_D, clip, config, report)
        for name, text_D in texts.items()
        if text_D is not None
    }
    frames, atlas = footage.opacity, footage.coverage
    if "wanted" in found:
        both = zip(frames, found["wanted"].frames, strict=True)
        frames = footage.stack(opacity * wanted for opacity, wanted in both)
        atlas = atlas * found["wanted"].atlas
    level = config.bootstrap_level
    frames = footage.stack(one * level for one in frames)
    return EditRegions(Region(frames, atlas * level), found.get("avoid"))


def _region(
    footage: Footage,
    text_D: Tensor,
    clip: TextImageModel,
    config: EditConfig,
    report: Reporter,
) -> Region:
    size = (footage.atlas.shape[-2], footage.atlas.shape[-1])
    total = footage.atlas.new_zeros(1, 2, *size)
    chosen = _spread_frames(footage, config.relevancy_frames)
    for number, t in enumerate(chosen):
        report.step(PHASE, number, len(chosen))
        area = footage.area(t)
        found = relevancy_map(clip, footage.frames.cut(t, area), text_D, config)
        shown = footage.opacity.cut(t, area)
        uv = footage.uv.cut(t, area).permute(0, 2, 3, 1)
        total += splat(torch.cat([found * shown, shown], dim=1), uv, size)
    report.step(PHASE, len(chosen), len(chosen))
    weight = total[:, 1:]
    known = weight > 1e-3
    mean = torch.where(known, total[:, :1] / weight.clamp(min=1e-3), 0.0)
    seen = mean[known]
    if seen.numel():
        low, high = seen.min(), seen.max()
        mean = ((mean - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    atlas = push_pull(mean * known, known.float())
    maps = (sample(atlas, uv.permute(0, 2, 3, 1)) for uv in footage.uv)
    return Region(footage.stack(maps), atlas)


def _spread_frames(footage: Footage, most: int) -> list[int]:
    """At most this many frames that show the layer, spread over the clip; any if none shows it."""
    count = len(footage.frames)
    shown = [t for t in range(count) if (footage.opacity[t] > SHOWN).any()] or list(range(count))
    wanted = min(most, len(shown))
    return [shown[round((i + 0.5) * len(shown) / wanted - 0.5)] for i in range(wanted)]
