"""The smallest edit of an image: a red disc, a tiny model, a few steps."""

import numpy as np
import torch
from tiny_clip import tiny_model

from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.criterion import Criterion, Example
from backend.edit.image import edit_image
from backend.edit.pixels import composite, to_tensor
from backend.edit.texts import TextTargets
from backend.edit.train import Setup
from backend.progress import Silent

CPU = torch.device("cpu")
TINY = EditConfig(
    steps=6, size=48, channels=6, scales=3, bootstrap_steps=6, views=ViewConfig(count=3),
    preview_every=3, whole_every=4,
)  # fmt: skip
TEXTS = EditTexts(prompt=("a golden disc", "gold"), source=("a red disc",))


class Recorder(Silent):
    """Remembers every report."""

    def __init__(self):
        self.steps, self.previews, self.notes = [], [], []

    def step(self, phase, done, total):
        self.steps.append((phase, done, total))

    def preview(self, image):
        self.previews.append((len(self.steps), image))

    def note(self, text):
        self.notes.append(text)


def disc(height=40, width=56):
    y, x = np.mgrid[:height, :width]
    image = np.full((height, width, 3), (90, 90, 110), np.uint8)
    image[(y - height / 2) ** 2 + (x - width / 2) ** 2 < 12**2] = (200, 30, 30)
    return image


def setup_of(config=TINY, texts=TEXTS, report=None, model=None):
    return Setup(texts, model or tiny_model(), config, report or Silent())


def edited(config=TINY, texts=TEXTS, report=None, mask=None, model=None, image=None):
    image = disc() if image is None else image
    return edit_image(image, setup_of(config, texts, report, model), mask)


def criterion(config=TINY, texts=TEXTS):
    model = tiny_model()
    random = torch.Generator().manual_seed(0)
    return Criterion(model, TextTargets(model, texts), config, random)


def example_of(network):
    source = to_tensor(disc(), CPU)
    layer = network(source)
    green = torch.tensor([0, 177 / 255, 64 / 255]).reshape(1, 3, 1, 1)
    return Example(
        source=source,
        output=composite(layer, source),
        screen=composite(layer, green),
        alpha=layer[:, 3:],
        relevancy=torch.rand(1, 1, 40, 56, generator=torch.Generator().manual_seed(1)),
    )
