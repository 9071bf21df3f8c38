"""A frozen CLIP with all that an edit needs of it: embeddings, tokens, relevancy maps.

Shapes: B images, C=3 channels, H×W pixels, L tokens (class token first), N texts, A heads,
E token width, D embedding width.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.clip.blocks import class_token_block, explicit_block, fused_block, rounded
from backend.clip.edges import follow_edges
from backend.clip.tokenizers import length_in
from backend.clip.watched_attention import rolled_out
from backend.clip.words import KnownWords
from backend.progress import Tick

# Small batches, so that a job can be cancelled between them even with a large model on a CPU.
TEXTS_AT_ONCE = 8


class TextImageModel:
    """An open_clip CLIP whose image side is a VisionTransformer; frozen, evaluation mode, float32.

    Subclasses read other image sides: `timm_model`, `fastvit_model`.

    Jobs share a model, so nothing about a job is stored on it: `configured` gives each training a
    view with its own settings. image_size: side of the images it was trained on, pixels. patch:
    side of a patch, pixels. width: D. name: shown to people. words: what a small model was taught,
    None for a model of the whole language. prefix: tokens that come before those of the patches.
    """

    def __init__(
        self,
        clip: nn.Module,
        tokenize: Callable[..., Tensor],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        name: str,
        device: torch.device | str = "cpu",
        words: KnownWords | None = None,
    ) -> None:
        frozen: Any = clip.to(device).float().eval().requires_grad_(False)
        self.clip = frozen
        self.visual = frozen.visual
        self.name = name
        self.words = words
        self.device = torch.device(device)
        self.image_size, self.patch, self.width = self._sizes()
        self.bfloat16 = False
        self.tick: Tick | None = None
        self._tokenize = tokenize
        self._mean_C11 = torch.tensor(mean, device=device).reshape(3, 1, 1)
        self._std_C11 = torch.tensor(std, device=device).reshape(3, 1, 1)
        self._positions: dict[tuple[int, int], Tensor] = {}
        self._rounded: list[Any] = []

    def _sizes(self) -> tuple[int, int, int]:
        """image_size, patch and width."""
        visual = self.clip.visual
        return int(visual.image_size[0]), int(visual.patch_size[0]), int(visual.output_dim)

    @property
    def prefix(self) -> int:
        """How many tokens come before those of the patches: the class token."""
        return 1

    @property
    def sigmoid(self) -> tuple[float, float] | None:
        """Scale and bias of the logits, for a model trained with a sigmoid for every pair."""
        bias = getattr(self.clip, "logit_bias", None)
        return None if bias is None else (float(self.clip.logit_scale.exp()), float(bias))

    def configured(self, *, bfloat16: bool = False, tick: Tick | None = None) -> TextImageModel:
        """A view of this model with its own settings; weights and caches are shared.

        bfloat16: run the matrix products of `encode_image` and `tokens` in bfloat16; the results
        are float32 either way. tick: called between transformer blocks, forwards and backwards.
        """
        view = copy.copy(self)
        view.bfloat16, view.tick = bfloat16, tick
        view.visual = self._rounded_visual() if bfloat16 else self.clip.visual
        return view

    def _rounded_visual(self) -> Any:
        """The image side with its matrices in bfloat16, made once.

        Autocast rounds frozen weights again in every pass; it caches only those that train.
        """
        if not self._rounded:
            self._rounded.append(rounded(self.clip.visual))
        return self._rounded[0]

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all weights and of the pixel statistics, to tell edits of two models apart."""
        digest = hashlib.sha256()
        for name, value in (*self.clip.state_dict().items(), ("", self._mean_C11 / self._std_C11)):
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    # --- texts ----------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of whole sentences, float32 [N,D], not normalised; no gradient."""
        ids_NL = self._tokenize(list(texts)).to(self.device)
        embedded = []
        for first in range(0, len(ids_NL), TEXTS_AT_ONCE):
            if self.tick is not None:
                self.tick()
            embedded.append(self.clip.encode_text(ids_NL[first : first + TEXTS_AT_ONCE]))
        return torch.cat(embedded)

    def readable(self, text: str, spare: int = 0) -> str:
        """The text, without the words at its end that are past the model's length.

        spare: tokens to leave for the sentence around the text.
        """
        words = text.split()
        length = length_in(self._tokenize)
        while len(words) > 1 and length(" ".join(words)) + spare > self.context_length:
            words.pop()
        return text if len(words) == len(text.split()) else " ".join(words)

    @property
    def context_length(self) -> int:
        """Longest text in tokens, with its start and end."""
        length: int = self._tokenize([""]).shape[1]
        return length

    # --- images ---------------------------------------------------------------------------------

    def encode_image(self, x_BCHW: Tensor) -> Tensor:
        """Embeddings, float32 [B,D], not normalised.

        x: sRGB 0..1, sides multiples of the patch; away from image_size the positional embedding
        is interpolated (bicubic). Raises ValueError for other sides.
        """
        with self._arithmetic():
            *blocks, last = self._blocks()
            h_BLE = self._through(self._embed(x_BCHW), blocks)
            if self.visual.pool_type == "tok":  # the other tokens of the last block are not used
                return self._project(self._tick_at(class_token_block(last, h_BLE))).float()
            return self._project(self._through(h_BLE, [last])).float()

    def tokens(self, x_BCHW: Tensor) -> Tensor:
        """Tokens that enter the last block, class token first, float32 [B,1+N,E]; x as above."""
        with self._arithmetic():
            return self._through(self._embed(x_BCHW), self._blocks()[:-1]).float()

    def relevancy(
        self,
        x_BCHW: Tensor,
        text_D: Tensor,
        *,
        layers: int = 1,
        windows: int = 1,
        edges: bool = False,
    ) -> Tensor:
        """Where the text is in the image, float32 [B,1,H,W] in 0..1, without gradient.

        Gradient × attention of the image-text score, negative parts dropped, averaged over heads
        and rolled out over the last `layers` blocks; the class token's row, on the patch grid,
        bilinear to the image, min-max per image (Chefer et al., ICCV 2021, eqs. 5-6).
        Always in float32. windows > 1 adds windows×windows overlapping crops, each at the model's
        own size, and averages: a finer map than one patch grid gives. edges: make the map follow
        the image's edges within a patch. x: any size. text: one embedding.
        """
        exact = self.configured(tick=self.tick)
        height, width = x_BCHW.shape[-2:]
        x_BCHW = x_BCHW.detach()
        total_B1HW = torch.zeros_like(x_BCHW[:, :1])
        count_HW = torch.zeros(height, width, device=x_BCHW.device)
        for top, left, h, w in _windows(height, width, windows):
            crop_BCSS = F.interpolate(
                x_BCHW[..., top : top + h, left : left + w],
                (self.image_size, self.image_size), mode="bilinear", antialias=True,
                align_corners=False,
            )  # fmt: skip
            # Raw relevancies of different windows share one scale; normalising each window on its
            # own would raise noise where the text is absent.
            raw_B1GG = exact._rollout(crop_BCSS, text_D, layers)
            total_B1HW[..., top : top + h, left : left + w] += F.interpolate(
                raw_B1GG, (h, w), mode="bilinear", align_corners=False
            )
            count_HW[top : top + h, left : left + w] += 1
        map_B1HW = _min_max(total_B1HW / count_HW)
        if edges:
            map_B1HW = _min_max(follow_edges(map_B1HW, x_BCHW, self.patch / self.image_size))
        return map_B1HW

    # --- the transformer, step by step ----------------------------------------------------------

    def _blocks(self) -> Any:
        return self.visual.transformer.resblocks

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)

    def _through(self, h_BLE: Tensor, blocks: Any) -> Tensor:
        """Run tokens through blocks.

        nn.MultiheadAttention transposes its input, which turns every linear map into a slow batched
        product: on a CPU the explicit form takes half the time, and a fifth in bfloat16 with AMX
        tiles. On a GPU fused attention saves memory.
        """
        for block in blocks:
            h_BLE = self._tick_at(
                explicit_block(block, h_BLE)[0]
                if self.device.type == "cpu"
                else fused_block(block, h_BLE)
            )
        return h_BLE

    def _tick_at(self, h_BLE: Tensor) -> Tensor:
        """Tick now, and again when the gradient passes here."""
        tick = self.tick
        if tick is not None:
            tick()
            if h_BLE.requires_grad:
                watched: Any = h_BLE
                watched.register_hook(lambda _: tick())
        return h_BLE

    def _check_sides(self, x_BCHW: Tensor) -> None:
        height, width = x_BCHW.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(f"sides {height}×{width} are not multiples of patch {self.patch}")

    def _embed(self, x_BCHW: Tensor) -> Tensor:
        """Patch tokens with class token and positions: what enters the first block, [B,L,E]."""
        self._check_sides(x_BCHW)
        height, width = x_BCHW.shape[-2:]
        rows, columns = height // self.patch, width // self.patch
        x_BCHW = (x_BCHW - self._mean_C11) / self._std_C11
        # The patch convolution as a matrix product: a convolution's gradient is slow on CPUs.
        patches = x_BCHW.reshape(len(x_BCHW), -1, rows, self.patch, columns, self.patch)
        patches_BLP = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        h_BLE = F.linear(patches_BLP, self.visual.conv1.weight.flatten(1), self.visual.conv1.bias)
        class_B1E = self.visual.class_embedding.expand(len(h_BLE), 1, -1)
        h_BLE = torch.cat([class_B1E, h_BLE], dim=1)
        embedded: Tensor = self.visual.ln_pre(h_BLE + self._position(rows, columns))
        return embedded

    def _position(self, rows: int, columns: int) -> Tensor:
        """Positional embedding for a grid of patches, [1+rows·columns,E]."""
        learnt_LE: Tensor = self.visual.positional_embedding
        own_rows, own_columns = self.visual.grid_size
        if (rows, columns) == (own_rows, own_columns):
            return learnt_LE
        if (rows, columns) not in self._positions:
            grid_1EGG = learnt_LE[1:].T.reshape(1, -1, own_rows, own_columns)
            grid_1EGG = F.interpolate(
                grid_1EGG, (rows, columns), mode="bicubic", align_corners=False
            )
            self._positions[rows, columns] = torch.cat([learnt_LE[:1], grid_1EGG[0].flatten(1).T])
        return self._positions[rows, columns]

    def _project(self, h_BLE: Tensor) -> Tensor:
        """Pool the last block's tokens and map them to the joint space, [B,D]."""
        visual = self.visual
        if not visual.final_ln_after_pool:
            h_BLE = visual.ln_post(h_BLE)
        h_BE = h_BLE[:, 0] if visual.pool_type == "tok" else h_BLE[:, 1:].mean(dim=1)
        if visual.final_ln_after_pool:
            h_BE = visual.ln_post(h_BE)
        projected: Tensor = h_BE @ visual.proj
        return projected

    def _score(self, embedded_BD: Tensor, text_D: Tensor) -> Tensor:
        """The image-text score that relevancy follows back, summed over the images."""
        similarity_B = F.cosine_similarity(embedded_BD, text_D[None], dim=-1)
        score: Tensor = (similarity_B * self.clip.logit_scale.exp()).sum()
        return score

    def _rollout(self, x_BCSS: Tensor, text_D: Tensor, layers: int) -> Tensor:
        """Unnormalised relevancy on the patch grid, [B,1,G,G]."""
        blocks = self._blocks()
        layers = min(layers, len(blocks))
        with torch.no_grad():
            h_BLE = self._through(self._embed(x_BCSS), blocks[:-layers])
        attentions: list[Tensor] = []
        with torch.enable_grad():
            for block in blocks[-layers:]:
                h_BLE, a_BALL = explicit_block(block, h_BLE, watch=True)
                attentions.append(a_BALL)
                self._tick_at(h_BLE)
            score = self._score(self._project(h_BLE), text_D)
            gradients = torch.autograd.grad(score, attentions)
        r_BLL = rolled_out(attentions, gradients)
        rows, columns = x_BCSS.shape[-2] // self.patch, x_BCSS.shape[-1] // self.patch
        return r_BLL[:, 0, 1:].reshape(-1, 1, rows, columns)


def _min_max(x_B1HW: Tensor) -> Tensor:
    low, high = x_B1HW.amin((1, 2, 3), keepdim=True), x_B1HW.amax((1, 2, 3), keepdim=True)
    return (x_B1HW - low) / (high - low).clamp_min(1e-12)


def _windows(height: int, width: int, per_side: int) -> Iterator[tuple[int, int, int, int]]:
    """The whole image, then per_side² windows that overlap by half: (top, left, h, w)."""
    yield 0, 0, height, width
    if per_side > 1:
        h = max(1, round(2 * height / (per_side + 1)))
        w = max(1, round(2 * width / (per_side + 1)))
        for row in range(per_side):
            for column in range(per_side):
                top = round(row * (height - h) / (per_side - 1))
                left = round(column * (width - w) / (per_side - 1))
                yield top, left, h, w
