"""Boundaries of masks, and how many of their pixels lie near each other."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from unetv2.arguments import require_integer, require_number

Counts = npt.NDArray[np.int64]

# What Csurka et al. allow: 0.75 % of the diagonal, as in the benchmarks of contours.
TOLERANCE = 0.0075
# Rows of what `boundary_counts` returns.
RIGHT, PREDICTED, FOUND, TRUE = range(4)

_ADVICE = "Pass whole pixels, such as 2, or a share of the diagonal below 1, such as 0.0075."


def require_tolerance(tolerance: object) -> int | float:
    """Returns by how much a boundary may be off, or says why it is none.

    Args:
        tolerance: What the caller passed: an integer for pixels, or a share of the diagonal.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is below 0, or a fraction of 1 or more.
    """
    if isinstance(tolerance, float):
        share = require_number("boundary_tolerance", tolerance, _ADVICE)
        if share >= 1:
            raise ValueError(
                "`boundary_tolerance` must be a share below 1, or an integer for pixels. "
                f"Received: boundary_tolerance={tolerance!r}. {_ADVICE}"
            )
        return share
    return require_integer("boundary_tolerance", tolerance, 0, _ADVICE)


def boundary(ids: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Returns which pixels have a neighbour of another class, of the eight around them.

    Neither the picture's border nor a pixel that does not count makes a boundary.

    Args:
        ids: Class ids, ``(height, width)``.
        counted: bool, ``(height, width)``.

    Returns:
        np.ndarray. bool, ``(height, width)``.
    """
    found = np.zeros(ids.shape, bool)
    height, width = ids.shape
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        other = slice(down, height), slice(max(0, right), width - max(0, -right))
        differs = (ids[one] != ids[other]) & counted[one] & counted[other]
        found[one] |= differs
        found[other] |= differs
    return found


def boundary_counts(
    truth: np.ndarray,
    predicted: np.ndarray,
    counted: np.ndarray,
    n_classes: int,
    tolerance: int | float,
) -> Counts:
    """Counts a picture's boundary pixels by class, and those that lie near one of the other mask.

    Near is a Euclidean distance, from pixel to pixel, of at most ``tolerance``.

    Args:
        truth: Ids in ``[0, n_classes)`` where ``counted``, ``(height, width)``.
        predicted: As ``truth``.
        counted: bool, ``(height, width)``.
        n_classes: int.
        tolerance: Pixels as an int, or a float, the share of the diagonal.

    Returns:
        int64 ``(4, n_classes)``: predicted boundary pixels near a true one, all predicted ones,
        true ones near a predicted one, all true ones.

    References:
        - Csurka, Larlus & Perronnin, "What is a good evaluation measure for semantic
          segmentation?", BMVC 2013.
    """
    ends = [boundary(ids, counted) for ids in (truth, predicted)]
    squared = _squared_pixels(tolerance, truth.shape)
    counts = np.zeros((4, n_classes), np.int64)
    # A bit for each class: all of them widen in the time of one.
    bits = 32 if n_classes <= 32 else 64
    for first in range(0, n_classes, bits):
        true, guessed = (
            _as_bits(ids, edge, first, bits)
            for ids, edge in zip((truth, predicted), ends, strict=True)
        )
        if not (true.any() or guessed.any()):
            continue
        near_true, near_guessed = _widened(true, squared), _widened(guessed, squared)
        for row, ids, kept in (
            (RIGHT, predicted, guessed & near_true),
            (PREDICTED, predicted, guessed),
            (FOUND, truth, true & near_guessed),
            (TRUE, truth, true),
        ):
            counts[row] += np.bincount(ids[kept != 0], minlength=n_classes)
    return counts


def _squared_pixels(tolerance: int | float, size: tuple[int, ...]) -> int:
    """Returns the largest squared distance that is near, a whole number as all of them are."""
    if isinstance(tolerance, int):
        return tolerance**2
    return math.floor(tolerance**2 * (size[0] ** 2 + size[1] ** 2))


def _as_bits(ids: np.ndarray, edge: np.ndarray, first: int, bits: int) -> np.ndarray:
    dtype = np.uint32 if bits == 32 else np.uint64
    masks = np.left_shift(dtype(1), np.arange(bits, dtype=dtype))
    chosen = edge & (ids >= first) & (ids < first + bits)
    found = np.zeros(ids.shape, dtype)
    found[chosen] = masks[ids[chosen] - first]
    return found


def _widened(marks: np.ndarray, squared: int) -> np.ndarray:
    """Returns the bits that are set within a disc around each pixel."""
    height, width = marks.shape
    reach = min(math.isqrt(squared), max(height, width) - 1)
    result = np.zeros_like(marks)
    row = marks.copy()
    half = 0
    # From the disc's top, where its row is short, to its middle: each row widens the last one.
    for down in range(reach, -1, -1):
        while half < min(math.isqrt(squared - down**2), width - 1):
            half += 1
            row[:, half:] |= marks[:, :-half]
            row[:, :-half] |= marks[:, half:]
        if down < height:
            result[: height - down] |= row[down:]
            result[down:] |= row[: height - down]
    return result
