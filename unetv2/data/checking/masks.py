"""What one mask holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from unetv2.classes import Color
from unetv2.data.checking.runs import Runs
from unetv2.data.checking.smoothing import looks_smoothed
from unetv2.data.labels import Labels
from unetv2.data.pixels import only_red
from unetv2.plurals import counted

_SHOWN = 5
_COLORS_OF_A_MASK = 64

Problem = tuple[str, str, str]


@dataclass(frozen=True)
class MaskFacts:
    """What one mask holds.

    Args:
        ids: Pixels by class id; empty where the mask cannot be read as ids.
        colors: Pixels by colour, where it holds colours that are no ids; the most frequent.
        problems: Tuples ``(severity, kind, message)``.
        digest: bytes. Hash of its ids.
    """

    ids: dict[int, int]
    colors: dict[Color, int]
    problems: list[Problem]
    digest: bytes


def examine_mask(values: np.ndarray, labels: Labels, colors_in_palette: np.ndarray) -> MaskFacts:
    """Returns what a decoded mask holds.

    Args:
        values: What :func:`unetv2.data.decoding.decode_mask` returns, maybe with alpha.
        labels: How it is meant.
        colors_in_palette: The colours behind ``values`` where these are indices of a palette,
            uint8 ``(n, 3)``; empty otherwise.
    """
    channels = 1 if values.ndim == 2 else 3
    runs, codes = _runs(values)
    parts = _unpacked(codes, channels, values.dtype)
    read = {"ids": _read_ids, "colors": _read_colors, "binary": _read_binary}[labels.encoding]
    meaning, known, colors, problems = read(parts, runs.counts(), labels, colors_in_palette)
    ids = _summed(meaning[known], runs.counts()[known])
    problems += _out_of_range(ids, labels)
    # A palette's indices have no order that smoothing could follow.
    if not len(colors_in_palette) and looks_smoothed(runs, parts):
        problems.append(("warning", "antialiased", "values in between along the edges"))
    if not problems:
        problems += _monotony(ids, labels)
    digest = runs.digest(np.where(known, meaning, -1 - codes.astype(np.int64)))
    return MaskFacts(ids, colors, problems, digest)


_Reading = tuple[np.ndarray, np.ndarray, dict[Color, int], list[Problem]]


def _read_ids(parts: np.ndarray, counts: np.ndarray, labels: Labels, _: np.ndarray) -> _Reading:
    ids = parts.max(axis=1).astype(np.int64)
    meaning = ids.copy()
    for old, new in labels.label_map.items():
        meaning[ids == old] = new
    # What Labels refuses, and colours that are told apart by their channel only.
    colored = ((parts != 0) & (parts != ids[:, None])).any(axis=1)
    if not colored.any() and len(np.unique(ids)) == len(ids):
        return meaning, np.ones(len(ids), bool), {}, []
    fits = labels.n_classes is not None and not _out_of_range(_summed(meaning, counts), labels)
    colors = _histogram(parts, counts)
    message = f"colours, not ids: {_listed(colors.items())}"
    severity = "warning" if fits else "error"
    # Where the channels' maximum is taken for the id, the caller may mean just that.
    return meaning, np.full(len(ids), fits), colors, [(severity, "colors_for_ids", message)]


def _read_binary(parts: np.ndarray, counts: np.ndarray, _: Labels, __: np.ndarray) -> _Reading:
    values = parts.max(axis=1).astype(np.int64)
    meaning, everything = (values != 0).astype(np.int64), np.ones(len(values), bool)
    found = set(values.tolist()) - {0}
    if len(found) <= 1 and found <= {1, 255}:
        return meaning, everything, {}, []
    message = f"other values than 0 and 255: {_listed(_summed(values, counts).items())}"
    return meaning, ~everything, {}, [("error", "not_binary", message)]


def _read_colors(
    parts: np.ndarray, counts: np.ndarray, labels: Labels, colors_in_palette: np.ndarray
) -> _Reading:
    table = _color_ids(labels)
    if parts.shape[1] == 1:
        places = parts[:, 0].astype(np.int64)
        inside = places < len(colors_in_palette)
        if len(colors_in_palette) and inside.all():
            parts = colors_in_palette[places]
        else:
            parts = np.repeat(parts, 3, axis=1)
    ids = [table.get(_color(color)) for color in parts]
    known = np.array([number is not None for number in ids])
    meaning = np.array([-1 if number is None else number for number in ids], np.int64)
    foreign = _histogram(parts[~known], counts[~known])
    if not foreign:
        return meaning, known, {}, []
    message = f"colours outside the table: {_listed(foreign.items())}"
    return meaning, known, foreign, [("error", "foreign_colors", message)]


def _color_ids(labels: Labels) -> dict[Color, int]:
    if labels.classes is None:
        return {}
    table = {color: number for number, color in enumerate(labels.classes.colors)}
    if labels.classes.ignore_color is not None and labels.classes.ignore_class is not None:
        table.setdefault(labels.classes.ignore_color, labels.classes.ignore_class)
    return table


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
