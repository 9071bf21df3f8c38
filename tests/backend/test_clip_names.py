"""Names that people type: the activation their weights need, the hub and its tokenizers."""

import json

import pytest
import torch
from clip_folders import TEXTS, folder_of, problem_of
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from tiny_clip import CFG, tiny_clip, tiny_model

from backend.clip.load import load_clip
from protocol.jobs import ClipModel
from protocol.models import parse_clip_model


def small_b32(monkeypatch, name="ViT-B-32"):
    """The name with its tags, and the tiny architecture."""
    from open_clip import factory

    cfg = {**CFG, "quick_gelu": True} if name.endswith("quickgelu") else CFG
    monkeypatch.setitem(factory._MODEL_CONFIGS, name, cfg)


def is_quick(model):
    return isinstance(model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)


def test_a_file_whose_activation_is_ambiguous_is_refused_with_both_spellings(tmp_path, monkeypatch):
    small_b32(monkeypatch)
    path = tmp_path / "weights.safetensors"
    save_file(tiny_clip(3).state_dict(), path)
    problem = problem_of(ClipModel(name="ViT-B-32", checkpoint=str(path)))
    assert problem.code == "weights_mismatch"
    typed = [word.rstrip(",") for word in problem.hint.split() if str(path) in word]
    assert [is_quick(load_clip(parse_clip_model(one), "cpu")) for one in typed] == [True, False]
    assert typed[0] == f"ViT-B-32:openai:{path}"


@pytest.mark.parametrize(
    ("name", "quick"), [("ViT-B-32-quickgelu", True), ("ViT-L-14-336", True), ("ViT-H-14", None)]
)
def test_a_name_whose_weights_all_have_one_activation_needs_no_tag(
    tmp_path, monkeypatch, name, quick
):
    """OpenAI made all weights of ViT-L-14-336, though open_clip's name says GELU."""
    small_b32(monkeypatch, name)
    path = tmp_path / "weights.safetensors"
    save_file(tiny_clip(3).state_dict(), path)
    model = ClipModel(name=name, checkpoint=str(path))
    if quick is None:  # some of its weights are Apple's, with QuickGELU
        assert problem_of(model).code == "weights_mismatch"
    else:
        assert is_quick(load_clip(model, "cpu")) == quick


@pytest.mark.parametrize(
    ("folder", "quick"),
    [("models--timm--vit_base_patch32_clip_224.openai/snapshots/a", True),
     ("models--laion--CLIP-ViT-B-32-laion2B-s34B-b79K/snapshots/a", False)],
)  # fmt: skip
def test_a_file_in_the_hubs_cache_has_the_activation_of_its_repository(
    tmp_path, monkeypatch, folder, quick
):
    small_b32(monkeypatch)
    path = tmp_path / folder / "open_clip_model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(tiny_clip(3).state_dict(), path)
    assert is_quick(load_clip(ClipModel(name="ViT-B-32", checkpoint=str(path)), "cpu")) == quick


def test_a_configuration_beside_the_file_says_how_it_was_trained(tmp_path, monkeypatch):
    small_b32(monkeypatch)
    folder = folder_of(tmp_path / "mine", tiny_clip(3))
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    path = folder / "open_clip_model.safetensors"
    model = load_clip(ClipModel(name="ViT-B-32", checkpoint=str(path)), "cpu")
    assert is_quick(model)
    assert model._mean_C11.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def cached(offline, repository, files):
    """Put files into the hub's cache."""
    place = offline / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("a" * 40)
    for one in files:
        (snapshot / one.name).write_bytes(one.read_bytes())


def test_a_model_of_the_hub_comes_with_its_configuration(offline, tmp_path):
    folder = folder_of(tmp_path / "mine", tiny_clip(3))
    cached(offline, "someone/tiny", folder.iterdir())
    model = load_clip(parse_clip_model("hf-hub:someone/tiny"), "cpu")
    assert model.name == "someone/tiny"
    torch.testing.assert_close(
        model.encode_text(TEXTS), tiny_model(3).encode_text(TEXTS), atol=2e-3, rtol=1e-2
    )


def test_a_model_that_is_not_on_the_hub_is_named(offline):
    problem = problem_of(ClipModel(name="hf-hub:someone/other"))
    assert problem.code == "weights_missing"
    assert "someone/other" in problem.message
    assert "open_clip_config.json" in problem.hint


def hub_folder(tmp_path, tokenizer=True):
    """A folder of a model that reads texts with a tokenizer of the hub."""
    folder = folder_of(tmp_path / "mine", tiny_clip(3))
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "someone/words"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    if tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        words = {"<pad>": 1, "<unk>": 0, "a": 320, "golden": 3878, "car": 1615, "ice": 1115}
        made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(
            tokenizer_object=made, pad_token="<pad>", unk_token="<unk>"
        ).save_pretrained(folder)
    return folder


def test_a_tokenizer_of_the_hub_is_read_from_the_folder(offline, tmp_path):
    model = load_clip(ClipModel(checkpoint=str(hub_folder(tmp_path))), "cpu")
    ids = model._tokenize(["a golden car", "ice"])
    assert ids.tolist() == [[320, 3878, 1615] + 13 * [1], [1115] + 15 * [1]]
    torch.testing.assert_close(
        model.encode_text(["a golden car"]), model.clip.encode_text(ids[:1]), rtol=1e-4, atol=1e-5
    )
    assert model.readable("a golden car", spare=13) == "a golden car"
    assert model.readable("a golden car", spare=14) == "a golden"


def test_without_its_tokenizer_a_model_is_refused(offline, tmp_path):
    problem = problem_of(ClipModel(checkpoint=str(hub_folder(tmp_path, tokenizer=False))))
    assert problem.code == "weights_missing"
    assert "someone/words" in problem.message
    assert "tokenizer.json" in problem.hint


def test_without_the_package_for_it_the_error_names_the_package(offline, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    problem = problem_of(ClipModel(checkpoint=str(hub_folder(tmp_path, tokenizer=False))))
    assert "transformers" in problem.message
    assert "pip install transformers" in problem.hint
