"""Image and mask to one size, by one geometry."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.data.pixels import as_picture, is_pillows

# Of an area, down and across.
_BLOCKS = 4


class Geometry(NamedTuple):
    """How a picture comes to its size: resized, then padded or cropped around the middle.

    Attributes:
        resized: ``(height, width)`` after resizing.
        size: ``(height, width)`` in the end.
    """

    resized: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def plan(cls, source: tuple[int, int], size: tuple[int, int], resize: str) -> Geometry:
        """Plans the way from a source size.

        Args:
            source: ``(height, width)`` of the picture.
            size: ``(height, width)`` wanted.
            resize: ``"stretch"``; ``"pad"``, the whole picture in its own aspect ratio, padded;
                ``"crop"``, the largest part of the wanted aspect ratio.

        Returns:
            Geometry.
        """
        if resize == "stretch":
            return cls(size, size)
        # One side fills its own, and the other keeps the ratio, a half rounded up: in integers, as
        # exported graphs do.
        is_taller = source[0] * size[1] >= source[1] * size[0]
        if is_taller == (resize == "pad"):
            return cls((size[0], max(1, _rounded(source[1] * size[0], source[0]))), size)
        return cls((max(1, _rounded(source[0] * size[1], source[1])), size[1]), size)


def pixels_needed(geometry: Geometry, interpolation: str) -> tuple[int, int] | None:
    """Returns how large an image must be decoded at least, to be resized so.

    Args:
        geometry: The way.
        interpolation: str.

    Returns:
        ``(height, width)``, or None for all pixels of the file. The mean over an area, of means
        over blocks of a quarter of its height and width, is off by a level in 255 where edges are
        hard; of larger blocks it is off by many, as these are cut at the area's border.
    """
    if interpolation != "area":
        return None
    height, width = geometry.resized
    return _BLOCKS * height, _BLOCKS * width


def resize_image(
    image: np.ndarray,
    geometry: Geometry,
    interpolation: str = "area",
    channels: int | None = None,
) -> np.ndarray:
    """Resizes an image; padding is 0.

    Args:
        image: uint8, uint16, or float in [0, 1], ``(height, width, channels)``.
        geometry: The way.
        interpolation: ``"area"`` is the mean over an output pixel's area along a side that
            shrinks, and bilinear along one that grows; the others are ``tf.image.resize``'s,
            with antialiasing.
        channels: int or None. The first so many channels are kept; None keeps all.

    Returns:
        np.ndarray. ``(*geometry.size, channels)``, ``image.dtype``, of floats float32.
    """
    resized = _resized(image, geometry.resized, interpolation, channels or image.shape[2])
    return _fit(resized, geometry.size, 0)


def resize_mask(mask: np.ndarray, geometry: Geometry, padding: int = 0) -> np.ndarray:
    """Resizes a mask: every output pixel has the id in the middle of its area.

    Args:
        mask: ids ``(height, width)``.
        geometry: The way.
        padding: int. The id of what is added.

    Returns:
        np.ndarray. ``geometry.size``; ``mask.dtype`` or, where ``padding`` needs it, int32.
    """
    if mask.size and np.min_scalar_type(padding).kind == "i":
        mask = mask.astype(np.int32)
    elif padding > np.iinfo(mask.dtype).max:
        mask = mask.astype(np.uint16 if padding <= 65535 else np.int32)
    return _fit(_nearest(mask, geometry.resized), geometry.size, padding)


def _rounded(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


def _resized(
    image: np.ndarray, size: tuple[int, int], interpolation: str, channels: int
) -> np.ndarray:
    source = image.shape[:2]
    divides = source[0] % size[0] == 0 and source[1] % size[1] == 0
    if interpolation == "nearest" or source == size:
        return np.ascontiguousarray(_nearest(image, size)[..., :channels])
    if interpolation == "area" and divides and is_pillows(image):
        reduced = _reduced(image, (source[0] // size[0], source[1] // size[1]))
        return np.ascontiguousarray(reduced[..., :channels])
    resized = image[np.newaxis, ..., :channels]
    if interpolation == "area":
        # Each side by itself: first the sides that shrink, then those that grow. Pillow's box
        # filter takes whole pixels only, which shifts the image at other ratios.
        smaller = tuple(map(min, source, size))
        if smaller != source:
            resized = tf.image.resize(resized, smaller, method="area")
        interpolation = "bilinear"
    if tuple(resized.shape[1:3]) != size:
        resized = tf.image.resize(resized, size, method=interpolation, antialias=True)
    if image.dtype.kind == "f":
        return np.clip(np.asarray(resized[0]), 0, 1).astype(np.float32, copy=False)
    limit = np.iinfo(image.dtype).max
    pixels = np.rint(np.asarray(resized[0]))
    return np.clip(pixels, 0, limit, out=pixels).astype(image.dtype)


def _reduced(image: np.ndarray, factors: tuple[int, int]) -> np.ndarray:
    """Returns the mean over blocks of ``factors`` pixels down and across."""
    reduced = np.asarray(as_picture(image).reduce(factors[::-1]))
    return reduced.reshape(*reduced.shape[:2], image.shape[2])


def _nearest(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    rows, columns = (
        # The pixel in the middle of the area; in integers, so exact at any size.
        ((2 * np.arange(target) + 1) * source) // (2 * target)
        for target, source in zip(size, picture.shape[:2], strict=True)
    )
    # Row by row is several times as fast as pixel by pixel.
    return picture[rows].take(columns, axis=1)


def _fit(picture: np.ndarray, size: tuple[int, int], padding: int) -> np.ndarray:
    """Pads or crops around the middle."""
    if picture.shape[:2] == size:
        return picture
    windows = []
    pads = []
    for have, want in zip(picture.shape[:2], size, strict=True):
        start = max(0, (have - want) // 2)
        windows.append(slice(start, start + min(have, want)))
        before = max(0, (want - have) // 2)
        pads.append((before, max(0, want - have) - before))
    pads += [(0, 0)] * (picture.ndim - 2)
    return np.pad(picture[tuple(windows)], pads, constant_values=padding)
