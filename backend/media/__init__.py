"""Frames in and out of files: images, sequences, movies, masks; and compositing them.

`read_clip` reads what the artist has, `read_masks` their masks. Files are written whole or not.
"""

from backend.media.clips import SourceClip, read_clip, read_frames
from backend.media.compositing import Pixels, composite, fill_under, lay_over
from backend.media.images import IMAGE_SUFFIXES, read_grey, read_image, read_rgba
from backend.media.masks import MaskFiles, read_mask, read_mask_source, read_masks
from backend.media.sequences import image_files, image_sequence
from backend.media.writing import prepare_folder, write_png, write_text, write_video

__all__ = [
    "IMAGE_SUFFIXES",
    "MaskFiles",
    "Pixels",
    "SourceClip",
    "composite",
    "fill_under",
    "image_files",
    "image_sequence",
    "lay_over",
    "prepare_folder",
    "read_clip",
    "read_frames",
    "read_grey",
    "read_image",
    "read_mask",
    "read_mask_source",
    "read_masks",
    "read_rgba",
    "write_png",
    "write_text",
    "write_video",
]
