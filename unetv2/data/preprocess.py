"""Resizing of images and masks, and reading of pairs at the input size."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.data.ceiling import CeilingCheck
from unetv2.data.io.open import Header, open_file, read_header
from unetv2.data.io.pillow import as_pillow, is_pillow_compatible
from unetv2.data.pairs import LabelSource, Pair
from unetv2.preprocessing import Preprocessing

# The area of an output pixel is averaged over at least this number of rows and columns.
_BLOCKS = 4
# Resized pixels are rounded by floor(value + ROUND_UP). Halves are frequent, 5 % of the pixels at a
# ratio of 4:3, and have errors of up to 0.01 in float32. With this margin, all implementations,
# including exported graphs, round them up.
ROUND_UP = 0.509

_log = logging.getLogger("unetv2")


class Geometry(NamedTuple):
    """Sizes of resizing and of the subsequent centered padding or cropping.

    Attributes:
        resized: ``(height, width)`` after resizing.
        size: ``(height, width)`` after padding or cropping.
    """

    resized: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def plan(cls, source: tuple[int, int], size: tuple[int, int], resize: str) -> Geometry:
        """Returns the sizes for an image.

        Args:
            source: ``(height, width)`` of the image.
            size: ``(height, width)`` of the result.
            resize: ``"stretch"``; ``"pad"``, which keeps the aspect ratio and pads; ``"crop"``,
                which keeps the aspect ratio and crops.
        """
        if resize == "stretch":
            return cls(size, size)
        # Halves are rounded up, in integers as in exported graphs.
        is_taller = source[0] * size[1] >= source[1] * size[0]
        if is_taller == (resize == "pad"):
            return cls((size[0], max(1, _rounded(source[1] * size[0], source[0]))), size)
        return cls((max(1, _rounded(source[0] * size[1], source[1])), size[1]), size)


def pixels_needed(geometry: Geometry, interpolation: str) -> tuple[int, int] | None:
    """Returns the smallest ``(height, width)`` at which an image may be decoded, or None for all.

    The mean over an area, computed from blocks of a quarter of its height and width, differs by one
    level of 255 at hard edges; with larger blocks the error is much larger.
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
        geometry: The sizes.
        interpolation: ``"area"`` is the mean over an output pixel's area along a side that
            shrinks, and bilinear along one that grows; the others are ``tf.image.resize``'s,
            with antialiasing.
        channels: int or None. Number of channels to keep; None keeps all.

    Returns:
        np.ndarray. ``(*geometry.size, channels)``, ``image.dtype``, of floats float32.
    """
    resized = _resized(image, geometry.resized, interpolation, channels or image.shape[2])
    return _fit(resized, geometry.size, 0)


def resize_mask(mask: np.ndarray, geometry: Geometry, padding: int = 0) -> np.ndarray:
    """Resizes a mask: each output pixel has the id at the center of its area.

    Args:
        mask: ids ``(height, width)``.
        geometry: The sizes.
        padding: int. The id of the padding.

    Returns:
        np.ndarray. ``geometry.size``; ``mask.dtype``, or a larger dtype if ``padding`` needs it.
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
    if interpolation == "area" and divides and is_pillow_compatible(image):
        reduced = _reduced(image, (source[0] // size[0], source[1] // size[1]))
        return np.ascontiguousarray(reduced[..., :channels])
    resized = image[np.newaxis, ..., :channels]
    if interpolation == "area":
        # First the sides that shrink, then those that grow. Pillow's box filter would shift the
        # image, except at integer ratios.
        smaller = tuple(map(min, source, size))
        if smaller != source:
            resized = tf.image.resize(resized, smaller, method="area")
        interpolation = "bilinear"
    if tuple(resized.shape[1:3]) != size:
        resized = tf.image.resize(resized, size, method=interpolation, antialias=True)
    if image.dtype.kind == "f":
        return np.clip(np.asarray(resized[0]), 0, 1).astype(np.float32, copy=False)
    limit = np.iinfo(image.dtype).max
    pixels = np.floor(np.asarray(resized[0]) + np.float32(ROUND_UP))
    return np.clip(pixels, 0, limit, out=pixels).astype(image.dtype)


def _reduced(image: np.ndarray, factors: tuple[int, int]) -> np.ndarray:
    """Returns the mean over blocks of ``factors`` rows and columns."""
    reduced = np.asarray(as_pillow(image).reduce(factors[::-1]))
    return reduced.reshape(*reduced.shape[:2], image.shape[2])


def _nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    rows, columns = (
        # The pixel at the center of the area, exact in integers.
        ((2 * np.arange(target) + 1) * source) // (2 * target)
        for target, source in zip(size, image.shape[:2], strict=True)
    )
    # Row by row is several times as fast as pixel by pixel.
    return image[rows].take(columns, axis=1)


def _fit(image: np.ndarray, size: tuple[int, int], padding: int) -> np.ndarray:
    """Pads or crops around the center."""
    if image.shape[:2] == size:
        return image
    windows = []
    pads = []
    for length, target in zip(image.shape[:2], size, strict=True):
        start = max(0, (length - target) // 2)
        windows.append(slice(start, start + min(length, target)))
        before = max(0, (target - length) // 2)
        pads.append((before, max(0, target - length) - before))
    pads += [(0, 0)] * (image.ndim - 2)
    return np.pad(image[tuple(windows)], pads, constant_values=padding)


def check_headers(
    source: LabelSource, pair: Pair, *, channels: int | None, max_pixels: int
) -> tuple[Header, Header]:
    """Checks that a pair's files are valid and of the same size, from their headers alone.

    Args:
        source: Provides the mask.
        pair: The pair.
        channels: int or None. Channels of the images.
        max_pixels: int. Larger images are refused.

    Returns:
        tuple of the image's and the mask's header.

    Raises:
        ValueError: If a file is no image or too large, the image cannot be converted to the
            channels, the mask's format is lossy, or the sizes differ.
    """
    image = read_header(pair.image, max_pixels, channels=channels)
    mask = source.mask_header(pair)
    require_same_size(pair, image.size, mask.size)
    return image, mask


def warn_of_orientations(pairs: Sequence[Pair], n_checked: int) -> None:
    """Logs pairs whose EXIF orientations differ in an ambiguous way.

    Args:
        pairs: The ambiguous pairs.
        n_checked: int. Number of pairs that were checked.
    """
    if pairs:
        _log.warning(
            "An image and its mask must have the same EXIF orientation where their sizes fit "
            "either way. Received: %d of %d pairs that differ, such as '%s' and '%s'. Each file is "
            "rotated by its own orientation. If the mask fits the upright image, save the image "
            "upright, for example by `PIL.ImageOps.exif_transpose`; if it fits the pixels as they "
            "are stored, remove the image's orientation tag.",
            len(pairs), n_checked, pairs[0].image, pairs[0].mask,
        )  # fmt: skip


def read_pair(
    source: LabelSource,
    pair: Pair,
    preprocessing: Preprocessing,
    *,
    max_pixels: int,
    ceiling: CeilingCheck | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image and its mask, and resizes both in the same way.

    Args:
        source: LabelSource. Provides the mask.
        pair: The pair.
        preprocessing: Preprocessing. How both are resized.
        max_pixels: int. Larger images are refused.
        ceiling: CeilingCheck or None. Gets the mask.

    Returns:
        tuple ``(image, mask)``: uint8 or, for files of 16 bits, uint16 ``(height, width,
        channels)``; and the smallest of uint8, uint16 and int32 ``(height, width, 1)``.

    Raises:
        ValueError: If a file is no image or too large, the two differ in size, or the mask
            is not valid.
    """
    mask = source.read_mask(pair)
    size = mask.shape[:2]
    geometry = Geometry.plan(size, preprocessing.image_size or size, preprocessing.resize)
    at_least = pixels_needed(geometry, preprocessing.interpolation)
    with open_file(pair.image, max_pixels) as file:
        file.require_image(preprocessing.channels)
        require_same_size(pair, file.header.size, size)
        image = file.image(preprocessing.channels, at_least=at_least, keep_alpha=True)
    if ceiling is not None:
        ceiling.add(mask, geometry.resized)
    padding = preprocessing.ignore_class if preprocessing.resize == "pad" else 0
    return (
        resize_image(image, geometry, preprocessing.interpolation, preprocessing.channels),
        resize_mask(mask, geometry, padding or 0)[..., np.newaxis],
    )


def require_same_size(pair: Pair, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """Raises a ValueError unless image and mask have the same ``(height, width)``."""
    if image != mask:
        sizes = [f"{height}x{width}" for height, width in (image, mask)]
        advice = "Resize the mask by nearest neighbor, or find the mask that belongs to it."
        if image == mask[::-1]:
            advice = (
                "If EXIF data rotate only one of the two, rotate the mask too, or remove the "
                "image's orientation tag; otherwise find the mask that belongs to the image."
            )
        raise ValueError(
            "An image and its mask must have the same height and width. "
            f"Received: {sizes[0]} in '{pair.image}' and {sizes[1]} in '{pair.mask}'. "
            f"{advice}"
        )
