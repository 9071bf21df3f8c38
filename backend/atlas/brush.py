"""Transfer paint from one frame into the atlas, sharp enough to render back unchanged."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, visibility
from backend.atlas.pyramid import Pyramid, steps_along
from backend.atlas.render import Box, Window, premultiply, to_window
from backend.atlas.sampling import push_pull, splat
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Mapping the paint"
TEXELS = 2.0  # per painted pixel, where pixels are shortest in the atlas
MAX_TEXELS = 2**24  # of one painting: its splat, gradients and pyramid fit in 2 GiB
MARGIN = 6  # transparent texels around the painting, and pixels around the part of the frame used
POINTS = 2  # splatted points per pixel side
KNOWN = 1e-3  # weight a texel must gather for its paint to be known
SHOWN = 0.1  # visibility of the layer that at least one painted pixel must have
STEPS = 12  # sweeps that correct the rendered paint
GAIN = 1.4  # over-relaxation of a correction


@dataclass(frozen=True)
class Painting:
    """Paint on a part of an atlas.

    rgba: [1,4,h,w], 0..1, straight alpha. window: the part, u0 v0 u1 v1 in −1..1 of the atlas.
    inside: share of the paint that lies on the layer, 0..1. error: mean difference between the
    paint and its rendering on the same frame, in 1/255.
    """

    rgba: Tensor
    window: Window
    inside: float
    error: float


@torch.no_grad()
def paint_into_atlas(
    atlas: LayeredAtlas, layer: str, paint: Tensor, frame: int, report: Reporter
) -> Painting:
    """Transfer paint on a frame into a layer's atlas, where the frame shows the layer.

    paint: [1,4,H,W], 0..1, straight alpha, at the clip's size. JobError paint_outside if none of
    it lies on the layer.
    """
    report.step(PHASE, 0, STEPS + 2)
    t = torch.tensor([frame], device=atlas.device)
    paint = premultiply(paint.to(atlas.device, torch.float32))
    share = visibility(atlas, layer, t)
    shown = paint[:, 3:] * share
    if float(((paint[:, 3:] > 0) * share).max()) < SHOWN:
        raise _outside(atlas, layer)
    x0, y0, x1, y1 = bounds(shown[0, 0] > 0, MARGIN)
    target, weight = paint[..., y0:y1, x0:x1], share[..., y0:y1, x0:x1]
    uv = atlas.uv(layer, t)[:, y0:y1, x0:x1]
    used = (target[:, 3:] * weight)[:, 0] > 0
    window, size = _part(atlas, layer, uv, used)
    uv = to_window(uv, window)
    report.step(PHASE, 1, STEPS + 2)
    image, region = _splat_paint(target, weight, uv, size)
    image, error = _sharpen(image, region, target, weight, uv, report)
    report.step(PHASE, STEPS + 2, STEPS + 2)
    inside = float(shown.sum() / paint[:, 3:].sum())
    return Painting(_straight(image).clamp(0, 1), window, inside, error)


@torch.no_grad()
def expand_to_atlas(painting: Painting, size: tuple[int, int]) -> Tensor:
    """A painting as an image of the whole atlas: [1,4,*size], 0..1, straight alpha."""
    rgba = painting.rgba
    v = (torch.arange(size[0], device=rgba.device) + 0.5) * (2 / size[0]) - 1
    u = (torch.arange(size[1], device=rgba.device) + 0.5) * (2 / size[1]) - 1
    uv = torch.stack(torch.meshgrid(v, u, indexing="ij")[::-1], -1)[None]
    seen = Pyramid(premultiply(rgba), "zeros").lookup(to_window(uv, painting.window))
    return _straight(seen).clamp(0, 1)


def _straight(image: Tensor) -> Tensor:
    """Premultiplied images [B,4,h,w] with straight alpha."""
    return torch.cat([image[:, :3] / image[:, 3:].clamp(min=1e-6), image[:, 3:]], 1)


def _outside(atlas: LayeredAtlas, layer: str) -> JobError:
    several = len(atlas.layers) > 2
    if layer != BACKGROUND:
        shown = f"the visible part of the {layer}" if several else "the object"
        return JobError(
            "paint_outside",
            f"The paint lies outside {shown}.",
            "Paint on it or choose the background layer.",
        )
    return JobError(
        "paint_outside",
        f"The paint lies on {'objects' if several else 'the object'}, "
        f"{'which hide' if several else 'which hides'} the background there.",
        f"Paint next to {'them' if several else 'it'} or choose the foreground layer.",
    )


def bounds(mask: Tensor, margin: int) -> Box:
    """Box x0 y0 x1 y1 of the true pixels of [H,W], with a margin, inside the frame."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return (
        max(0, int(columns[0]) - margin),
        max(0, int(rows[0]) - margin),
        min(mask.shape[1], int(columns[-1]) + 1 + margin),
        min(mask.shape[0], int(rows[-1]) + 1 + margin),
    )


