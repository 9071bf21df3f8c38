"""Finding weights, or reporting what is missing: every way to choose a model."""

import json
import os

import huggingface_hub
import open_clip
import pytest
import torch
from clip_folders import TEXTS, folder_of, problem_of
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from tiny_clip import CFG, tiny_clip, tiny_model
from torch import nn

from backend.clip.load import load_clip
from backend.clip.places import DEMO_FOLDER
from backend.clip.trimmed import TrimmedEmbedding
from backend.edit.config import EditConfig, EditTexts, ViewConfig
from backend.edit.image import edit_image
from backend.edit.losses import self_similarity
from backend.edit.train import Setup
from backend.progress import Silent
from protocol.jobs import ClipModel, JobError

TINY_NAME = "ViT-Tiny-8-test"


@pytest.fixture
def tiny_name(tmp_path, monkeypatch):
    """The tiny architecture among open_clip's, by name."""
    from open_clip import factory

    monkeypatch.setitem(factory._MODEL_CONFIGS, TINY_NAME, CFG)
    return TINY_NAME


@pytest.fixture
def shallow(monkeypatch):
    """ViT-B-32 with two blocks in each tower instead of twelve: the same widths, in less time."""
    from open_clip import factory

    cfg = open_clip.get_model_config("ViT-B-32")
    cfg["vision_cfg"]["layers"] = cfg["text_cfg"]["layers"] = 2
    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-B-32", cfg)
    return cfg


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", "wrapped.pt"])
def test_checkpoint_files(tmp_path, tiny_name, suffix):
    clip = tiny_clip(3)
    path = tmp_path / f"model{suffix}"
    state = {k: v.contiguous() for k, v in clip.state_dict().items()}
    if suffix == ".safetensors":
        save_file(state, path)
    elif suffix == ".pt":
        torch.save(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    model = load_clip(ClipModel(name=tiny_name, checkpoint=str(path)), "cpu")
    torch.testing.assert_close(model.encode_text(TEXTS), tiny_model(3).encode_text(TEXTS))
    assert (model.image_size, model.patch, model.width) == (32, 8, 24)
    assert not any(p.requires_grad for p in model.clip.parameters())


def test_folder_in_half_precision_loads_to_float32_with_its_statistics(tmp_path):
    folder = folder_of(tmp_path / "mine", tiny_clip(3))
    model = load_clip(ClipModel(checkpoint=str(folder)), "cpu")
    assert all(p.dtype == torch.float32 for p in model.clip.parameters())
    assert model._mean_C11.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert model._std_C11.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert model.name == "mine"


def test_trimmed_token_table_reads_known_words_as_the_whole_one_does(tmp_path):
    clip = tiny_clip(3)
    tokenize = open_clip.SimpleTokenizer(context_length=16)
    known = sorted(set(tokenize(TEXTS).flatten().tolist()))
    whole = clip.token_embedding.weight.detach()
    clip.token_embedding = nn.Embedding.from_pretrained(
        torch.cat([whole[known], whole.mean(0, keepdim=True)])
    )
    vocabulary = {"rows": {str(token): row for row, token in enumerate(known)}}
    folder = folder_of(
        tmp_path / "trimmed", clip, {**vocabulary, "unknown": len(known)}, len(known) + 1
    )
    model = load_clip(ClipModel(checkpoint=str(folder)), "cpu")
    torch.testing.assert_close(
        model.encode_text(TEXTS), tiny_model(3).encode_text(TEXTS), atol=2e-3, rtol=1e-2
    )
    strange = model.encode_text(["a golden tiger", "a golden castle", "a golden car"])
    torch.testing.assert_close(strange[0], strange[1])
    assert not torch.allclose(strange[0], strange[2])


def test_trimmed_embedding_maps_ids_beyond_its_map_to_unknown():
    table = nn.Embedding(3, 2)
    trimmed = TrimmedEmbedding(table, {0: 0, 5: 1}, unknown=2)
    made = trimmed(torch.tensor([[0, 5, 4, 40000]]))[0]
    assert torch.equal(made, table.weight[[0, 1, 2, 2]])


def nested(state):
    """A module whose state dict has these dotted names."""
    root = nn.Module()
    for name, value in state.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        module.register_buffer(leaf, value)
    return root


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_openais_own_archive_is_read_with_its_activation(tmp_path, tiny_name):
    state = {k: v.half() for k, v in tiny_clip(3).state_dict().items()}
    for name, value in (("input_resolution", 32), ("context_length", 16), ("vocab_size", 49408)):
        state[name] = torch.tensor(value)
    path = tmp_path / "ViT.pt"
    torch.jit.script(nested(state)).save(str(path))
    model = load_clip(ClipModel(name=tiny_name, checkpoint=str(path)), "cpu")
    assert isinstance(model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    torch.testing.assert_close(
        model.clip.logit_scale, tiny_clip(3).logit_scale.detach(), atol=1e-2, rtol=0
    )


@pytest.mark.slow
def test_a_checkpoint_of_openais_widths_steers_one_step(tmp_path, shallow):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = open_clip.model.CLIP(**shallow)
    path = tmp_path / "ViT-B-32.pt"
    torch.save({k: v.half() for k, v in clip.state_dict().items()}, path)
    del clip
    model = load_clip(ClipModel(name="ViT-B-32", pretrained="openai", checkpoint=str(path)), "cpu")
    assert (model.image_size, model.patch, model.width) == (224, 32, 512)
    # The tag tells that these weights were trained with QuickGELU.
    assert isinstance(model.visual.transformer.resblocks[0].mlp.gelu, QuickGELU)
    config = EditConfig(
        steps=1, size=64, channels=4, scales=2, views=ViewConfig(count=1), precision="bfloat16"
    )
    image = torch.randint(
        0, 255, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    ).numpy()
    texts = EditTexts(prompt=("a golden car",), source=("a car",))
    layer = edit_image(image, Setup(texts, model, config, Silent()))
    assert layer.shape == (64, 64, 4)
    picture = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    found = model.relevancy(picture, model.encode_text(["a car"])[0], layers=2, windows=2)
    assert found.shape == (1, 1, 64, 64)
    assert (found.min(), found.max()) == (0, 1)
    wide = torch.nn.functional.interpolate(picture, (224, 320))  # positions are interpolated
    similar = self_similarity(model.tokens(wide))
    assert similar.shape == (1, 71, 71)  # 7×10 patches and the class token
    assert torch.allclose(similar.diagonal(dim1=1, dim2=2), torch.ones(71), atol=1e-5)


@pytest.mark.skipif(
    not (DEMO_FOLDER / "open_clip_config.json").is_file(),
    reason="the embedded weights are not in this tree",
)
def test_the_built_in_model_distinguishes_colours():
    model = load_clip(ClipModel(), "cpu")
    pictures = torch.zeros(2, 3, model.image_size, model.image_size)
    pictures[0, 0], pictures[1, 2] = 0.9, 0.9
    unit = nn.functional.normalize
    texts = unit(model.encode_text(["a red picture", "a blue picture"]), dim=-1)
    scores = unit(model.encode_image(pictures), dim=-1) @ texts.T
    assert scores[0, 0] - scores[0, 1] > scores[1, 0] - scores[1, 1]


# --- the activation -------------------------------------------------------------------------------


def test_without_a_network_the_error_names_the_file_to_download(offline):
    problem = problem_of(ClipModel(name="ViT-B-32", pretrained="openai"))
    assert problem.code == "weights_missing"
    assert "127.0.0.1 cannot be reached" in problem.message
    assert "“openai” of ViT-B-32" in problem.message
    assert "open_clip_model.safetensors" in problem.hint
    assert "timm/vit_base_patch32_clip_224.openai" in problem.hint
    assert "demo" in problem.hint
    assert problem.retryable


def test_offline_mode_is_respected(offline, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    problem = problem_of(ClipModel(name="ViT-B-32", pretrained="openai"))
    assert "offline mode is on" in problem.message


@pytest.mark.slow
def test_the_cache_comes_first(offline, shallow):
    """Unfit weights put into the cache: that they are refused shows that they were found."""
    repository = offline / "models--timm--vit_base_patch32_clip_224.openai"
    snapshot = repository / "snapshots" / ("a" * 40)
    os.makedirs(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    save_file({"x": torch.zeros(1)}, snapshot / "open_clip_model.safetensors")
    problem = problem_of(ClipModel(name="ViT-B-32", pretrained="openai"))
    assert problem.code == "weights_mismatch"
    assert str(snapshot) in problem.message


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        (ClipModel(name="ViT-Q-99"), "unknown_model", "named “ViT-Q-99”"),
        (ClipModel(name="ViT-B-32", pretrained="mine"), "unknown_model", "no pretrained tag"),
        (ClipModel(name="demo", pretrained="openai"), "unknown_model", "built-in model"),
        (ClipModel(name="ViT-B-32"), "weights_missing", "without weights"),
        (ClipModel(name="ViT-B-32", checkpoint="/no/such.pt"), "weights_missing", "/no/such.pt"),
        (ClipModel(name="RN50", pretrained="openai"), "unknown_model", "ResNet"),
        (ClipModel(name="ViT-B/32"), "weights_missing", "“openai” of ViT-B-32"),
        (ClipModel(name="convnext_base_w"), "unknown_model", "ConvNeXt"),
        (ClipModel(name="hf-hub:a/b", pretrained="x"), "unknown_model", "its own weights"),
        (ClipModel(name="coca_ViT-B-32"), "unknown_model", "captioning"),
        (ClipModel(name="xlm-roberta-base-ViT-B-32"), "unknown_model", "text side"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_wrong_requests(offline, model, code, words):
    problem = problem_of(model)
    assert problem.code == code
    assert words in problem.message
    assert problem.hint


def test_the_names_suggested_for_a_wrong_one_can_be_used():
    with pytest.raises(JobError) as why:
        load_clip(ClipModel(name="ViT-Q-99"), "cpu")
    suggested = why.value.problem.hint.rpartition("such as ")[2].rstrip(".").split(", ")
    for name in suggested:
        with pytest.raises(JobError) as why:
            load_clip(ClipModel(name=name), "cpu")
        assert why.value.problem.code == "weights_missing"


def test_a_file_needs_the_name_of_its_architecture(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"")
    problem = problem_of(ClipModel(checkpoint=str(path)))
    assert problem.code == "unknown_model"
    assert "ViT-B-32" in problem.hint


@pytest.mark.parametrize("name", ["text.pt", "cut.pt", "cut.safetensors", "empty.pt"])
def test_damaged_files(tmp_path, tiny_name, name):
    path = tmp_path / name
    if name == "text.pt":
        path.write_text("these are no weights")
    elif name == "empty.pt":
        torch.save({"epoch": 3}, path)
    else:
        whole = tmp_path / "whole"
        state = tiny_clip().state_dict()
        if name.endswith(".pt"):
            torch.save(state, whole)
        else:
            save_file(state, whole)
        path.write_bytes(whole.read_bytes()[:5000])
    problem = problem_of(ClipModel(name=tiny_name, checkpoint=str(path)))
    assert problem.code == "weights_broken"
    assert str(path) in problem.message
    assert "\n" not in problem.message


def test_code_in_a_checkpoint_is_not_run(tmp_path, tiny_name):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "trap.pt"
    torch.save({"x": torch.zeros(1), "y": Trap()}, path)
    problem = problem_of(ClipModel(name=tiny_name, checkpoint=str(path)))
    assert problem.code == "weights_broken"
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_architecture(tmp_path, tiny_name):
    path = tmp_path / "wide.safetensors"
    save_file(tiny_clip(width=64).state_dict(), path)
    problem = problem_of(ClipModel(name=tiny_name, checkpoint=str(path)))
    assert problem.code == "weights_mismatch"
    assert tiny_name in problem.message


def test_folders_that_lack_something(tmp_path):
    folder = folder_of(tmp_path / "mine", tiny_clip())
    (folder / "open_clip_model.safetensors").unlink()
    assert "no open_clip_model.safetensors" in problem_of(ClipModel(checkpoint=str(folder))).message
    (folder / "open_clip_config.json").write_text("{")
    assert problem_of(ClipModel(checkpoint=str(folder))).code == "weights_broken"
    (folder / "open_clip_config.json").unlink()
    assert problem_of(ClipModel(checkpoint=str(folder))).code == "weights_missing"


def test_a_token_map_that_points_outside_its_table(tmp_path):
    vocabulary = {"rows": {"320": 99999}, "unknown": 0}
    folder = folder_of(tmp_path / "mine", tiny_clip(), vocabulary)
    problem = problem_of(ClipModel(checkpoint=str(folder)))
    assert problem.code == "weights_broken"
    assert "outside the table" in problem.message


def test_unusual_attention_is_refused(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    cfg = {**CFG, "vision_cfg": {**CFG["vision_cfg"], "qk_norm": True}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": cfg}))
    save_file(tiny_clip(qk_norm=True).state_dict(), folder / "open_clip_model.safetensors")
    problem = problem_of(ClipModel(checkpoint=str(folder)))
    assert problem.code == "unknown_model"
    assert "attention" in problem.message
