"""Formats of class ids in masks: gray values, one color channel, or palette indices.

A single file may be ambiguous: each of several masks may contain black and one color. Therefore all
masks of a data set must have the same format, that of the first mask that determines it.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from unetv2.classes import ClassTable, Color
from unetv2.data.io.base import MaskError
from unetv2.data.io.open import ImageFile, open_file
from unetv2.text import counted

CHANNELS = ("red", "green", "blue")
# Upper bound of ids in one channel of a palette's colors; other palettes have brighter colors.
DARK = 64
# More colors are those of instances or of a photo, not of classes.
MAX_COLORS = 256

_KIND_NAMES = {
    "gray": "as gray values",
    "red": "in red alone",
    "green": "in green alone",
    "blue": "in blue alone",
    "palette": "as indices of a palette of colors",
}
_MAX_CHANNEL_ADVICE = "encoding='max_channel' if the largest channel of each color is the id"
_MAX_LISTED = 8
# After this number of unreadable masks, the search ends; reading the masks raises the error.
_MAX_UNREADABLE = 32
# The number of headers that `make_dataset` checks.
_MAX_HEADERS = 10_000
_FULL_PALETTE = 256
_GREEN_AND_BLUE = 0xFFFF00


class StoredMask(NamedTuple):
    """The decoded content of a mask file.

    Attributes:
        values: Integers ``(height, width)``, or colors ``(height, width, 3 or 4)``.
        palette: uint8 ``(n, 3)``. The colors of a palette whose indices are ``values``; ``n`` is 0
            without a palette.
        bits: int. Bits of a gray value: 1, 2 or 4, or 8 for 8 and more.
    """

    values: np.ndarray
    palette: np.ndarray
    bits: int

    @classmethod
    def read(cls, file: ImageFile) -> StoredMask:
        """Decodes a mask file."""
        return cls(file.mask(keep_alpha=True), file.palette(), file.gray_bits)

    @property
    def is_gray(self) -> bool:
        """Whether all values are gray, after applying a palette."""
        try:
            gray_values("", self)
        except MaskError:
            return False
        return True


@dataclass(frozen=True)
class MaskFormat:
    """Format of the class ids in the masks of a data set.

    Args:
        kind: ``"gray"``; ``"red"``, ``"green"`` or ``"blue"`` where the other channels are 0, as in
            CARLA's masks; or ``"palette"``.
        bits: int. Bits of a gray value: 1, 2 or 4, or 8 for 8 and more.
        palette: The colors of a palette whose indices are the ids.
        path: str. The mask that has this format, for messages.
    """

    kind: str
    bits: int = 8
    palette: tuple[Color, ...] = ()
    path: str = field(default="", repr=False, compare=False)

    def require(self, other: MaskFormat) -> None:
        """Raises a MaskError if the format of another mask differs."""
        if self == other:
            return
        if (self.kind, self.bits) == (other.kind, other.bits):
            indices = range(min(len(self.palette), len(other.palette)))
            index = next((n for n in indices if self.palette[n] != other.palette[n]), None)
            if index is None:
                return
            colors = self.palette[index], other.palette[index]
            summary = f"index {index} of the palette is {colors[1]}, in other masks {colors[0]}"
            advice = "Pass encoding='colors' with `classes`, which uses the palettes' colors."
        elif self.kind == other.kind:
            summary = f"gray of {counted(other.bits, 'bit')}, in other masks of {self.bits}"
            advice = (
                "Save all with 8 bits: an optimizer stores 255 of 8 bits as 1 of 1 bit, and the "
                "original value is lost."
            )
        else:
            summary = f"ids {_KIND_NAMES[other.kind]}, in other masks {_KIND_NAMES[self.kind]}"
            advice = (
                "Pass encoding='colors' with `classes` if these are colors, or "
                f"{_MAX_CHANNEL_ADVICE}; or save all in one format."
            )
        are_colors = "palette" not in (self.kind, other.kind) and self.kind != other.kind
        raise MaskError(
            "colors_for_ids" if are_colors else "mixed_masks",
            f"The masks of a set must store ids in one format. Received: {summary}, in "
            f"'{other.path}' and '{self.path}'. {advice}",
            summary,
        )


def find_mask_format(
    paths: Sequence[str], classes: ClassTable | None, max_pixels: int
) -> MaskFormat | None:
    """Returns the format of a set of masks, that of the first mask that determines it.

    Args:
        paths: The masks. Up to 32 unreadable masks are skipped.
        classes: ClassTable or None. As for :func:`read_ids`.
        max_pixels: int. Larger images are skipped.

    Returns:
        MaskFormat, or None if all ids are 0 or no mask can be read.
    """
    n_unreadable = 0
    for number in _spread_order(len(paths)):
        try:
            found = _format_of_file(paths[number], classes, max_pixels, header_only=False)
        except (ValueError, OSError):
            n_unreadable += 1
            if n_unreadable == _MAX_UNREADABLE:
                return None
            continue
        if found is not None and found.kind == "palette":
            return _with_longest_palette(found, paths[:_MAX_HEADERS], classes, max_pixels)
        if found is not None:
            return found
    return None


def _spread_order(count: int) -> Iterator[int]:
    """Yields 0 to ``count - 1`` in an order whose start is spread, as files are often sorted."""
    step = max(1, round(0.618 * count))
    while math.gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


def _format_of_file(
    path: str, classes: ClassTable | None, max_pixels: int, *, header_only: bool
) -> MaskFormat | None:
    with open_file(path, max_pixels) as file:
        found = palette_format(path, file.palette(), classes)
        if found is None and not header_only:
            _, found = read_ids(path, StoredMask.read(file), classes)
        return found


def _with_longest_palette(
    found: MaskFormat, paths: Sequence[str], classes: ClassTable | None, max_pixels: int
) -> MaskFormat:
    """Returns the format with the longest palette, as a file may store only its own colors."""
    for path in paths:
        if len(found.palette) == _FULL_PALETTE:
            break
        with contextlib.suppress(ValueError, OSError):
            other = _format_of_file(path, classes, max_pixels, header_only=True)
            if other is not None and other.palette[: len(found.palette)] == found.palette:
                found = other
    return found


def palette_format(path: str, palette: np.ndarray, classes: ClassTable | None) -> MaskFormat | None:
    """Returns the format of a mask whose palette indices are the ids, else None."""
    if not len(palette) or palette_kind(palette, classes) != "palette":
        return None
    return MaskFormat("palette", palette=_used_colors(palette.tobytes()), path=path)


def palette_kind(palette: np.ndarray, classes: ClassTable | None) -> str:
    """Returns the kind of a palette: the channel with the ids, or ``"palette"`` for indices."""
    colors = _used_colors(palette.tobytes())
    if all(color == (index, index, index) for index, color in enumerate(colors)):
        return "gray"
    if classes is not None and _have_equal_start(colors, classes.colors):
        return "palette"
    # Unused colors count too: the used ones may be gray by chance, as of VOC's car.
    if all(red == green == blue for red, green, blue in colors):
        return "gray"
    used = [channel for channel in range(3) if any(color[channel] for color in colors)]
    if len(used) == 1 and max(max(color) for color in colors) < DARK:
        return CHANNELS[used[0]]
    return "palette"


@functools.lru_cache(maxsize=64)
def _used_colors(palette: bytes) -> tuple[Color, ...]:
    """Returns a palette's colors without the repeated colors that fill its end."""
    colors: list[Color] = list(zip(palette[::3], palette[1::3], palette[2::3], strict=True))
    first = {color: index for index, color in reversed(list(enumerate(colors)))}
    return tuple(colors[: max(first.values()) + 1])


