"""One file to the numbers that it holds, or an error that names it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np

from unetv2.data.io.header import MAX_PIXELS as MAX_PIXELS
from unetv2.data.io.header import Header as Header
from unetv2.data.io.npy import array_colors, array_header, array_ids, array_image, is_array
from unetv2.data.io.pillow import ImageFile, open_image


class ArrayFile:
    """An array's file, asked as a :class:`~unetv2.data.io.pillow.ImageFile` is.

    Args:
        path: str. The file.
        max_pixels: int. Larger arrays are refused.
    """

    def __init__(self, path: str, max_pixels: int) -> None:
        self._path = path
        self._max_pixels = max_pixels

    @property
    def header(self) -> Header:
        """What the file says of itself."""
        array = array_header(self._path, self._max_pixels)
        return Header("NPY", array.mode, array.size, array.bits)

    def require_image(self, channels: int) -> None:
        """Raises a ValueError unless the array is an image of so many channels."""
        array_header(self._path, self._max_pixels, channels=channels)

    def require_mask(self) -> None:
        """Raises a ValueError unless the array is a mask, of ids or colors."""
        array_header(self._path, self._max_pixels, mask=True)

    def image(
        self, channels: int, *, at_least: tuple[int, int] | None = None, spare: bool = False
    ) -> np.ndarray:
        """Returns an image, whole and with its own channels."""
        return array_image(self._path, self._max_pixels, channels)

    def mask(self, *, spare: bool = False) -> np.ndarray:
        """Returns the ids of a mask."""
        return array_ids(self._path, self._max_pixels)

    def colors(self) -> np.ndarray:
        """Returns the colors of a mask."""
        return array_colors(self._path, self._max_pixels)

    gray_bits = 8

    def palette(self) -> np.ndarray:
        """Returns no colors: an array has no palette."""
        return np.zeros((0, 3), np.uint8)


def open_file(
    path: str, max_pixels: int = MAX_PIXELS
) -> AbstractContextManager[ImageFile | ArrayFile]:
    """Opens an image or an array, for those who want its header and what it holds.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused from their header.

    Returns:
        Context manager of a :class:`~unetv2.data.io.pillow.ImageFile`, or of an
        :class:`ArrayFile`, which does the same.

    Raises:
        ValueError: If it is none or too large. Pillow's errors in the block become one too.
    """
    if is_array(path):
        return nullcontext(ArrayFile(path, max_pixels))
    return open_image(path, max_pixels)


def read_header(
    path: str, max_pixels: int = MAX_PIXELS, *, lossless: bool = False, channels: int | None = None
) -> Header:
    """Reads what an image or an array says of itself, without decoding it.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused.
        lossless: bool. Whether formats that lose something are refused too, as for a mask.
        channels: int or None. The channels of an image, to refuse a file that cannot give them.

    Returns:
        Header.

    Raises:
        ValueError: If it is no image, too large, stored with losses, or without the channels.
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
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
    spare: bool = False,
) -> np.ndarray:
    """Decodes an image, turned as its EXIF data says.

    Args:
        path: str. The file.
        channels: int. 1 for gray, 2 for gray and alpha, 3 for RGB, 4 for RGB and alpha; the
            file's own are converted. An array must have exactly as many, any number.
        max_pixels: int. Larger images are refused.
        at_least: ``(height, width)`` or None. A JPEG may be decoded at a half, a quarter or
            an eighth, but not smaller than this.
        spare: bool. Whether RGB may come with the alpha channel of the file, as a fourth that
            nobody asked for: to take it out takes time.

    Returns:
        np.ndarray. uint8, or uint16 where the file has 16 bits, ``(height, width, channels)``;
        maybe read-only.

    Raises:
        ValueError: If it is no image, too large, or of a kind that has no such channels; if it
            holds several images, or numbers that are not read as they are stored.
    """
    with open_file(path, max_pixels) as file:
        return file.image(channels, at_least=at_least, spare=spare)


def decode_mask(path: str, *, max_pixels: int = MAX_PIXELS, spare: bool = False) -> np.ndarray:
    """Decodes a mask: exactly the numbers in the file, nothing scaled or converted.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused.
        spare: bool. Whether colors may come with the file's alpha channel, as a fourth that
            means nothing: to take it out takes time.

    Returns:
        np.ndarray. uint8, uint16 or int32 ``(height, width)`` for one channel or a palette,
        where it holds the indices; uint8 or uint16 ``(height, width, 3)`` for colors. Maybe
        read-only.

    Raises:
        ValueError: If it is no image, too large, or stored with losses; if it holds several
            images, or numbers that are not read as they are stored.
    """
    with open_file(path, max_pixels) as file:
        return file.mask(spare=spare)


def decode_colors(path: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a mask of colors, those of a palette included.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If it is no image, too large, stored with losses, or of 16 bits.
    """
    with open_file(path, max_pixels) as file:
        return file.colors()
