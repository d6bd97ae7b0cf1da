"""What is counted of one picture; all figures follow from sums of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.boundaries import boundary_counts

Counts = npt.NDArray[np.int64]

# As many as Guo et al. have.
BINS = 15
# Confidences are summed as whole numbers, so that no order of the pixels changes the sum. It is
# the last bit of a float32 in [0.5, 1), and leaves room for 5e11 pixels.
CONFIDENCE_UNIT = 2.0**-24
# Of a bin.
_AT_AN_END = 1e-5

_SHOWN = 8


class PictureCounts(NamedTuple):
    """What is counted of one picture.

    Attributes:
        confusion: int64 ``(n_classes, n_classes)``. Pixels by true and predicted class.
        boundary: int64 ``(4, n_classes)``. See
            :func:`unetv2.evaluation.boundaries.boundary_counts`.
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


def count_picture(
    truth: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
) -> PictureCounts:
    """Counts one picture.

    Args:
        truth: Mask ids, ``(height, width)``, in ``[0, n_classes)`` or ``ignore_class``.
        predicted: Ids in ``[0, n_classes)``, ``(height, width)``.
        confidence: Probability of the predicted class in [0, 1], ``(height, width)``.
        n_classes: int.
        ignore_class: int or None. Id of pixels that do not count.
        tolerance: By how much a boundary may be off, see ``boundary_counts``.

    Returns:
        PictureCounts.

    Raises:
        ValueError: If the mask holds another id, or a confidence is no number.
    """
    truth = truth.astype(np.int64)
    counted = np.ones(truth.shape, bool) if ignore_class is None else truth != ignore_class
    known, guessed = truth[counted], predicted[counted].astype(np.int64)
    _require_ids(known, n_classes, ignore_class)
    sure = confidence[counted].astype(np.float64)
    if not np.isfinite(sure).all():
        raise ValueError(
            "A model must give numbers. "
            f"Received: NaN or infinity for {int((~np.isfinite(sure)).sum())} pixels. The "
            "training diverged, or the picture holds NaN: lower the learning rate, or mend it."
        )
    cells = np.bincount(known * n_classes + guessed, minlength=n_classes**2)
    return PictureCounts(
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


def _require_ids(ids: np.ndarray, n_classes: int, ignore_class: int | None) -> None:
    wrong = (ids < 0) | (ids >= n_classes)
    if not wrong.any():
        return
    foreign = np.unique(ids[wrong])
    shown = ", ".join(str(value) for value in foreign[:_SHOWN])
    shown += ", ..." if len(foreign) > _SHOWN else ""
    ignored = "" if ignore_class is None else f" or `ignore_class` ({ignore_class})"
    raise ValueError(
        f"Mask ids must be in [0, {n_classes}){ignored}. "
        f"Received: {shown} in {int(wrong.sum())} pixels. Pass a class table with `ignore_class` "
        "if they have no label, and a model with more classes if they are one."
    )
