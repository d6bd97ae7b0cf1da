"""Pictures turned upright, as their EXIF data says; the EXIF specification numbers the ways."""

from __future__ import annotations

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112


def orientation_of(picture: Image.Image) -> int:
    """Returns how a picture is to be turned, 1 to 8; before it is loaded."""
    # Pillow decodes the whole of a PNG to look for EXIF data behind the pixels, and turns TIFF.
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


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
