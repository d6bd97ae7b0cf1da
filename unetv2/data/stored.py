"""What a mask file holds, and the colors that it shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unetv2.data.decoding import ArrayFile
from unetv2.data.picture import PictureFile
from unetv2.data.pixels import only_red
from unetv2.data.refusal import MaskError
from unetv2.plurals import counted

_SHOWN = 8


class Stored(NamedTuple):
    """What a mask file holds.

    Attributes:
        values: Integers ``(height, width)``, or colors ``(height, width, 3 or 4)``.
        palette: uint8 ``(n, 3)``. Where ``values`` are indices of a palette, its colors; empty
            otherwise.
        bits: int. Bits of a gray value: 1, 2, 4, or 8 also for what has more.
    """

    values: np.ndarray
    palette: np.ndarray
    bits: int


def stored_in(file: PictureFile | ArrayFile) -> Stored:
    """Returns what a mask file holds, without asking what its numbers mean."""
    return Stored(file.mask(spare=True), file.palette(), file.gray_bits)


def max_channel(path: str, stored: Stored) -> np.ndarray:
    """Returns the largest of red, green and blue, also of a palette's colors."""
    values = shown(path, stored)
    if values.ndim == 2:
        return values
    red = only_red(values)
    if red is not None:
        return red
    red, green, blue = np.moveaxis(values, 2, 0)[:3]
    # Much faster than `values.max(axis=2)`, which goes by threes.
    largest = np.maximum(red, green)
    return np.maximum(largest, blue, out=largest)


def gray_values(path: str, stored: Stored) -> np.ndarray:
    """Returns the gray values that a mask shows, or raises a MaskError for colors."""
    values = shown(path, stored)
    if values.ndim == 2:
        return values
    colored = ~gray_pixels(values)
    if not colored.any():
        return values[..., 0]
    raise MaskError(
        "not_binary",
        "A binary mask must be black and white, its red, green and blue equal. Received: "
        f"{first_color(values, colored)} of '{path}'. Pass encoding='colors' with `classes`, or "
        "encoding='ids' if it holds class ids.",
        "colors, not black and white",
    )


def is_gray(stored: Stored) -> bool:
    """Returns whether a mask shows gray values only."""
    try:
        gray_values("", stored)
    except MaskError:
        return False
    return True


def binary_ids(path: str, stored: Stored) -> np.ndarray:
    """Returns the ids of a black and white mask, or raises a MaskError for another one."""
    values = gray_values(path, stored)
    found = np.unique(values)
    foreground = found[found != 0]
    # White has all bits; of 1 bit it is 1.
    white = (1, 255, 65_535, (1 << stored.bits) - 1)
    if len(foreground) > 1 or (len(foreground) and foreground[0] not in white):
        listed = ", ".join(str(value) for value in found[:_SHOWN])
        listed += ", ..." if len(found) > _SHOWN else ""
        raise MaskError(
            "not_binary",
            "A binary mask must hold 0 and 255, or 0 and 1. "
            f"Received: {listed} in '{path}'. Grey in between is what blurred or resized masks "
            "have; make it again without.",
            "other values than 0 and 255",
        )
    return (values != 0).astype(np.uint8)


def shown(path: str, stored: Stored) -> np.ndarray:
    """Returns the colors that a mask shows, or its values where it has no palette."""
    values, palette, _ = stored
    if not len(palette):
        return values
    if values.size and values.max() >= len(palette):
        raise ValueError(
            "A mask's palette must have a color for each index. Received: index "
            f"{values.max()} and {counted(len(palette), 'color')} in '{path}'. Write it again."
        )
    return palette[values]


def gray_pixels(colors: np.ndarray) -> np.ndarray:
    """Returns where red, green and blue are equal, bool ``(height, width)``."""
    red, green, blue = np.moveaxis(colors, -1, 0)[:3]
    return (red == green) & (green == blue)


def first_color(values: np.ndarray, where: np.ndarray) -> str:
    """Returns the first color of those pixels, and its place, in words."""
    row, column = np.argwhere(where)[0]
    color = tuple(values[row, column, :3].tolist())
    return f"the color {color} at row {row}, column {column}"
