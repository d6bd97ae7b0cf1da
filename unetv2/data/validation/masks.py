"""Checks of a mask: ids, colors and antialiased edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from unetv2.classes import Color
from unetv2.data.io.base import MaskError
from unetv2.data.labels import Labels
from unetv2.data.mask_format import StoredMask, only_red, palette_kind
from unetv2.text import counted

DIGEST_BYTES = 16

_MAX_LISTED = 5
_MAX_COLORS = 64
# Problems of masks whose colors are reported.
_COLOR_PROBLEMS = ("colors_for_ids", "not_binary", "mixed_masks")

# Measured on CamVid and driving scenes, as ids and as colors, whole and resized to 96x128 or by
# 1.5: `in_between` is at most 0.15 of the edges in clean masks; in smoothed ones it is at least
# 0.18 of the edges and 0.52 of the triples.
_MIN_FRACTION_OF_EDGES = 0.17
_MIN_FRACTION_OF_TRIPLES = 0.5
_MIN_IN_BETWEEN = 8

# ``(severity, kind, message)``.
Problem = tuple[str, str, str]
# The values of three neighboring pixels each, and the number of triples with different ends.
_Triples = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]


@dataclass(frozen=True)
class MaskStatistics:
    """Content and problems of one mask.

    Args:
        ids: Number of pixels by class id; empty if the mask cannot be read as ids.
        colors: Number of pixels by color, the most frequent ones, if it holds colors.
        problems: The problems found.
        digest: bytes. Hash of its ids.
    """

    ids: dict[int, int]
    colors: dict[Color, int]
    problems: list[Problem]
    digest: bytes


@dataclass(frozen=True)
class Runs:
    """Run-length encoding of a mask, row by row.

    Args:
        mask: The mask, ``(height, width)``.
        values: The value of each run, as an index into ``distinct``.
        starts: int64. Index of each run's first pixel in the flat mask.
        lengths: int64. Number of pixels of each run.
        distinct: The distinct values, sorted.
    """

    mask: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    distinct: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Runs:
        """Encodes an integer mask ``(height, width)``."""
        mask = np.ascontiguousarray(mask)
        flat = mask.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        values = flat[starts]
        if values.dtype == np.uint8:
            # Faster than sorting.
            occurs = np.bincount(values, minlength=256) > 0
            distinct = np.flatnonzero(occurs).astype(np.uint8)
            indices = (np.cumsum(occurs) - 1)[values]
        else:
            distinct, indices = np.unique(values, return_inverse=True)
        return cls(mask, indices, starts, np.diff(starts, append=flat.size), distinct)

    def counts(self) -> np.ndarray:
        """Returns the number of pixels of each value in ``distinct``, int64."""
        # Weighted counts are floats, exact up to 2**53 pixels.
        counts = np.bincount(self.values, weights=self.lengths, minlength=len(self.distinct))
        return counts.astype(np.int64)

    def digest(self, ids: np.ndarray) -> bytes:
        """Returns a hash of the mask's ids.

        Args:
            ids: The id of each value in ``distinct``; several values may have the same id.
        """
        different, indices = np.unique(ids.astype(np.int64), return_inverse=True)
        # Small dtypes are faster to hash.
        id_of_run = indices.astype(np.min_scalar_type(len(different)))[self.values]
        ends = (self.starts + self.lengths).astype(np.min_scalar_type(self.mask.size))
        is_last = np.append(id_of_run[1:] != id_of_run[:-1], True)
        hashed = blake2b(
            repr((self.mask.shape, different.tolist())).encode(), digest_size=DIGEST_BYTES
        )
        hashed.update(id_of_run[is_last].tobytes() + ends[is_last].tobytes())
        return hashed.digest()


def is_antialiased(runs: Runs, values: np.ndarray) -> bool:
    """Returns whether the edges of a mask are probably antialiased.

    Three different neighbors in a row or column belong to a thin object or an antialiased edge. At
    an antialiased edge, the value in the middle is between its neighbors, colors on the line
    between them; in a thin object only by chance. A mask is probably antialiased if this is so for
    at least half of such triples, and for at least 8 and 17 % of all triples with different ends.

    Args:
        runs: The mask.
        values: The id or color of each value in ``runs.distinct``, ``(n, 1)`` or ``(n, 3)``.
    """
    # Differences of unsigned integers would wrap around.
    values = values.astype(float)
    in_rows, edges_in_rows = _triples_in_rows(runs)
    in_columns, edges_in_columns = _triples_in_columns(runs)
    first, middle, last = (
        values[np.concatenate(parts)] for parts in zip(in_rows, in_columns, strict=True)
    )
    length = ((last - first) ** 2).sum(axis=1)
    projection = ((middle - first) * (last - first)).sum(axis=1)
    in_between = int(np.count_nonzero((projection > 0) & (projection < length)))
    return (
        in_between >= _MIN_IN_BETWEEN
        and in_between >= _MIN_FRACTION_OF_EDGES * (edges_in_rows + edges_in_columns)
        and in_between >= _MIN_FRACTION_OF_TRIPLES * len(length)
    )


def _triples_in_rows(runs: Runs) -> _Triples:
    """Returns the triples in rows with three different pixels: around the runs of one pixel."""
    width = runs.mask.shape[1]
    columns = runs.starts % width
    inside = (columns > 0) & (columns < width - 1)
    single = np.flatnonzero(inside & (runs.lengths == 1))
    triples = tuple(runs.values[single + step] for step in (-1, 0, 1))
    # A run starts where two pixels differ, the first two or the last two of a triple.
    n_changes = int(np.count_nonzero(inside)) + int(np.count_nonzero(columns > 1))
    return _with_different_ends(triples, n_changes)


def _triples_in_columns(runs: Runs) -> _Triples:
    """Returns the triples in columns with three different pixels."""
    mask, width = runs.mask, runs.mask.shape[1]
    changes = mask[1:] != mask[:-1]
    # On flat arrays, as np.nonzero of two axes takes twenty times as long.
    top = np.flatnonzero(changes[:-1] & changes[1:])
    flat = mask.ravel()
    triples = tuple(np.searchsorted(runs.distinct, flat[top + step * width]) for step in (0, 1, 2))
    # Each change is the first of a triple except at the bottom, and the last except at the top.
    at_border = int(np.count_nonzero(changes[:1])) + int(np.count_nonzero(changes[-1:]))
    return _with_different_ends(triples, 2 * int(np.count_nonzero(changes)) - at_border)


def _with_different_ends(triples: tuple[np.ndarray, ...], n_changes: int) -> _Triples:
    """Removes triples with equal ends, and counts all triples with different ends.

    Args:
        triples: First, middle and last values of the triples with two changes.
        n_changes: int. Number of different neighbors, counted once for each triple with them.
    """
    first, middle, last = triples
    differ = first != last
    # A triple with one change has different ends, one with two changes may have equal ones.
    n_edges = n_changes - 2 * len(differ) + int(np.count_nonzero(differ))
    return (first[differ], middle[differ], last[differ]), n_edges


def check_mask(stored: StoredMask, labels: Labels, path: str) -> MaskStatistics:
    """Checks a decoded mask.

    Args:
        stored: The result of :meth:`unetv2.data.labels.Labels.decode`.
        labels: Labels. Reads class ids.
        path: str. The file.
    """
    values, palette, _ = stored
    runs, codes = encode(values)
    counts = runs.counts()
    # The distinct values or colors, (n, 1) or (n, 3).
    parts = unpack(codes, 1 if values.ndim == 2 else 3, values.dtype)
    read = _read_colors if labels.encoding == "colors" else _read_ids
    ids, is_known, colors, problems = read(stored._replace(values=parts), counts, labels, path)
    pixels = _count_pixels(ids[is_known], counts[is_known])
    problems += _check_range(pixels, labels)
    # Palette indices have no order, unless the colors are the ids.
    has_order = not len(palette) or palette_kind(palette, labels.table) != "palette"
    if len(palette) and has_order:
        parts = palette[np.minimum(parts, len(palette) - 1)].max(axis=2)
    if has_order and is_antialiased(runs, _merge_markers(parts)):
        problems.append(("warning", "antialiased", "values in between along the edges"))
    if not problems:
        problems += _check_variety(pixels, labels)
    digest = runs.digest(np.where(is_known, ids, -1 - codes.astype(np.int64)))
    return MaskStatistics(pixels, colors, problems, digest)


# Ids, which of them are known, pixels by color, and problems.
_Reading = tuple[np.ndarray, np.ndarray, dict[Color, int], list[Problem]]


def _read_ids(stored: StoredMask, counts: np.ndarray, labels: Labels, path: str) -> _Reading:
    parts, palette, _ = stored
    column = parts[:, np.newaxis] if parts.shape[1] > 1 else parts
    try:
        ids = labels.to_ids(path, stored._replace(values=column))
    except MaskError as error:
        is_affected = np.ones(len(parts), bool) if error.where is None else error.where[:, 0]
        if len(palette):
            parts = palette[np.minimum(parts[:, 0], len(palette) - 1)]
        is_colored = parts.shape[1] > 1 and error.kind in _COLOR_PROBLEMS
        colors = _count_colors(parts, counts) if is_colored else {}
        numbers = _count_pixels(parts.max(axis=1)[is_affected], counts[is_affected])
        message = f"{error.summary}: {_list_counts(colors.items() or numbers.items())}"
        unknown = np.full(len(parts), -1), np.zeros(len(parts), bool)
        return *unknown, colors, [("error", error.kind, message)]
    # Other masks may reveal that these ids are colors.
    may_be_colors = parts.shape[1] > 1 and labels.encoding == "ids"
    colors = _count_colors(parts, counts) if may_be_colors else {}
    return ids[:, 0].astype(np.int64), np.ones(len(parts), bool), colors, []


def _read_colors(stored: StoredMask, counts: np.ndarray, labels: Labels, _: str) -> _Reading:
    parts = stored.values
    table = labels.color_ids
    ids_or_none = [table.get(_color(color)) for color in parts]
    is_known = np.array([number is not None for number in ids_or_none])
    ids = np.array([-1 if number is None else number for number in ids_or_none], np.int64)
    unknown = _count_colors(parts[~is_known], counts[~is_known])
    if not unknown:
        return ids, is_known, {}, []
    message = f"colors outside the table: {_list_counts(unknown.items())}"
    return ids, is_known, unknown, [("error", "unknown_colors", message)]


def _check_range(pixels: dict[int, int], labels: Labels) -> list[Problem]:
    if labels.n_classes is None:
        return []
    valid = {*range(labels.n_classes), labels.ignore_class}
    invalid = {number: count for number, count in pixels.items() if number not in valid}
    if not invalid:
        return []
    message = f"ids outside [0, {labels.n_classes}): {_list_counts(invalid.items())}"
    return [("error", "out_of_range", message)]


def _check_variety(pixels: dict[int, int], labels: Labels) -> list[Problem]:
    labeled = pixels.keys() - {labels.ignore_class}
    if not labeled:
        return [("warning", "empty_mask", "every pixel is ignored")]
    if len(labeled) > 1:
        return []
    (only,) = labeled
    name = ""
    if labels.classes is not None and 0 <= only < len(labels.classes):
        name = f" ({labels.classes.names[only]})"
    return [("warning", "empty_mask" if only == 0 else "single_class", f"only id {only}{name}")]


def _merge_markers(parts: np.ndarray) -> np.ndarray:
    """Replaces 254 and 65534 by 255 and 65535, as both may mark boundaries."""
    if parts.shape[1] > 1:
        return parts
    for marker in (255, 65_535):
        if marker in parts:
            parts = np.where(parts == marker - 1, parts.dtype.type(marker), parts)
    return parts


def encode(values: np.ndarray) -> tuple[Runs, np.ndarray]:
    """Returns the runs of a mask, and the packed integer of each distinct value."""
    red = only_red(values)
    if red is None:
        runs = Runs.of(_pack(values))
        return runs, runs.distinct
    # Faster on fewer bytes.
    runs = Runs.of(red)
    return runs, runs.distinct.astype(np.int32) << 16


def _pack(values: np.ndarray) -> np.ndarray:
    """Packs each color into one integer."""
    if values.ndim == 2:
        return values
    bits = 8 * values.dtype.itemsize
    packed = values[..., 0].astype(np.int32 if bits == 8 else np.int64)
    for channel in (1, 2):
        # In place: allocating arrays of this size takes longer than filling them.
        np.left_shift(packed, bits, out=packed)
        np.bitwise_or(packed, values[..., channel], out=packed)
    return packed


def unpack(codes: np.ndarray, channels: int, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Returns the values ``(n, 1)`` or colors ``(n, 3)`` of packed integers."""
    if channels == 1:
        return codes.reshape(-1, 1)
    bits = 8 * dtype.itemsize
    return np.stack([codes >> bits * shift & (1 << bits) - 1 for shift in (2, 1, 0)], axis=1)


def _count_pixels(ids: np.ndarray, counts: np.ndarray) -> dict[int, int]:
    different, indices = np.unique(ids, return_inverse=True)
    sums = np.zeros(len(different), np.int64)
    np.add.at(sums, indices, counts)
    return dict(zip(different.tolist(), sums.tolist(), strict=True))


def _count_colors(colors: np.ndarray, counts: np.ndarray) -> dict[Color, int]:
    order = np.argsort(-counts, kind="stable")[:_MAX_COLORS]
    return {_color(colors[index]): int(counts[index]) for index in order}


def _color(parts: np.ndarray) -> Color:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue


def _list_counts(counts: Iterable[tuple[object, int]]) -> str:
    ordered = sorted(counts, key=lambda entry: -entry[1])
    listed = ", ".join(
        f"{value} in {counted(count, 'pixel')}" for value, count in ordered[:_MAX_LISTED]
    )
    return listed + (", ..." if len(ordered) > _MAX_LISTED else "")
