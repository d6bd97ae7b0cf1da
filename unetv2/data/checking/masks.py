"""What one mask holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unetv2.classes import Color
from unetv2.data.checking.runs import Runs
from unetv2.data.checking.smoothing import looks_smoothed
from unetv2.data.labels import Labels
from unetv2.data.palettes import palette_kind
from unetv2.data.pixels import only_red
from unetv2.data.refusal import MaskError
from unetv2.data.stored import Stored
from unetv2.plurals import counted

_SHOWN = 5
_COLORS_OF_A_MASK = 64
# Problems with colors, which are then counted as such.
_OF_COLORS = ("colors_for_ids", "not_binary", "mixed_masks")

Problem = tuple[str, str, str]


@dataclass(frozen=True)
class MaskFacts:
    """What one mask holds.

    Args:
        ids: Pixels by class id; empty where the mask cannot be read as ids.
        colors: Pixels by color, where it holds colors; the most frequent.
        problems: Tuples ``(severity, kind, message)``.
        digest: bytes. Hash of its ids.
    """

    ids: dict[int, int]
    colors: dict[Color, int]
    problems: list[Problem]
    digest: bytes


def examine_mask(stored: Stored, labels: Labels, path: str) -> MaskFacts:
    """Returns what a decoded mask holds.

    Args:
        stored: What :meth:`unetv2.data.labels.Labels.stored` returns.
        labels: How it is meant.
        path: str. The file.
    """
    values, palette, _ = stored
    channels = 1 if values.ndim == 2 else 3
    runs, codes = _runs(values)
    parts = _unpacked(codes, channels, values.dtype)
    read = _read_colors if labels.encoding == "colors" else _read_numbers
    meaning, known, colors, problems = read(
        stored._replace(values=parts), runs.counts(), labels, path
    )
    ids = _summed(meaning[known], runs.counts()[known])
    problems += _out_of_range(ids, labels)
    # A palette's indices have no order that smoothing could follow; its colors may be the ids.
    ordered = not len(palette) or palette_kind(palette, labels.table) != "palette"
    if len(palette) and ordered:
        parts = palette[np.minimum(parts, len(palette) - 1)].max(axis=2)
    if ordered and looks_smoothed(runs, _without_boundary(parts)):
        problems.append(("warning", "antialiased", "values in between along the edges"))
    if not problems:
        problems += _monotony(ids, labels)
    digest = runs.digest(np.where(known, meaning, -1 - codes.astype(np.int64)))
    return MaskFacts(ids, colors, problems, digest)


_Reading = tuple[np.ndarray, np.ndarray, dict[Color, int], list[Problem]]


def _read_numbers(stored: Stored, counts: np.ndarray, labels: Labels, path: str) -> _Reading:
    """Reads each different value once, as the mask itself is read."""
    parts, palette, _ = stored
    column = parts[:, np.newaxis] if parts.shape[1] > 1 else parts
    try:
        meaning = labels.meaning(path, stored._replace(values=column))
    except MaskError as error:
        where = np.ones(len(parts), bool) if error.where is None else error.where[:, 0]
        if len(palette):
            parts = palette[np.minimum(parts[:, 0], len(palette) - 1)]
        in_color = parts.shape[1] > 1 and error.kind in _OF_COLORS
        found = _histogram(parts, counts) if in_color else {}
        numbers = _summed(parts.max(axis=1)[where], counts[where])
        message = f"{error.summary}: {_listed(found.items() or numbers.items())}"
        nothing = np.full(len(parts), -1), np.zeros(len(parts), bool)
        return *nothing, found, [("error", error.kind, message)]
    # Ids here may be colors, as other masks of the set show.
    colors = _histogram(parts, counts) if parts.shape[1] > 1 and labels.encoding == "ids" else {}
    return meaning[:, 0].astype(np.int64), np.ones(len(parts), bool), colors, []


def _without_boundary(parts: np.ndarray) -> np.ndarray:
    """Returns ids with 254 and 65534, next to which the last one is, as that one."""
    if parts.shape[1] > 1:
        return parts
    for last in (255, 65_535):
        parts = (
            np.where(parts == last - 1, parts.dtype.type(last), parts) if last in parts else parts
        )
    return parts


def _read_colors(stored: Stored, counts: np.ndarray, labels: Labels, _: str) -> _Reading:
    parts = stored.values
    table = labels.color_ids
    ids = [table.get(_color(color)) for color in parts]
    known = np.array([number is not None for number in ids])
    meaning = np.array([-1 if number is None else number for number in ids], np.int64)
    foreign = _histogram(parts[~known], counts[~known])
    if not foreign:
        return meaning, known, {}, []
    message = f"colours outside the table: {_listed(foreign.items())}"
    return meaning, known, foreign, [("error", "foreign_colors", message)]


def _out_of_range(ids: dict[int, int], labels: Labels) -> list[Problem]:
    if labels.n_classes is None:
        return []
    allowed = {*range(labels.n_classes), labels.ignore_class}
    foreign = {number: count for number, count in ids.items() if number not in allowed}
    if not foreign:
        return []
    message = f"ids outside [0, {labels.n_classes}): {_listed(foreign.items())}"
    return [("error", "out_of_range", message)]


def _monotony(ids: dict[int, int], labels: Labels) -> list[Problem]:
    labelled = ids.keys() - {labels.ignore_class}
    if not labelled:
        return [("warning", "empty_mask", "every pixel is ignored")]
    if labelled == {0}:
        return [("warning", "empty_mask", f"only id 0{_named(labels, 0)}")]
    if len(labelled) == 1:
        (only,) = labelled
        return [("warning", "single_class", f"only id {only}{_named(labels, only)}")]
    return []


def _named(labels: Labels, number: int) -> str:
    if labels.classes is None or not 0 <= number < len(labels.classes):
        return ""
    return f" ({labels.classes.names[number]})"


def _runs(values: np.ndarray) -> tuple[Runs, np.ndarray]:
    """Returns a mask's runs, and for each value found the number that :func:`_packed` makes."""
    red = only_red(values)
    if red is None:
        runs = Runs.of(_packed(values))
        return runs, runs.found
    # Of the bytes alone, as fewer are faster.
    runs = Runs.of(red)
    return runs, runs.found.astype(np.int32) << 16


