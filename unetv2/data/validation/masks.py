"""What one mask holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from unetv2.classes import Color
from unetv2.data.io.pixels import MaskError, only_red
from unetv2.data.labels import Labels
from unetv2.data.notation import Stored, palette_kind
from unetv2.text import counted

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Runs:
    """Runs of equal values, row after row.

    Args:
        mask: The mask itself, ``(height, width)``.
        values: The value of each run, as numbers in ``found``.
        starts: int64. Where each run starts in the flat mask.
        lengths: int64. Pixels of each run.
        found: Every value that occurs, once, sorted.
    """

    mask: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    found: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """``(height, width)``."""
        return self.mask.shape

    @classmethod
    def of(cls, mask: np.ndarray) -> Runs:
        """Returns the runs of an integer mask ``(height, width)``."""
        mask = np.ascontiguousarray(mask)
        flat = mask.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        values = flat[starts]
        if values.dtype == np.uint8:
            # Without sorting them.
            occurs = np.bincount(values, minlength=256) > 0
            found = np.flatnonzero(occurs).astype(np.uint8)
            places = (np.cumsum(occurs) - 1)[values]
        else:
            found, places = np.unique(values, return_inverse=True)
        return cls(mask, places, starts, np.diff(starts, append=flat.size), found)

    def counts(self) -> np.ndarray:
        """Returns the pixels of every value in ``found``, int64."""
        # Weighted counts are floats, exact up to 2**53 pixels.
        counts = np.bincount(self.values, weights=self.lengths, minlength=len(self.found))
        return counts.astype(np.int64)

    def digest(self, meaning: np.ndarray) -> bytes:
        """Returns a hash of the mask that depends on what its values mean alone.

        Args:
            meaning: Integer for each value in ``found``. Two values of one meaning are one.
        """
        meanings, numbers = np.unique(meaning.astype(np.int64), return_inverse=True)
        # In as few bytes as shape and number of meanings ask for: there is less to hash.
        meant = numbers.astype(np.min_scalar_type(len(meanings)))[self.values]
        ends = (self.starts + self.lengths).astype(np.min_scalar_type(self.mask.size))
        last = np.append(meant[1:] != meant[:-1], True)
        hashed = blake2b(repr((self.shape, meanings.tolist())).encode(), digest_size=DIGEST_BYTES)
        hashed.update(meant[last].tobytes() + ends[last].tobytes())
        return hashed.digest()


# Over CamVid and driving scenes, as ids and as colors, whole and resized to 96x128 or by 1.5:
# clean masks have at most 0.15 of the first, smoothed ones at least 0.18 and 0.52 of the two.
_SHARE_OF_EDGES = 0.17
_SHARE_IN_BETWEEN = 0.5
_FEWEST = 8

# Values of three pixels each, and how many triples have different ends.
_Triples = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]


def looks_smoothed(runs: Runs, values: np.ndarray) -> bool:
    """Tells whether a mask's edges hold mixtures of the values on their two sides.

    Three pixels in a row or column, all different, are a thin object or a smoothed edge. In a
    smoothed edge the one in the middle lies between its neighbors, colors along the line from
    one neighbor to the other; in a thin object only by chance. A mask is suspected where at
    least half of such triples are so, and these are at least 8 and 17 % of all triples with
    different ends.

    Args:
        runs: The mask.
        values: The id or color behind each of ``runs.found``, ``(n, 1)`` or ``(n, 3)``.
    """
    # Differences of unsigned integers wrap around.
    values = values.astype(float)
    across, edges_across = _across(runs)
    down, edges_down = _down(runs)
    first, middle, last = (
        values[np.concatenate(parts)] for parts in zip(across, down, strict=True)
    )
    length = ((last - first) ** 2).sum(axis=1)
    along = ((middle - first) * (last - first)).sum(axis=1)
    between = int(np.count_nonzero((along > 0) & (along < length)))
    return (
        between >= _FEWEST
        and between >= _SHARE_OF_EDGES * (edges_across + edges_down)
        and between >= _SHARE_IN_BETWEEN * len(length)
    )


def _across(runs: Runs) -> _Triples:
    """Returns the triples in rows of which all differ: around the runs of one pixel."""
    width = runs.shape[1]
    columns = runs.starts % width
    inside = (columns > 0) & (columns < width - 1)
    alone = np.flatnonzero(inside & (runs.lengths == 1))
    first, middle, last = (runs.values[alone + step] for step in (-1, 0, 1))
    # A run starts where two pixels differ, the first two or the last two of a triple.
    return _counted(
        (first, middle, last), int(np.count_nonzero(inside)) + int(np.count_nonzero(columns > 1))
    )


def _down(runs: Runs) -> _Triples:
    """Returns the triples in columns of which all differ."""
    mask, width = runs.mask, runs.shape[1]
    changes = mask[1:] != mask[:-1]
    # Flat, as np.nonzero of two axes takes twenty times as long.
    places = np.flatnonzero(changes[:-1] & changes[1:])
    flat = mask.ravel()
    first, middle, last = (
        np.searchsorted(runs.found, flat[places + step * width]) for step in (0, 1, 2)
    )
    # All changes are the first of a triple but for those at the bottom, and the last of one but
    # for those at the top.
    at_border = int(np.count_nonzero(changes[:1])) + int(np.count_nonzero(changes[-1:]))
    return _counted((first, middle, last), 2 * int(np.count_nonzero(changes)) - at_border)


def _counted(triples: tuple[np.ndarray, np.ndarray, np.ndarray], changes: int) -> _Triples:
    """Leaves out triples with equal ends, and counts all that have different ones.

    Args:
        triples: Those with two changes.
        changes: int. Pairs of different neighbors, counted in each triple that they are in.
    """
    first, middle, last = triples
    differ = first != last
    # One change makes the ends differ, two may lead back.
    edges = changes - 2 * len(differ) + int(np.count_nonzero(differ))
    return (first[differ], middle[differ], last[differ]), edges


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
    message = f"colors outside the table: {_listed(foreign.items())}"
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
    labeled = ids.keys() - {labels.ignore_class}
    if not labeled:
        return [("warning", "empty_mask", "every pixel is ignored")]
    if labeled == {0}:
        return [("warning", "empty_mask", f"only id 0{_named(labels, 0)}")]
    if len(labeled) == 1:
        (only,) = labeled
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
    """Returns one integer for each pixel, colors with their channels side by side."""
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
