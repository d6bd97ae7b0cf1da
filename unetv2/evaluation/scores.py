"""Metrics of image counts, and their bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.counts import BINS, CONFIDENCE_UNIT, ImageCounts
from unetv2.metrics import scores as formulas

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
PER_CLASS = (
    "iou_per_class",
    "dice_per_class",
    "precision_per_class",
    "recall_per_class",
    "boundary_f1_per_class",
)
# Level of the intervals.
LEVEL = 0.95
# The standard error of a bound is below a hundredth of the interval's width, see `bound_error`.
RESAMPLES = 10_000
# Float64 weights in memory at once: 16 MB.
_WEIGHTS = 2_000_000


def weighted_metrics(counts: ImageCounts, weights: Floats) -> dict[str, Floats]:
    """Returns all metrics of weighted images.

    Args:
        counts: Counts of ``n`` images.
        weights: ``(r, n)``, 0 or more.

    Returns:
        dict. ``(r,)`` for the names in ``SCALARS``, ``(r, n_classes)`` for those in ``PER_CLASS``;
        NaN where a denominator is 0.
    """
    pixels = formulas.ClassCounts(*_weighted_sums(weights, counts.pixels))
    f1 = counts.boundary_f1
    boundary_f1 = formulas.ratio(
        np, weights @ np.nan_to_num(f1), weights @ (~np.isnan(f1)).astype(np.float64)
    )
    iou, dice, recall = (
        formula(np, pixels) for formula in (formulas.iou, formulas.dice, formulas.recall)
    )
    return {
        "mean_iou": formulas.nan_mean(np, iou),
        "pixel_accuracy": formulas.pixel_accuracy(np, pixels),
        "frequency_weighted_iou": formulas.frequency_weighted_iou(np, pixels),
        "mean_dice": formulas.nan_mean(np, dice),
        "mean_accuracy": formulas.nan_mean(np, recall),
        "mean_boundary_f1": formulas.nan_mean(np, boundary_f1),
        "calibration_error": calibration_error(_weighted_sums(weights, counts.calibration)),
        "iou_per_class": iou,
        "dice_per_class": dice,
        "precision_per_class": formulas.precision(np, pixels),
        "recall_per_class": recall,
        "boundary_f1_per_class": boundary_f1,
    }


def compute_metrics(counts: ImageCounts) -> dict[str, Floats]:
    """Returns all metrics, scalars as ``()`` and those per class as ``(n_classes,)``."""
    # In a canonical order, because the last bit of a sum of floats depends on the order.
    counts = counts.take(counts.canonical_order())
    metrics = weighted_metrics(counts, np.ones((1, len(counts))))
    return {name: value[0] for name, value in metrics.items()}


def calibration_error(counts: Floats) -> Floats:
    r"""Returns the expected calibration error.

    .. math:: \sum_b \frac{n_b}{n} \left| \frac{r_b}{n_b} - \frac{s_b}{n_b} \right|

    :math:`n_b` is the number of pixels in bin :math:`b`, :math:`r_b` the number of correct ones,
    :math:`s_b` the sum of their confidences.

    Args:
        counts: ``(3, ..., BINS)``, as ``ImageCounts.calibration``.

    Returns:
        ``(...)`` in [0, 1], NaN without pixels.

    References:
        - `Guo et al., 2017 <https://arxiv.org/abs/1706.04599>`_
    """
    pixels, correct, units = counts
    gaps = np.abs(correct - units * CONFIDENCE_UNIT)
    return formulas.ratio(np, gaps.sum(axis=-1), pixels.sum(axis=-1))


def reliability(counts: ImageCounts) -> dict[str, Floats]:
    """Returns the reliability curve, see ``Evaluation.reliability``."""
    pixels, correct, units = counts.calibration.sum(axis=0).astype(np.float64)
    edges = np.arange(BINS + 1) / BINS
    return {
        "low": edges[:-1],
        "high": edges[1:],
        "pixels": pixels,
        "confidence": formulas.ratio(np, units * CONFIDENCE_UNIT, pixels),
        "accuracy": formulas.ratio(np, correct, pixels),
    }


def _weighted_sums(weights: Floats, counts: npt.NDArray[np.int64]) -> Floats:
    """Returns weighted sums over images: ``(r, n)`` and ``(n, 3, k)`` give ``(3, r, k)``."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    sums = (weights @ flat).reshape(len(weights), *counts.shape[1:])
    return np.moveaxis(sums, 1, 0)


def bootstrap(
    counts: Sequence[ImageCounts], seed: int, resamples: int = RESAMPLES
) -> list[dict[str, Floats]]:
    """Returns the metrics of images resampled with replacement.

    Images are resampled, not pixels, because the pixels of an image are correlated. The resamples
    do not depend on the order of the images.

    Args:
        counts: Counts of one or several models on the same images in the same order. A resample
            consists of the same images for all models.
        seed: int. Seed of the resamples.
        resamples: int. Number of resamples.

    Returns:
        The result of :func:`weighted_metrics` for each model, with one row per resample.

    References:
        - Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    order = counts[0].canonical_order()
    counts = [part.take(order) for part in counts]
    chunks = [
        [weighted_metrics(part, weights) for part in counts]
        for weights in _bootstrap_weights(len(order), resamples, seed)
    ]
    return [
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for parts in zip(*chunks, strict=True)
    ]


def _bootstrap_weights(n: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yields multinomial weights in chunks ``(rows, n)``."""
    rng = np.random.default_rng(seed)
    chunk = max(1, _WEIGHTS // n)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        # Ten times as fast as `rng.multinomial`.
        indices = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, np.newaxis]
        yield np.bincount(indices.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def percentile_intervals(values: Floats, level: float = LEVEL) -> Floats:
    """Returns the central interval of resampled metrics.

    Args:
        values: ``(resamples, ...)``. NaN, of a resample without the class, is excluded.
        level: float in (0, 1). Share of the values in the interval.

    Returns:
        ``(..., 2)``: low and high, NaN where all values are NaN.
    """
    bounds = np.full((2, *values.shape[1:]), np.nan)
    valid = ~np.isnan(values).all(axis=0)
    outside = 50 * (1 - level)
    bounds[:, valid] = np.nanpercentile(values[:, valid], (outside, 100 - outside), axis=0)
    return np.moveaxis(bounds, 0, -1)


def bound_error(bounds: Floats) -> Floats:
    r"""Returns the standard error of an interval's bounds due to resampling.

    A quantile of ``B`` draws has the standard error :math:`\sqrt{p (1 - p) / B} / f`, where
    :math:`f` is the density at the quantile, here that of a normal distribution with an interval of
    the same width.

    Args:
        bounds: ``(..., 2)``, as of :func:`percentile_intervals` with :data:`RESAMPLES` draws.

    Returns:
        ``(...)``: 0.7 % of the width, NaN where there is no interval.

    References:
        - Serfling, "Approximation Theorems of Mathematical Statistics", 1980, section 2.3.3.
    """
    outside = (1 - LEVEL) / 2
    normal = NormalDist()
    bound = normal.inv_cdf(1 - outside)
    spread = math.sqrt(outside * (1 - outside) / RESAMPLES) / (2 * bound * normal.pdf(bound))
    return spread * (bounds[..., 1] - bounds[..., 0])


def decimals(bounds: Floats) -> int:
    """Returns the number of printed decimals of an interval ``(2,)``: 3, or 2 if it is wide.

    With 3 decimals the standard error of the bounds is at most half a unit of the last one, with 2
    it is below one unit for every interval in [0, 1].
    """
    return 3 if bound_error(bounds) <= 0.0005 else 2
