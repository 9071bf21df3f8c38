"""The panel's settings: generated from their declarations, collected for a job, and applied."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

bpy = pytest.importorskip("bpy", reason="needs a Python with Blender's bpy module")

from msgspec import Meta  # noqa: E402

from blender_addon.core.mask_keys import MaskKey, Stroke  # noqa: E402
from blender_addon.core.request import job_spec  # noqa: E402
from blender_addon.core.settings import Settings, shown_fields  # noqa: E402
from blender_addon.wire import jobs, painters  # noqa: E402
from scripts.blender import studio  # noqa: E402

# Of the call of collect(), and of the image that was painted.
NOT_OF_THE_PANEL = {"kind", "longest", "paint_frame", "painter"}
MASKS = [
    {
        "mask_mode": "keys",
        "mask_keys": (
            MaskKey(frame=2, kind="box", box=(3.0, 4.0, 50.0, 40.0)),
            MaskKey(frame=5, kind="strokes", strokes=(Stroke(True, 4.0, ((1.0, 2.0),)),)),
            MaskKey(frame=7, kind="image", name="painted"),
            MaskKey(frame=9, kind="file", path="/masks/one.png"),
        ),
    },
    {"mask_mode": "mask", "mask_name": "swan", "mask_every": False, "mask_frame": 9},
    {"mask_mode": "strip", "mask_name": "over"},
    {"mask_mode": "all", "mask_path": "/masks"},
    {"mask_mode": "text", "mask_text": "black swan"},
]


def changed(value: Any, choices: tuple[tuple[str, str, str], ...]) -> Any:
    """A value that differs from a setting's default."""
    if choices:
        return choices[-1][0]
    return {bool: lambda: not value, int: lambda: value + 5, str: lambda: "words"}[type(value)]()


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: mask["mask_mode"])
def test_every_setting_comes_back_as_it_was_collected(
    scene: Any, movie: Path, mask: dict[str, Any]
) -> None:
    strip = studio.movie_strip(scene, movie)
    bpy.data.masks.new("swan")
    fields = {name: changed(value, one.choices) for name, (value, one) in shown_fields().items()}
    fields |= {"mask_frame": 1, **mask}
    painting = {"screen": "rust", "recipe": "effect", "strength": 0.5, "detail": 0.25}
    wanted = Settings(**fields, painter_settings=painting)
    missing = {one.name for one in dataclasses.fields(Settings)} - set(fields) - NOT_OF_THE_PANEL
    assert missing <= {"painter_settings", "mask_keys", "mask_path", "mask_name"}
    scene.text2live.apply(wanted, strip)
    assert scene.text2live.collect(strip=strip) == wanted
    again = Settings.from_plain(wanted.to_plain())
    scene.text2live.apply(Settings())
    assert scene.text2live.collect(strip=strip) != wanted
    scene.text2live.apply(again, strip)
    assert scene.text2live.collect(strip=strip) == wanted


def test_the_panel_starts_with_the_declared_defaults(scene: Any) -> None:
    settings = scene.text2live.collect()
    fresh = Settings(
        mask_mode="keys",
        mask_frame=1,
        painter_settings={"screen": "", "recipe": "texture", "strength": 1.0, "detail": None},
    )
    assert settings == fresh


def test_properties_keep_the_names_of_saved_files(scene: Any) -> None:
    names = set(scene.text2live.bl_rna.properties.keys())
    assert names >= {
        *("prompt", "source", "screen", "region", "avoid", "background", "background_source"),
        *("recipe", "layer", "preset", "strength", "detail", "detail_auto", "seed", "model"),
        *("engine", "after", "after_title", "mask_mode", "mask_frame", "mask_brush"),
        *("mask_data", "mask_strip", "mask_every", "mask_text"),
        *("mask_folder", "paint_image", "paint_layer", "paint_onto", "paint_frame"),
    }
    choices = {
        name: {
            one.identifier: one.value for one in scene.text2live.bl_rna.properties[name].enum_items
        }
        for name in ("recipe", "layer", "preset", "engine", "mask_mode", "paint_onto")
    }
    assert choices == {  # a file keeps the number of a choice
        "recipe": {"texture": 0, "effect": 1, "style": 2},
        "layer": {"foreground": 0, "background": 1, "both": 2},
        "preset": {"draft": 0, "preview": 1, "final": 2},
        "engine": {"explicit": 0, "mlp": 1},
        "mask_mode": {"keys": 0, "text": 2, "auto": 3, "mask": 4, "strip": 5, "all": 7, "none": 8},
        "paint_onto": {"atlas": 0, "frame": 1},
    }


