"""From the panel's settings to a job: every kind of job, every kind of mask."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from msgspec import Meta

from blender_addon.core import masking, quality
from blender_addon.core.mask_keys import MaskKey, Stroke, draw_strokes, with_key, with_stroke
from blender_addon.core.request import check_before_reading, job_spec
from blender_addon.core.settings import Settings, painter_declarations
from protocol.jobs import (
    AtlasJob,
    BoxKey,
    EditJob,
    JobError,
    KeyMask,
    Masks,
    ObjectRef,
    PaintJob,
    StrokeKey,
)
from protocol.painters import (
    PAINTER_SETTINGS,
    PainterSettings,
    Text2LiveSettings,
    settings_of,
)

START, FRAMES = 20, 8

FIRST = 5  # the clip starts with this frame of the strip's content


def ref(number: int, channels: int = 3) -> ObjectRef:
    return ObjectRef(digest=f"{number:064x}", dtype="uint8", shape=(48, 64, channels))


CLIP = tuple(ref(number) for number in range(FRAMES))


KEYS = (KeyMask(frame=2, mask=ref(99, 1)),)


def settings(**fields: object) -> Settings:
    return Settings(**{"prompt": "a red car", **fields})  # type: ignore[arg-type]


def box(frame: int) -> MaskKey:
    return MaskKey(frame=frame, kind="box", box=(10, 20, 30, 8))


def test_a_box_is_sent_in_the_pixels_of_the_frames_that_are_sent() -> None:
    said = settings(mask_mode="keys", mask_keys=(box(7), box(1), box(30)))
    assert masking.mask_sources(said, START, FRAMES, FIRST) == []
    masks = masking.masks_for(said, (), (), FIRST, FRAMES, (0.5, 0.25))
    assert masks == Masks(mode="key", boxes=(BoxKey(frame=2, x0=5, y0=5, x1=20, y1=7),))


def test_key_frames_of_every_kind_are_sent_together() -> None:
    drawn = MaskKey(frame=6, kind="strokes", strokes=(Stroke(False, 3, ((1, 2),)),))
    painted = MaskKey(frame=12, kind="image", name="m")
    said = settings(mask_mode="keys", mask_keys=(drawn, box(7), painted))
    sources = masking.mask_sources(said, START, FRAMES, FIRST)
    assert [(one.frame, one.key) for one in sources] == [(1, drawn), (7, painted)]
    check_before_reading(said, (64, 48), FRAMES, sources, 24.0, START, FIRST)
    stroke = StrokeKey(frame=1, mask=ref(98, 1))
    masks = masking.masks_for(said, KEYS, (stroke,), FIRST, FRAMES)
    assert (masks.keys, masks.strokes, len(masks.boxes)) == (KEYS, (stroke,), 1)


def test_a_key_frame_takes_the_place_of_another_and_strokes_are_added() -> None:
    keys = with_key((box(3), box(1)), box(2))
    assert [key.frame for key in keys] == [1, 2, 3]
    stroke = Stroke(True, 4, ((1, 1), (9, 1)))
    keys = with_stroke(keys, 2, stroke)
    assert [key.kind for key in keys] == ["box", "strokes", "box"]
    assert with_stroke(keys, 2, stroke)[1].strokes == (stroke, stroke)
    for key in keys:
        assert MaskKey.from_plain(json.loads(json.dumps(key.to_plain()))) == key


def test_strokes_and_clicks_become_an_image() -> None:
    line = Stroke(True, 2, ((5, 10), (25, 10)))
    click = Stroke(False, 3, ((15.0, 10.0),))
    image = draw_strokes((line, click), (32, 20))[..., 0]
    assert image.dtype == np.uint8
    assert set(np.unique(image)) == {0, 64, 255}
    assert image[9, 6] == 255
    assert image[10, 15] == 64
    assert image[10, 19] == 255
    assert not image[:7].any()
    half = draw_strokes((line,), (16, 10), (0.5, 0.5))[..., 0]
    assert half[4, 6] == 255
    assert not draw_strokes((Stroke(True, 2, ((-50, 4),)),), (16, 10)).any()


@pytest.mark.parametrize(
    ("fields", "indices", "mode"),
    [
        ({"mask_mode": "mask", "mask_name": "m"}, range(8), "all"),
        ({"mask_mode": "strip", "mask_name": "m"}, range(8), "all"),
        ({"mask_mode": "mask", "mask_name": "m", "mask_every": False, "mask_frame": 27}, [7],
         "key"),
        ({"mask_mode": "auto"}, [], "auto"),
        ({"mask_mode": "none"}, [], "none"),
    ],
)  # fmt: skip
def test_masks_that_blender_makes(fields: dict[str, object], indices: object, mode: str) -> None:
    chosen = settings(**fields)
    found = masking.mask_sources(chosen, START, FRAMES)
    assert found == [masking.MaskSource(index) for index in indices]  # type: ignore[attr-defined]
    assert masking.masks_for(chosen, KEYS).mode == mode
    assert bool(masking.masks_for(chosen, KEYS).keys) == bool(found)


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"mask_text": "swan; bird"}, ("swan", "bird")),
        ({"region": "the roof", "source": "a car"}, ("the roof",)),
        ({"source": "a car"}, ("a car",)),
    ],
)
def test_an_object_found_by_text(fields: dict[str, str], texts: tuple[str, ...]) -> None:
    masks = masking.masks_for(settings(mask_mode="text", model="ViT-B-32", **fields))
    assert (masks.mode, masks.texts, masks.model.name) == ("text", texts, "ViT-B-32")


def test_a_name_helps_the_automatic_search_and_the_edits_words_do_not() -> None:
    said = settings(mask_mode="auto", model="ViT-B-32", region="the roof", source="a car")
    masks = masking.masks_for(said)
    assert (masks.mode, masks.texts, masks.model.name) == ("auto", (), "")
    called = dataclasses.replace(said, mask_text="a car")
    masks = masking.masks_for(called)
    assert (masks.mode, masks.texts, masks.model.name) == ("auto", ("a car",), "ViT-B-32")
    assert dataclasses.replace(said, source="a van").decomposition() == said.decomposition()
    assert called.decomposition() != said.decomposition()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"mask_mode": "text"}, "no_mask_text"),
        ({"mask_mode": "keys"}, "no_key_frame"),
        ({"mask_mode": "keys", "mask_keys": (MaskKey(frame=7, kind="box"),)}, "no_box"),
        ({"mask_mode": "keys", "mask_keys": (MaskKey(frame=7, kind="image"),)}, "no_mask_image"),
        (
            {"mask_mode": "keys", "mask_keys": (MaskKey(frame=7, kind="file", path="/no"),)},
            "mask_missing",
        ),
        (
            {"mask_mode": "keys", "mask_keys": (MaskKey(frame=13, kind="box", box=(0, 0, 9, 9)),)},
            "no_key_frame",
        ),
        (
            {
                "mask_mode": "keys",
                "mask_keys": (
                    MaskKey(frame=7, kind="strokes", strokes=(Stroke(False, 3, ((1, 2),)),)),
                ),
            },
            "no_key_frame",
        ),
        ({"mask_mode": "mask"}, "no_mask_chosen"),
        ({"mask_mode": "strip"}, "no_mask_chosen"),
        ({"mask_mode": "mask", "mask_name": "m", "mask_every": False}, "mask_frame_outside"),
    ],
)
def test_a_mask_that_was_not_chosen_is_reported(fields: dict[str, object], code: str) -> None:
    with pytest.raises(JobError) as caught:
        masking.mask_sources(settings(**fields), START, FRAMES, FIRST)
    assert caught.value.problem.code == code
    assert caught.value.problem.hint


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"mask_mode": "text"}, "no_mask_text"),
        ({"mask_mode": "none"}, "no_foreground"),
        ({"kind": "paint", "paint_frame": 28}, "paint_out_of_range"),
        ({"after": "yesterday"}, "bad_job_id"),
        ({"painter_settings": {"strength": 9.0}}, "bad_strength"),
    ],
)
def test_what_the_backend_would_refuse(fields: dict[str, object], code: str) -> None:
    with pytest.raises(JobError) as caught:
        check_before_reading(settings(**fields), (64, 48), FRAMES, [], 24.0, START)
    assert caught.value.problem.code == code


def test_an_edit_carries_every_setting() -> None:
    said = settings(
        source="a car", region="the roof", avoid="sky", preset="draft", seed=7, after="a" * 32,
        engine="mlp", model="ViT-B-32:openai",
        painter_settings={"screen": "rust", "recipe": "effect", "strength": 0.5, "detail": 0.25},
    )  # fmt: skip
    spec = job_spec(said, CLIP, Masks(mode="auto"), 25.0, START)
    assert isinstance(spec, EditJob)
    texts = (spec.prompt, spec.source, spec.region, spec.avoid)
    assert texts == (("a red car",), ("a car",), ("the roof",), ("sky",))
    chosen = (spec.preset, spec.seed, spec.after, spec.engine)
    assert chosen == ("draft", 7, "a" * 32, "mlp")
    assert (spec.model.pretrained, spec.clip.fps) == ("openai", 25.0)
    assert spec.painter == "text2live"
    assert settings_of(spec) == Text2LiveSettings(
        screen=("rust",), recipe="effect", strength=0.5, detail=0.25
    )


def test_texts_of_the_background_belong_to_an_edit_of_both() -> None:
    said = settings(layer="both", background="snow", background_source="grass")
    spec = job_spec(said, CLIP, Masks(), 24.0)
    assert isinstance(spec, EditJob)
    assert (spec.background, spec.background_source) == (("snow",), ("grass",))
    alone = job_spec(dataclasses.replace(said, layer="foreground"), CLIP, Masks(), 24.0)
    assert isinstance(alone, EditJob)
    assert alone.background == ()


def test_an_analysis_and_the_edit_after_it_ask_for_the_same_atlas() -> None:
    said = settings(preset="draft", seed=3, engine="mlp", mask_mode="text", source="a car")
    masks = masking.masks_for(said)
    edit = job_spec(said, CLIP, masks, 24.0)
    atlas = job_spec(dataclasses.replace(said, kind="atlas"), CLIP, masks, 24.0)
    assert isinstance(edit, EditJob)
    assert isinstance(atlas, AtlasJob)
    asked = (atlas.clip, atlas.masks, atlas.preset, atlas.seed, atlas.engine)
    assert asked == (edit.clip, edit.masks, edit.preset, edit.seed, edit.engine)


def test_paint_over_a_frame_is_for_that_frame_of_the_clip() -> None:
    said = settings(kind="paint", paint_frame=23, layer="background")
    spec = job_spec(said, CLIP, Masks(), 24.0, START, ref(5, 4))
    assert isinstance(spec, PaintJob)
    assert (spec.frame, spec.layer, spec.image) == (3, "background", ref(5, 4))
    atlas = dataclasses.replace(said, paint_frame=None)
    assert job_spec(atlas, CLIP, Masks(), 24.0, START, ref(5, 4)).frame is None  # type: ignore[union-attr]


def test_settings_are_kept_as_plain_values() -> None:
    said = settings(
        mask_mode="keys", mask_keys=(box(5),), paint_frame=5, painter_settings={"strength": 0.5}
    )
    assert Settings.from_plain({**said.to_plain(), "of a later version": 1}) == said
    assert Settings.from_plain({"painter": "of a later version"}).painter_settings == {}


def test_settings_saved_by_earlier_versions_keep_their_meaning() -> None:
    saved = {"prompt": "a boat", "screen": "rust; dust", "recipe": "effect", "strength": 0.5}
    spec = job_spec(Settings.from_plain({**saved, "detail": None}), CLIP, Masks(), 24.0)
    assert isinstance(spec, EditJob)
    assert settings_of(spec) == Text2LiveSettings(
        screen=("rust", "dust"), recipe="effect", strength=0.5
    )
    assert saved.items() <= Settings.from_plain(saved).to_plain().items()


class ToySettings(PainterSettings, frozen=True):
    """Two settings that the add-on does not know."""

    words: Annotated[tuple[str, ...], Meta(title="Words", description="Some words")] = ()
    sparkle: Annotated[float, Meta(ge=0, le=9, title="Sparkle", description="How much")] = 1.0


def test_a_newly_declared_setting_reaches_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAINTER_SETTINGS, "text2live", ToySettings)
    said = settings(painter_settings={"words": "bright; shiny", "sparkle": 3.0})
    spec = job_spec(Settings.from_plain(said.to_plain()), CLIP, Masks(), 24.0)
    assert isinstance(spec, EditJob)
    assert settings_of(spec) == ToySettings(words=("bright", "shiny"), sparkle=3.0)
    assert job_spec(settings(), CLIP, Masks(), 24.0).settings == {}  # type: ignore[union-attr]


def test_names_of_settings_are_not_used_twice() -> None:
    """They share a namespace in saved files and in the panel."""
    own = {field.name for field in dataclasses.fields(Settings)}
    for painter in PAINTER_SETTINGS:
        assert not own & {one.name for one in painter_declarations(painter)}


def test_titles() -> None:
    assert settings(prompt="a red car; a crimson car").title == "a red car"
    assert settings(kind="atlas").title == "Analysis"
    assert settings(kind="paint").title == "Paint on object atlas"
    assert settings(kind="paint", layer="background").title == "Paint on background atlas"
    assert settings(kind="paint", paint_frame=9).title == "Paint on frame 9"


def test_the_atlas_depends_on_the_shot_and_its_object_not_on_the_prompt() -> None:
    one = settings(mask_mode="keys", mask_keys=(box(1),))
    same = dataclasses.replace(
        one, prompt="a boat", painter_settings={"strength": 2.0}, mask_text="x", mask_path="/p"
    )
    assert one.decomposition() == same.decomposition()
    for fields in (
        {"preset": "final"}, {"seed": 1}, {"engine": "mlp"}, {"longest": 5},
        {"mask_keys": (box(3),)}, {"mask_keys": (box(1), box(3))}, {"mask_mode": "auto"},
        {"mask_mode": "all"},
        {"mask_mode": "mask", "mask_name": "a"}, {"mask_mode": "text", "mask_text": "swan"},
    ):  # fmt: skip
        other = dataclasses.replace(one, **fields)
        assert other.decomposition() != one.decomposition(), fields


# geometry


def test_a_good_analysis_is_rated_good_and_a_doubtful_one_is_not() -> None:
    good = {"mask_confidence_worst": 0.9, "psnr_held_out": 30.0, "slip_fg": 0.3, "folds_fg": 0.0}
    assert [verdict.good for verdict in quality.verdicts(good, 20)] == [True, True]
    bad = {
        "mask_confidence_worst": 0.3, "mask_worst_frame": 5.0, "psnr_held_out": 20.0,
        "slip_fg": 2.0, "folds_fg": 0.05,
    }  # fmt: skip
    texts = " ".join(verdict.text for verdict in quality.verdicts(bad, 20) if not verdict.good)
    for said in ("frame 25", "30% confident", "20.0 dB", "2.0 pixels", "5%"):
        assert said in texts
    mixed = quality.verdicts({**good, "psnr_held_out": 1.0}, 20)
    assert [verdict.good for verdict in mixed] == [False, True]
    assert quality.verdicts({}, 20) == []


def test_limits_match_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "atlas-format.md").read_text()
    words = " ".join(page.split())
    assert f"less than {quality.EXPLAINED_DB:g} dB held out" in words
    assert f"more than {quality.SLIP_PX:g} pixels of slip" in words
    assert f"{quality.FOLDS:.0%}".replace("%", " %") + " of folds" in words


def test_a_job_knows_the_timeline_frame_of_its_clip() -> None:
    """So that the backend's sentences name the artist's frames."""
    frame = ObjectRef(digest="0" * 64, dtype="uint8", shape=(24, 32, 3))
    settings = Settings(prompt="a red car", mask_mode="auto")
    spec = job_spec(settings, (frame,), Masks(), 24.0, start=101)
    assert spec.clip.start == 101


def test_a_mask_of_an_earlier_version_is_a_key_frame() -> None:
    at = {"mask_frame": 112}
    box = Settings.from_plain({"mask_mode": "box", "mask_box": [3, 4, 50, 40], **at}, content=100.0)
    image = Settings.from_plain({"mask_mode": "image", "mask_name": "swan", **at}, content=100.0)
    file = Settings.from_plain({"mask_mode": "key", "mask_path": "/m/1.png", **at}, content=100.0)
    assert {one.mask_mode for one in (box, image, file)} == {"keys"}
    assert [one.mask_keys for one in (box, image, file)] == [
        (MaskKey(frame=12, kind="box", box=(3.0, 4.0, 50.0, 40.0)),),
        (MaskKey(frame=12, kind="image", name="swan"),),
        (MaskKey(frame=12, kind="file", path="/m/1.png"),),
    ]
    assert Settings.from_plain({"mask_mode": "auto", "mask_box": [3, 4, 50, 40]}).mask_keys == ()
    assert Settings.from_plain({"mask_mode": "box", "mask_box": [0, 0, 0, 0]}).mask_keys == ()


def test_masks_that_cannot_be_read_are_left_out() -> None:
    key = MaskKey(frame=2, kind="box", box=(3.0, 4.0, 50.0, 40.0))
    plain = [{"frame": 1, "kind": "of a later version"}, key.to_plain(), {"kind": "box"}, None]
    assert Settings.from_plain({"mask_keys": plain}).mask_keys == (key,)
