"""EXIF orientation: where files have it, and images turned upright by it.

The EXIF specification numbers the orientations from 1, upright, to 8.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112

_EXIF = b"Exif\0\0"
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation_of(picture: Image.Image) -> int:
    """Returns how a JPEG, WebP, GIF or BMP that Pillow opened is to be turned, 1 to 8."""
    return _valid(picture.getexif().get(ORIENTATION)) or 1


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