class ToySettings(painters.PainterSettings, frozen=True):
    """Two settings that the add-on does not know."""

    sparkle: Annotated[float, Meta(ge=0, le=9, title="Sparkle", description="How much")] = 1.0
    glow: Annotated[float, Meta(ge=0, le=1, title="Glow", description="How far")] | None = None


@pytest.fixture
def toy_scene(monkeypatch: pytest.MonkeyPatch, movie: Path) -> Iterator[Any]:
    """A scene whose painter declares other settings."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    monkeypatch.setitem(painters.PAINTER_SETTINGS, "text2live", ToySettings)
    studio.enable_addon()
    yield bpy.context.scene
    studio.disable_addon()


def test_a_newly_declared_setting_is_in_the_panel_and_reaches_the_job(toy_scene: Any) -> None:
    panel = toy_scene.text2live
    shown = panel.bl_rna.properties["sparkle"]
    assert (shown.name, shown.description, shown.hard_max) == ("Sparkle", "How much", 9.0)
    assert not hasattr(panel, "strength")
    panel.prompt, panel.sparkle = "a car", 2.5
    assert panel.collect().painter_settings == {"sparkle": 2.5, "glow": None}
    panel.glow_auto, panel.glow = False, 0.5
    ref = jobs.ObjectRef(digest="0" * 64, dtype="uint8", shape=(4, 4, 3))
    spec = job_spec(panel.collect(), (ref,), jobs.Masks(), 24.0)
    assert isinstance(spec, jobs.EditJob)
    assert painters.settings_of(spec) == ToySettings(sparkle=2.5, glow=0.5)


@pytest.fixture
def second_painter(monkeypatch: pytest.MonkeyPatch, movie: Path) -> Iterator[Any]:
    """A scene of an add-on that knows a second painter, with a setting of a name in use."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    monkeypatch.setitem(painters.PAINTER_SETTINGS, "toy", Brush)
    studio.enable_addon()
    yield bpy.context.scene
    studio.disable_addon()


class Brush(painters.PainterSettings, frozen=True):
    """Another painter's."""

    label: ClassVar[str] = "Brush"
    strength: Annotated[float, Meta(ge=0, le=1, title="Strength", description="Of a brush")] = 0.5


def test_a_second_painter_is_chosen_in_the_panel(second_painter: Any) -> None:
    panel = second_painter.text2live
    choices = panel.bl_rna.properties["painter"].enum_items
    assert [one.name for one in choices] == ["Text2LIVE", "Brush"]
    assert panel.collect().painter == "text2live"
    panel.prompt, panel.painter, panel.toy_strength = "a car", "toy", 0.25
    wanted = panel.collect()
    assert (wanted.painter, wanted.painter_settings) == ("toy", {"strength": 0.25})
    ref = jobs.ObjectRef(digest="0" * 64, dtype="uint8", shape=(4, 4, 3))
    spec = job_spec(wanted, (ref,), jobs.Masks(), 24.0)
    assert isinstance(spec, jobs.EditJob)
    assert (spec.painter, spec.settings) == ("toy", {"strength": 0.25})
    panel.apply(Settings())
    assert (panel.painter, panel.strength) == ("text2live", 1.0)
    panel.apply(Settings.from_plain(wanted.to_plain()))
    assert panel.collect() == wanted
