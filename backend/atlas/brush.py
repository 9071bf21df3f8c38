"""Bringing what is painted on one frame into the atlas, sharp enough to come back as it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.atlas.interface import LayeredAtlas
from backend.atlas.layers import BACKGROUND, visibility
from backend.atlas.pyramid import Pyramid, steps_along
from backend.atlas.render import Box, Window, to_window
from backend.atlas.sampling import push_pull, splat
from backend.progress import Reporter
from protocol.jobs import JobError

PHASE = "Carrying the paint"
TEXELS = 2.0  # per painted pixel, where a pixel is shortest
MOST = 2**24  # texels of one painting: its splat, gradients and pyramid fit in 2 GiB
MARGIN = 6  # clear texels round the painting, and pixels round what is read of the frame
POINTS = 2  # splatted points per pixel side
SEEN = 1e-3  # weight a texel must have gathered to know its paint
SHOWN = 0.1  # visibility that at least one painted pixel must have to be on the layer
STEPS = 12  # corrections of what the rendered paint lacks
GAIN = 1.4  # over-relaxation of a correction


@dataclass(frozen=True)
class Painting:
    """Paint on a part of an atlas.

    rgba: [1,4,h,w], 0..1, straight alpha. window: the part, u0 v0 u1 v1 in −1..1 of the atlas.
    inside: share of the paint that lies on the layer, 0..1. error: mean difference between the
    paint and the frame as the painting renders it, in 1/255.
    """

    rgba: Tensor
    window: Window
    inside: float
    error: float


def premultiplied(rgba: Tensor) -> Tensor:
    """Straight-alpha pictures [B,4,h,w], 0..1, with their colours times alpha."""
    return torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)


@torch.no_grad()
def paint_in(
    atlas: LayeredAtlas, layer: str, paint: Tensor, frame: int, report: Reporter
) -> Painting:
    """Bring paint on a frame into a layer's atlas, as far as the frame shows the layer.

    paint: [1,4,H,W], 0..1, straight alpha, at the clip's size. JobError paint_outside when it
    nowhere lies on the layer.
    """
    report.step(PHASE, 0, STEPS + 2)
    t = torch.tensor([frame], device=atlas.device)
    paint = premultiplied(paint.to(atlas.device, torch.float32))
    share = visibility(atlas, layer, t)
    shown = paint[:, 3:] * share
    if float(((paint[:, 3:] > 0) * share).max()) < SHOWN:
        raise _outside(atlas, layer)
    x0, y0, x1, y1 = _bounds(shown[0, 0] > 0)
    target, weight = paint[..., y0:y1, x0:x1], share[..., y0:y1, x0:x1]
    uv = atlas.uv(layer, t)[:, y0:y1, x0:x1]
    used = (target[:, 3:] * weight)[:, 0] > 0
    window, size = _part(atlas, layer, uv, used)
    uv = to_window(uv, window)
    report.step(PHASE, 1, STEPS + 2)
    image, region = _scatter(target, weight, uv, size)
    image, error = _correct(image, region, target, weight, uv, report)
    report.step(PHASE, STEPS + 2, STEPS + 2)
    straight = torch.cat([image[:, :3] / image[:, 3:].clamp(min=1e-6), image[:, 3:]], 1)
    inside = float(shown.sum() / paint[:, 3:].sum())
    return Painting(straight.clamp(0, 1), window, inside, error)


@torch.no_grad()
def on_whole(painting: Painting, size: tuple[int, int]) -> Tensor:
    """A painting as a picture of the whole atlas: [1,4,*size], 0..1, straight alpha."""
    rgba = painting.rgba
    v = (torch.arange(size[0], device=rgba.device) + 0.5) * (2 / size[0]) - 1
    u = (torch.arange(size[1], device=rgba.device) + 0.5) * (2 / size[1]) - 1
    uv = torch.stack(torch.meshgrid(v, u, indexing="ij")[::-1], -1)[None]
    seen = Pyramid(premultiplied(rgba), "zeros").lookup(to_window(uv, painting.window))
    return torch.cat([seen[:, :3] / seen[:, 3:].clamp(min=1e-6), seen[:, 3:]], 1).clamp(0, 1)


def _outside(atlas: LayeredAtlas, layer: str) -> JobError:
    several = len(atlas.layers) > 2
    if layer != BACKGROUND:
        shown = f"the {layer}, as far as the frame shows it" if several else "the object"
        return JobError(
            "paint_outside",
            f"The paint lies outside of {shown}.",
            "Paint on it or choose the background layer.",
        )
    return JobError(
        "paint_outside",
        f"The paint lies on {'objects' if several else 'the object'}, "
        f"{'which hide' if several else 'which hides'} the background there.",
        f"Paint beside {'them' if several else 'it'} or choose the foreground layer.",
    )


def _bounds(mask: Tensor) -> Box:
    """Box x0 y0 x1 y1 of the true pixels of [H,W], with a margin, inside the picture."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return (
        max(0, int(columns[0]) - MARGIN),
        max(0, int(rows[0]) - MARGIN),
        min(mask.shape[1], int(columns[-1]) + 1 + MARGIN),
        min(mask.shape[0], int(rows[-1]) + 1 + MARGIN),
    )