def _packed(values: np.ndarray) -> np.ndarray:
    """Returns one integer for each pixel, colours with their channels side by side."""
    if values.ndim == 2:
        return values
    bits = 8 * values.dtype.itemsize
    packed = values[..., 0].astype(np.int32 if bits == 8 else np.int64)
    for channel in (1, 2):
        # In place: arrays of this size cost more to get from the system than to fill.
        np.left_shift(packed, bits, out=packed)
        np.bitwise_or(packed, values[..., channel], out=packed)
    return packed


def _unpacked(codes: np.ndarray, channels: int, dtype: np.dtype[np.generic]) -> np.ndarray:
    if channels == 1:
        return codes.reshape(-1, 1)
    bits = 8 * dtype.itemsize
    return np.stack([codes >> bits * shift & (1 << bits) - 1 for shift in (2, 1, 0)], axis=1)


def _summed(numbers: np.ndarray, counts: np.ndarray) -> dict[int, int]:
    summed: dict[int, int] = {}
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        summed[number] = summed.get(number, 0) + count
    return dict(sorted(summed.items()))


def _histogram(colors: np.ndarray, counts: np.ndarray) -> dict[Color, int]:
    order = np.argsort(-counts, kind="stable")[:_COLORS_OF_A_MASK]
    return {_color(colors[place]): int(counts[place]) for place in order}


def _color(parts: np.ndarray) -> Color:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue


def _listed(counts: Iterable[tuple[object, int]]) -> str:
    ordered = sorted(counts, key=lambda entry: -entry[1])
    shown = ", ".join(f"{what} in {counted(count, 'pixel')}" for what, count in ordered[:_SHOWN])
    return shown + (", ..." if len(ordered) > _SHOWN else "")
