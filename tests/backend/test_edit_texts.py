"""Text targets of an edit: shared templates, and texts that stand in for one another."""

import torch
from tiny_clip import tiny_model
from tiny_edit import TEXTS

from backend.edit.config import EditTexts
from backend.edit.texts import TextTargets


def test_prompt_and_source_share_their_templates():
    model = tiny_model()
    targets = TextTargets(model, TEXTS)
    drawn = targets.draw(0.5, torch.Generator().manual_seed(0))
    assert drawn.prompt.shape == drawn.source.shape == (14, 24)
    assert drawn.screen.shape == (2, 24)
    sources = {tuple(e.tolist()): i for i, e in enumerate(targets.source_PKD[0])}
    prompts = {tuple(e.tolist()): i for i, e in enumerate(targets.prompt_PKD[1])}
    for prompt, source in zip(drawn.prompt[7:], drawn.source[7:], strict=True):
        assert prompts[tuple(prompt.tolist())] == sources[tuple(source.tolist())]


def test_texts_stand_in_for_one_another():
    model = tiny_model()
    by_source = TextTargets(model, EditTexts(prompt=("gold",), source=("disc",)))
    by_region = TextTargets(model, EditTexts(prompt=("gold",), region=("disc",)))
    assert torch.equal(by_source.source_PKD, by_region.source_PKD)
    assert torch.equal(by_source.region_or_source_D, by_region.region_or_source_D)
    assert by_source.avoid_D is None
    screen = TextTargets(model, EditTexts(prompt=("gold",), screen=("ice",))).screen_PKD
    torch.testing.assert_close(screen[0, 0], model.encode_text(["ice over a green screen."])[0])
    first = TextTargets(model, EditTexts(prompt=("ice",)), 1).screen_PKD
    torch.testing.assert_close(first, screen[:, :1])