def _part(
    atlas: LayeredAtlas, layer: str, uv: Tensor, used: Tensor
) -> tuple[Window, tuple[int, int]]:
    """The part of the atlas that pixels cover, and its size in texels (rows, columns).

    uv: [1,h,w,2], used: bool [1,h,w].
    """
    rows, columns = atlas.image(layer).shape[-2:]
    half = uv.new_tensor([columns / 2, rows / 2])  # to the atlas's own texels, which are square
    steps = [steps_along(uv * half, axis)[used] for axis in (2, 1)]
    shortest = torch.minimum(steps[0].norm(dim=-1), steps[1].norm(dim=-1))
    # The 5th percentile, so that a few pixels that the map squeezes to nothing do not decide.
    density = TEXELS / max(float(shortest.sort().values[len(shortest) // 20]), 1e-3)
    reached = uv[used] * half
    reach = torch.stack([*steps[0].abs().amax(0), *steps[1].abs().amax(0)]).max()
    low, high = reached.amin(0) - reach, reached.amax(0) + reach
    extent = (high - low).clamp(min=1e-3)  # a map may squeeze all paint to one point
    density = min(density, (MAX_TEXELS / float(extent.prod())) ** 0.5)
    w, h = ((extent * density).ceil().int() + 2 * MARGIN).tolist()
    middle, wide = (low + high) / 2, uv.new_tensor([w, h]) / density / 2
    (u0, v0), (u1, v1) = (((middle + side * wide) / half).tolist() for side in (-1, 1))
    return (u0, v0, u1, v1), (h, w)


def _splat_paint(
    target: Tensor, weight: Tensor, uv: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Splat paint [1,4,h,w] by its weight [1,1,h,w], and fill the gaps between the points.

    A texel that several pixels reach takes their weighted mean. Returns the premultiplied image
    [1,4,*size] and where it may hold paint, [1,1,*size] of 0 and 1.
    """
    uv = _finer(uv.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    paint, share = _finer(target), _finer(weight)
    total = splat(torch.cat([paint * share, share], 1), uv, size)
    known = (total[:, 4:] > KNOWN).float()
    mean = total[:, :4] / total[:, 4:].clamp(min=KNOWN) * known
    # Where the map stretches, fill the texels between the points, but paint nothing past the rim.
    painted = known * (total[:, 3:4] > 0)
    region = -F.max_pool2d(-F.max_pool2d(painted, 5, 1, 2), 5, 1, 2)
    return push_pull(mean, known) * region, region


def _finer(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=POINTS, mode="bilinear", align_corners=False)


def _sharpen(
    image: Tensor, region: Tensor, target: Tensor, weight: Tensor, uv: Tensor, report: Reporter
) -> tuple[Tensor, float]:
    """Undo the blur of splatting and rendering by SIRT sweeps with the renderer's transpose.

    Returns the premultiplied image and the mean error at painted pixels, in 1/255.
    """
    painted = (target[:, 3:] > 0) * weight
    gathered = _transpose(weight.expand(-1, 4, -1, -1), uv, image)
    least = max(0.05 * float(gathered.max()), 1e-6)
    for step in range(STEPS):
        report.step(PHASE, step + 2, STEPS + 2)
        missing = weight * (target - Pyramid(image, "zeros").lookup(uv))
        change = _transpose(missing, uv, image) / gathered.clamp(min=least)
        image = (image + GAIN * change).clamp(0, 1) * region
        image = torch.cat([torch.minimum(image[:, :3], image[:, 3:]), image[:, 3:]], 1)
    missing = painted * (target - Pyramid(image, "zeros").lookup(uv)).abs().mean(1, keepdim=True)
    return image, 255 * float(missing.sum() / painted.sum())


def _transpose(values: Tensor, uv: Tensor, like: Tensor) -> Tensor:
    """The transpose of rendering an image `like` [1,C,h,w] at uv: values added to its texels."""
    empty = torch.zeros_like(like, requires_grad=True)
    with torch.enable_grad():
        (out,) = torch.autograd.grad(Pyramid(empty, "zeros").lookup(uv), empty, values)
    return out
