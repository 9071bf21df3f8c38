"""Read one image of any working format: 8 and 16 bit, float, palette, grey, CMYK, with alpha.

OpenCV reads most formats. FFmpeg (PyAV) reads those that OpenCV cannot read or changes: TGA and
EXR, TIFF, whose alpha OpenCV multiplies into the colours, the indices of palette PNGs, and the
transparent value of grey PNGs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from backend.media.compositing import Pixels
from backend.media.metadata import Metadata, exr_layer, read_metadata, upright
from protocol.jobs import JobError

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp", ".exr"}
)

CODECS = {"tga": "targa", "tiff": "tiff", "exr": "exr", "palette": "png"}
HEAD = 1 << 16  # bytes in which the chunks before a PNG's or WebP's pixels are searched
PNG_COLOUR_TYPE, GREY, PALETTE = 25, b"\0", b"\3"

# What cannot be read is reported by JobError; OpenCV's own lines would only repeat it.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True)
class Image:
    """A decoded image.

    pixels: uint8, uint16, int32 or float32 [H,W,C]; C is 1 (grey), 3 (RGB) or 4 (RGBA, straight
    alpha). 8 and 16 bit are display-referred, floats scene-linear; int32 has no defined white, as
    in numbered masks. indices: uint8 [H,W], the palette's indices if the file stores some; palette:
    uint8 [N,3], its colours. profile: name of a colour profile other than sRGB, or ''. curve:
    of HDR, or ''.
    """

    pixels: NDArray[Any]
    indices: Pixels | None = None
    palette: Pixels | None = None
    profile: str = ""
    curve: str = ""

    @property
    def linear(self) -> bool:
        """Whether the values are scene-linear."""
        return bool(self.pixels.dtype == np.float32)

    @property
    def alpha(self) -> Pixels | None:
        """The alpha as uint8 [H,W], or None."""
        return _to_8_bits(self.pixels[..., 3], linear=False) if self.pixels.shape[2] == 4 else None

    @property
    def rgb(self) -> Pixels:
        """The colours as uint8 [H,W,3] sRGB; scene-linear values above 1 are clipped."""
        colours = self.pixels[..., :3]
        eight = _to_8_bits(colours, linear=self.linear)
        return np.ascontiguousarray(np.repeat(eight, 3, 2) if eight.shape[2] == 1 else eight)

    @property
    def rgba(self) -> Pixels:
        """Colours and straight alpha as uint8 [H,W,4]; opaque if the image has no alpha."""
        alpha = self.alpha
        rgb = self.rgb
        opaque = np.full(rgb.shape[:2], 255, np.uint8) if alpha is None else alpha
        return np.ascontiguousarray(np.dstack([rgb, opaque]))


def read_image(file: Path) -> Pixels:
    """Read one image as [H,W,3] uint8 sRGB; any alpha is dropped. Raises JobError."""
    return decode_image(file).rgb


def read_rgba(file: Path) -> Pixels:
    """Read one image as [H,W,4] uint8 sRGB, straight alpha or opaque. Raises JobError."""
    return decode_image(file).rgba


def read_grey(file: Path) -> Pixels:
    """Read an image as [H,W] uint8 grey, over black where it is transparent. Raises JobError."""
    image = decode_image(file)
    grey = np.asarray(cv2.cvtColor(image.rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    alpha = image.alpha
    if alpha is None:
        return grey
    return np.asarray(np.rint(grey * (alpha / 255.0)), np.uint8)


def decode_image(file: Path) -> Image:
    """Decode an image file.

    Raises JobError ``file_missing``, ``not_an_image``; ``mixed_images`` if it holds several.
    """
    data = read_bytes(file)
    if not data:
        raise JobError(
            "not_an_image",
            f"{file.name} cannot be read as an image: it is empty (0 bytes).",
            "Copy or export it again, or remove it.",
        )
    kind = image_kind(data, file.suffix)
    about = read_metadata(data, kind)
    if about.images > 1:
        raise JobError(
            "mixed_images",
            f"{file.name} holds {about.images} images, but one was expected.",
            "Save each image as a file of its own. To read an animation, name the file itself as "
            "the clip.",
        )
    if about.colours:
        raise JobError(
            "not_an_image",
            f"{file.name} stores its colours as {about.colours}, which cannot be converted.",
            "Export it again as RGB.",
        )
    image: Image | None = None
    options = {}
    if kind == "exr":
        try:
            options = {"layer": exr_layer(data)}
        except ValueError as error:
            raise JobError(
                "not_an_image",
                f"{file.name} {error}.",
                "Export the image itself as R, G, B.",
            ) from None
    if kind in CODECS and not about.jpeg:
        image = _by_ffmpeg(data, CODECS[kind], options)
    if image is None:
        image = _by_opencv(data, kind)
    if image is None:
        raise not_an_image(file)
    return _described(image, about)


def not_an_image(file: Path) -> JobError:
    """The error about a file that is no readable image."""
    return JobError(
        "not_an_image",
        f"{file.name} cannot be read as an image.",
        "Remove the file from the folder, or export it again as PNG or JPEG.",
    )


def _described(image: Image, about: Metadata) -> Image:
    """An image upright, its alpha straight, with what its file says about its colours."""
    pixels = image.pixels
    if about.premultiplied and pixels.shape[2] == 4:
        pixels = _unpremultiplied(pixels)
    indices = image.indices
    return replace(
        image,
        pixels=upright(pixels, about.orientation),
        indices=None if indices is None else upright(indices, about.orientation),
        profile=about.profile,
        curve=about.curve,
    )


def _unpremultiplied(pixels: NDArray[Any]) -> NDArray[Any]:
    """Premultiplied RGBA as straight alpha, of the same type."""
    top = {"uint8": 255.0, "uint16": 65535.0}.get(pixels.dtype.name)
    alpha = pixels[..., 3:].astype(np.float32) / (top or 1.0)
    colours = pixels[..., :3] / np.where(alpha > 0, alpha, 1)
    if top is not None:
        colours = np.rint(colours.clip(0, top))
    return np.concatenate([colours, pixels[..., 3:]], axis=-1).astype(pixels.dtype)


def read_bytes(file: Path) -> bytes:
    """A file's content. Raises JobError ``file_missing``."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise JobError(
            "file_missing", f"Could not read {file}: {error.strerror}.", "Check the path."
        ) from error


