"""One picture file to one array: exactly what it holds, or an error that names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2.data.pairs import Pair

_FORMATS = ("PNG", "JPEG")
_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16")
_GREY_MASK_MODES = ("1", "L", "LA", "P", "I;16")
_COLOR_MASK_MODES = ("RGB", "RGBA")
_IDS_IN_MESSAGES = 8


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Opens a picture; whatever Pillow makes of a broken one becomes one clear error."""
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            yield picture
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    # A truncated file is an OSError, a broken PNG chunk a SyntaxError, both from Pillow.
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(
            f"'{path}' must be a readable PNG or JPEG picture. "
            f"Received: {os.path.getsize(path)} bytes that are none ({error}). "
            "Replace the file, or remove it together with its partner."
        ) from error


def check_headers(pair: Pair) -> None:
    """Checks that a pair's files are pictures of one size, from their headers alone.

    Args:
        pair: The pair.

    Raises:
        ValueError: If one is no picture, the two differ in size, or the mask is stored
            with losses.
    """
    with _opened(pair.image) as image, _opened(pair.mask) as mask:
        _require_one_size(pair, image.size, mask.size)
        _require_lossless(pair.mask, mask)


def read_pair(
    pair: Pair,
    image_size: tuple[int, int],
    *,
    n_classes: int | None = None,
    ignore_class: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image and its mask at one size.

    Both are resized by the same geometry, pixel areas: where it shrinks, the image is the
    mean over the area of an output pixel, and the mask the id in that area's middle.

    Args:
        pair: The pair.
        image_size: ``(height, width)`` of the result.
        n_classes: int or None. Ids from here on are an error; None takes any id.
        ignore_class: int or None. An id allowed besides.

    Returns:
        tuple ``(image, mask)``: uint8 ``(height, width, 3)`` and uint8 or uint16
        ``(height, width, 1)``.

    Raises:
        ValueError: If a file is no picture, the two differ in size, or the mask holds
            something else than ids in range.
    """
    # One after the other, so that an error while decoding names its own file.
    with _opened(pair.image) as image:
        source_size = image.size
        pixels = _resize_image(_rgb(pair.image, image), image_size)
    with _opened(pair.mask) as mask:
        _require_one_size(pair, source_size, mask.size)
        ids = _ids(pair.mask, mask, colors_are_errors=n_classes is None)
    if n_classes is not None:
        _require_ids_in_range(pair.mask, ids, n_classes, ignore_class)
    return pixels, _resize_mask(ids, image_size)[..., np.newaxis]


def _rgb(path: str, image: Image.Image) -> Image.Image:
    if image.mode not in _IMAGE_MODES:
        raise ValueError(
            f"Images must be grey or RGB, with or without alpha. Received: mode "
            f"'{image.mode}' in '{path}'. Convert it."
        )
    if image.mode == "I;16":
        # Pillow's own conversion cuts 16 bits off at 255 instead of scaling them.
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    return image.convert("RGB")


def _ids(path: str, mask: Image.Image, *, colors_are_errors: bool) -> np.ndarray:
    """Returns what a mask's pixels say, ``(height, width)``, uint8 or uint16."""
    _require_lossless(path, mask)
    depth = _png_bit_depth(path)
    if mask.mode in _GREY_MASK_MODES:
        ids = np.asarray(mask)
        if mask.mode == "1":
            return ids.astype(np.uint8)
        if mask.mode == "LA":
            return ids[..., 0]
        if mask.mode == "L" and depth < 8:
            # Pillow stretches 2 and 4 bits of grey to 0..255.
            return ids // np.uint8(255 // (2**depth - 1))
        return ids
    if mask.mode not in _COLOR_MASK_MODES or depth > 8:
        raise ValueError(
            "Masks must have one channel of up to 16 bits, or RGB or RGBA of 8 bits. "
            f"Received: mode '{mask.mode}' of {depth} bits in '{path}'. Convert it."
        )
    red, green, blue = np.moveaxis(np.asarray(mask)[..., :3], -1, 0)
    ids = np.maximum(np.maximum(red, green), blue)
    if colors_are_errors:
        # As in CARLA's files, where green and blue are 0, or in grey stored as RGB.
        colored = np.zeros(ids.shape, dtype=bool)
        for channel in (red, green, blue):
            colored |= (channel != 0) & (channel != ids)
        if colored.any():
            row, column = np.argwhere(colored)[0]
            color = tuple(int(channel[row, column]) for channel in (red, green, blue))
            raise ValueError(
                f"Masks must hold class ids. Received: the colour {color} at row {row}, "
                f"column {column} of '{path}'. Convert the colours to ids; if the largest "
                "channel is the id, say so by passing `n_classes`."
            )
    return ids


def _require_ids_in_range(
    path: str, ids: np.ndarray, n_classes: int, ignore_class: int | None
) -> None:
    counts = np.bincount(ids.ravel(), minlength=n_classes)
    foreign = [int(value) for value in np.flatnonzero(counts) if value >= n_classes]
    foreign = [value for value in foreign if value != ignore_class]
    if not foreign:
        return
    shown = ", ".join(str(value) for value in foreign[:_IDS_IN_MESSAGES])
    shown += ", ..." if len(foreign) > _IDS_IN_MESSAGES else ""
    allowed = f"[0, {n_classes})"
    allowed += "" if ignore_class is None else f" or `ignore_class` ({ignore_class})"
    pixels = int(counts[foreign].sum())
    raise ValueError(
        f"Mask ids must be in {allowed}. Received: {shown} in {pixels} of {ids.size} pixels "
        f"of '{path}'. Raise `n_classes`, pass the id of unlabelled pixels as `ignore_class`, "
        "or convert the mask if it holds colours or grey values instead of ids."
    )


def _require_one_size(pair: Pair, image: tuple[int, int], mask: tuple[int, int]) -> None:
    if image != mask:
        sizes = [f"{height}x{width}" for width, height in (image, mask)]
        raise ValueError(
            "An image and its mask must have the same height and width. "
            f"Received: {sizes[0]} in '{pair.image}' and {sizes[1]} in '{pair.mask}'. "
            "Resize the mask by nearest neighbour, or find the mask that belongs to it."
        )


def _require_lossless(path: str, mask: Image.Image) -> None:
    if mask.format == "JPEG":
        raise ValueError(
            "Masks must be stored without losses, as PNG: JPEG changes ids at every edge. "
            f"Received: the JPEG '{path}'. Make it again from its source."
        )


def _png_bit_depth(path: str) -> int:
    # The PNG specification puts it behind the signature (8 bytes), the header chunk's length
    # and name (8), width (4) and height (4).
    with Path(path).open("rb") as file:
        return file.read(25)[24]


def _resize_image(image: Image.Image, image_size: tuple[int, int]) -> np.ndarray:
    height, width = image_size
    if image.size == (width, height):
        return np.asarray(image)
    if image.height < height or image.width < width:
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    if image.height % height == 0 and image.width % width == 0:
        return np.asarray(image.reduce((image.width // width, image.height // height)))
    # Pillow's box filter takes whole pixels only, which shifts the image at other ratios.
    pixels = tf.image.resize(np.asarray(image)[np.newaxis], image_size, method="area")
    return np.rint(pixels[0].numpy()).astype(np.uint8)


def _resize_mask(mask: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        # The pixel in the middle of the area; in integers, so exact at any size.
        ((2 * np.arange(target) + 1) * source) // (2 * target)
        for target, source in zip(image_size, mask.shape, strict=True)
    )
    return mask[rows[:, np.newaxis], columns]
