"""Masks of colors: the class ids of a table's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unetv2.classes import Color
from unetv2.data.refusal import MaskError
from unetv2.plurals import counted

_SHOWN = 8


def ids_of_colors(path: str, colors: np.ndarray, known: Mapping[Color, int]) -> np.ndarray:
    """Returns the ids of the colors in a mask.

    Args:
        path: str. The file, for messages.
        colors: uint8 ``(height, width, 3)``.
        known: The id of each color.

    Returns:
        np.ndarray. Integers ``(height, width)``.

    Raises:
        MaskError: If a color is not known.
    """
    codes = _codes(colors)
    keys = _codes(np.array(list(known), np.uint8))
    order = np.argsort(keys)
    place = np.clip(np.searchsorted(keys[order], codes), 0, len(keys) - 1)
    foreign = keys[order][place] != codes
    if foreign.any():
        _raise_foreign_colors(path, colors, foreign)
    return np.array(list(known.values()))[order][place]


def _codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _raise_foreign_colors(path: str, colors: np.ndarray, foreign: np.ndarray) -> None:
    found, counts = np.unique(colors[foreign], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    shown = ", ".join(
        f"{tuple(found[place].tolist())} in {counted(int(counts[place]), 'pixel')}"
        for place in order
    )
    shown += ", ..." if len(found) > _SHOWN else ""
    raise MaskError(
        "foreign_colors",
        f"A mask's colours must be those of `classes`. Received: {shown} of {foreign.size} in "
        f"'{path}'. Add them to the table, or make the mask again if they are mixtures at edges.",
        "colours outside the table",
        foreign,
    )
