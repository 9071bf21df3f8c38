"""The preview of a training: the composite and its matte, in one image."""

import numpy as np
import pytest
import torch

from backend.edit.config import EditConfig
from backend.edit.pixels import PREVIEW_GAP, preview_image


@pytest.mark.parametrize(("height", "width"), [(20, 32), (32, 20), (24, 24)])
def test_the_composite_and_alpha_stand_apart(height, width):
    random = torch.Generator().manual_seed(0)
    composite = torch.rand(1, 3, height, width, generator=random)
    alpha = torch.rand(1, 1, height, width, generator=random)
    made = preview_image(composite, alpha, EditConfig())
    first = np.rint(composite[0].permute(1, 2, 0).numpy() * 255)
    second = np.rint(alpha[0].permute(1, 2, 0).numpy() * 255).repeat(3, axis=2)
    down = width >= height
    gap = np.zeros((PREVIEW_GAP, width, 3) if down else (height, PREVIEW_GAP, 3))
    assert np.array_equal(made, np.concatenate([first, gap, second], axis=0 if down else 1))


def test_each_keeps_to_the_previews_size():
    made = preview_image(
        torch.zeros(1, 3, 90, 160), torch.zeros(1, 1, 90, 160), EditConfig(preview_size=80)
    )
    assert made.shape == (45 + PREVIEW_GAP + 45, 80, 3)
