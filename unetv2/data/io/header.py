"""What a file says of itself before it is decoded."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

# EXIF orientation: where files have it, and images turned upright by it.
#
# The EXIF specification numbers the orientations from 1, upright, to 8.

ORIENTATION = 0x0112

_EXIF = b"Exif\0\0"
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation_of(image: Image.Image) -> int:
    """Returns how a JPEG, WebP, GIF or BMP that Pillow opened is to be turned, 1 to 8."""
    return _valid(image.getexif().get(ORIENTATION)) or 1


def from_exif(data: bytes) -> int:
    """Returns the orientation in EXIF data, 0 if there is none."""
    exif = Image.Exif()
    exif.load(data if data.startswith(_EXIF) else _EXIF + data)
    return _valid(exif.get(ORIENTATION))


def from_xmp(data: bytes) -> int:
    """Returns the orientation in XMP data, 0 if there is none; by Pillow's rule."""
    found = _XMP.search(data)
    return _valid(int(found[1])) if found else 0


def _valid(orientation: Any) -> int:
    return orientation if orientation in range(1, 9) else 0


def is_sideways(orientation: int) -> bool:
    """Returns whether height and width change places."""
    return orientation in (5, 6, 7, 8)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns ``(height, width[, channels])`` upright."""
    if is_sideways(orientation):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


# Pillow's own limit, from where on it warns of a decompression bomb.
MAX_PIXELS = 89_478_485


class Header(NamedTuple):
    """What a file says of itself before it is decoded.

    Attributes:
        format: str. ``"PNG"``, ``"JPEG"``, ...
        mode: str. Pillow's name of the pixel format.
        size: ``(height, width)`` as seen, after turning by EXIF.
        bits: int. Bits of a channel, as far as they are told apart: 16 or up to 8.
        orientation: int. The EXIF orientation, 1 to 8, by which the size is upright already.
    """

    format: str
    mode: str
    size: tuple[int, int]
    bits: int
    orientation: int = 1

    @property
    def stored_size(self) -> tuple[int, int]:
        """``(height, width)`` in the file, before turning."""
        return self.size[::-1] if is_sideways(self.orientation) else self.size


def is_turn_ambiguous(image: Header, mask: Header) -> bool:
    """Returns whether an image is turned and its mask otherwise, and sizes do not say which fits.

    A mask that was made from the pixels as they are stored and one that was made from the upright
    image have the same size where the image is square, upside down or mirrored.
    """
    same_size = image.size == mask.size and image.stored_size == mask.stored_size
    return image.orientation != mask.orientation and same_size


def fits_as_stored(image: Header, mask: Header) -> bool:
    """Returns whether image and mask differ in size, and would not if neither were turned."""
    return image.size != mask.size and image.stored_size == mask.stored_size