def _part(
    atlas: LayeredAtlas, layer: str, uv: Tensor, used: Tensor
) -> tuple[Window, tuple[int, int]]:
    """The part of the atlas that pixels reach, and the texels it needs.

    uv: [1,h,w,2], used: bool [1,h,w].
    """
    rows, columns = atlas.image(layer).shape[-2:]
    half = uv.new_tensor([columns / 2, rows / 2])  # the atlas' own texels, which are square
    steps = [steps_along(uv * half, axis)[used] for axis in (2, 1)]
    shortest = torch.minimum(steps[0].norm(dim=-1), steps[1].norm(dim=-1))
    # A few pixels that the map squeezes to nothing must not decide for all.
    density = TEXELS / max(float(shortest.sort().values[len(shortest) // 20]), 1e-3)
    reached = uv[used] * half
    reach = torch.stack([*steps[0].abs().amax(0), *steps[1].abs().amax(0)]).max()
    low, high = reached.amin(0) - reach, reached.amax(0) + reach
    extent = (high - low).clamp(min=1e-3)  # a map may squeeze the whole paint to one point
    density = min(density, (MOST / float(extent.prod())) ** 0.5)
    w, h = ((extent * density).ceil().int() + 2 * MARGIN).tolist()
    middle, wide = (low + high) / 2, uv.new_tensor([w, h]) / density / 2
    (u0, v0), (u1, v1) = (((middle + side * wide) / half).tolist() for side in (-1, 1))
    return (u0, v0, u1, v1), (h, w)


def _scatter(
    target: Tensor, weight: Tensor, uv: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Splat paint [1,4,h,w] by its weight [1,1,h,w]; fill what lies between.

    Where several pixels meet in a texel, it is their weighted mean. Returns the premultiplied
    picture [1,4,*size] and where it may hold paint, [1,1,*size] of 0 and 1.
    """
    uv = _finer(uv.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    paint, share = _finer(target), _finer(weight)
    total = splat(torch.cat([paint * share, share], 1), uv, size)
    known = (total[:, 4:] > SEEN).float()
    mean = total[:, :4] / total[:, 4:].clamp(min=SEEN) * known
    # A map that stretches leaves texels between the points; beyond its rim there is no paint.
    painted = known * (total[:, 3:4] > 0)
    region = -F.max_pool2d(-F.max_pool2d(painted, 5, 1, 2), 5, 1, 2)
    return push_pull(mean, known) * region, region


def _finer(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=POINTS, mode="bilinear", align_corners=False)


def _correct(
    image: Tensor, region: Tensor, target: Tensor, weight: Tensor, uv: Tensor, report: Reporter
) -> tuple[Tensor, float]:
    """Undo the blur of splat and rendering: SIRT sweeps with the renderer's own transpose.

    Returns the premultiplied picture and the mean error at painted pixels, in 1/255.
    """
    painted = (target[:, 3:] > 0) * weight
    gathered = _transpose(weight.expand(-1, 4, -1, -1), uv, image)
    least = max(0.05 * float(gathered.max()), 1e-6)  # nothing gathered: the paint is off the part
    for step in range(STEPS):
        report.step(PHASE, step + 2, STEPS + 2)
        lack = weight * (target - Pyramid(image, "zeros").lookup(uv))
        change = _transpose(lack, uv, image) / gathered.clamp(min=least)
        image = (image + GAIN * change).clamp(0, 1) * region
        image = torch.cat([torch.minimum(image[:, :3], image[:, 3:]), image[:, 3:]], 1)
    lack = painted * (target - Pyramid(image, "zeros").lookup(uv)).abs().mean(1, keepdim=True)
    return image, 255 * float(lack.sum() / painted.sum())


def _transpose(values: Tensor, uv: Tensor, like: Tensor) -> Tensor:
    """What rendering a picture like [1,C,h,w] would read at uv, handed back to its texels."""
    empty = torch.zeros_like(like, requires_grad=True)
    with torch.enable_grad():
        (out,) = torch.autograd.grad(Pyramid(empty, "zeros").lookup(uv), empty, values)
    return out
