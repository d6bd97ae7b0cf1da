"""The interface of image and mask files, their headers, and errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import numpy as np

# Pillow's limit, above which it warns of a decompression bomb.
MAX_PIXELS = 89_478_485


class Header(NamedTuple):
    """Properties of an image file, known without decoding its pixels.

    Attributes:
        format: str. ``"PNG"``, ``"JPEG"``, ...
        mode: str. Pillow's name of the pixel format; dtype and channels of an array.
        size: ``(height, width)`` of the upright image.
        bits: int. 16 for channels of 9 to 16 bits, 8 for all others.
        orientation: int. The EXIF orientation, 1 to 8, which is already applied to ``size``.
    """

    format: str
    mode: str
    size: tuple[int, int]
    bits: int
    orientation: int = 1

    @property
    def stored_size(self) -> tuple[int, int]:
        """``(height, width)`` in the file, before the EXIF orientation is applied."""
        return self.size[::-1] if swaps_sides(self.orientation) else self.size


class ImageFile(ABC):
    """An open image or mask file, whose pixels can be decoded once.

    Attributes:
        path: str. Its path, for messages.
        header: Header. Its header.
        gray_bits: int. Bits of a gray value in the file: 1, 2 or 4, or 8 for 8 and more.
    """

    path: str
    header: Header
    gray_bits: int = 8

    @abstractmethod
    def require_image(self, channels: int) -> None:
        """Raises a ValueError unless the file can be converted to that number of channels."""

    @abstractmethod
    def require_mask(self) -> None:
        """Raises a ValueError if the file cannot store a mask, for example if it is lossy."""

    @abstractmethod
    def image(
        self,
        channels: int | None,
        *,
        at_least: tuple[int, int] | None = None,
        keep_alpha: bool = False,
    ) -> np.ndarray:
        """Decodes an image; see :func:`unetv2.data.io.open.decode_image`."""

    @abstractmethod
    def mask(self, *, keep_alpha: bool = False) -> np.ndarray:
        """Decodes the values of a mask; see :func:`unetv2.data.io.open.decode_mask`."""

    @abstractmethod
    def colors(self) -> np.ndarray:
        """Decodes the colors of a mask; see :func:`unetv2.data.io.open.decode_colors`."""

    def palette(self) -> np.ndarray:
        """Returns the colors of a palette, uint8 ``(n, 3)``; ``n`` is 0 without a palette."""
        return np.zeros((0, 3), np.uint8)


class FileKind(NamedTuple):
    """A kind of file that images and masks are read from.

    Attributes:
        extensions: Its extensions, lower case with the dot.
        signatures: First bytes of such files; empty if only the extension identifies them.
        open: Function of path and ``max_pixels`` that returns a context manager of an
            :class:`ImageFile`. It raises a ValueError with the file's name if the file is damaged
            or has more pixels, also for errors inside the ``with`` block.
    """

    extensions: tuple[str, ...]
    signatures: tuple[bytes, ...]
    open: Callable[[str, int], AbstractContextManager[ImageFile]]


class MaskError(ValueError):
    """A mask that cannot be read as labels.

    Args:
        kind: str. The kind of problem, as :func:`unetv2.check_dataset` reports it.
        message: str. The complete message, with the path.
        summary: str. The problem without path and advice.
        where: bool array or None. The affected pixels; None for all.
    """

    def __init__(
        self, kind: str, message: str, summary: str, where: np.ndarray | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.summary = summary
        self.where = where


@contextmanager
def mask_errors_as_value_errors() -> Iterator[None]:
    """Converts a MaskError to the plain ValueError of the public functions."""
    try:
        yield
    except MaskError as error:
        raise ValueError(str(error)) from None


def swaps_sides(orientation: int) -> bool:
    """Returns whether an EXIF orientation exchanges height and width."""
    return orientation in (5, 6, 7, 8)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Applies an EXIF orientation to ``(height, width[, channels])``, without a copy."""
    if swaps_sides(orientation):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def is_orientation_ambiguous(image: Header, mask: Header) -> bool:
    """Returns whether orientations differ and sizes are equal with and without applying them.

    This is so for images that are square, upside down or mirrored.
    """
    same_size = image.size == mask.size and image.stored_size == mask.stored_size
    return image.orientation != mask.orientation and same_size


def fits_as_stored(image: Header, mask: Header) -> bool:
    """Returns whether only the orientations make the sizes of image and mask different."""
    return image.size != mask.size and image.stored_size == mask.stored_size