def _have_equal_start(first: Sequence[Color], second: Sequence[Color]) -> bool:
    return all(a == b for a, b in zip(first, second, strict=False))


def read_ids(
    path: str, stored: StoredMask, classes: ClassTable | None = None
) -> tuple[np.ndarray, MaskFormat | None]:
    """Returns the ids that a mask stores, and its format.

    Args:
        path: str. The file, for messages.
        stored: Its content.
        classes: ClassTable or None. The table of the ids in the file. If the palette has its
            colors, the indices are the ids.

    Returns:
        tuple ``(ids, format)``. The format is None if all ids are 0, which is ambiguous.

    Raises:
        MaskError: If it contains colors that are not ids.
    """
    values, palette, bits = stored
    found = palette_format(path, palette, classes)
    if found is not None:
        _require_order(path, found.palette, classes)
        return values, found
    if len(palette):
        kind, ids, bits = palette_kind(palette, classes), _palette_ids(path, stored), 8
    elif values.ndim == 2:
        kind, ids = "gray", values
    else:
        (kind, ids), bits = _channel_ids(path, values), 8
    return ids, MaskFormat(kind, bits, path=path) if ids.any() else None


def _require_order(path: str, colors: tuple[Color, ...], classes: ClassTable | None) -> None:
    """Raises a MaskError if a palette holds a table's colors in another order."""
    if classes is None or _have_equal_start(colors, classes.colors):
        return
    ids = {color: number for number, color in enumerate(classes.colors)}
    if classes.ignore_color is not None and classes.ignore_class is not None:
        ids.setdefault(classes.ignore_color, classes.ignore_class)
    if not all(color in ids for color in colors):
        return
    index = next((n for n, color in enumerate(colors) if ids[color] != n), None)
    if index is not None:
        summary = f"index {index} of the palette has the color of id {ids[colors[index]]}"
        raise MaskError(
            "mixed_masks",
            "A palette with the colors of `classes` must have them in the order of the ids. "
            f"Received: {summary} in '{path}'. Pass encoding='colors'.",
            summary,
        )


