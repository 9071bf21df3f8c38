"""Several layers in one press, prompts to choose from, and variants of one analysis."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from desk import Desk  # noqa: E402
from recorder import Recorder  # noqa: E402

from blender_addon.blender import runtime  # noqa: E402
from blender_addon.ui import operators, properties  # noqa: E402
from scripts.blender import studio  # noqa: E402


def test_prompts_and_variants_become_layers_of_one_analysis(
    desk: Desk, rendered: list[int]
) -> None:
    desk.scene.text2live.variant = 3
    with studio.sequencer(desk.scene):
        made = bpy.ops.text2live.batch(prompt_1="a red car", prompt_4=" a boat ", variants=2)
    assert made == {"FINISHED"}
    jobs = runtime.current().jobs
    asked = [(job.settings.prompt, job.settings.variant, job.version) for job in jobs]
    assert asked == [("a red car", 3, 1), ("a red car", 4, 2), ("a boat", 3, 3), ("a boat", 4, 4)]
    assert len({job.fingerprint for job in jobs}) == 1
    desk.until(lambda: not runtime.current().running)
    assert [job.problem for job in jobs] == [None] * 4
    assert all(job.placed for job in jobs)
    assert len(rendered) == 8


def test_the_dialog_starts_with_the_prompt_and_counts(scene: Any) -> None:
    scene.text2live.prompt = "a red car"
    manager = types.SimpleNamespace(invoke_props_dialog=lambda _self, width: {"RUNNING_MODAL"})
    context = types.SimpleNamespace(scene=scene, window_manager=manager)
    kind = operators.T2L_OT_batch
    rna = bpy.ops.text2live.batch.get_rna_type()
    batch = types.SimpleNamespace(
        bl_rna=rna, layout=Recorder(), variants=3, **{f"prompt_{n}": "" for n in range(1, 7)}
    )
    assert kind.invoke(batch, context, None) == {"RUNNING_MODAL"}
    kind.draw(batch, context)
    assert batch.layout.lines[-1] == "Makes 3 layers"


def test_a_batch_without_a_prompt_is_refused(desk: Desk) -> None:
    with studio.sequencer(desk.scene), pytest.raises(RuntimeError, match="The prompt is empty"):
        bpy.ops.text2live.batch()


def test_prompts_used_before_are_suggested(desk: Desk, tmp_path: Path) -> None:
    state = runtime.current()
    state.prompts = type(state.prompts)(tmp_path / "prompts.json")
    job = desk.press()
    assert properties._suggest(None, bpy.context, "RED") == ["a red car"]
    state.cancel(job)
