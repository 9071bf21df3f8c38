"""The add-on without Blender: channels, transforms, requests, masks, texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender_addon.core import connection, frames, jobs, masking, request
from blender_addon.core.channels import OccupiedSpan, ceiling, free_channel, lift
from blender_addon.core.mask_keys import MaskKey
from blender_addon.core.planning import Placement, fit, render_percentage
from blender_addon.core.settings import Settings, alternatives
from protocol.jobs import JobError
from protocol.keys import Connection, new_keypair, write_connection_file


def taken(*strips: tuple[int, int, int]) -> list[OccupiedSpan]:
    return [OccupiedSpan(channel=c, start=a, end=b) for c, a, b in strips]


@pytest.mark.parametrize(
    ("strips", "channel"),
    [
        ([], 3),
        ([(3, 0, 10)], 3),  # ends where the layer begins
        ([(3, 20, 30)], 3),  # begins where the layer ends
        ([(3, 0, 11)], 4),
        ([(3, 19, 30)], 4),
        ([(3, 12, 13), (4, 0, 100)], 5),
        ([(4, 12, 13)], 3),
        ([(1, 0, 100), (2, 0, 100)], 3),
    ],
)
def test_lowest_free_channel_above(strips: list[tuple[int, int, int]], channel: int) -> None:
    assert free_channel(taken(*strips), 10, 20, above=2) == channel


def test_a_missing_free_channel_is_reported() -> None:
    with pytest.raises(JobError, match="frames 10 and 19"):
        free_channel(taken((128, 0, 100)), 10, 20, above=127)


def test_a_muted_or_locked_channel_is_not_free() -> None:
    assert free_channel(taken((4, 0, 100)), 10, 20, above=2, closed={3, 5}) == 6


def test_the_lowest_title_over_the_frames_is_the_ceiling() -> None:
    titles = [
        OccupiedSpan(channel=channel, start=start, end=start + 10, on_top=True)
        for channel, start in ((2, 10), (5, 15), (4, 30), (6, 10))
    ]
    assert ceiling(titles, 10, 20, above=2) == 5
    assert ceiling(taken((3, 10, 20)), 10, 20, above=2) > 128


def test_strips_rise_with_what_lies_in_their_way() -> None:
    strips = taken((3, 10, 20), (4, 5, 12), (4, 30, 40), (6, 10, 20))
    assert lift(strips, 10, 20, 3, closed=()) == {0: 4, 1: 5}
    assert lift(strips, 10, 20, 3, closed={4}) == {0: 5}
    assert lift(strips, 10, 20, 3, closed={3}) is None


def test_a_locked_strip_does_not_rise() -> None:
    strips = [*taken((3, 10, 20)), OccupiedSpan(channel=4, start=15, end=30, locked=True)]
    assert lift(strips, 10, 20, 3, closed=()) is None
    assert lift(taken((128, 10, 20)), 10, 20, 128, closed=()) is None


def test_fit_scales_the_layer_and_its_crop() -> None:
    placement = Placement(offset_x=5, scale_x=2.0, scale_y=1.0, rotation=0.5, crop=(8, 4, 2, 6))
    fitted = fit(placement, (100, 80), (50, 20))
    assert (fitted.scale_x, fitted.scale_y) == (4.0, 4.0)
    assert fitted.crop == (4, 2, 0, 2)
    assert (fitted.offset_x, fitted.rotation) == (5, 0.5)


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [((1920, 1080), 0, 100), ((1920, 1080), 1920, 100), ((1920, 1080), 960, 50), ((9, 900), 1, 1)],
)
def test_percentage(size: tuple[int, int], longest: int, expected: int) -> None:
    assert render_percentage(size, longest) == expected


def test_texts_are_split_into_alternatives() -> None:
    assert alternatives(" a red car ;; a crimson car; ") == (
        "a red car",
        "a crimson car",
    )
    assert alternatives(" ; ") == ()


def test_an_empty_prompt_is_refused_with_an_example() -> None:
    with pytest.raises(JobError) as caught:
        request.check(Settings(prompt=" ; "))
    assert "example" in caught.value.problem.hint


@pytest.mark.parametrize(
    ("settings", "size", "count", "code"),
    [
        (Settings(prompt="x" * 3000), (64, 64), 5, "prompt_too_long"),
        (Settings(prompt="x"), (64, 64), 5000, "too_many_frames"),
        (Settings(prompt="x"), (9000, 64), 5, "frame_too_large"),
    ],
)
def test_what_the_backend_would_refuse_is_refused_before_reading(
    settings: Settings, size: tuple[int, int], count: int, code: str
) -> None:
    with pytest.raises(JobError) as caught:
        request.check_before_reading(settings, size, count, [], 24.0)
    assert caught.value.problem.code == code


def test_masks_of_every_kind_pass_the_early_check() -> None:
    for mode, masks in (("auto", []), ("keys", [2]), ("all", range(5))):
        settings = Settings(prompt="x", mask_mode=mode)  # type: ignore[arg-type]
        sources = [masking.MaskSource(frame) for frame in masks]
        request.check_before_reading(settings, (64, 48), 5, sources, 24.0)


def test_a_key_mask_is_for_its_frame(tmp_path: Path) -> None:
    picture = tmp_path / "mask.png"
    picture.write_bytes(b"")

    def at(frame: int) -> list[int]:
        key = MaskKey(frame=frame, kind="file", path=str(picture))
        settings = Settings(prompt="x", mask_mode="keys", mask_keys=(key,))
        return [source.frame for source in masking.mask_sources(settings, 20, 8, 3)]

    assert at(3) == [0]
    assert at(10) == [7]
    for outside in (2, 11):
        with pytest.raises(JobError, match="No key frame of the mask") as caught:
            at(outside)
        assert "from 20 to 27" in caught.value.problem.hint


def test_masks_in_a_folder_are_counted(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "notes.txt", "c.jpg"):
        (tmp_path / name).write_bytes(b"")
    settings = Settings(prompt="x", mask_mode="all", mask_path=str(tmp_path))
    names = [one.path.name for one in masking.mask_sources(settings, 1, 3) if one.path]
    assert names == ["a.PNG", "b.png", "c.jpg"]
    with pytest.raises(JobError, match="holds 3 masks, but the strip has 4 frames"):
        masking.mask_sources(settings, 1, 4)


@pytest.mark.parametrize("path", ["", "/nowhere/at/all"])
def test_a_missing_folder_of_masks_is_reported(path: str) -> None:
    settings = Settings(prompt="x", mask_mode="all", mask_path=path)
    with pytest.raises(JobError) as caught:
        masking.mask_sources(settings, 1, 3)
    assert caught.value.problem.hint


def test_a_mask_is_brighter_than_half_of_its_brightest_pixel() -> None:
    picture = np.zeros((2, 3, 4), np.float32)
    picture[..., 3] = 1
    picture[0, 1, 0] = 0.5  # the dark red of a palette mask
    picture[1, 2, 0] = 0.2
    mask = frames.mask_from_image(picture, (3, 2), "m")
    assert mask.tolist() == [[[0], [255], [0]], [[0], [0], [0]]]


def test_transparent_pixels_are_outside_the_mask() -> None:
    picture = np.ones((2, 2, 4), np.float32)
    picture[0, :, 3] = 0
    assert frames.mask_from_image(picture, (2, 2), "m")[..., 0].tolist() == [[0, 0], [255, 255]]


def test_a_mask_of_another_size_is_resampled() -> None:
    picture = np.zeros((4, 8, 1), np.float32)
    picture[:, 4:] = 1
    assert frames.mask_from_image(picture, (4, 2), "m")[..., 0].tolist() == [[0, 0, 255, 255]] * 2


@pytest.mark.parametrize(
    ("shape", "value", "code"), [((4, 4), 0.0, "empty_mask"), ((4, 40), 1.0, "mask_shape")]
)
def test_useless_masks_are_refused(shape: tuple[int, int], value: float, code: str) -> None:
    with pytest.raises(JobError) as caught:
        frames.mask_from_image(np.full((*shape, 1), value, np.float32), (64, 48), "m.png")
    assert caught.value.problem.code == code
    assert "m.png" in caught.value.problem.message


def test_lost_edges_repeat_their_neighbours() -> None:
    image = np.full((4, 5, 4), 200, np.uint8)
    image[:, 0] = image[-1] = 0
    image[1, 1] = (1, 2, 3, 255)
    filled = frames.fill_edges(image)
    assert filled[..., 3].all()
    assert filled[1, 0].tolist() == [1, 2, 3, 255]
    image[2, 0, 3] = 9  # a picture of its own transparency
    assert not frames.fill_edges(image)[1, 0].any()


def test_equal_frames_are_stored_once(tmp_path: Path) -> None:
    store = frames.FrameStore(tmp_path / "f")
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    mask = np.full((2, 3, 1), 255, np.uint8)
    refs = [store.add(image), store.add(image.copy()), store.add(mask)]
    assert refs[0] == refs[1]
    assert len(list(store.folder.iterdir())) == 1
    assert np.array_equal(store(refs[0].digest), image)
    assert np.array_equal(store(refs[2].digest), mask)
    store.close()
    with pytest.raises(JobError, match="are gone"):
        store(refs[0].digest)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (8, "8 s"),
        (59.4, "59 s"),
        (100, "2 min"),
        (3599, "1 h 00 min"),
        (4800, "1 h 20 min"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert jobs.duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.20:5599", "tcp://192.168.1.20:5599"),
        (" tcp://box:1 ", "tcp://box:1"),
        ("[::1]:5599", "tcp://[::1]:5599"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert connection.full_address(text) == address


@pytest.mark.parametrize("text", ["box", "box:", "box:0", "box:70000", "http://box:1", "a b:1"])
def test_an_invalid_address_is_reported(text: str) -> None:
    with pytest.raises(JobError, match="is not a valid address"):
        connection.full_address(text)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://192.168.1.2:1", False),
        ("tcp://127.0.0.1.example.org:1", False),
    ],
)
def test_only_this_machine_needs_no_online_access(address: str, local: bool) -> None:
    assert connection.is_local(address) is local
    connection.check_online(address, True)
    if not local:
        with pytest.raises(JobError, match="online access is off"):
            connection.check_online(address, False)


def test_the_address_may_be_overridden(tmp_path: Path) -> None:
    pair = new_keypair()
    written = Connection(
        address="tcp://127.0.0.1:5599",
        server_key=pair.public,
        client_public=pair.public,
        client_secret=pair.secret,
    )
    file = tmp_path / "connection.json"
    write_connection_file(file, written)
    assert connection.read_connection(file) == written
    assert connection.read_connection(file, "box:7000").address == "tcp://box:7000"
    assert connection.read_connection(file, "box:7000").server_key == pair.public
