"""Movies as they come: any container, interlaced, rotated, cut off, of varying rate, with alpha."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from movies import numbered, order, write_movie

from backend import media
from backend.media.timing import timing_of
from protocol.jobs import JobError
from protocol.limits import Limits


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("mkv", "ffv1", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("mts", "libx264", "yuv420p"),
        ("ts", "mpeg2video", "yuv420p"),
        ("mpg", "mpeg2video", "yuv420p"),
        ("vob", "mpeg2video", "yuv420p"),
        ("3gp", "mpeg4", "yuv420p"),
        ("wmv", "wmv2", "yuv420p"),
        ("flv", "flv", "yuv420p"),
        ("mxf", "mpeg2video", "yuv422p"),
        ("nut", "ffv1", "yuv420p"),
        ("h264", "libx264", "yuv420p"),
        ("mjpeg", "mjpeg", "yuvj420p"),
        ("gif", "gif", "rgb8"),
        ("apng", "apng", "rgb24"),
    ],
)
def test_every_container_is_read_in_full(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str
) -> None:
    clip = media.read_clip(write_movie(tmp_path / f"cam.{suffix}", numbered(6), codec, pix_fmt))
    assert order(clip.frames) == [0, 1, 2, 3, 4, 5]
    assert clip.fps == 25
    assert clip.notes == ()


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mp4", numbered(3))
    renamed = movie.rename(tmp_path / "movie.png")
    assert order(media.read_frames(renamed)) == [0, 1, 2]
    write_movie(tmp_path / "a.apng", numbered(3), "apng", "rgb24").rename(tmp_path / "a.png")
    assert order(media.read_frames(tmp_path / "a.png")) == [0, 1, 2]


def test_an_animated_webp_is_read_in_full(tmp_path: Path) -> None:
    animation = cv2.Animation()
    animation.frames = numbered(5)
    animation.durations = np.full(5, 40)
    cv2.imwriteanimation(str(tmp_path / "a.webp"), animation)
    clip = media.read_clip(tmp_path / "a.webp")
    assert order(clip.frames) == [0, 1, 2, 3, 4]
    assert clip.fps == 25


def test_an_animated_webp_is_shown_by_its_times(tmp_path: Path) -> None:
    animation = cv2.Animation()
    animation.frames = numbered(5)
    animation.durations = np.array([40, 40, 160, 40, 40])
    cv2.imwriteanimation(str(tmp_path / "a.webp"), animation)
    clip = media.read_clip(tmp_path / "a.webp")
    assert order(clip.frames) == [0, 1, 2, 2, 2, 2, 3, 4]
    assert "its 5 frames are read as 8 at 25" in " ".join(clip.notes)
    found = media.read_mask_source(tmp_path / "a.webp")
    assert len(found.masks) == 8


def test_a_gif_with_rounded_times_has_its_true_rate(tmp_path: Path) -> None:
    stamps = [round(k * 100 / 30) for k in range(10)]
    movie = write_movie(tmp_path / "a.gif", numbered(10), "gif", "rgb8", rate=100, stamps=stamps)
    assert order(media.read_frames(movie)) == list(range(10))


def test_frames_with_unknown_side_data_are_read(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mov", numbered(3), "tiff", "rgb24")  # EXIF beside each frame
    assert order(media.read_frames(movie)) == [0, 1, 2]


def test_several_video_streams_are_noted(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "two.mkv"), "w") as out:
        streams: list[Any] = [out.add_stream("ffv1", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k, pixels in enumerate(numbered(3)):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                out.mux(stream.encode(frame.reformat(format="yuv420p")))
        for stream in streams:
            out.mux(stream.encode(None))
    clip = media.read_clip(tmp_path / "two.mkv")
    assert order(clip.frames) == [0, 1, 2]
    assert "has 2 video streams: only stream 0, 64×48, is read" in " ".join(clip.notes)


def woven(count: int) -> list[np.ndarray]:
    """Interlaced frames of a pattern that moves between their fields."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 24, 3), np.uint8)
    wide = np.asarray(cv2.resize(small, (192, 96), interpolation=cv2.INTER_CUBIC))
    fields = [np.roll(wide, 4 * k, 1) for k in range(2 * count)]
    frames = []
    for k in range(count):
        frame = fields[2 * k].copy()
        frame[1::2] = fields[2 * k + 1][1::2]
        frames.append(frame)
    return frames