def _palette_ids(path: str, stored: StoredMask) -> np.ndarray:
    """Returns the ids in the colors of a palette."""
    used = np.unique(stored.values)
    colors = shown_values(path, stored._replace(values=used[np.newaxis]))
    if len(np.unique(colors.max(axis=2))) < len(used):
        summary = "indices of the palette that have one color"
        raise MaskError(
            "mixed_masks",
            "A palette must have another color for each id. "
            f"Received: {summary} in '{path}'. Save the ids as a gray mask.",
            summary,
        )
    return stored.palette.max(axis=1)[stored.values]


def _channel_ids(path: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns the kind of a mask with color channels, and its ids."""
    red = only_red(values)
    if red is not None:
        return "red", red
    used = [channel for channel in range(3) if values[..., channel].any()]
    if len(used) <= 1:
        channel = used[0] if used else 0
        # A copy: a view would keep all channels in memory.
        return CHANNELS[channel], values[..., channel].copy()
    gray = _gray_pixels(values)
    if gray.all():
        return "gray", values[..., 0].copy()
    red, green, blue = np.moveaxis(values[~gray].astype(np.int64), -1, 0)[:3]
    n_colors = len(np.unique((red << 32) | (green << 16) | blue))
    advice = f"Pass encoding='colors' with `classes`, or {_MAX_CHANNEL_ADVICE}."
    if n_colors > MAX_COLORS:
        advice = (
            f"{n_colors} colors are too many for classes: use the file of class ids if these "
            f"number instances, or pass {_MAX_CHANNEL_ADVICE}."
        )
    raise MaskError(
        "colors_for_ids",
        f"Masks must hold class ids. Received: {_first_color(values, ~gray)} of '{path}'. {advice}",
        "colors, not ids",
    )


def only_red(values: np.ndarray) -> np.ndarray | None:
    """Returns red, uint8, if green and blue are 0 in uint8 ``(height, width, 4)``; else None."""
    if values.ndim != 3 or values.shape[2] != 4 or values.dtype != np.uint8:
        return None
    # Ten times as fast with a pixel as one integer, whose lowest byte is red.
    pixels = np.ascontiguousarray(values).view("<u4")[..., 0]
    if np.bitwise_or.reduce(pixels, axis=None) & _GREEN_AND_BLUE:
        return None
    return pixels.astype(np.uint8)


def max_channel(path: str, stored: StoredMask) -> np.ndarray:
    """Returns the maximum of red, green and blue, after applying a palette."""
    values = shown_values(path, stored)
    if values.ndim == 2:
        return values
    red = only_red(values)
    if red is not None:
        return red
    red, green, blue = np.moveaxis(values, 2, 0)[:3]
    # Faster than `values.max(axis=2)`.
    largest = np.maximum(red, green)
    return np.maximum(largest, blue, out=largest)


def gray_values(path: str, stored: StoredMask) -> np.ndarray:
    """Returns gray values, after applying a palette; raises a MaskError for colors."""
    values = shown_values(path, stored)
    if values.ndim == 2:
        return values
    colored = ~_gray_pixels(values)
    if not colored.any():
        return values[..., 0]
    raise MaskError(
        "not_binary",
        "A binary mask must be black and white, its red, green and blue equal. Received: "
        f"{_first_color(values, colored)} of '{path}'. Pass encoding='colors' with `classes`, or "
        "encoding='ids' if it holds class ids.",
        "colors, not black and white",
    )


def binary_ids(path: str, stored: StoredMask) -> np.ndarray:
    """Returns the ids of a black and white mask; raises a MaskError for other masks."""
    values = gray_values(path, stored)
    found = np.unique(values)
    foreground = found[found != 0]
    # All bits of white are set.
    white = (1, 255, 65_535, (1 << stored.bits) - 1)
    if len(foreground) > 1 or (len(foreground) and foreground[0] not in white):
        listed = ", ".join(str(value) for value in found[:_MAX_LISTED])
        listed += ", ..." if len(found) > _MAX_LISTED else ""
        raise MaskError(
            "not_binary",
            "A binary mask must hold 0 and 255, or 0 and 1. "
            f"Received: {listed} in '{path}'. Blurring and resizing add gray values in between; "
            "create the mask again without them.",
            "other values than 0 and 255",
        )
    return (values != 0).astype(np.uint8)


def shown_values(path: str, stored: StoredMask) -> np.ndarray:
    """Returns the values of a mask, after applying a palette."""
    values, palette, _ = stored
    if not len(palette):
        return values
    if values.size and values.max() >= len(palette):
        raise ValueError(
            "A mask's palette must have a color for each index. Received: index "
            f"{values.max()} and {counted(len(palette), 'color')} in '{path}'. Write it again."
        )
    return palette[values]


def _gray_pixels(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors, -1, 0)[:3]
    return (red == green) & (green == blue)


def _first_color(values: np.ndarray, where: np.ndarray) -> str:
    row, column = np.argwhere(where)[0]
    color = tuple(values[row, column, :3].tolist())
    return f"the color {color} at row {row}, column {column}"
