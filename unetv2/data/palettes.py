"""Palettes of masks: whether their colors are the ids, or their indices."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from unetv2.classes import ClassTable, Color
from unetv2.data.refusal import MaskError

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
