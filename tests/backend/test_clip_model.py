"""TextImageModel against open_clip's own forward and against brute force."""

import cv2
import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU
from tiny_clip import tiny_model
from torch.utils._python_dispatch import TorchDispatchMode

from backend.clip.blocks import explicit_block, fused_block

TEXT = ["a golden car", "a brick wall"]


def pictures(count=2, side=32, seed=0):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "vision",
    [{}, {"pool_type": "avg"}, {"pool_type": "avg", "final_ln_after_pool": True},
     {"ls_init_value": 0.3}, {"no_ln_pre": True}],
    ids=["class", "mean", "norm after", "layer scale", "no first norm"],
)  # fmt: skip
def test_image_embeddings_equal_open_clip(vision):
    model = tiny_model(**vision)
    x = pictures()
    mean = torch.tensor([0.48, 0.46, 0.41]).reshape(3, 1, 1)
    std = torch.tensor([0.27, 0.26, 0.28]).reshape(3, 1, 1)
    theirs = model.clip.encode_image((x - mean) / std)
    torch.testing.assert_close(model.encode_image(x), theirs, rtol=1e-4, atol=1e-5)


def test_text_embeddings_equal_open_clip_and_carry_no_gradient():
    model = tiny_model()
    ours = model.encode_text(TEXT)
    torch.testing.assert_close(ours, model.clip.encode_text(model._tokenize(TEXT)))
    assert ours.shape == (2, 24)
    assert not ours.requires_grad


