"""Opens and decodes image and mask files of all kinds.

To add a kind of file, write a module with a :class:`~unetv2.data.io.base.FileKind` and register it
in ``KINDS``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np

from unetv2.data.io.base import MAX_PIXELS as MAX_PIXELS
from unetv2.data.io.base import Header as Header
from unetv2.data.io.base import ImageFile as ImageFile
from unetv2.data.io.npy import NPY
from unetv2.data.io.pillow import PILLOW
from unetv2.data.io.tiff import TIFF

# The first matching kind opens a file; Pillow matches all files.
KINDS = (NPY, TIFF, PILLOW)
EXTENSIONS = tuple(extension for kind in reversed(KINDS) for extension in kind.extensions)

_START_BYTES = 16


def open_file(path: str, max_pixels: int = MAX_PIXELS) -> AbstractContextManager[ImageFile]:
    """Opens an image or mask file, to read its header and decode its pixels.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused by their header.

    Returns:
        Context manager of an :class:`~unetv2.data.io.base.ImageFile`.

    Raises:
        ValueError: If it is not an image or too large, also for errors of decoders inside the
            ``with`` block.
    """
    with open(path, "rb") as file:
        start = file.read(_START_BYTES)
    for kind in KINDS:
        by_extension = not kind.signatures and path.lower().endswith(kind.extensions)
        if by_extension or start.startswith(kind.signatures):
            return kind.open(path, max_pixels)
    raise AssertionError("Pillow matches all files.")


def read_header(
    path: str, max_pixels: int = MAX_PIXELS, *, lossless: bool = False, channels: int | None = None
) -> Header:
    """Reads the header of an image or mask file.

    Raises:
        ValueError: If it is not an image, too large, lossy although ``lossless`` is required, or
            cannot provide the ``channels``.
    """
    with open_file(path, max_pixels) as file:
        if channels is not None:
            file.require_image(channels)
        if lossless:
            file.require_mask()
        return file.header


def decode_image(
    path: str,
    *,
    channels: int | None = 3,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
    keep_alpha: bool = False,
) -> np.ndarray:
    """Decodes an image and applies its EXIF orientation.

    Args:
        path: str. The file.
        channels: int or None. 1 for gray, 2 for gray and alpha, 3 for RGB, 4 for RGB and alpha;
            image files are converted. An array must have exactly as many, any number. None
            returns all channels of an array, and RGB of an image file.
        max_pixels: int. Larger images are refused.
        at_least: ``(height, width)`` or None. A JPEG may be decoded at a half, a quarter or an
            eighth of its size, but not smaller than this.
        keep_alpha: bool. Whether the file's alpha may be returned as a fourth channel although
            ``channels`` is 3: removing it takes time.

    Returns:
        np.ndarray. uint8, or uint16 where the file has 16 bits, ``(height, width, channels)``;
        it may be read-only.

    Raises:
        ValueError: If it is not an image, too large, cannot provide the channels, holds several
            images, or its values cannot be recovered.
    """
    with open_file(path, max_pixels) as file:
        return file.image(channels, at_least=at_least, keep_alpha=keep_alpha)


def decode_mask(path: str, *, max_pixels: int = MAX_PIXELS, keep_alpha: bool = False) -> np.ndarray:
    """Decodes the stored values of a mask, without scaling or conversion.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused.
        keep_alpha: bool. Whether the file's alpha may be returned as a fourth channel.

    Returns:
        np.ndarray. uint8, uint16 or int32 ``(height, width)`` for one channel, or for the indices
        of a palette; uint8 or uint16 ``(height, width, 3)`` for colors. It may be read-only.

    Raises:
        ValueError: As for :func:`decode_image`, and if the file is lossy.
    """
    with open_file(path, max_pixels) as file:
        return file.mask(keep_alpha=keep_alpha)


def decode_colors(path: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a mask of colors, also those of a palette, to uint8 ``(height, width, 3)``."""
    with open_file(path, max_pixels) as file:
        return file.colors()
