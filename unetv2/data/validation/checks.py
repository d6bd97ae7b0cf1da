"""Checks and statistics of an image and its mask."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from unetv2.data.io.base import MaskError, fits_as_stored, is_orientation_ambiguous
from unetv2.data.io.open import Header, ImageFile, open_file
from unetv2.data.io.pillow import as_pillow, is_pillow_compatible
from unetv2.data.labels import Labels
from unetv2.data.pairs import Pair
from unetv2.data.validation.masks import DIGEST_BYTES, MaskStatistics, check_mask
from unetv2.data.validation.report import Finding

# Sums of this number of pixels are precise in float32, and the pixels fit into the CPU cache.
_PIXELS_PER_BLOCK = 1 << 15
# Hashing all rows would take a tenth of the reading time.
_HASHED_ROW_STEP = 8


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of one image, values in [0, 1].

    Args:
        n_pixels: int. Number of pixels.
        sums: float64 ``(channels,)``. Sum of the values of each channel.
        squares: float64 ``(channels,)``. Sum of their squares.
        low: float. The smallest value.
        high: float. The largest value.
        digest: bytes. Hash of the content.
        is_constant: bool. Whether all pixels are equal.
    """

    n_pixels: int
    sums: np.ndarray
    squares: np.ndarray
    low: float
    high: float
    digest: bytes
    is_constant: bool


@dataclass(frozen=True)
class PairResult:
    """Headers, statistics and findings of a pair; None if a file is not readable."""

    pair: Pair
    image_header: Header | None
    mask_header: Header | None
    image: ImageStatistics | None
    mask: MaskStatistics | None
    findings: list[Finding]


def check_pair(pair: Pair, labels: Labels, max_pixels: int, channels: int) -> PairResult:
    """Checks an image and its mask; errors become findings.

    Args:
        pair: The pair.
        labels: Labels. Reads class ids.
        max_pixels: int. Larger images are not decoded.
        channels: int. Channels of the image.
    """
    findings: list[Finding] = []

    def add(severity: str, kind: str, path: str, message: str) -> None:
        findings.append(Finding(severity, kind, path, message, pair.image, pair.mask))

    image_header = mask_header = image = mask = None
    # Damaged files raise any exception in decoders.
    try:
        with open_file(pair.image, max_pixels) as file:
            image_header = file.header
            pixels = file.image(channels, keep_alpha=True)
        image = image_statistics(pixels, channels)
    except Exception as error:
        add("error", "unreadable_image", pair.image, _one_line(error, pair.image))
    try:
        stored = None
        with open_file(pair.mask, max_pixels) as file:
            mask_header = file.header
            if _is_lossy(file):
                message = f"{mask_header.format} changes ids at every edge"
                add("error", "lossy_mask", pair.mask, message)
            else:
                stored = labels.decode(file)
        if stored is not None:
            mask = check_mask(stored, labels, pair.mask)
    except MaskError as error:
        add("error", error.kind, pair.mask, error.summary)
    except Exception as error:
        add("error", "unreadable_mask", pair.mask, _one_line(error, pair.mask))
    if image_header and mask_header:
        orientations = (
            f"orientation {image_header.orientation} of the image, {mask_header.orientation} of "
            "the mask"
        )
        sizes = [f"{height}x{width}" for height, width in (image_header.size, mask_header.size)]
        if fits_as_stored(image_header, mask_header):
            message = f"{orientations}; their stored sizes are equal"
            add("error", "orientation_mismatch", pair.image, message)
        elif image_header.size != mask_header.size:
            message = f"the image is {sizes[0]}, the mask {sizes[1]}"
            add("error", "size_mismatch", pair.mask, message)
        elif is_orientation_ambiguous(image_header, mask_header):
            add("error", "orientation_mismatch", pair.image, orientations)
    if image is not None and image.is_constant:
        add("warning", "blank_image", pair.image, "all pixels are equal")
    for severity, kind, message in mask.problems if mask else ():
        add(severity, kind, pair.mask, message)
    return PairResult(pair, image_header, mask_header, image, mask, findings)


def _is_lossy(file: ImageFile) -> bool:
    if file.header.format == "NPY":
        return False
    try:
        file.require_mask()
    except ValueError:
        return True
    return False


def _one_line(error: Exception, path: str) -> str:
    """Returns an error message on one line, with the file name instead of the path."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(path, os.path.basename(path))


def image_statistics(image: np.ndarray, channels: int) -> ImageStatistics:
    """Returns the statistics of an image.

    Args:
        image: uint8 or uint16 ``(height, width, channels)``, possibly with additional channels.
        channels: int. Number of channels to use.
    """
    compute = _statistics_by_histogram if is_pillow_compatible(image) else _statistics_by_sums
    sums, squares, low, high, is_constant = compute(image, channels)
    hashed = blake2b(
        repr((*image.shape[:2], channels, image.dtype.str)).encode(), digest_size=DIGEST_BYTES
    )
    hashed.update(sums.tobytes() + squares.tobytes())
    # Sums of 8-bit values are exact, so that some rows suffice to distinguish images.
    rows = image[::_HASHED_ROW_STEP] if image.dtype == np.uint8 else image
    hashed.update(_without_alpha(rows, channels).data)
    scale = float(np.iinfo(image.dtype).max)
    return ImageStatistics(
        image.shape[0] * image.shape[1],
        sums / scale,
        squares / scale**2,
        low / scale,
        high / scale,
        hashed.digest(),
        is_constant,
    )


def _without_alpha(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Returns a canonical form for hashing: 8-bit colors have 0 as a fourth channel."""
    if channels != 3 or pixels.dtype != np.uint8:
        return np.ascontiguousarray(pixels[..., :channels])
    if pixels.shape[2] == 3:
        return np.pad(pixels, ((0, 0), (0, 0), (0, 1)))
    # Faster than removing alpha.
    colors = np.array(pixels)
    colors[..., 3] = 0
    return colors


# Sums, sums of squares, smallest and largest value, and whether all pixels are equal.
_Statistics = tuple[np.ndarray, np.ndarray, float, float, bool]


def _statistics_by_histogram(image: np.ndarray, channels: int) -> _Statistics:
    counts = np.array(as_pillow(image).histogram()).reshape(-1, 256)[:channels]
    values = np.arange(256)
    found = np.flatnonzero(counts.any(axis=0))
    return (
        (counts @ values).astype(np.float64),
        (counts @ values**2).astype(np.float64),
        float(found[0]),
        float(found[-1]),
        bool((np.count_nonzero(counts, axis=1) == 1).all()),
    )


def _statistics_by_sums(image: np.ndarray, channels: int) -> _Statistics:
    flat = np.ascontiguousarray(image[..., :channels]).reshape(-1, channels)
    sums, squares = np.zeros(channels), np.zeros(channels)
    for start in range(0, len(flat), _PIXELS_PER_BLOCK):
        block = flat[start : start + _PIXELS_PER_BLOCK].astype(np.float32)
        # A product with ones is several times faster than a sum over the long axis.
        ones = np.ones(len(block), np.float32)
        sums += ones @ block
        squares += ones @ np.square(block, out=block)
    # In most images, the first pixels already differ.
    is_constant = bool((flat[:999] == flat[0]).all() and (flat == flat[0]).all())
    return sums, squares, float(flat.min()), float(flat.max()), is_constant
