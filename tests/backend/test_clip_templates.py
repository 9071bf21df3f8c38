"""The sentences that a text is put into."""

import pytest
import torch
from tiny_clip import tiny_model

from backend.clip.templates import SCREEN_TEMPLATES, TEMPLATES, draw, embed, fill


def test_fourteen_templates_and_two_of_a_green_screen():
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 14
    assert len(SCREEN_TEMPLATES) == 2
    assert all(template.count("{}") == 1 for template in TEMPLATES + SCREEN_TEMPLATES)
    assert all("green screen" in template for template in SCREEN_TEMPLATES)


def test_text_goes_in_as_it_is():
    assert fill(("a {}.", "{}!"), "ice {cube}") == ["a ice {cube}.", "ice {cube}!"]


def test_embeddings_are_ordered_by_text_then_template():
    model = tiny_model()
    made = embed(model, ["gold", "ice"], TEMPLATES)
    assert made.shape == (2, 14, 24)
    torch.testing.assert_close(made[1, 3], model.encode_text(["the photo of ice."])[0])


def test_no_text_is_an_error():
    with pytest.raises(ValueError, match="no text"):
        embed(tiny_model(), [], TEMPLATES)


@pytest.mark.parametrize(("share", "kept"), [(0.5, 7), (1.0, 14), (0.0, 1)])
def test_draw_keeps_a_share_without_repeats(share, kept):
    made = draw(14, share, torch.Generator().manual_seed(0)).tolist()
    assert len(made) == len(set(made)) == kept
    assert set(made) <= set(range(14))


def test_draw_follows_its_generator():
    draws = [draw(14, 0.5, torch.Generator().manual_seed(s)).tolist() for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
