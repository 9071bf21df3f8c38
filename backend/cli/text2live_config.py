"""Text2LIVE's own YAML configurations as options of the edit command.

The released code merges a base configuration and one example; both may be given, in that order.
What has no option here is named, never dropped in silence.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from protocol.jobs import JobError

OPTION = "--text2live-config"
# Where paths, logs and devices of the released code's own runs are.
_ITS_OWN = {
    "device", "use_wandb", "wandb_project", "wandb_entity", "results_folder", "log_images_freq",
    "example_config", "image_path", "save_model_starting_epoch", "maximum_number_of_frames",
    "return_atlas_alpha", "resx", "resy", "d_divisible_crops",
}  # fmt: skip
# What the preset `final` has too; another value is named in a note.
_AS_FINAL: dict[str, tuple[Any, ...]] = {
    "n_epochs": (1000, 3000), "gamma": (0.99, 0.999), "min_lr": (1e-5,), "lr": (0.0025,),
    "optimizer": ("madgrad",), "scheduler_policy": ("exponential",), "n_aug": (16, 6),
    "skip_n33d": (128,), "skip_n33u": (128,), "skip_n11": (4,), "num_scales": (7,),
    "lambda_screen": (1,), "lambda_composition": (1,), "lambda_clip": (1,),
    "lambda_structure": (2, 3), "lambda_sparsity": (6, 0.1), "lambda_alpha_l0": (0.01, 0.005),
    "lambda_alpha_l1": (0.01,), "lambda_bootstrap": (10,), "lambda_bootstrap_min": (0,),
    "text_criterion": ("spherical",), "clip_affine_transform_fill": (1, 0), "flip_p": (0.5,),
    "jitter_p": (0.1,), "scale_min": (0.8,), "scale_max": (1.2,),
    "crops_min_cover": (0.85, 0.95, 0.8), "source_image_every": (75,), "entire_atlas_every": (75,),
    "input_entire_atlas": (True,),
    "center_frame_distance": (2,), "bootstrapping_min_cover": (1,),
    "bootstrap_negative_map_threshold": (0.6,), "bootstrap_scheduler": ("linear", "none"),
    "relevancy_num_layers": (10,), "align_corners": (False,), "multiply_foreground_alpha": (True,),
    "masks_border_expansion": (30,), "mask_alpha_threshold": (0.95,),
}  # fmt: skip
# What differs from the released code on purpose: docs/reference.md says why.
_OURS = {"resize_input", "grid_atlas_resolution", "bootstrap_epoch"}
_READ = {
    "comp_text", "src_text", "screen_text", "bootstrap_text", "bootstrap_negative_text",
    "use_negative_bootstrap", "clip_model_name", "finetune_background", "finetune_foreground",
    "checkpoint_path", "seed",
}  # fmt: skip


def with_configs(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of a command line with those of its configurations in front, and notes.

    Raises JobError ``config_unreadable``, ``no_prompt``.
    """
    p = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    p.add_argument(OPTION, action="append", default=[], type=Path)
    given, rest = p.parse_known_args(list(argv))
    if not given.text2live_config:
        return list(argv), []
    values: dict[str, Any] = {}
    for path in given.text2live_config:
        values |= _read(path)
    return [*_words(values), *rest], _notes(values)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as why:
        first = str(why).splitlines()[0] if str(why) else repr(why)
        raise JobError(
            "config_unreadable",
            f"{path} cannot be read: {first}.",
            "Give a YAML file of Text2LIVE.",
        ) from why
    if not isinstance(values, dict):
        raise JobError(
            "config_unreadable",
            f"{path} is not a configuration of Text2LIVE: it has no names and values.",
            "Give one such as configs/image_example_configs/golden_horse.yaml.",
        )
    return {str(name): value for name, value in values.items()}


def _words(values: dict[str, Any]) -> list[str]:
    """The options that say the same."""
    prompts = _texts(values, "comp_text")
    if not prompts:
        raise JobError(
            "no_prompt",
            "The configuration has no comp_text, the text of the edited image.",
            "A base configuration alone describes no edit: give an example's after it.",
        )
    words = [f"--prompt={text}" for text in prompts]
    words += [f"--source={text}" for text in _texts(values, "src_text")]
    words += [f"--screen={text}" for text in _texts(values, "screen_text")]
    if _bootstraps(values):
        words += [f"--region={text}" for text in _texts(values, "bootstrap_text")]
        if values.get("use_negative_bootstrap"):
            words += [f"--avoid={text}" for text in _texts(values, "bootstrap_negative_text")]
    if values.get("finetune_background"):
        words.append("--layer=background")
    if values.get("checkpoint_path"):
        words.append("--engine=mlp")
    words.append(f"--model={values.get('clip_model_name', 'ViT-B/32')}")
    seed = values.get("seed", -1)
    if isinstance(seed, int) and seed >= 0:
        words.append(f"--seed={seed}")
    return [*words, "--preset=final"]


def _notes(values: dict[str, Any]) -> list[str]:
    notes = ["Text2LIVE's configuration: preset final and its model, unless options say otherwise."]
    changed = [
        f"{name}: {values[name]}"
        for name, usual in _AS_FINAL.items()
        if name in values and values[name] not in usual
    ]
    if changed:
        notes.append(f"No option here, the preset's values are used: {', '.join(changed)}.")
    unknown = sorted(set(values) - _ITS_OWN - set(_AS_FINAL) - _OURS - _READ)
    if unknown:
        notes.append(f"These entries are unknown and were ignored: {', '.join(unknown)}.")
    if not _bootstraps(values) and _texts(values, "bootstrap_text"):
        notes.append("bootstrap_text was left out: bootstrap_epoch switches it off.")
    if values.get("checkpoint_path"):
        notes.append(
            f"Its atlas is {values['checkpoint_path']}: import that file with text2live-atlas "
            "import first, or the networks are fitted again, which takes hours."
        )
    return notes


def _bootstraps(values: dict[str, Any]) -> bool:
    epochs = values.get("bootstrap_epoch", -1)
    return isinstance(epochs, int | float) and epochs > 0


def _texts(values: dict[str, Any], name: str) -> list[str]:
    """A text, or a list of alternatives, without empty ones."""
    value = values.get(name) or []
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise JobError(
            "config_unreadable", f"{name} is neither a text nor a list of texts.", "Correct it."
        )
    return [text.strip() for text in found if text.strip()]
