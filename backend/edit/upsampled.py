"""A 3×3 convolution of an image upsampled ×2, computed before the upsampling. For CPUs.

Upsampling mixes pixels and a tap of the convolution mixes channels, so their order is free. With
the nine taps first, the matrix products see a quarter of the pixels, and what remains to be done at
the full size costs next to nothing. On a GPU this does not pay: there, products cost less than
passes through memory.

Shapes: B images, h×w pixels upsampled to H×W, C channels in, O out, channels innermost.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Low-resolution pixels per block: large enough for fast products, small enough for the cache.
ROWS, COLUMNS = 4, 4


def normalised_convolution(
    x_BChw: Tensor, skip_BSHW: Tensor, norm: nn.BatchNorm2d, convolution: nn.Conv2d
) -> Tensor:
    """`convolution(norm(cat(upsampled x, skip)))`, float32 [B,O,H,W], up to rounding.

    x: upsampled bilinearly to the size of skip, twice its own or one less each way. norm: with
    batch statistics. convolution: 3×3, reflection padding.
    """
    (batch, channels), (height, width) = x_BChw.shape[:2], skip_BSHW.shape[-2:]
    x_BhwC = x_BChw.permute(0, 2, 3, 1)
    # The norm cancels any offset; removing this one first makes its variance more accurate.
    x_BhwC = x_BhwC - x_BhwC.detach().mean(dim=(0, 1, 2))
    mean_C, square_C = _Moments.apply(x_BhwC, height, width)
    variance_C = square_C - mean_C.square()
    scale_C = norm.weight[:channels] * torch.rsqrt(variance_C + norm.eps)
    shift_C = norm.bias[:channels] - scale_C * mean_C
    upsampled_OC33 = convolution.weight[:, :channels]
    skip_OS33 = convolution.weight[:, channels:]
    taps_3C3O = (upsampled_OC33 * scale_C[:, None, None]).permute(2, 1, 3, 0).contiguous()
    bias_O = upsampled_OC33.sum(dim=(2, 3)) @ shift_C
    if convolution.bias is not None:
        bias_O = bias_O + convolution.bias

    skip_BSHW = F.batch_norm(
        skip_BSHW, None, None, norm.weight[channels:], norm.bias[channels:],
        training=True, eps=norm.eps,
    )  # fmt: skip
    # Contiguous rows: with four channels innermost, every pass would be slow.
    framed = F.pad(skip_BSHW.contiguous(), (1, 1, 1, 1), mode="reflect")
    patches_BKP, skip_KO = F.unfold(framed, 3), skip_OS33.flatten(1).T.contiguous()
    made: Tensor = _Convolved.apply(x_BhwC, taps_3C3O, patches_BKP, skip_KO, bias_O, height, width)
    return made.view(batch, height, width, -1).permute(0, 3, 1, 2)


def plain_convolution(
    x_BChw: Tensor, skip_BSHW: Tensor, norm: nn.BatchNorm2d, convolution: nn.Conv2d
) -> Tensor:
    """The same, computed in the written order, for GPUs and other devices."""
    height, width = skip_BSHW.shape[-2:]
    # CUDA's autocast would upsample in float32, and all that follows at full size with it.
    with torch.autocast(x_BChw.device.type, enabled=False):
        upsampled_BCHW = F.interpolate(x_BChw, scale_factor=2, mode="bilinear", align_corners=False)
    both_BCHW = torch.cat([upsampled_BCHW[..., :height, :width], skip_BSHW], dim=1)
    made: Tensor = convolution(norm(both_BCHW))
    return made


@lru_cache(32)
def upsampling(low: int, high: int) -> Tensor:
    """Bilinear ×2 upsampling along one side, cut to high: float32 [high,low]."""
    eye = torch.eye(low)[None]
    doubled = F.interpolate(eye, scale_factor=2, mode="linear", align_corners=False)
    return doubled[0].T[:high].contiguous()


def shifted_upsampling(low: int, high: int) -> Tensor:
    """Upsampling, with reflected ends, shifted by −1, 0 and 1: float32 [high,3,low]."""
    framed = F.pad(upsampling(low, high).T[None], (1, 1), mode="reflect")[0].T
    return torch.stack([framed[k : k + high] for k in range(3)], dim=1)


class Strip(NamedTuple):
    """The upsampling matrices for one strip of rows: `small` rows become `high` rows.

    there: [high, 3·(ROWS+2)], applied to the taps' results on the small rows and one more on either
    side; `fresh` are those rows that the strip before has not computed. back: [3·small, within],
    applied to the gradients at the high rows `within`.
    """

    small: slice
    high: slice
    fresh: slice
    there: Tensor
    within: slice
    back: Tensor


@lru_cache(512)
def strips(low: int, high: int) -> tuple[Strip, ...]:
    """The strips of all rows."""
    taps, made = shifted_upsampling(low, high), []
    beyond = F.pad(taps, (1, ROWS + 1))  # rows beyond the image count as 0
    for first in range(0, low, ROWS):
        last = min(low, first + ROWS)
        here, doubled = slice(first, last), slice(2 * first, min(high, 2 * last))
        fresh = slice(first + 1 if first else 0, min(low, last + 1))
        within = slice(max(0, 2 * first - 2), min(high, 2 * last + 2))
        there = beyond[doubled, :, first : first + ROWS + 2].flatten(1).contiguous()
        back = taps[within, :, here].permute(1, 2, 0).flatten(0, 1).contiguous()
        made.append(Strip(here, doubled, fresh, there, within, back))
    return tuple(made)


@lru_cache(512)
def blocks(low: int, high: int) -> tuple[Tensor, Tensor]:
    """Upsampling matrices for the columns, in n blocks, there and back.

    there: [n,2·COLUMNS,(COLUMNS+2)·3]. back: [n,COLUMNS·3,2·COLUMNS+4]. A block also sees one small
    (two high) pixels on either side; pixels beyond the image count as 0.
    """
    count = -(-low // COLUMNS)
    beyond = (1, count * COLUMNS - low + 1, 0, 0, 2, 2 * count * COLUMNS - high + 2)
    taps = F.pad(shifted_upsampling(low, high), beyond)  # [2 + high + …, 3, 1 + low + …]
    there, back = [], []
    for n in range(count):
        here, high_here = n * COLUMNS, 2 * n * COLUMNS
        part = taps[high_here + 2 : high_here + 2 + 2 * COLUMNS, :, here : here + COLUMNS + 2]
        there.append(part.transpose(1, 2).flatten(1))
        part = taps[high_here : high_here + 2 * COLUMNS + 4, :, here + 1 : here + 1 + COLUMNS]
        back.append(part.permute(2, 1, 0).flatten(0, 1))
    return torch.stack(there), torch.stack(back)


class _Convolved(torch.autograd.Function):
    """Convolution of the upsampled x + product of the skip's patches + bias: [B,P=H·W,O].

    taps: [3 down, C, 3 across, O].
    """

    @staticmethod
    def forward(
        ctx: Any, x_BhwC: Tensor, taps_3C3O: Tensor, patches_BKP: Tensor, skip_KO: Tensor,
        bias_O: Tensor, height: int, width: int,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x_BhwC, taps_3C3O, patches_BKP, skip_KO)
        ctx.high = height, width
        products = skip_KO.expand(len(x_BhwC), -1, -1)
        out_BPO = torch.baddbmm(bias_O, patches_BKP.transpose(1, 2), products)
        (_, low, w, channels), outs = x_BhwC.shape, out_BPO.shape[-1]
        out_BHWO = out_BPO.view(-1, height, width, outs)
        there, _ = blocks(w, width)
        x_BhwC, taps = _pad_to_blocks(x_BhwC), taps_3C3O.flatten(2)
        wide, most = x_BhwC.shape[2], ROWS + 1
        # A block's window may reach into the row before or after, and past either end.
        tapped = x_BhwC.new_zeros(3, most * wide + 2, 3 * outs)
        doubled = x_BhwC.new_zeros(3, ROWS + 2, 2 * wide * outs)
        each = there.repeat(most, 1, 1)
        for image_hwC, made_HWO in zip(x_BhwC, out_BHWO, strict=True):
            for strip in strips(low, height):
                if strip.small.start:
                    doubled[:, :2] = doubled[:, ROWS:]
                pixels = image_hwC[strip.fresh].view(-1, channels)
                rows, at = len(pixels) // wide, strip.fresh.start - strip.small.start + 1
                count = rows * len(there)
                for weights, part, lines in zip(taps, tapped, doubled, strict=True):
                    torch.mm(pixels, weights, out=part[1 : 1 + rows * wide])
                    windows = part.as_strided(
                        (count, (COLUMNS + 2) * 3, outs), (COLUMNS * 3 * outs, outs, 1)
                    )
                    made = lines[at : at + rows].view(count, 2 * COLUMNS, outs)
                    torch.bmm(each[:count], windows, out=made)
                lines = doubled.flatten(0, 1)[:, : width * outs]
                made_HWO[strip.high].view(-1, width * outs).addmm_(strip.there, lines)
        return out_BPO

    @staticmethod
    def backward(
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, None, None]:
        x_BhwC, taps_3C3O, patches_BKP, skip_KO = ctx.saved_tensors
        grad_BPO, (height, width), outs = grads[0].contiguous(), ctx.high, grads[0].shape[-1]
        products = skip_KO.expand(len(x_BhwC), -1, -1)
        grad_patches = torch.bmm(products, grad_BPO.transpose(1, 2))
        grad_skip = torch.bmm(patches_BKP, grad_BPO).sum(dim=0)
        grad_bias = grad_BPO.new_ones(grad_BPO[..., 0].numel()) @ grad_BPO.flatten(0, 1)
        _, low, w, channels = x_BhwC.shape
        _, back = blocks(w, width)
        x_BhwC, taps = _pad_to_blocks(x_BhwC), taps_3C3O.flatten(2)
        wide = x_BhwC.shape[2]
        grad_BHWO = _pad_width(grad_BPO.view(-1, height, width, outs), 2 * wide - width)
        grad_x, grad_taps = torch.empty_like(x_BhwC), torch.zeros_like(taps)
        turned = taps.transpose(1, 2).contiguous()
        high = x_BhwC.new_zeros(3 * ROWS * 2 * wide + 4, outs)
        tapped = x_BhwC.new_empty(ROWS * len(back), COLUMNS * 3, outs)
        each = back.repeat(ROWS, 1, 1)
        for image_hwC, grad_HWO, made_hwC in zip(x_BhwC, grad_BHWO, grad_x, strict=True):
            for strip in strips(low, height):
                pixels = image_hwC[strip.small].view(-1, channels)
                made = made_hwC[strip.small].view(-1, channels)
                rows = len(pixels) // wide
                count = rows * len(back)
                lines = grad_HWO[strip.within].view(-1, 2 * wide * outs)
                torch.mm(strip.back, lines, out=high[2 : 2 + 6 * rows * wide].view(3 * rows, -1))
                for k in range(3):
                    windows = high[2 * k * rows * wide :].as_strided(
                        (count, 2 * COLUMNS + 4, outs), (2 * COLUMNS * outs, outs, 1)
                    )
                    torch.bmm(each[:count], windows, out=tapped[:count])
                    part = tapped[:count].view(rows * wide, 3 * outs)
                    made.addmm_(part, turned[k], beta=int(k > 0))
                    grad_taps[k].addmm_(pixels.T, part)
        grad_x, grad_taps = grad_x[:, :, :w], grad_taps.view_as(taps_3C3O)
        return grad_x, grad_taps, grad_patches, grad_skip, grad_bias, None, None


def _pad_to_blocks(x_BhwC: Tensor) -> Tensor:
    """Zero-pad the width to a multiple of the block size."""
    return _pad_width(x_BhwC, -x_BhwC.shape[2] % COLUMNS)


def _pad_width(x_BHWC: Tensor, by: int) -> Tensor:
    return (F.pad(x_BHWC, (0, 0, 0, by)) if by else x_BHWC).contiguous()


class _Moments(torch.autograd.Function):
    """Means and mean squares of the channels of x upsampled to H×W: two of [C]."""

    @staticmethod
    def forward(ctx: Any, x_BhwC: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        batch, h, w, channels = x_BhwC.shape
        down, across = upsampling(h, height), upsampling(w, width)
        twice = ((down.T @ down) @ x_BhwC.reshape(batch, h, -1)).view(batch, h, w, channels)
        twice = (across.T @ across) @ twice
        twice /= batch * height * width
        share = down.mean(dim=0)[:, None, None] * across.mean(dim=0)[:, None] / batch
        ctx.save_for_backward(twice, share)
        mean_C = share.flatten().repeat(batch) @ x_BhwC.flatten(0, 2)
        return mean_C, (x_BhwC * twice).sum(dim=(0, 1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        twice, share = ctx.saved_tensors
        return torch.addcmul(share * grads[0], twice, 2 * grads[1]), None, None
