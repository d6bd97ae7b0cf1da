"""How a set of masks stores class ids: as gray, in one channel, or as indices of one palette.

A single file does not show it: each of several masks may be black and one other color. So a set
has one notation, that of the first mask that shows one, and every other mask must have it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from unetv2.classes import ClassTable, Color
from unetv2.data.pixels import only_red
from unetv2.data.refusal import MaskError
from unetv2.plurals import counted

# Ids in one channel of a palette's colors are all below: a palette to be looked at is brighter.
DARK = 64
# No set of classes has as many colors: they number instances, or are a photo's.
MOST_COLORS = 256
CHANNELS = ("red", "green", "blue")
_MAX_CHANNEL = "encoding='max_channel' if the largest channel of each color is the id"


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
    **{channel: f"in {channel} alone" for channel in CHANNELS},
    "palette": "as indices of a palette of colors",
}


def read_ids(
    path: str, stored: Stored, classes: ClassTable | None = None
) -> tuple[np.ndarray, Notation | None]:
    """Returns the ids that a mask stores, and how.

    Args:
        path: str. The file, for messages.
        stored: What it holds.
        classes: ClassTable or None. Where its colors are the palette's, indices are the ids.

    Returns:
        tuple ``(ids, notation)``. None where all ids are 0, as in any notation.

    Raises:
        MaskError: If it holds colors that are no ids.
    """
    values, palette, bits = stored
    if len(palette):
        kind = _palette_kind(palette, classes)
        if kind == "palette":
            _require_order(path, palette, classes)
            return values, Notation(kind, palette=_used(palette), path=path)
        ids = _looked_up(path, values, palette)
    elif values.ndim == 2:
        kind, ids = "gray", values
    else:
        kind, ids = _of_colors(path, values)
        bits = 8
    return ids, Notation(kind, 8 if len(palette) else bits, path=path) if ids.any() else None


def max_channel(stored: Stored) -> np.ndarray:
    """Returns the largest of red, green and blue, also of a palette's colors."""
    values, palette, _ = stored
    if len(palette):
        return palette.max(axis=1)[np.minimum(values, len(palette) - 1)]
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
    values, palette, _ = stored
    if len(palette):
        values = palette[np.minimum(values, len(palette) - 1)]
    if values.ndim == 2:
        return values
    colored = ~_is_gray(values)
    if not colored.any():
        return values[..., 0]
    row, column = np.argwhere(colored)[0]
    color = tuple(values[row, column, :3].tolist())
    raise MaskError(
        "not_binary",
        "A binary mask must be black and white, its red, green and blue equal. Received: the "
        f"color {color} at row {row}, column {column} of '{path}'. Pass encoding='colors' with "
        "`classes`, or encoding='ids' if it holds class ids.",
        "colors, not black and white",
    )


def is_gray(stored: Stored) -> bool:
    """Returns whether a mask shows gray values only."""
    try:
        gray_values("", stored)
    except MaskError:
        return False
    return True


def in_spread_order(count: int) -> Iterator[int]:
    """Yields 0 to ``count - 1``, any first few of them spread over all: files are often sorted."""
    step = max(1, round(0.618 * count))
    while math.gcd(step, count) > 1:
        step += 1
    return (number * step % count for number in range(count))


def longer(one: Notation, other: Notation | None) -> Notation:
    """Returns the one of two notations of a set that shows more colors of the palette."""
    if other is None or len(other.palette) <= len(one.palette):
        return one
    return other if other.palette[: len(one.palette)] == one.palette else one


def palette_notation(path: str, palette: np.ndarray, classes: ClassTable | None) -> Notation | None:
    """Returns the notation of a palette whose indices are the ids, or None for another one."""
    if not len(palette) or _palette_kind(palette, classes) != "palette":
        return None
    return Notation("palette", palette=_used(palette), path=path)


def _palette_kind(palette: np.ndarray, classes: ClassTable | None) -> str:
    """Returns how a palette's colors store ids, or ``"palette"`` where its indices do."""
    colors = _used(palette)
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


def _used(palette: np.ndarray) -> tuple[Color, ...]:
    """Returns a palette's colors without those that fill it up: at the end, there before."""
    colors: list[Color] = [(int(red), int(green), int(blue)) for red, green, blue in palette]
    first = {color: place for place, color in reversed(list(enumerate(colors)))}
    return tuple(colors[: max(first.values()) + 1])


def _require_order(path: str, palette: np.ndarray, classes: ClassTable | None) -> None:
    """Raises if a palette holds a table's colors, in another order."""
    colors = _used(palette)
    if classes is None or classes.label_map or _agree(colors, classes.colors):
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


def _looked_up(path: str, values: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns the ids that a palette of ids stands for."""
    found = np.unique(values)
    ids = palette.max(axis=1)
    if found[-1] >= len(ids) or len(np.unique(ids[found])) < len(found):
        summary = "indices of the palette without a color of their own"
        raise MaskError(
            "mixed_masks",
            "A palette of grays must have one gray for each index. "
            f"Received: {summary} in '{path}'. Save the ids as a gray mask.",
            summary,
        )
    return ids[values]


def _of_colors(path: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Returns how colors store ids, and these."""
    red = only_red(values)
    if red is not None:
        return "red", red
    used = [place for place in range(3) if values[..., place].any()]
    if len(used) <= 1:
        place = used[0] if used else 0
        return CHANNELS[place], values[..., place]
    gray = _is_gray(values)
    if gray.all():
        return "gray", values[..., 0]
    colored = ~gray
    number = len(np.unique(_codes(values[colored])))
    advice = f"Pass encoding='colors' with `classes`, or {_MAX_CHANNEL}."
    if number > MOST_COLORS:
        advice = (
            f"{number} colors are no classes: take the file of class ids if these number "
            f"instances, or pass {_MAX_CHANNEL}."
        )
    row, column = np.argwhere(colored)[0]
    color = tuple(values[row, column, :3].tolist())
    raise MaskError(
        "colors_for_ids",
        f"Masks must hold class ids. Received: the color {color} at row {row}, column {column} of "
        f"'{path}'. {advice}",
        "colors, not ids",
    )


def _is_gray(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors, -1, 0)[:3]
    return (red == green) & (green == blue)


def _codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int64), -1, 0)[:3]
    return (red << 32) | (green << 16) | blue
