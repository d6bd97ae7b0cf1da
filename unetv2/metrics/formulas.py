"""What follows from a confusion matrix, written once for NumPy and for tensors.

``xp`` is ``numpy`` or ``keras.ops``. Classes are the last axis; there may be others before it, of
several matrices. A figure without pixels to stand on is NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Tally(NamedTuple):
    """Pixels by class, each ``(..., n_classes)`` floats."""

    hits: Any
    """Of the class and predicted so."""
    truth: Any
    """Of the class."""
    predicted: Any
    """Predicted to be of the class."""


def ratio(xp: Any, numerator: Any, denominator: Any) -> Any:
    """Returns the quotient, NaN where the denominator is 0."""
    known = denominator > 0
    # The inner `where` keeps NumPy from warning of a division whose result is not used.
    return xp.where(known, numerator / xp.where(known, denominator, 1.0), float("nan"))


def mean(xp: Any, values: Any) -> Any:
    """Returns the mean of the values that are not NaN; NaN without any."""
    known = xp.logical_not(xp.isnan(values))
    total = xp.sum(xp.where(known, values, 0.0), axis=-1)
    return ratio(xp, total, xp.sum(xp.where(known, xp.ones_like(values), 0.0), axis=-1))


def iou(xp: Any, tally: Tally) -> Any:
    """Returns intersection over union by class."""
    return ratio(xp, tally.hits, tally.truth + tally.predicted - tally.hits)


def dice(xp: Any, tally: Tally) -> Any:
    """Returns the Dice coefficient by class, which is the F1 score."""
    return ratio(xp, 2 * tally.hits, tally.truth + tally.predicted)


def precision(xp: Any, tally: Tally) -> Any:
    """Returns by class the share of the predicted pixels that are right."""
    return ratio(xp, tally.hits, tally.predicted)


def recall(xp: Any, tally: Tally) -> Any:
    """Returns by class the share of the true pixels that are found."""
    return ratio(xp, tally.hits, tally.truth)


def pixel_accuracy(xp: Any, tally: Tally) -> Any:
    """Returns the share of pixels that are right."""
    return ratio(xp, xp.sum(tally.hits, axis=-1), xp.sum(tally.truth, axis=-1))


def frequency_weighted_iou(xp: Any, tally: Tally) -> Any:
    """Returns the mean IoU, each class weighted by its true pixels."""
    by_class = iou(xp, tally)
    # A class without an IoU has no pixels, so no weight.
    weighted = tally.truth * xp.where(xp.isnan(by_class), 0.0, by_class)
    return ratio(xp, xp.sum(weighted, axis=-1), xp.sum(tally.truth, axis=-1))
