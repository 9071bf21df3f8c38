"""Segmentation models with tiny or random weights: loaded from disk, prompted, followed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.masks.segmenters import load_segmenter, maskrcnn
from backend.masks.segmenters.base import Click, SegmenterPrompts
from backend.progress import Cancelled, Silent
from protocol.jobs import JobError

CPU = torch.device("cpu")
SIDE, WIDTH = 128, 128


class Counting(Silent):
    """Counts steps, and cancels at one."""

    def __init__(self, stop: int = -1) -> None:
        self.count, self.stop = 0, stop

    def step(self, phase: str, done: int, total: int) -> None:
        if self.count == self.stop:
            raise Cancelled
        self.count += 1


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (4, 60, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def sam2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAM 2's video model with 1.6 million random weights, as transformers saves it."""
    t = pytest.importorskip("transformers", reason="the extra “segment” is not installed")
    torch.manual_seed(0)
    stages = {"blocks_per_stage": [1] * 4, "num_attention_heads_per_stage": [1, 1, 2, 2]}
    backbone = t.Sam2HieraDetConfig(
        hidden_size=16, embed_dim_per_stage=[16, 32, 64, 128], image_size=[SIDE, SIDE],
        window_size_per_stage=[4] * 4, global_attention_blocks=[],
        window_positional_embedding_background_size=[4, 4], **stages,
    )  # fmt: skip
    config = t.Sam2VideoConfig(
        vision_config=t.Sam2VisionConfig(
            backbone_config=backbone, backbone_channel_list=[128, 64, 32, 16],
            backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]], fpn_hidden_size=WIDTH,
        ),
        prompt_encoder_config=t.Sam2VideoPromptEncoderConfig(
            hidden_size=WIDTH, image_size=SIDE, mask_input_channels=8
        ),
        mask_decoder_config=t.Sam2VideoMaskDecoderConfig(
            hidden_size=WIDTH, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32
        ),
        image_size=SIDE, memory_attention_hidden_size=WIDTH, memory_attention_layers=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_num_attention_heads=1,
        memory_encoder_hidden_size=WIDTH, memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=WIDTH, memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=WIDTH, memory_attention_rope_feat_sizes=[8, 8],
        memory_fuser_num_layers=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("sam2")
    size = {"height": SIDE, "width": SIDE}
    t.Sam2VideoModel(config).save_pretrained(folder)
    t.Sam2VideoProcessor(
        image_processor=t.Sam2ImageProcessor(size=size, mask_size={"height": 32, "width": 32}),
        video_processor=t.Sam2VideoVideoProcessor(size=size),
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "prompts",
    [
        SegmenterPrompts(boxes={1: (10, 10, 40, 50)}),
        SegmenterPrompts(boxes={}, clicks=(Click(2, 20, 20), Click(2, 60, 50, inside=False))),
        SegmenterPrompts(boxes={0: (10, 10, 40, 50)}, clicks=(Click(3, 20, 20),)),
    ],
    ids=["box", "clicks", "both"],
)
def test_sam2_answers_every_frame(
    sam2_folder: Path, frames: np.ndarray, prompts: SegmenterPrompts
) -> None:
    report = Counting()
    found = load_segmenter("sam2", str(sam2_folder), CPU).segment(frames, prompts, report)
    assert found.masks.shape == (4, 60, 80)
    assert found.masks.dtype == np.bool_
    assert (found.confidence > 0).all()
    assert (found.confidence <= 1).all()
    assert report.count >= 4


def test_sam2_can_be_cancelled(sam2_folder: Path, frames: np.ndarray) -> None:
    segmenter = load_segmenter("sam2", str(sam2_folder), CPU)
    with pytest.raises(Cancelled):
        segmenter.segment(frames, SegmenterPrompts(boxes={0: (0, 0, 40, 40)}), Counting(stop=1))


def test_sam2_weights_that_are_none_are_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra “segment” is not installed")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(JobError) as caught:
        load_segmenter("sam2", str(tmp_path), CPU)
    assert caught.value.problem.code == "segmenter_weights"
    assert str(tmp_path) in caught.value.problem.message


@pytest.fixture(scope="module")
def rcnn_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(0)
    model = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    file = tmp_path_factory.mktemp("rcnn") / "weights.pt"
    torch.save(model.state_dict(), file)
    return file


@pytest.mark.slow
def test_mask_rcnn_runs_from_a_file(
    rcnn_file: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights find nothing certain: with any score allowed, something is followed."""
    segmenter = load_segmenter("maskrcnn", str(rcnn_file), CPU)
    segmenter.model.transform.min_size, segmenter.model.transform.max_size = (64,), 96
    prompts = SegmenterPrompts(boxes={1: (10, 10, 70, 50)})
    nothing = segmenter.segment(frames[:2], prompts, Silent())
    assert nothing.masks.shape == (2, 60, 80)
    assert not nothing.masks[nothing.confidence == 0].any()
    monkeypatch.setattr(maskrcnn, "MIN_SCORE", 0.0)
    report = Counting()
    found = segmenter.segment(frames[:2], prompts, report)
    assert report.count == 2
    assert (found.confidence >= 0).all()
    assert (found.confidence <= 1).all()


def test_a_file_that_is_no_mask_rcnn_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    file = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(2)}, file)
    with pytest.raises(JobError) as caught:
        load_segmenter("maskrcnn", str(file), CPU)
    assert caught.value.problem.code == "segmenter_weights"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.sprung),)


def test_a_pickle_in_mask_rcnn_weights_is_not_run(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    sprung, file = tmp_path / "sprung", tmp_path / "trap.pt"
    torch.save({"x": torch.zeros(1), "y": Trap(sprung)}, file)
    with pytest.raises(JobError) as caught:
        load_segmenter("maskrcnn", str(file), CPU)
    assert caught.value.problem.code == "segmenter_weights"
    assert not sprung.exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*", "ignore:.*TorchScript.*")
def test_a_torchscript_archive_as_mask_rcnn_is_not_run(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("torchvision")
    file = tmp_path / "archive.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(file))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: pytest.fail("it is run"))
    with pytest.raises(JobError) as caught:
        load_segmenter("maskrcnn", str(file), CPU)
    assert caught.value.problem.code == "segmenter_weights"


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "pickle"])
def test_code_in_a_sam2_folder_is_not_run(sam2_folder: Path, tmp_path: Path, safe: bool) -> None:
    sprung, folder = tmp_path / "sprung", tmp_path / "sam2"
    shutil.copytree(sam2_folder, folder)
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(sprung)!r})\n")
    for config in folder.glob("*.json"):
        fields = json.loads(config.read_text())
        kinds = ("Config", "Model", "Processor", "ImageProcessor", "VideoProcessor")
        fields["auto_map"] = {f"Auto{kind}": "evil.Evil" for kind in kinds}
        config.write_text(json.dumps(fields))
    if not safe:
        for weights in folder.glob("*.safetensors"):
            weights.unlink()
        torch.save({"x": torch.zeros(1), "y": Trap(sprung)}, folder / "pytorch_model.bin")
    with contextlib.nullcontext() if safe else pytest.raises(JobError):
        load_segmenter("sam2", str(folder), CPU)
    assert not sprung.exists()