def test_both_forms_of_a_block_equal_open_clips():
    block = tiny_model().visual.transformer.resblocks[1]
    h = torch.randn(2, 17, 32, generator=torch.Generator().manual_seed(1))
    made, attention = explicit_block(block, h)
    torch.testing.assert_close(made, block(h), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fused_block(block, h), block(h), rtol=1e-4, atol=1e-5)
    _, theirs = block.attn(*[block.ln_1(h)] * 3, need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(attention, theirs, rtol=1e-4, atol=1e-6)


def test_tokens_are_those_that_enter_the_last_block():
    model = tiny_model()
    caught = []
    last = model.visual.transformer.resblocks[-1]
    last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    x = pictures()
    model.clip.encode_image((x - model._mean_C11) / model._std_C11)
    torch.testing.assert_close(model.tokens(x), caught[0], rtol=1e-4, atol=1e-5)
    assert model.tokens(x).shape == (2, 1 + 16, 32)


def test_positions_are_interpolated_bicubically_for_other_sizes():
    model = tiny_model()
    learnt = model.visual.positional_embedding
    assert model._position(4, 4) is learnt
    grid = learnt[1:].reshape(4, 4, -1).numpy()
    wanted = cv2.resize(grid, (8, 6), interpolation=cv2.INTER_CUBIC)
    ours = model._position(6, 8)
    np.testing.assert_allclose(ours[1:].reshape(6, 8, -1).numpy(), wanted, atol=1e-4)
    torch.testing.assert_close(ours[0], learnt[0])
    assert model.encode_image(torch.rand(1, 3, 48, 64)).shape == (1, 24)


def test_sides_that_are_not_whole_patches_are_refused():
    with pytest.raises(ValueError, match="30×32 are not multiples of patch 8"):
        tiny_model().encode_image(torch.rand(1, 3, 30, 32))


def test_gradient_reaches_the_image_and_nothing_else():
    model = tiny_model()
    x = pictures().requires_grad_()
    (model.encode_image(x).square().sum() + model.tokens(x).square().sum()).backward()
    assert float(x.grad.abs().max()) > 0
    assert all(p.grad is None and not p.requires_grad for p in model.clip.parameters())
    assert not model.clip.training


def test_bfloat16_stays_close_and_gives_float32():
    model = tiny_model()
    x = pictures()
    exact = model.encode_image(x)
    view = model.configured(bfloat16=True)
    rough = view.encode_image(x)
    assert rough.dtype == view.tokens(x).dtype == torch.float32
    assert 0 < float((rough - exact).norm() / exact.norm()) < 0.03


@pytest.mark.parametrize("vision", [{}, {"pool_type": "avg", "ls_init_value": 0.3}])
@pytest.mark.parametrize("quick", [True, False])
def test_weights_rounded_once_give_the_bytes_of_autocast(vision, quick):
    model = tiny_model(**vision)
    if quick:
        for block in model.visual.transformer.resblocks:
            block.mlp.gelu = QuickGELU()
    ours, autocast = model.configured(bfloat16=True), model.configured(bfloat16=True)
    autocast.visual = model.visual
    gradients = []
    for view in (ours, autocast):
        x = pictures().requires_grad_()
        embedded, tokens = view.encode_image(x), view.tokens(x)
        (gradient,) = torch.autograd.grad(embedded.square().sum() + tokens.square().sum(), x)
        gradients.append((embedded, tokens, gradient))
    assert all(map(torch.equal, *gradients))
    assert float(gradients[0][2].abs().max()) > 0


class Casts(TorchDispatchMode):
    """Counts the tensors without gradient that are cast to bfloat16, by their size."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default and kwargs.get("dtype") == torch.bfloat16:
            self.sizes.append(tuple(args[0].shape))
        return func(*args, **kwargs)


def test_no_pass_in_bfloat16_casts_a_weight():
    model = tiny_model()
    view = model.configured(bfloat16=True)
    weights = {tuple(one.shape) for one in model.visual.parameters()}
    with Casts() as casts:
        embedded = view.encode_image(pictures().requires_grad_())
        embedded.sum().backward()
    assert casts.sizes
    assert not weights & set(casts.sizes)


def test_the_rounded_copy_is_made_once_and_leaves_the_model_in_float32():
    model = tiny_model()
    before = {name: one.clone() for name, one in model.visual.state_dict().items()}
    views = [model.configured(bfloat16=True) for _ in range(2)]
    views.append(views[0].configured(bfloat16=True))
    assert len({id(view.visual) for view in views}) == 1
    block = views[0].visual.transformer.resblocks[0]
    assert block.attn.in_proj_weight.dtype == block.mlp.c_fc.bias.dtype == torch.bfloat16
    assert block.ln_1.weight is model.visual.transformer.resblocks[0].ln_1.weight
    for name, one in model.visual.state_dict().items():
        assert torch.equal(one, before[name])
    assert views[0].fingerprint == tiny_model().fingerprint
    assert views[0].configured().visual is model.visual


def test_relevancy_is_computed_in_float32_even_for_a_training_in_bfloat16():
    model = tiny_model()
    x, text = pictures(1, 40), model.encode_text(TEXT)[0]
    wanted = model.relevancy(x, text, layers=2, windows=2)
    assert torch.equal(
        model.configured(bfloat16=True).relevancy(x, text, layers=2, windows=2), wanted
    )


def test_it_ticks_between_blocks_both_ways():
    beats = []
    model = tiny_model().configured(tick=lambda: beats.append(0))
    x = pictures(1).requires_grad_()
    embedding = model.encode_image(x)
    assert len(beats) == 3
    embedding.sum().backward()
    assert len(beats) == 6


# --- relevancy -----------------------------------------------------------------------------------


def brute_force_relevancy(model, x, text):
    """Last-block relevancy of the class token by finite differences, float64 numpy."""
    p = {k: v.double().numpy() for k, v in model.visual.state_dict().items()}
    b = "transformer.resblocks.2."
    heads = model.visual.transformer.resblocks[-1].attn.num_heads

    def norm(h, name):
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        return h * p[name + ".weight"] + p[name + ".bias"]

    def gelu(h):
        erf = torch.erf(torch.from_numpy(h / np.sqrt(2))).numpy()
        return h * (1 + erf) / 2

    h = model.tokens(x)[0].double().numpy()
    length, width = h.shape
    qkv = norm(h, b + "ln_1") @ p[b + "attn.in_proj_weight"].T + p[b + "attn.in_proj_bias"]
    q, k, v = (
        part.reshape(length, heads, -1).transpose(1, 0, 2) for part in np.split(qkv, 3, axis=1)
    )
    logits = q @ k.transpose(0, 2, 1) / np.sqrt(width / heads)
    attention = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    def score(a):
        mixed = (a @ v).transpose(1, 0, 2).reshape(length, width)
        y = h + mixed @ p[b + "attn.out_proj.weight"].T + p[b + "attn.out_proj.bias"]
        inner = gelu(norm(y, b + "ln_2") @ p[b + "mlp.c_fc.weight"].T + p[b + "mlp.c_fc.bias"])
        y = y + inner @ p[b + "mlp.c_proj.weight"].T + p[b + "mlp.c_proj.bias"]
        e = norm(y, "ln_post")[0] @ p["proj"]
        t = text.double().numpy()
        return e @ t / np.linalg.norm(e) / np.linalg.norm(t)

    row = np.zeros(length)
    for head in range(heads):
        for j in range(length):
            bumped = attention.copy()
            bumped[head, 0, j] += 1e-5
            dropped = attention.copy()
            dropped[head, 0, j] -= 1e-5
            gradient = (score(bumped) - score(dropped)) / 2e-5
            row[j] += max(0.0, gradient * attention[head, 0, j]) / heads
    grid = row[1:].reshape(4, 4)
    big = cv2.resize(grid, (32, 32), interpolation=cv2.INTER_LINEAR)
    return (big - big.min()) / (big.max() - big.min())


def test_relevancy_equals_brute_force():
    model = tiny_model()
    x, text = pictures(1), model.encode_text(["a swan"])[0]
    ours = model.relevancy(x, text)[0, 0].numpy()
    np.testing.assert_allclose(ours, brute_force_relevancy(model, x, text), atol=2e-3)


@pytest.mark.parametrize(("layers", "windows"), [(1, 1), (2, 1), (9, 2), (1, 3)])
def test_relevancy_is_a_normalised_map_of_the_images_size(layers, windows):
    model = tiny_model()
    x = pictures(2, side=50)[..., :42]
    made = model.relevancy(x, model.encode_text(TEXT)[0], layers=layers, windows=windows)
    assert made.shape == (2, 1, 50, 42)
    torch.testing.assert_close(made.amin((1, 2, 3)), torch.zeros(2))
    torch.testing.assert_close(made.amax((1, 2, 3)), torch.ones(2))
    assert not made.requires_grad


def test_relevancy_of_an_image_does_not_depend_on_its_batch():
    model = tiny_model()
    x, text = pictures(2), model.encode_text(TEXT)[0]
    both = model.relevancy(x, text, layers=2)
    torch.testing.assert_close(both[1:], model.relevancy(x[1:], text, layers=2), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_fingerprint_depends_on_the_weights():
    assert tiny_model().fingerprint == tiny_model().fingerprint
    assert tiny_model(seed=1).fingerprint != tiny_model().fingerprint
    brushed = tiny_model()
    with torch.no_grad():
        brushed.clip.text_projection[0, 0] += 1
    assert brushed.fingerprint != tiny_model().fingerprint
