"""How a set of masks stores class ids: as gray, in one channel, or as indices of one palette.

A single file does not show it: each of several masks may be black and one other color. So a set
has one notation, that of the first mask that shows one, and every other mask must have it too.
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
from unetv2.data.io.open import ArrayFile, open_file
from unetv2.data.io.pillow import ImageFile
from unetv2.data.io.pixels import MaskError, only_red
from unetv2.text import counted

CHANNELS = ("red", "green", "blue")
# Ids in one channel of a palette's colors are all below: a palette to be looked at is brighter.
DARK = 64


def palette_kind(palette: np.ndarray, classes: ClassTable | None) -> str:
    """Returns how a palette's colors store ids, or ``"palette"`` where its indices do."""
    colors = colors_used(palette)
    if all(color == (place, place, place) for place, color in enumerate(colors)):
        return "gray"
    if classes is not None and _agree(colors, classes.colors):
        return "palette"
    # A whole palette: among the colors in use there may be grays only, such as VOC's car.
    if all(red == green == blue for red, green, blue in colors):
        return "gray"
    used = [place for place in range(3) if any(color[place] for color in colors)]
    if len(used) == 1 and max(max(color) for color in colors) < DARK:
        return CHANNELS[used[0]]
    return "palette"


def _agree(one: Sequence[Color], other: Sequence[Color]) -> bool:
    return all(first == second for first, second in zip(one, other, strict=False))


def colors_used(palette: np.ndarray) -> tuple[Color, ...]:
    """Returns a palette's colors without those that fill it up: at the end, there before."""
    return _distinct(palette.tobytes())


@functools.lru_cache(maxsize=64)
def _distinct(palette: bytes) -> tuple[Color, ...]:
    colors: list[Color] = list(zip(palette[::3], palette[1::3], palette[2::3], strict=True))
    first = {color: place for place, color in reversed(list(enumerate(colors)))}
    return tuple(colors[: max(first.values()) + 1])


def require_order(path: str, palette: np.ndarray, classes: ClassTable | None) -> None:
    """Raises a MaskError if a palette holds a table's colors, in another order."""
    colors = colors_used(palette)
    if classes is None or _agree(colors, classes.colors):
        return
    known = {color: place for place, color in enumerate(classes.colors)}
    if classes.ignore_color is not None and classes.ignore_class is not None:
        known.setdefault(classes.ignore_color, classes.ignore_class)
    if not all(color in known for color in colors):
        return
    place = next((n for n, color in enumerate(colors) if known[color] != n), None)
    if place is not None:
        summary = f"index {place} of the palette has the color of id {known[colors[place]]}"
        raise MaskError(
            "mixed_masks",
            "A palette with the colors of `classes` must have them in the order of the ids. "
            f"Received: {summary} in '{path}'. Pass encoding='colors'.",
            summary,
        )


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


def stored_in(file: ImageFile | ArrayFile) -> Stored:
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
            f"Received: {listed} in '{path}'. Gray in between is what blurred or resized masks "
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


# No set of classes has as many colors: they number instances, or are a photo's.
MOST_COLORS = 256
# Where so many masks cannot be read, and none of those between shows a notation, no more are
# tried: whoever reads them gets the error.
_MOST_UNREADABLE = 32
# As many headers as `make_dataset` checks.
_HEADERS_READ = 10_000
_FULL_PALETTE = 256
_MAX_CHANNEL = "encoding='max_channel' if the largest channel of each color is the id"


@dataclass(frozen=True)
class Notation:
    """How the masks of a set store class ids.

    Args:
        kind: ``"gray"``; ``"red"``, ``"green"`` or ``"blue"``, the others 0, as CARLA's masks are
            red; or ``"palette"``.
        bits: int. Bits of a gray value, 8 also for what has more.
        palette: The colors of a palette whose indices are the ids.
        path: str. The mask that shows it.
    """

    kind: str
    bits: int = 8
    palette: tuple[Color, ...] = ()
    path: str = field(default="", repr=False, compare=False)

    def require(self, other: Notation) -> None:
        """Raises a MaskError unless a mask has this notation."""
        if self == other:
            return
        if (self.kind, self.bits) == (other.kind, other.bits):
            places = range(min(len(self.palette), len(other.palette)))
            place = next((n for n in places if self.palette[n] != other.palette[n]), None)
            if place is None:
                return
            colors = self.palette[place], other.palette[place]
            summary = f"index {place} of the palette is {colors[1]}, in other masks {colors[0]}"
            advice = "Pass encoding='colors' with `classes`, which goes by the palettes' colors."
        elif self.kind == other.kind:
            summary = f"gray of {counted(other.bits, 'bit')}, in other masks of {self.bits}"
            advice = (
                "Save all with 8 bits: an optimizer stores 255 of 8 bits as 1 of 1 bit, and what "
                "a number was cannot be seen any more."
            )
        else:
            summary = f"ids {_NAMES[other.kind]}, in other masks {_NAMES[self.kind]}"
            advice = (
                "Pass encoding='colors' with `classes` if these are colors, or "
                f"{_MAX_CHANNEL}; or save all in one way."
            )
        colors_alone = "palette" not in (self.kind, other.kind) and self.kind != other.kind
        raise MaskError(
            "colors_for_ids" if colors_alone else "mixed_masks",
            f"The masks of a set must store ids in one way. Received: {summary}, in '{other.path}' "
            f"and '{self.path}'. {advice}",
            summary,
        )