def combing(frame: np.ndarray) -> float:
    """How much each line differs from the mean of its neighbours."""
    lines = frame.astype(np.float64)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "options"),
    [
        ("mp4", "libx264", "yuv420p", {"x264-params": "interlaced=1:tff=1"}),
        ("mxf", "mpeg2video", "yuv422p", {"flags": "+ildct+ilme"}),
        ("mov", "prores_ks", "yuv422p10le", {"flags": "+ildct"}),
        ("mkv", "ffv1", "yuv420p", {}),
    ],
)
def test_interlaced_frames_are_deinterlaced_and_a_note_says_so(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    frames = woven(5)

    def prepare(stream: Any) -> None:
        stream.codec_context.field_order = 2  # upper field first

    movie = write_movie(
        tmp_path / f"i.{suffix}", frames, codec, pix_fmt, options=options, prepare=prepare
    )
    clip = media.read_clip(movie)
    assert len(clip.frames) == 5
    assert abs(float(clip.frames.mean()) - float(np.mean(frames))) < 3
    assert combing(clip.frames[2]) < 0.2 * combing(frames[2])
    assert any("interlaced" in note for note in clip.notes)


def test_interlaced_frames_without_a_flag_are_noted(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mp4", woven(6))
    assert "looks interlaced" in " ".join(media.read_clip(movie).notes)
    fields = [frame[::2].repeat(2, 0) for frame in woven(6)]
    smooth = [cv2.GaussianBlur(frame, (0, 0), 1) for frame in fields]
    movie = write_movie(tmp_path / "b.mp4", smooth)
    assert media.read_clip(movie).notes == ()


@pytest.mark.parametrize(("degrees", "corner"), [(0, (0, 0)), (90, (-1, 0)), (180, (-1, -1)),
                                                 (-90, (0, -1))])  # fmt: skip
def test_a_rotated_movie_is_upright(tmp_path: Path, degrees: int, corner: tuple[int, int]) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:16, :16] = 255
    movie = write_movie(
        tmp_path / "a.mp4", [frame] * 2, prepare=lambda stream: stream.set_display_rotation(degrees)
    )
    read = media.read_frames(movie)[0]
    assert read.shape == ((64, 48, 3) if degrees in (90, -90) else (48, 64, 3))
    where = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert [at for at in where if read[at].min() > 200] == [corner]


def test_a_variable_rate_is_read_by_its_time_stamps(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mp4", numbered(6), rate=30, stamps=[0, 1, 2, 10, 11, 12])
    clip = media.read_clip(movie)
    assert order(clip.frames) == [0, 1, *[2] * 8, 3, 4, 5]
    assert clip.fps == 30
    assert "variable frame rate: its 6 frames are read as 13 at 30" in " ".join(clip.notes)


@pytest.mark.parametrize(
    ("stamps", "unit", "rate", "variable"),
    [
        ([k * 1001 for k in range(20)], Fraction(1, 24000), Fraction(24000, 1001), False),
        ([round(k * 1001 / 24) for k in range(99)], Fraction(1, 1000), Fraction(24), False),
        ([0, 36, 66, 101, 133, 165, 201, 233, 265, 300], Fraction(1, 1000), Fraction(30), False),
        (
            [(5 * k + k % 2) // 2 for k in range(48)],
            Fraction(1, 60),
            Fraction(24),
            False,
        ),  # pulldown
        ([0, 1, 2, 4, 5, 6], Fraction(1, 25), Fraction(25), True),
    ],
)
def test_only_a_rate_that_varies_counts_as_variable(
    stamps: list[int], unit: Fraction, rate: Fraction, variable: bool
) -> None:
    timing = timing_of(stamps, 0, unit, [])
    assert abs(timing.rate / rate - 1) < 0.005
    assert timing.variable is variable


def noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt", "count"),
    [
        ("mkv", "libx264", "yuv420p", " of 12"),
        ("mp4", "mpeg4", "yuv420p", " of 12"),
        ("avi", "mpeg4", "yuv420p", " of 12"),
        ("flv", "flv", "yuv420p", " of 12"),
        ("webm", "libvpx-vp9", "yuv420p", " of 12"),
        ("apng", "apng", "rgb24", " of 12"),
        ("mxf", "mpeg2video", "yuv422p", " of 12"),
        ("gif", "gif", "rgb8", ""),  # these do not state their number of frames
        ("mjpeg", "mjpeg", "yuvj420p", ""),
        ("y4m", "wrapped_avframe", "yuv420p", ""),
    ],
)
def test_a_movie_that_is_cut_off_is_reported_with_its_count(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str, count: str
) -> None:
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    movie = write_movie(
        tmp_path / f"cut.{suffix}", noise(12), codec, pix_fmt, container_options=options,
        options={"g": "1"} if codec == "libx264" else {},
    )  # fmt: skip
    assert not any("ends early" in note for note in media.read_clip(movie).notes)
    data = movie.read_bytes()
    movie.write_bytes(data[: int(0.5 * len(data))])
    clip = media.read_clip(movie)
    assert 0 < len(clip.frames) < 12
    assert f"ends early: {len(clip.frames)}{count} frames could be read" in " ".join(clip.notes)


def test_a_fragmented_movie_that_is_cut_off_is_reported(tmp_path: Path) -> None:
    movie = write_movie(
        tmp_path / "a.mp4", noise(12), options={"g": "1"},
        container_options={"movflags": "frag_keyframe+empty_moov"},
    )  # fmt: skip
    assert media.read_clip(movie).notes == ()
    movie.write_bytes(movie.read_bytes()[:-900])
    assert "ends early: 11 frames" in " ".join(media.read_clip(movie).notes)


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [("mov", "prores_ks", "yuv422p10le"), ("y4m", "wrapped_avframe", "yuv420p")],
)
def test_a_hole_in_a_movie_is_reported(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str
) -> None:
    options = {"movflags": "faststart"} if suffix == "mov" else {}
    movie = write_movie(
        tmp_path / f"a.{suffix}", noise(12), codec, pix_fmt, container_options=options
    )
    data = bytearray(movie.read_bytes())
    data[len(data) // 2 : len(data) * 2 // 3] = bytes(len(data) * 2 // 3 - len(data) // 2)
    movie.write_bytes(data)
    clip = media.read_clip(movie)
    assert 0 < len(clip.frames) < 12
    assert "ends early" in " ".join(clip.notes)


def test_too_many_frames_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mp4", numbered(9))
    with pytest.raises(JobError, match=r"has 9 frames; at most 6 are accepted"):
        media.read_clip(movie, Limits(frames=6))
    raw = write_movie(tmp_path / "a.gif", numbered(9), "gif", "rgb8")
    with pytest.raises(JobError, match=r"frames; at most 6 are accepted"):
        media.read_clip(raw, Limits(frames=6))
    endless = write_movie(tmp_path / "a.h264", numbered(9))  # states no number of frames
    with pytest.raises(JobError, match="has more than 6 frames; at most 6 are accepted"):
        media.read_clip(endless, Limits(frames=6))
    with pytest.raises(JobError, match="GiB"):
        media.read_clip(endless, Limits(job_bytes=5 * 48 * 64 * 3))
    with pytest.raises(JobError, match="GiB"):
        media.read_clip(movie, Limits(job_bytes=10_000))
    with pytest.raises(JobError, match="64×48; the maximum is 60×60"):
        media.read_clip(movie, Limits(side=60))


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [
        ("mov", "prores_ks", "yuva444p10le"),
        ("webm", "libvpx-vp9", "yuva420p"),
        ("mov", "qtrle", "argb"),
        ("apng", "apng", "rgba"),
    ],
)
def test_alpha_is_noted_and_can_be_the_mask(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str
) -> None:
    alpha = np.zeros((48, 64, 1), np.uint8)
    alpha[:, 32:] = 255
    frames = [np.dstack([frame, alpha]) for frame in numbered(3)]
    movie = write_movie(tmp_path / f"a.{suffix}", frames, codec, pix_fmt)
    notes = " ".join(media.read_clip(movie).notes)
    assert "alpha channel: 50%" in notes
    assert "--masks" in notes
    masks = media.read_mask_source(movie)
    assert len(masks.masks) == 3
    assert (np.stack(masks.masks)[..., 2:30] == 0).all()
    assert (np.stack(masks.masks)[..., 34:] == 255).all()


def test_sound_alone_and_nonsense_are_no_movies(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream: Any = out.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        out.mux(stream.encode(sound))
    with pytest.raises(JobError, match="only sound"):
        media.read_clip(tmp_path / "a.wav")
    (tmp_path / "a.mp4").write_bytes(b"nonsense" * 100)
    with pytest.raises(JobError, match=r"a\.mp4 cannot be read as a movie"):
        media.read_clip(tmp_path / "a.mp4")
    (tmp_path / "notes.txt").write_text("not a movie\n" * 20)
    with pytest.raises(JobError, match=r"notes\.txt cannot be read as a movie"):
        media.read_clip(tmp_path / "notes.txt")
    playlist = tmp_path / "a.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(JobError, match="cannot be read"):
        media.read_clip(playlist)
