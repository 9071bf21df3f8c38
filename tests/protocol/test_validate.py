"""Every job that cannot run is refused, with its own code and a sentence."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from protocol.jobs import (
    AtlasJob,
    ClickKey,
    Clip,
    ClipModel,
    EditJob,
    JobError,
    JobSpec,
    KeyMask,
    Masks,
    ObjectRef,
    PaintJob,
    StrokeKey,
)
from protocol.limits import Limits
from protocol.painters import (
    FromFramesSettings,
    PaintedFrame,
    Text2LiveSettings,
    packed_settings,
    settings_of,
)
from protocol.upgrade import job_from
from protocol.validate import check, check_job_id, objects


def frame(seed: int, height: int = 24, width: int = 32, channels: int = 3) -> ObjectRef:
    return ObjectRef(digest=f"{seed:064x}", dtype="uint8", shape=(height, width, channels))


def mask(index: int, height: int = 24, width: int = 32) -> KeyMask:
    return KeyMask(frame=index, mask=frame(100 + index, height, width, 1))


CLIP = Clip(frames=tuple(frame(i) for i in range(3)))
EDIT = EditJob(clip=CLIP, prompt=("rusty car",))
STROKES = StrokeKey(frame=1, mask=frame(60, channels=1))
CLICK = ClickKey(frame=1, x=3, y=4)
PAINT = PaintJob(clip=CLIP, image=frame(50, channels=4), frame=1)
KEY = Masks(mode="key", keys=(KeyMask(frame=1, mask=frame(70, channels=1)),))
TWO = AtlasJob(clip=CLIP, masks=KEY, behind=(KEY,))


def with_frames(*frames: ObjectRef, fps: float = 24.0) -> EditJob:
    return replace(EDIT, clip=Clip(frames=frames, fps=fps))


def with_masks(mode: str, *keys: KeyMask) -> EditJob:
    return replace(EDIT, masks=Masks(mode=mode, keys=keys))  # type: ignore[arg-type]


def painted(*images: tuple[int, ObjectRef], **fields: object) -> EditJob:
    """An edit by edited frames: the frame of each, and its image."""
    frames = tuple(PaintedFrame(frame=number, image=image) for number, image in images)
    settings = packed_settings(FromFramesSettings(painted_frames=frames))
    return EditJob(clip=CLIP, painter="from_frames", settings=settings, **fields)  # type: ignore[arg-type]


def with_references(*images: ObjectRef) -> EditJob:
    return replace(EDIT, settings=packed_settings(Text2LiveSettings(reference=images)))


PAINTED = painted((1, frame(80, 99, 70)), (2, frame(81, 24, 32, 4)))
NEW = ("background", "background_source", "after", "painter", "settings")
"""Fields of an edit that its first version had not."""

GOOD = {
    "an edit": EDIT,
    "a still": with_frames(frame(0)),
    "a still with a mask": replace(with_frames(frame(0)), masks=Masks(mode="key", keys=(mask(0),))),
    "an atlas": AtlasJob(clip=CLIP),
    "an atlas of networks": AtlasJob(clip=CLIP, engine="mlp"),
    "an edit on an atlas of networks": replace(EDIT, engine="mlp"),
    "one key": with_masks("key", mask(1)),
    "a mask for every frame": with_masks("all", mask(0), mask(1), mask(2)),
    "the same frame twice": with_frames(frame(0), frame(0)),
    "600 frames": with_frames(*[frame(i) for i in range(600)]),
    "the background": replace(EDIT, layer="background"),
    "paint on a frame": PAINT,
    "paint on an atlas": replace(PAINT, image=frame(50, 99, 70, 4), frame=None),
    "a prompt of 2000 letters": replace(EDIT, prompt=("x" * 2000,)),
    "256 clicks": replace(EDIT, masks=Masks(mode="segment", clicks=(CLICK,) * 256)),
    "two objects": TWO,
    "three objects": replace(TWO, behind=(KEY, Masks(mode="text", texts=("car",)))),
    "an edit of the third object": replace(
        EDIT, masks=KEY, behind=(KEY, KEY), layer="foreground_3"
    ),
    "paint on the second object": replace(PAINT, masks=KEY, behind=(KEY,), layer="foreground_2"),
    "a foremost object by the edit's texts": replace(
        EDIT, source=("car",), masks=Masks(mode="text"), behind=(KEY,)
    ),
    "an effect": replace(EDIT, settings={"recipe": "effect"}),
    "a style of the background": replace(EDIT, settings={"recipe": "style"}, layer="background"),
    "both layers": replace(EDIT, layer="both"),
    "both layers, each with texts": replace(
        EDIT, layer="both", background=("snow",), background_source=("grass",)
    ),
    "the foremost of two objects and the background": replace(
        EDIT, masks=KEY, behind=(KEY,), layer="both"
    ),
    "the weakest edit": replace(EDIT, settings={"strength": 0.25}),
    "the strongest edit": replace(EDIT, settings={"strength": 2.0}),
    "no detail of the footage": replace(EDIT, settings={"detail": 0.0}),
    "all its detail, twice": replace(EDIT, settings={"detail": 2.0}),
    "edited frames, without a prompt": PAINTED,
    "an edit by a photo of the material": with_references(frame(90, 50, 60)),
    "a later edit": replace(EDIT, after="0" * 32),
    "a path of 1024 letters": replace(EDIT, masks=Masks(weights="x" * 1024)),
}

BAD = {
    "unknown_preset": replace(EDIT, preset="best"),
    "unknown_engine": AtlasJob(clip=CLIP, engine="hash"),
    "bad_seed": replace(EDIT, seed=-1),
    "bad_variant": replace(EDIT, variant=-1),
    "empty_prompt": replace(EDIT, prompt=("  ",)),
    "too_many_texts": replace(EDIT, prompt=("x",) * 33),
    "prompt_too_long": replace(EDIT, settings={"screen": ("x" * 2001,)}),
    "unknown_painter": replace(EDIT, painter="rubens"),
    "bad_settings": replace(EDIT, settings={"strength": "strong"}),
    "unknown_recipe": replace(EDIT, settings={"recipe": "cartoon"}),
    "bad_strength": replace(EDIT, settings={"strength": 2.01}),
    "bad_detail": replace(EDIT, settings={"detail": 2.01}),
    "no_painted_frames": painted(),
    "painted_out_of_range": painted((3, frame(80))),
    "painted_twice": painted((1, frame(80)), (1, frame(81))),
    "after_unused": replace(PAINTED, after="0" * 32),
    "bad_threshold": replace(PAINTED, settings={**PAINTED.settings, "threshold": 129.0}),
    "unknown_colours": replace(PAINTED, settings={**PAINTED.settings, "colours": "guess"}),
    "too_many_references": with_references(*[frame(90 + n) for n in range(9)]),
    "bad_reference_weight": replace(EDIT, settings={"reference_weight": 1.1}),
    "background_unused": replace(EDIT, background=("snow",)),
    "bad_job_id": replace(EDIT, after="../journal"),
    "unknown_layer": replace(EDIT, layer="sky"),
    "too_many_objects": replace(TWO, behind=(KEY,) * 3),
    "object_not_pointed_at": replace(TWO, behind=(Masks(),)),
    "one_object_only": replace(TWO, engine="mlp"),
    "no_frames": with_frames(),
    "too_many_frames": with_frames(*[frame(i) for i in range(601)]),
    "frame_sizes_differ": with_frames(frame(0), frame(1, 24, 33)),
    "bad_fps": with_frames(frame(0), fps=float("nan")),
    "no_foreground": with_masks("none"),
    "mask_out_of_range": with_masks("key", mask(3)),
    "mask_size_differs": with_masks("key", mask(1, 24, 31)),
    "mask_twice": with_masks("key", mask(1), mask(1)),
    "masks_unused": with_masks("auto", mask(1)),
    "no_masks": with_masks("key"),
    "too_many_clicks": replace(EDIT, masks=Masks(mode="segment", clicks=(CLICK,) * 257)),
    "path_too_long": replace(EDIT, masks=Masks(weights="x" * 1025)),
    "masks_incomplete": with_masks("all", mask(0), mask(1)),
    "paint_out_of_range": replace(PAINT, frame=3),
    "paint_size_differs": replace(PAINT, image=frame(50, 24, 31, 4)),
    "bad_object": with_frames(frame(0, channels=4)),
    "frame_too_large": with_frames(frame(0, 4097, 8)),
}


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD.keys())
def test_a_good_job_passes(spec):
    check(spec)


@pytest.mark.parametrize(("code", "spec"), BAD.items(), ids=BAD.keys())
def test_a_bad_job_is_refused_with_a_sentence(code, spec):
    with pytest.raises(JobError) as why:
        check(spec)
    problem = why.value.problem
    assert problem.code == code
    assert problem.message.endswith(".")
    assert problem.hint.endswith(".")


@pytest.mark.parametrize(
    "spec",
    [
        replace(EDIT, prompt=()),
        painted((0, frame(80, channels=1))),
        with_references(frame(90, channels=4)),
        painted((0, frame(80, 4097, 8))),
        replace(EDIT, engine="hash"),
        with_masks("key", mask(-1)),
        with_frames(frame(0, 0, 8)),
        with_frames(frame(0, -24, -32)),
        with_frames(frame(0, 2**62, 2**62)),
        with_frames(ObjectRef(digest="../../etc/passwd", dtype="uint8", shape=(2, 2, 3))),
        with_frames(ObjectRef(digest="0" * 64, dtype="float32", shape=(2, 2, 3))),
        with_frames(ObjectRef(digest="0" * 64, dtype="uint8", shape=(2, 2))),
        with_frames(frame(0), fps=0.0),
        replace(EDIT, seed=2**64),
        replace(EDIT, model=ClipModel(checkpoint="x" * 1025)),
        replace(EDIT, masks=Masks(texts=("x" * 2001,))),
        replace(EDIT, masks=Masks(mode="auto", model=ClipModel(pretrained="x" * 1025))),
        replace(EDIT, masks=Masks(mode="segment", clicks=(replace(CLICK, inside=False),))),
        replace(EDIT, masks=Masks(mode="key", strokes=(STROKES,) * 2)),
        replace(PAINT, frame=-1),
        replace(PAINT, layer="sky"),
        replace(PAINT, layer="both"),
        replace(with_masks("none"), layer="both"),
        replace(EDIT, settings={"strength": float("nan")}),
        replace(EDIT, settings={"strength": 0.2}),
        replace(EDIT, settings={"detail": float("nan")}),
        replace(EDIT, settings={"detail": -0.1}),
        replace(EDIT, layer="background", background_source=("snow",)),
        replace(EDIT, layer="both", background=("x" * 2001,)),
        replace(EDIT, layer="both", background_source=("x",) * 33),
        replace(PAINT, image=frame(50)),
        replace(PAINT, layer="foreground_2"),
        replace(EDIT, masks=KEY, behind=(KEY,), layer="foreground_3"),
        replace(EDIT, masks=KEY, behind=(KEY,), engine="mlp"),
        replace(TWO, masks=Masks()),
        replace(TWO, masks=Masks(mode="none")),
        replace(TWO, behind=(Masks(mode="none"),)),
        replace(EDIT, masks=KEY, source=("car",), behind=(Masks(mode="text"),)),
    ],
)
def test_other_nonsense_is_refused_too(spec):
    with pytest.raises(JobError):
        check(spec)


@pytest.mark.parametrize("layer", ["foreground_2", "foreground_3"])
def test_a_layer_without_its_object_is_refused_with_the_layers_there_are(layer):
    with pytest.raises(JobError, match="has 1 object") as why:
        check(replace(EDIT, layer=layer))
    assert why.value.problem.code == "unknown_layer"
    assert "foreground, background, both;" in why.value.problem.hint


def test_an_error_says_which_of_several_objects_it_is_about():
    wrong = with_masks("key", mask(3)).masks
    with pytest.raises(JobError, match=r"^A mask is for frame 4"):
        check(replace(EDIT, masks=wrong))
    with pytest.raises(JobError, match=r"^Object 3 \(foreground_3\): A mask is for frame 4") as why:
        check(replace(EDIT, masks=KEY, behind=(KEY, wrong)))
    assert why.value.problem.code == "mask_out_of_range"


def test_masks_of_all_objects_are_sent():
    behind = Masks(mode="key", keys=(mask(0),), strokes=(STROKES,))
    sent = objects(replace(TWO, behind=(behind,)))
    assert {KEY.keys[0].mask.digest, mask(0).mask.digest, STROKES.mask.digest} <= sent.keys()


def test_edited_frames_are_sent_and_survive_the_wire():
    assert {frame(80, 99, 70).digest, frame(81, 24, 32, 4).digest} <= objects(PAINTED).keys()
    assert job_from(msgspec.to_builtins(PAINTED)) == PAINTED


def test_reference_images_are_sent_and_are_the_objects_own():
    spec = with_references(frame(90, 50, 60))
    assert frame(90, 50, 60).digest in objects(spec)
    assert job_from(msgspec.to_builtins(spec)) == spec
    assert settings_of(spec).for_background().images == ()


def test_a_shot_takes_its_own_edited_frames():
    settings = settings_of(PAINTED).within(2, 3)
    assert [one.frame for one in settings.painted_frames] == [0]


def test_a_message_of_a_version_with_one_object_is_the_same_job():
    old = msgspec.to_builtins(EDIT)
    for new in ("behind", *NEW):
        del old[new]
    assert msgspec.convert(old, JobSpec) == EDIT


def test_an_edit_of_protocol_1_0_keeps_its_settings_and_its_engine():
    old = msgspec.to_builtins(EDIT)
    for new in ("engine", "painter", "settings"):
        del old[new]
    old |= {"recipe": "effect", "strength": 0.5, "screen": ["fire"], "detail": None}
    settings = {"recipe": "effect", "strength": 0.5, "screen": ["fire"]}
    assert job_from({**old, "atlas_engine": "mlp"}) == replace(
        EDIT, engine="mlp", settings=settings
    )


def test_default_settings_make_the_same_job():
    spelled = msgspec.to_builtins(replace(EDIT, settings={"strength": 1.0, "detail": None}))
    assert job_from(spelled) == EDIT


def test_unknown_settings_are_kept_for_the_check_to_refuse():
    spec = job_from(msgspec.to_builtins(replace(EDIT, settings={"sparkle": 1})))
    with pytest.raises(JobError) as why:
        check(spec)
    assert why.value.problem.code == "bad_settings"


def test_a_job_that_is_too_large_is_refused_before_anything_is_sent():
    spec = with_frames(*[frame(i, 4096, 4096) for i in range(100)])
    with pytest.raises(JobError, match=r"4\.7 GiB") as why:
        check(spec)
    assert why.value.problem.code == "job_too_large"


def test_a_repeated_frame_counts_each_time_because_it_is_decoded_each_time():
    with pytest.raises(JobError, match=r"28\.1 GiB") as why:
        check(with_frames(*[frame(0, 4096, 4096)] * 600))
    assert why.value.problem.code == "job_too_large"


def test_one_image_has_one_size():
    lying = replace(mask(0), mask=replace(mask(0).mask, digest=frame(0).digest))
    with pytest.raises(JobError, match="two sizes") as why:
        check(replace(EDIT, masks=Masks(mode="key", keys=(lying,))))
    assert why.value.problem.code == "bad_object"


def test_a_backend_can_set_other_limits():
    with pytest.raises(JobError) as why:
        check(EDIT, Limits(frames=2))
    assert why.value.problem.code == "too_many_frames"


def test_each_object_is_named_once():
    repeated = with_frames(frame(0), frame(0), frame(1))
    spec = replace(repeated, masks=Masks(mode="key", keys=(mask(0),)))
    assert [ref.digest for ref in objects(spec).values()] == [
        frame(0).digest,
        frame(1).digest,
        mask(0).mask.digest,
    ]


@pytest.mark.parametrize("job", ["", "x" * 32, "0" * 31, "0" * 33, "../" + "0" * 29, "A" * 32])
def test_a_job_id_is_32_hex_digits(job):
    with pytest.raises(JobError, match="32 hex digits"):
        check_job_id(job)


def test_sentences_name_frames_of_the_artists_timeline() -> None:
    """The clip starts at frame 101: its mask on frame 3 is on frame 104."""
    clip = Clip(frames=tuple(frame(n) for n in range(4)), start=101)
    masks = Masks(mode="key", keys=(mask(9),))
    with pytest.raises(JobError, match="is for frame 110, but the clip has 4 frames"):
        check(replace(EDIT, clip=clip, masks=masks))
    with pytest.raises(JobError, match="The mask of frame 104 is 32×20"):
        check(replace(EDIT, clip=clip, masks=Masks(mode="key", keys=(mask(3, height=20),))))
