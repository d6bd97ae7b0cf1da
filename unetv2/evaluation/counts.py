"""What is counted of one image; all figures follow from sums of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from unetv2.arguments import require_integer, require_number
from unetv2.classes import require_class_ids
from unetv2.metrics import confusion_matrix as formulas

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
    """Returns which pixels have a neighbor of another class, of the eight around them.

    Neither the image's border nor a pixel that does not count makes a boundary.

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
    """Counts an image's boundary pixels by class, and those that lie near one of the other mask.

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


# As many as Guo et al. have.
BINS = 15
# Confidences are summed as whole numbers, so that no order of the pixels changes the sum. It is
# the last bit of a float32 in [0.5, 1), and leaves room for 5e11 pixels.
CONFIDENCE_UNIT = 2.0**-24
# Of a bin.
_AT_AN_END = 1e-5


class ImageCounts(NamedTuple):
    """What is counted of one image.

    Attributes:
        confusion: int64 ``(n_classes, n_classes)``. Pixels by true and predicted class.
        boundary: int64 ``(4, n_classes)``. See
            :func:`unetv2.evaluation.counts.boundary_counts`.
        calibration: int64 ``(3, BINS)``. Pixels by confidence, how many of them are right, and
            the sum of their confidences in units of ``CONFIDENCE_UNIT``.
    """

    confusion: Counts
    boundary: Counts
    calibration: Counts

    @property
    def tally(self) -> Counts:
        """int64 ``(3, n_classes)``: hits, true and predicted pixels by class."""
        matrix = self.confusion
        return np.stack([matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)])


def count_image(
    truth: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
) -> ImageCounts:
    """Counts one image.

    Args:
        truth: Mask ids, ``(height, width)``, in ``[0, n_classes)`` or ``ignore_class``.
        predicted: Ids in ``[0, n_classes)``, ``(height, width)``.
        confidence: Probability of the predicted class in [0, 1], ``(height, width)``.
        n_classes: int.
        ignore_class: int or None. Id of pixels that do not count.
        tolerance: By how much a boundary may be off, see ``boundary_counts``.

    Returns:
        ImageCounts.

    Raises:
        ValueError: If the mask holds another id, or a confidence is no number.
    """
    truth = truth.astype(np.int64)
    counted = np.ones(truth.shape, bool) if ignore_class is None else truth != ignore_class
    known, guessed = truth[counted], predicted[counted].astype(np.int64)
    require_class_ids(
        known,
        n_classes,
        ignore_class,
        source="the mask",
        advice="Pass a class table with `ignore_class` for unlabeled pixels, or a model with more "
        "classes.",
    )
    sure = confidence[counted].astype(np.float64)
    if not np.isfinite(sure).all():
        raise ValueError(
            "A model must give numbers. "
            f"Received: NaN or infinity for {int((~np.isfinite(sure)).sum())} pixels. The "
            "training diverged, or the image holds NaN: lower the learning rate, or fix it."
        )
    cells = np.bincount(known * n_classes + guessed, minlength=n_classes**2)
    return ImageCounts(
        cells.reshape(n_classes, n_classes),
        boundary_counts(truth, predicted, counted, n_classes, tolerance),
        _calibration(sure, known == guessed),
    )


def _calibration(confidence: np.ndarray, right: np.ndarray) -> Counts:
    # Bins are open below and closed above, as in the paper: 1 lies in the last one. Of what is at
    # an end, as 1/3 where three classes are alike, the last bit does not decide.
    bins = np.clip(np.ceil(confidence * BINS - _AT_AN_END).astype(np.int64) - 1, 0, BINS - 1)
    units = np.rint(confidence / CONFIDENCE_UNIT)
    # Whole numbers below 2**53: floats count them exactly.
    rows = [np.bincount(bins, weights, BINS) for weights in (None, right, units)]
    return np.stack(rows).astype(np.int64)


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Counts by image, ``8 * (7 * n_classes + 45)`` bytes each: 33 MB for 20,000 of 23 classes.

    Of an image's confusion matrix these are the diagonal and both sums, on which all figures
    stand but the matrix itself.

    Args:
        names: A name for each image.
        tallies: int64 ``(n, 3, n_classes)``: hits, true and predicted pixels.
        boundaries: int64 ``(n, 4, n_classes)``, see ``boundary_counts``.
        calibration: int64 ``(n, 3, BINS)``, see ``ImageCounts``.
    """

    names: tuple[str, ...]
    tallies: Counts
    boundaries: Counts
    calibration: Counts

    @classmethod
    def of(cls, name: str, image: ImageCounts) -> Rows:
        """Returns the row of one image."""
        return cls((name,), image.tally[None], image.boundary[None], image.calibration[None])

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Returns the rows of several, sorted by name."""
        names = [name for part in parts for name in part.names]
        columns = zip(*((p.tallies, p.boundaries, p.calibration) for p in parts), strict=True)
        everything = cls(tuple(names), *(np.concatenate(column) for column in columns))
        return everything.taken(sorted(range(len(names)), key=names.__getitem__))

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.names)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.tallies.shape[2]

    @property
    def mean_iou(self) -> Floats:
        """Mean IoU of each image, over the classes that are in it or predicted.

        ``(n,)``, NaN where no pixel counts.
        """
        hits, truth, predicted = np.moveaxis(self.tallies.astype(np.float64), 1, 0)
        return formulas.mean(np, formulas.iou(np, formulas.Tally(hits, truth, predicted)))

    @property
    def boundary_f1(self) -> Floats:
        """Boundary F1 of each image by class.

        ``(n, n_classes)``, NaN where a class has no boundary in either mask.
        """
        right, predicted, found, true = np.moveaxis(self.boundaries.astype(np.float64), 1, 0)
        # Where only one mask has a boundary there is nothing near it: its share is 0, and so is F1.
        precision, recall = (
            np.nan_to_num(formulas.ratio(np, *parts))
            for parts in ((right, predicted), (found, true))
        )
        f1 = np.nan_to_num(formulas.ratio(np, 2 * precision * recall, precision + recall))
        return np.where(predicted + true > 0, f1, np.nan)

    def order(self) -> list[int]:
        """Returns an order that follows from what the rows hold, not from how they came."""
        parts = (self.tallies, self.boundaries, self.calibration)
        return sorted(range(len(self)), key=lambda n: b"".join(part[n].tobytes() for part in parts))

    def taken(self, order: Sequence[int]) -> Rows:
        """Returns some of the rows, in an order."""
        return Rows(
            tuple(self.names[number] for number in order),
            self.tallies[order],
            self.boundaries[order],
            self.calibration[order],
        )
