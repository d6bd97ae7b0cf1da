"""The figures of rows, for one weighting of the pictures or many at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.counting import BINS, CONFIDENCE_UNIT
from unetv2.evaluation.rows import Rows
from unetv2.metrics import formulas

Floats = npt.NDArray[np.float64]

SCALARS = (
    "mean_iou",
    "pixel_accuracy",
    "frequency_weighted_iou",
    "mean_dice",
    "mean_accuracy",
    "mean_boundary_f1",
    "calibration_error",
)
BY_CLASS = (
    "iou_per_class",
    "dice_per_class",
    "precision_per_class",
    "recall_per_class",
    "boundary_f1_per_class",
)


def weighted_figures(rows: Rows, weights: Floats) -> dict[str, Floats]:
    """Returns all figures, each picture counted as often as its weight says.

    Args:
        rows: Of ``n`` pictures.
        weights: ``(r, n)``, 0 or more.

    Returns:
        dict. ``(r,)`` for the names in ``SCALARS``, ``(r, n_classes)`` for those in ``BY_CLASS``;
        NaN where there is nothing to stand on.
    """
    tally = formulas.Tally(*_sums(weights, rows.tallies))
    f1 = rows.boundary_f1
    has_boundary = ~np.isnan(f1)
    boundary_f1 = formulas.ratio(
        np, weights @ np.nan_to_num(f1), weights @ has_boundary.astype(np.float64)
    )
    iou, dice = formulas.iou(np, tally), formulas.dice(np, tally)
    recall = formulas.recall(np, tally)
    return {
        "mean_iou": formulas.mean(np, iou),
        "pixel_accuracy": formulas.pixel_accuracy(np, tally),
        "frequency_weighted_iou": formulas.frequency_weighted_iou(np, tally),
        "mean_dice": formulas.mean(np, dice),
        "mean_accuracy": formulas.mean(np, recall),
        "mean_boundary_f1": formulas.mean(np, boundary_f1),
        "calibration_error": calibration_error(_sums(weights, rows.calibration)),
        "iou_per_class": iou,
        "dice_per_class": dice,
        "precision_per_class": formulas.precision(np, tally),
        "recall_per_class": recall,
        "boundary_f1_per_class": boundary_f1,
    }


def point_figures(rows: Rows) -> dict[str, Floats]:
    """Returns all figures, scalars as ``()`` and those by class as ``(n_classes,)``."""
    # In an order of their own, as the last bit of a sum of floats depends on it.
    rows = rows.taken(rows.order())
    return {
        name: value[0] for name, value in weighted_figures(rows, np.ones((1, len(rows)))).items()
    }


def calibration_error(counts: Floats) -> Floats:
    r"""Returns the expected calibration error.

    .. math:: \sum_b \frac{n_b}{n} \left| \frac{r_b}{n_b} - \frac{s_b}{n_b} \right|

    with a bin's pixels :math:`n_b`, how many of them are right :math:`r_b`, and the sum of their
    confidences :math:`s_b`.

    Args:
        counts: ``(3, ..., BINS)``, as of :class:`unetv2.evaluation.counting.PictureCounts`.

    Returns:
        ``(...)`` in [0, 1], NaN without pixels.

    References:
        - `Guo et al., 2017 <https://arxiv.org/abs/1706.04599>`_
    """
    pixels, right, units = counts
    gaps = np.abs(right - units * CONFIDENCE_UNIT)
    return formulas.ratio(np, gaps.sum(axis=-1), pixels.sum(axis=-1))


def reliability(rows: Rows) -> dict[str, Floats]:
    """Returns the reliability curve.

    Args:
        rows: Of the pictures.

    Returns:
        dict of ``(BINS,)``: ``"low"`` and ``"high"``, a bin's ends; ``"pixels"``; ``"confidence"``
        and ``"accuracy"``, the bin's means, NaN without pixels.
    """
    pixels, right, units = rows.calibration.sum(axis=0).astype(np.float64)
    ends = np.arange(BINS + 1) / BINS
    return {
        "low": ends[:-1],
        "high": ends[1:],
        "pixels": pixels,
        "confidence": formulas.ratio(np, units * CONFIDENCE_UNIT, pixels),
        "accuracy": formulas.ratio(np, right, pixels),
    }


def _sums(weights: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Returns weighted sums over the pictures, what was counted first: ``(3, r, ...)``."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    summed = (weights @ flat).reshape(len(weights), *counts.shape[1:])
    return np.moveaxis(summed, 1, 0)
