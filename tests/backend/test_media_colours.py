"""A movie's colours: the stream's own matrix, range and curve."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from movies import numbered, order, write_movie

from backend import media

COLOURS = [(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (200, 60, 30)]


MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}  # FFmpeg's numbers


def patches(matrix: int, full: bool, bits: int) -> list[np.ndarray]:
    """Planes Y, U, V [32,192] of the colours, 32 pixels each, by the definition of YCbCr."""
    rgb = np.repeat(np.array(COLOURS, np.float64)[None], 32, 0).repeat(32, 1) / 255
    kr, kb = MATRICES[matrix]
    y = rgb @ (kr, 1 - kr - kb, kb)
    u, v = (rgb[..., 2] - y) / (2 * (1 - kb)), (rgb[..., 0] - y) / (2 * (1 - kr))
    if full:
        top = 2**bits - 1
        planes = [y * top, u * top + 2 ** (bits - 1), v * top + 2 ** (bits - 1)]
    else:
        planes = [(a + b * one) * 2 ** (bits - 8) for a, b, one in ((16, 219, y), (128, 224, u),
                  (128, 224, v))]  # fmt: skip
    return [np.rint(one.clip(0, 2**bits - 1)) for one in planes]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_colours_follow_the_streams_own_matrix_and_range(
    tmp_path: Path, matrix: int, full: bool, bits: int
) -> None:
    planes = patches(matrix, full, bits)
    name = "yuv444p" if bits == 8 else "yuv444p10le"
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], name)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        data = values.astype(np.uint8 if bits == 8 else np.uint16).view(np.uint8)
        rows[:, : data.shape[1]] = data
        plane.update(rows.tobytes())
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, name
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        frame.colorspace, frame.color_range, frame.pts = matrix, 2 if full else 1, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    read = media.read_frames(tmp_path / "a.mkv")[0]
    middles = read[16, 16::32].astype(int)
    np.testing.assert_allclose(middles, COLOURS, atol=2)


@pytest.mark.parametrize(
    ("curve", "words"), [(16, "HDR (PQ)"), (18, "HDR (HLG)"), (9, "log-encoded"), (8, "linear")]
)
def test_an_unusual_curve_is_noted(tmp_path: Path, curve: int, words: str) -> None:
    def prepare(stream: Any) -> None:
        stream.codec_context.color_trc = curve

    movie = write_movie(tmp_path / "a.mkv", numbered(3), "ffv1", "yuv420p10le", prepare=prepare)
    clip = media.read_clip(movie)
    assert order(clip.frames) == [0, 1, 2]
    assert words in " ".join(clip.notes)


def test_a_written_movie_has_its_rate_its_colours_and_every_row(tmp_path: Path) -> None:
    frame = np.repeat(np.array(COLOURS, np.uint8)[None], 33, 0).repeat(33, 1)  # of odd sizes
    media.write_video(tmp_path / "a.mp4", [frame] * 3, Fraction(24000, 1001))
    clip = media.read_clip(tmp_path / "a.mp4")
    assert clip.fps == Fraction(24000, 1001)
    assert clip.frames.shape == (3, 34, 198, 3)
    np.testing.assert_allclose(clip.frames[1][16, 16::33].astype(int), COLOURS, atol=6)
