"""A pair of files to a pair of arrays, prepared for the network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_choice, require_image_size, require_integer
from unetv2.data.io.open import MAX_PIXELS, Header, open_file, read_header
from unetv2.data.io.pixels import as_image, is_pillows
from unetv2.data.labels import Labels
from unetv2.data.pairs import Pair
from unetv2.preprocessing import INTERPOLATIONS, RESIZES

# Of an area, down and across.
_BLOCKS = 4
# Resized pixels are rounded by floor(value + ROUND_UP). Halves are frequent: at a ratio of 4:3, 5 %
# of the pixels. float32 computes them too small or too large by up to 0.01, so the margin makes all
# implementations, also exported graphs, round them up.
ROUND_UP = 0.509


class Geometry(NamedTuple):
    """How an image comes to its size: resized, then padded or cropped around the middle.

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
            source: ``(height, width)`` of the image.
            size: ``(height, width)`` wanted.
            resize: ``"stretch"``; ``"pad"``, the whole image in its own aspect ratio, padded;
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
    pixels = np.floor(np.asarray(resized[0]) + np.float32(ROUND_UP))
    return np.clip(pixels, 0, limit, out=pixels).astype(image.dtype)


def _reduced(image: np.ndarray, factors: tuple[int, int]) -> np.ndarray:
    """Returns the mean over blocks of ``factors`` pixels down and across."""
    reduced = np.asarray(as_image(image).reduce(factors[::-1]))
    return reduced.reshape(*reduced.shape[:2], image.shape[2])


def _nearest(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    rows, columns = (
        # The pixel in the middle of the area; in integers, so exact at any size.
        ((2 * np.arange(target) + 1) * source) // (2 * target)
        for target, source in zip(size, image.shape[:2], strict=True)
    )
    # Row by row is several times as fast as pixel by pixel.
    return image[rows].take(columns, axis=1)


def _fit(image: np.ndarray, size: tuple[int, int], padding: int) -> np.ndarray:
    """Pads or crops around the middle."""
    if image.shape[:2] == size:
        return image
    windows = []
    pads = []
    for have, want in zip(image.shape[:2], size, strict=True):
        start = max(0, (have - want) // 2)
        windows.append(slice(start, start + min(have, want)))
        before = max(0, (want - have) // 2)
        pads.append((before, max(0, want - have) - before))
    pads += [(0, 0)] * (image.ndim - 2)
    return np.pad(image[tuple(windows)], pads, constant_values=padding)


_log = logging.getLogger("unetv2")


@dataclass(frozen=True)
class Preparation:
    """How the images of a data set are prepared.

    Args:
        image_size: ``(height, width)``, or None for every image's own.
        resize: ``"stretch"``, ``"pad"`` or ``"crop"``.
        interpolation: ``"area"``, ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or
            ``"lanczos3"``, for images.
        channels: int. 1 to 4 for image files, any number for arrays.
        max_pixels: int. Larger files are refused from their header.
        labels: What masks hold.
    """

    image_size: tuple[int, int] | None = (96, 128)
    resize: str = "stretch"
    interpolation: str = "area"
    channels: int = 3
    max_pixels: int = MAX_PIXELS
    labels: Labels = field(default_factory=Labels)

    def __post_init__(self) -> None:
        """Checks every value."""
        if self.image_size is not None:
            object.__setattr__(self, "image_size", require_image_size(self.image_size))
        require_choice("resize", self.resize, RESIZES)
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        channels = require_integer("channels", self.channels, 1, "The default is 3, for RGB.")
        object.__setattr__(self, "channels", channels)
        require_integer("max_pixels", self.max_pixels, 1, "It guards against broken headers.")
        if self.resize == "pad" and self.labels.ignore_class is None:
            raise ValueError(
                "`ignore_class` must be an id where images are padded: it marks the padding. "
                "Received: resize='pad' and ignore_class=None. Pass an id that is no class, "
                "such as 255."
            )


def check_headers(
    pair: Pair,
    max_pixels: int = MAX_PIXELS,
    *,
    channels: int | None = None,
    labels: Labels | None = None,
) -> tuple[Header, Header]:
    """Checks that a pair's files are images of one size, from their headers alone.

    Args:
        pair: The pair.
        max_pixels: int. Larger images are refused.
        channels: int or None. The channels that the image must give.
        labels: Labels or None. What masks hold, to check a palette.

    Returns:
        tuple of the image's and the mask's header.

    Raises:
        ValueError: If one is no image or too large, the image cannot give the channels, the
            mask is stored with losses, or the two differ in size.
    """
    image = read_header(pair.image, max_pixels, channels=channels)
    with open_file(pair.mask, max_pixels) as file:
        file.require_mask()
        mask = file.header
        if labels is not None:
            labels.require_notation(pair.mask, file)
    _require_one_size(pair, image.size, mask.size)
    return image, mask


def warn_of_turns(pairs: Sequence[Pair], count: int) -> None:
    """Logs a warning of pairs of which the image is turned by EXIF data and the mask is not.

    Args:
        pairs: Those whose sizes fit either way.
        count: int. How many were looked at.
    """
    if pairs:
        _log.warning(
            "An image and its mask must have the same EXIF orientation where their sizes fit "
            "either way. Received: %d of %d pairs that differ, such as '%s' and '%s'. Each is "
            "turned by its own. If the mask fits the upright image, save the image upright, as by "
            "`PIL.ImageOps.exif_transpose`; if it fits the pixels as they are stored, remove the "
            "image's orientation tag.",
            len(pairs), count, pairs[0].image, pairs[0].mask,
        )  # fmt: skip


def read_pair(pair: Pair, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image and its mask at one size.

    Both are resized by the same geometry, pixel areas: along a side that shrinks, the image is
    the mean over the area of an output pixel, and the mask the id in that area's middle.

    Args:
        pair: The pair.
        preparation: How.

    Returns:
        tuple ``(image, mask)``: uint8 or, for files of 16 bits, uint16 ``(height, width,
        channels)``; and the smallest of uint8, uint16 and int32 ``(height, width, 1)``.

    Raises:
        ValueError: If a file is no image or too large, the two differ in size, or the mask
            holds something else than labels.
    """
    mask = preparation.labels.read(pair.mask, preparation.max_pixels)
    source = mask.shape[:2]
    geometry = Geometry.plan(source, preparation.image_size or source, preparation.resize)
    at_least = pixels_needed(geometry, preparation.interpolation)
    with open_file(pair.image, preparation.max_pixels) as file:
        file.require_image(preparation.channels)
        _require_one_size(pair, file.header.size, source)
        image = file.image(preparation.channels, at_least=at_least, spare=True)
    padding = preparation.labels.ignore_class if preparation.resize == "pad" else 0
    return (
        resize_image(image, geometry, preparation.interpolation, preparation.channels),
        resize_mask(mask, geometry, padding or 0)[..., np.newaxis],
    )


def _require_one_size(pair: Pair, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if image != mask:
        sizes = [f"{height}x{width}" for height, width in (image, mask)]
        advice = "Resize the mask by nearest neighbor, or find the mask that belongs to it."
        if image == mask[::-1]:
            advice = (
                "If EXIF data turn only one of the two, turn the mask too, or remove the image's "
                "orientation tag; otherwise find the mask that belongs to the image."
            )
        raise ValueError(
            "An image and its mask must have the same height and width. "
            f"Received: {sizes[0]} in '{pair.image}' and {sizes[1]} in '{pair.mask}'. "
            f"{advice}"
        )