_NAMES = {
    "gray": "as gray values",
    "red": "in red alone",
    "green": "in green alone",
    "blue": "in blue alone",
    "palette": "as indices of a palette of colors",
}


def read_ids(
    path: str, stored: Stored, classes: ClassTable | None = None
) -> tuple[np.ndarray, Notation | None]:
    """Returns the ids that a mask stores, and how.

    Args:
        path: str. The file, for messages.
        stored: What it holds.
        classes: ClassTable or None. The table of the ids in the file: where its colors are the
            palette's, indices are the ids.

    Returns:
        tuple ``(ids, notation)``. None where all ids are 0, as in any notation.

    Raises:
        MaskError: If it holds colors that are no ids.
    """
    values, palette, bits = stored
    if len(palette):
        kind = palette_kind(palette, classes)
        if kind == "palette":
            require_order(path, palette, classes)
            return values, Notation(kind, palette=colors_used(palette), path=path)
        ids = _looked_up(path, stored)
    elif values.ndim == 2:
        kind, ids = "gray", values
    else:
        kind, ids = _of_colors(path, values)
        bits = 8
    return ids, Notation(kind, 8 if len(palette) else bits, path=path) if ids.any() else None


def palette_notation(path: str, palette: np.ndarray, classes: ClassTable | None) -> Notation | None:
    """Returns the notation of a palette whose indices are the ids, or None for another one."""
    if not len(palette) or palette_kind(palette, classes) != "palette":
        return None
    return Notation("palette", palette=colors_used(palette), path=path)


def notation_of(
    paths: Sequence[str], classes: ClassTable | None, max_pixels: int
) -> Notation | None:
    """Returns the notation of a set of masks: of the first one that shows it.

    Args:
        paths: The masks. Those that cannot be read are passed over, up to 32 of them.
        classes: ClassTable or None. As for :func:`read_ids`.
        max_pixels: int. Larger images are passed over.

    Returns:
        Notation or None. None where all ids are 0, or masks cannot be read.
    """
    unreadable = 0
    for number in _in_spread_order(len(paths)):
        try:
            found = _shown_by(paths[number], classes, max_pixels, header_only=False)
        except (ValueError, OSError):
            unreadable += 1
            if unreadable == _MOST_UNREADABLE:
                return None
            continue
        if found is not None and found.kind == "palette":
            return _with_all_colors(found, paths[:_HEADERS_READ], classes, max_pixels)
        if found is not None:
            return found
    return None


def _shown_by(
    path: str, classes: ClassTable | None, max_pixels: int, *, header_only: bool
) -> Notation | None:
    with open_file(path, max_pixels) as file:
        notation = palette_notation(path, file.palette(), classes)
        if notation is None and not header_only:
            _, notation = read_ids(path, stored_in(file), classes)
        return notation


def _with_all_colors(
    notation: Notation, paths: Sequence[str], classes: ClassTable | None, max_pixels: int
) -> Notation:
    """Returns a notation with the longest palette: a file's may have no more than it needs."""
    for path in paths:
        if len(notation.palette) == _FULL_PALETTE:
            break
        with contextlib.suppress(ValueError, OSError):
            other = _shown_by(path, classes, max_pixels, header_only=True)
            shown = len(notation.palette)
            if other is not None and other.palette[:shown] == notation.palette:
                notation = other
    return notation


def _in_spread_order(count: int) -> Iterator[int]:
    """Yields 0 to ``count - 1``, any first few of them spread over all: files are often sorted."""
    step = max(1, round(0.618 * count))
    while math.gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


def _looked_up(path: str, stored: Stored) -> np.ndarray:
    """Returns the ids that the colors of a palette are."""
    found = np.unique(stored.values)
    colors = shown(path, stored._replace(values=found[np.newaxis]))
    if len(np.unique(colors.max(axis=2))) < len(found):
        summary = "indices of the palette that have one color"
        raise MaskError(
            "mixed_masks",
            "A palette must have another color for each id. "
            f"Received: {summary} in '{path}'. Save the ids as a gray mask.",
            summary,
        )
    return stored.palette.max(axis=1)[stored.values]


def _of_colors(path: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns how colors store ids, and these."""
    red = only_red(values)
    if red is not None:
        return "red", red
    used = [place for place in range(3) if values[..., place].any()]
    if len(used) <= 1:
        place = used[0] if used else 0
        # A copy: a view would keep all channels in memory.
        return CHANNELS[place], values[..., place].copy()
    gray = gray_pixels(values)
    if gray.all():
        return "gray", values[..., 0].copy()
    colored = ~gray
    number = len(np.unique(_codes(values[colored])))
    advice = f"Pass encoding='colors' with `classes`, or {_MAX_CHANNEL}."
    if number > MOST_COLORS:
        advice = (
            f"{number} colors are no classes: take the file of class ids if these number "
            f"instances, or pass {_MAX_CHANNEL}."
        )
    color = first_color(values, colored)
    raise MaskError(
        "colors_for_ids",
        f"Masks must hold class ids. Received: {color} of '{path}'. {advice}",
        "colors, not ids",
    )


def _codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int64), -1, 0)[:3]
    return (red << 32) | (green << 16) | blue
