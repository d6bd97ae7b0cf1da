"""What one image adds to the figures of all."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from unetv2.data.checking.runs import DIGEST_BYTES
from unetv2.data.pixels import as_picture, is_pillows

# Sums in float32 are exact enough over so many pixels, and these fit a core's cache.
_PIXELS_AT_ONCE = 1 << 15
# One row of so many; to hash all of them takes a tenth of the time of reading.
_ROWS_HASHED = 8


@dataclass(frozen=True)
class ImageFacts:
    """What one image adds to the figures of all, values in [0, 1].

    Args:
        pixels: int. Their number.
        sums: float64 ``(channels,)``. Sum of the values of each channel.
        squares: float64 ``(channels,)``. Sum of their squares.
        low: float. The smallest value.
        high: float. The largest value.
        digest: bytes. Hash of the content.
        blank: bool. Whether all pixels are equal.
    """

    pixels: int
    sums: np.ndarray
    squares: np.ndarray
    low: float
    high: float
    digest: bytes
    blank: bool


def examine_image(image: np.ndarray, channels: int) -> ImageFacts:
    """Returns the facts of an image.

    Args:
        image: uint8 or uint16 ``(height, width, channels)``, maybe with more channels.
        channels: int. How many of them count.
    """
    counted = _from_histogram if is_pillows(image) else _from_pixels
    sums, squares, low, high, blank = counted(image, channels)
    hashed = blake2b(
        repr((*image.shape[:2], channels, image.dtype.str)).encode(), digest_size=DIGEST_BYTES
    )
    hashed.update(sums.tobytes() + squares.tobytes())
    # Of 8 bits the sums above are exact, so that with them every eighth row tells pictures apart.
    rows = image[::_ROWS_HASHED] if image.dtype == np.uint8 else image
    hashed.update(_canonical(rows, channels).data)
    scale = float(np.iinfo(image.dtype).max)
    return ImageFacts(
        image.shape[0] * image.shape[1],
        sums / scale,
        squares / scale**2,
        low / scale,
        high / scale,
        hashed.digest(),
        blank,
    )


def _canonical(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Returns pixels in the one way in which they are hashed: colours of 8 bits in four bytes."""
    if channels != 3 or pixels.dtype != np.uint8:
        return np.ascontiguousarray(pixels[..., :channels])
    if pixels.shape[2] == 3:
        return np.pad(pixels, ((0, 0), (0, 0), (0, 1)))
    # To clear alpha is quicker than to take it out.
    colors = np.array(pixels)
    colors[..., 3] = 0
    return colors


_Figures = tuple[np.ndarray, np.ndarray, float, float, bool]


def _from_histogram(image: np.ndarray, channels: int) -> _Figures:
    """Returns sums, squares, smallest and largest value, and whether all pixels are equal."""
    counts = np.array(as_picture(image).histogram()).reshape(-1, 256)[:channels]
    values = np.arange(256)
    found = np.flatnonzero(counts.any(axis=0))
    return (
        (counts @ values).astype(np.float64),
        (counts @ values**2).astype(np.float64),
        float(found[0]),
        float(found[-1]),
        bool((np.count_nonzero(counts, axis=1) == 1).all()),
    )


def _from_pixels(image: np.ndarray, channels: int) -> _Figures:
    """Returns the same of images that Pillow does not take."""
    flat = np.ascontiguousarray(image[..., :channels]).reshape(-1, channels)
    sums, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(flat), _PIXELS_AT_ONCE):
        part = flat[start : start + _PIXELS_AT_ONCE].astype(np.float32)
        # A product with ones is several times faster than a sum down narrow columns.
        ones = np.ones(len(part), np.float32)
        sums += ones @ part
        squares += ones @ np.square(part, out=part)
    # Most pictures are told by their first pixels.
    blank = bool((flat[:999] == flat[0]).all() and (flat == flat[0]).all())
    return sums, squares, float(flat.min()), float(flat.max()), blank
