"""The networks: a text encoder and a U-Net that predicts the velocity of noisy images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8
"""Groups of every group norm."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Shape of both networks.

    size: side of the images in pixels. patch: pixels per side that the U-Net joins into one
    position. channels: of the U-Net at each level, which halves the side of the one before.
    blocks: residual blocks a level. head: channels of an attention head in the U-Net.
    vocabulary, context: rows of the token table and tokens of a text. width, layers, heads: of the
    text encoder.
    """

    vocabulary: int
    size: int = 64
    patch: int = 2
    channels: tuple[int, ...] = (112, 144, 192)
    blocks: int = 2
    head: int = 48
    context: int = 32
    width: int = 192
    layers: int = 3
    heads: int = 3


class Norm(nn.GroupNorm):
    """Group norm in the dtype of its input; autocast alone would compute it in float32."""

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.group_norm(x, self.num_groups, weight, bias, self.eps)


class Attention(nn.Module):
    """Multi-head attention of tokens `[B, N, C]` to others `[B, M, D]`."""

    def __init__(self, width: int, source: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.query = nn.Linear(width, width)
        self.keys = nn.Linear(source, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, causal: bool = False) -> Tensor:
        tokens = (self.query(x), *self.keys(source).chunk(2, -1))
        query, key, value = (t.unflatten(-1, (-1, self.head)).transpose(1, 2) for t in tokens)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return cast(Tensor, self.out(mixed.transpose(1, 2).flatten(2)))


class TextBlock(nn.Module):
    """A transformer layer of the text encoder."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, width, width // heads)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_1(x)
        x = x + self.attention(normed, normed, causal=True)
        return cast(Tensor, x + self.narrow(F.gelu(self.wide(self.norm_2(x)))))


class TextEncoder(nn.Module):
    """Rows of the token table `[B, L]` to token states `[B, L, width]`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(0.01 * torch.randn(config.context, config.width))
        self.blocks = nn.ModuleList(
            TextBlock(config.width, config.heads) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, rows: Tensor) -> Tensor:
        x = self.tokens(rows) + self.positions
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.norm(x))


class ResidualBlock(nn.Module):
    """Two convolutions, scaled and shifted by the embedding of time and text."""

    def __init__(self, before: int, after: int, embedding: int) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = Norm(before), nn.Conv2d(before, after, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * after)
        self.norm_2, self.conv_2 = Norm(after), nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.conv_2.weight)
        nn.init.zeros_(cast(Tensor, self.conv_2.bias))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        y = self.conv_1(F.silu(self.norm_1(x)))
        scale, shift = self.modulation(embedding)[..., None, None].chunk(2, 1)
        y = torch.addcmul(shift, self.norm_2(y), 1 + scale)
        return cast(Tensor, self.skip(x) + self.conv_2(F.silu(y)))


class AttentionBlock(nn.Module):
    """Positions of a feature map attend to each other, then to the text."""

    def __init__(self, channels: int, width: int, head: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = Norm(channels), nn.LayerNorm(channels)
        self.own = Attention(channels, channels, head)
        self.text = Attention(channels, width, head)
        for out in (self.own.out, self.text.out):
            nn.init.zeros_(out.weight)

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        normed = self.norm_1(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.own(normed, normed)
        tokens = tokens + self.text(self.norm_2(tokens), states)
        mixed: Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return mixed


class Level(nn.Module):
    """The blocks of one resolution; positions attend after each where `attention`."""

    def __init__(self, before: list[int], after: int, config: Config, attention: bool) -> None:
        super().__init__()
        self.residual = nn.ModuleList(ResidualBlock(n, after, config.width) for n in before)
        self.attention = nn.ModuleList(
            AttentionBlock(after, config.width, config.head) for _ in before if attention
        )

    def down(self, x: Tensor, embedding: Tensor, states: Tensor) -> list[Tensor]:
        """The output of every block, in order."""
        kept: list[Tensor] = []
        for number in range(len(self.residual)):
            x = self._block(number, x, embedding, states)
            kept.append(x)
        return kept

    def up(self, x: Tensor, embedding: Tensor, states: Tensor, kept: list[Tensor]) -> Tensor:
        """The output of the last block; each is also given a map that was kept on the way down."""
        for number, skip in enumerate(reversed(kept)):
            x = self._block(number, torch.cat([x, skip], 1), embedding, states)
        return x

    def _block(self, number: int, x: Tensor, embedding: Tensor, states: Tensor) -> Tensor:
        x = self.residual[number](x, embedding)
        if self.attention:
            x = self.attention[number](x, states)
        return x


class UNet(nn.Module):
    """Predicts the velocity of noisy images, given the token states of a text."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        first, *_ = channels = config.channels
        width, blocks, inner = config.width, config.blocks, 3 * config.patch**2
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.pooled = nn.Linear(width, width)
        self.enter = nn.Conv2d(inner, first, 3, padding=1)
        self.falling, self.rising = nn.ModuleList(), nn.ModuleList()
        before = first
        for level, after in enumerate(channels):
            inputs = [before] + [after] * (blocks - 1)
            self.falling.append(Level(inputs, after, config, attention=level > 0))
            before = after
        for level, after in reversed(list(enumerate(channels[:-1]))):
            inputs = [before + after] + [2 * after] * (blocks - 1)
            self.rising.append(Level(inputs, after, config, attention=level > 0))
            before = after
        self.norm, self.leave = Norm(first), nn.Conv2d(first, inner, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        """Velocity `[B, 3, S, S]` of images at timesteps `[B]`, for states `[B, L, width]`."""
        states = encoder_hidden_states
        embedding = self.time(waves(timestep, self.config.width)) + self.pooled(states.mean(1))
        embedding = F.silu(embedding)
        x = self.enter(F.pixel_unshuffle(sample, self.config.patch))
        kept: list[list[Tensor]] = []
        for number, level in enumerate(self.falling):
            x = F.avg_pool2d(x, 2) if number else x
            kept.append(cast(Level, level).down(x, embedding, states))
            x = kept[-1][-1]
        for level, skips in zip(self.rising, kept[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = cast(Level, level).up(x, embedding, states, skips)
        return F.pixel_shuffle(self.leave(F.silu(self.norm(x))), self.config.patch)


def waves(timestep: Tensor, width: int) -> Tensor:
    """Sines and cosines of timesteps `[B]` at `width / 2` frequencies, `[B, width]` float32."""
    half = width // 2
    frequencies = torch.arange(half, device=timestep.device, dtype=torch.float32) / half
    angles = timestep.float()[:, None] * torch.exp(-math.log(10_000) * frequencies)
    return torch.cat([angles.cos(), angles.sin()], 1)
