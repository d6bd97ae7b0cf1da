"""One pair of files: read, and everything about it but its pixels kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from unetv2.data.io.header import fits_as_stored, is_turn_ambiguous
from unetv2.data.io.open import ArrayFile, Header, open_file
from unetv2.data.io.pillow import ImageFile
from unetv2.data.io.pixels import MaskError, as_image, is_pillows
from unetv2.data.labels import Labels
from unetv2.data.pairs import Pair
from unetv2.data.validation.findings import Finding
from unetv2.data.validation.masks import DIGEST_BYTES, MaskFacts, examine_mask

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
    # Of 8 bits the sums above are exact, so that with them every eighth row tells images apart.
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
    """Returns pixels in the one way in which they are hashed: colors of 8 bits in four bytes."""
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
    counts = np.array(as_image(image).histogram()).reshape(-1, 256)[:channels]
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
    # Most images are told by their first pixels.
    blank = bool((flat[:999] == flat[0]).all() and (flat == flat[0]).all())
    return sums, squares, float(flat.min()), float(flat.max()), blank


@dataclass(frozen=True)
class Examination:
    """What a pair holds; None where a file could not be read.

    Args:
        pair: The pair.
        image_header: What the image says of itself.
        mask_header: What the mask says of itself.
        image: What the image holds.
        mask: What the mask holds.
        findings: What is wrong with the two.
    """

    pair: Pair
    image_header: Header | None
    mask_header: Header | None
    image: ImageFacts | None
    mask: MaskFacts | None
    findings: list[Finding]


def examine_pair(pair: Pair, labels: Labels, max_pixels: int, channels: int = 3) -> Examination:
    """Reads a pair and says what it holds and what is wrong with it; never raises.

    Args:
        pair: The pair.
        labels: What masks hold.
        max_pixels: int. Larger images are not decoded.
        channels: int. Channels of the image.
    """
    findings: list[Finding] = []

    def find(severity: str, kind: str, path: str, message: str) -> None:
        findings.append(Finding(severity, kind, path, message, pair.image, pair.mask))

    image_header = mask_header = image = mask = None
    # Decoders raise whatever they like on files that are broken.
    try:
        with open_file(pair.image, max_pixels) as file:
            image_header = file.header
            pixels = file.image(channels, spare=True)
        image = examine_image(pixels, channels)
    except Exception as error:
        find("error", "unreadable_image", pair.image, _reason(error, pair.image))
    try:
        stored = None
        with open_file(pair.mask, max_pixels) as file:
            mask_header = file.header
            if _is_lossy(file):
                message = f"{mask_header.format} loses ids at every edge"
                find("error", "lossy_mask", pair.mask, message)
            else:
                stored = labels.stored(file)
        if stored is not None:
            mask = examine_mask(stored, labels, pair.mask)
    except MaskError as error:
        find("error", error.kind, pair.mask, error.summary)
    except Exception as error:
        find("error", "unreadable_mask", pair.mask, _reason(error, pair.mask))
    if image_header and mask_header:
        turns = f"{image_header.orientation} of the image, {mask_header.orientation} of the mask"
        sizes = [f"{height}x{width}" for height, width in (image_header.size, mask_header.size)]
        if fits_as_stored(image_header, mask_header):
            message = f"{turns}, whose sizes are equal without turning"
            find("error", "orientations_differ", pair.image, message)
        elif image_header.size != mask_header.size:
            message = f"the image has {sizes[0]}, the mask {sizes[1]}"
            find("error", "sizes_differ", pair.mask, message)
        elif is_turn_ambiguous(image_header, mask_header):
            find("error", "orientations_differ", pair.image, turns)
    if image is not None and image.blank:
        find("warning", "blank_image", pair.image, "all pixels are equal")
    for severity, kind, message in mask.problems if mask else ():
        find(severity, kind, pair.mask, message)
    return Examination(pair, image_header, mask_header, image, mask, findings)


def _is_lossy(file: ImageFile | ArrayFile) -> bool:
    if isinstance(file, ArrayFile):
        return False
    try:
        file.require_mask()
    except ValueError:
        return True
    return False


def _reason(error: Exception, path: str) -> str:
    """Returns an error's text on one line, with the file's name in place of its path."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(path, os.path.basename(path))