def image_kind(data: bytes, suffix: str = "") -> str:
    """What a file is by its first bytes: ``png``, ``palette``, ``apng``, ``jpeg``, …, or ''.

    ``palette`` is a PNG with a palette, or a grey one with a transparent value.

    suffix: the file's, which alone tells a TGA.
    """
    head = data[:HEAD]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        if 0 < head.find(b"acTL") < (head.find(b"IDAT") % len(head)):
            return "apng"
        colours = head[PNG_COLOUR_TYPE : PNG_COLOUR_TYPE + 1]
        clear_grey = colours == GREY and 0 < head.find(b"tRNS") < (head.find(b"IDAT") % len(head))
        return "palette" if colours == PALETTE or clear_grey else "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "animated webp" if b"ANIM" in head[:64] else "webp"
    for start, kind in (
        (b"GIF8", "gif"),
        (b"\xff\xd8\xff", "jpeg"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"\x76\x2f\x31\x01", "exr"),
        (b"#?R", "hdr"),
        (b"PF\n", "pfm"),
        (b"Pf\n", "pfm"),
        (b"BM", "bmp"),
    ):
        if head.startswith(start):
            return kind
    return "tga" if suffix.lower() == ".tga" else ""


def _by_opencv(data: bytes, kind: str) -> Image | None:
    # OpenCV turns a JPEG upright by its EXIF orientation; other formats it must not turn.
    photo = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    flag = photo if kind == "jpeg" else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    except cv2.error:
        return None
    if image is None:
        return None
    image = image[..., None] if image.ndim == 2 else image
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[image.shape[2]]
    pixels = np.ascontiguousarray(image[..., order])
    if pixels.dtype not in (np.uint8, np.uint16, np.int32):
        pixels = pixels.astype(np.float32)
    return Image(pixels)


def _by_ffmpeg(data: bytes, codec: str, options: dict[str, str]) -> Image | None:
    """An image by one of FFmpeg's decoders; None if it cannot read it as it is stored."""
    try:
        decoder: Any = av.CodecContext.create(codec, "r")
        decoder.options = options
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except (av.error.FFmpegError, ValueError):
        return None
    image = _from_frame(frames[0]) if frames else None
    # FFmpeg returns the whole numbers of an EXR, which are no colours, as 16-bit values.
    return None if image is not None and codec == "exr" and not image.linear else image


def _from_frame(frame: av.VideoFrame) -> Image | None:
    name = frame.format.name
    if name == "pal8":
        indices, palette_ARGB = frame.to_ndarray()
        palette = np.asarray(palette_ARGB, np.uint8)
        colours = palette[:, [1, 2, 3, 0]][indices]
        used = palette[np.unique(indices)]
        pixels = colours if (used[:, 0] < 255).any() else colours[..., :3]
        return Image(np.ascontiguousarray(pixels), np.asarray(indices, np.uint8), palette[:, 1:])
    if name.startswith(("gbrp", "gbrap", "grayf")) and "f" in name:
        return Image(_float_planes(frame))
    stored = {
        "gray": "gray", "monob": "gray", "monow": "gray", "ya8": "rgba", "gray16": "gray16le",
        "ya16": "rgba64le", "rgb24": "rgb24", "bgr24": "rgb24", "rgba": "rgba", "bgra": "rgba",
        "argb": "rgba", "abgr": "rgba", "rgb48": "rgb48le", "rgba64": "rgba64le",
        "rgb555": "rgb24",
    }.get(name.removesuffix("le").removesuffix("be"))  # fmt: skip
    if stored is None:
        return None
    pixels = np.asarray(frame.to_ndarray(format=stored))
    return Image(pixels[..., None] if pixels.ndim == 2 else pixels)


def _float_planes(frame: av.VideoFrame) -> NDArray[np.float32]:
    """Float planes (grey, or green, blue, red, alpha) as [H,W,C], premultiplied alpha undone."""
    kind = np.dtype(np.float16 if "16" in frame.format.name else np.float32)
    kind = kind.newbyteorder(">" if frame.format.name.endswith("be") else "<")
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, kind).reshape(frame.height, -1)  # type: ignore[call-overload]
        planes.append(rows[:, : frame.width].astype(np.float32))
    order = {1: [0], 3: [2, 0, 1], 4: [2, 0, 1, 3]}[len(planes)]
    pixels = np.stack([planes[k] for k in order], -1)
    return _unpremultiplied(pixels) if pixels.shape[2] == 4 else pixels


def _to_8_bits(values: NDArray[Any], *, linear: bool) -> Pixels:
    """Integers scaled to 8 bits; floats clipped to 0..1, by sRGB's curve if they are linear."""
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    if values.dtype == np.uint16:
        return np.asarray(np.rint(values / 257.0), np.uint8)
    clipped = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    if linear:
        curve = 1.055 * np.power(np.maximum(clipped, 0.0031308), 1 / 2.4) - 0.055
        clipped = np.where(clipped <= 0.0031308, 12.92 * clipped, curve)
    return np.asarray(np.rint(clipped * 255), np.uint8)
