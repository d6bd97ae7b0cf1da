"""The figures of rows, for one weighting of the images or many at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.counts import BINS, CONFIDENCE_UNIT, Rows
from unetv2.metrics import confusion_matrix as formulas

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
    """Returns all figures, each image counted as often as its weight says.

    Args:
        rows: Of ``n`` images.
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
        counts: ``(3, ..., BINS)``, as of :class:`unetv2.evaluation.counts.ImageCounts`.

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
        rows: Of the images.

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
    """Returns weighted sums over the images, what was counted first: ``(3, r, ...)``."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    summed = (weights @ flat).reshape(len(weights), *counts.shape[1:])
    return np.moveaxis(summed, 1, 0)


LEVEL = 0.95
# So many that bounds are known to a hundredth of their interval's width; see `bound_error`.
RESAMPLES = 10_000
# Weights held at once, in float64: 16 MB.
_WEIGHTS = 2_000_000


def resampled(
    parts: Sequence[Rows], seed: int, resamples: int = RESAMPLES
) -> list[dict[str, Floats]]:
    """Returns the figures of images drawn anew, with replacement, again and again.

    Pixels of one image resemble each other, so images are drawn, not pixels. The draws do
    not depend on the order of the rows.

    Args:
        parts: Rows of one or several models on the same images in the same order; each resample
            draws the same images for all of them.
        seed: int.
        resamples: int. How often.

    Returns:
        For each part what ``weighted_figures`` returns, a row for each resample.

    References:
        - Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    order = parts[0].order()
    parts = [part.taken(order) for part in parts]
    found: list[list[dict[str, Floats]]] = [[] for _ in parts]
    for weights in _draws(len(order), resamples, seed):
        for figures, part in zip(found, parts, strict=True):
            figures.append(weighted_figures(part, weights))
    return [
        {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
        for chunks in found
    ]


def percentiles(values: Floats, level: float = LEVEL) -> Floats:
    """Returns the interval that holds the middle of resampled figures.

    Args:
        values: ``(resamples, ...)``. NaN, of a resample without the class, is left out.
        level: float in (0, 1). Share of the values within.

    Returns:
        ``(..., 2)``: low and high, NaN where all values are.
    """
    bounds = np.full((2, *values.shape[1:]), np.nan)
    known = ~np.isnan(values).all(axis=0)
    outside = 50 * (1 - level)
    bounds[:, known] = np.nanpercentile(values[:, known], (outside, 100 - outside), axis=0)
    return np.moveaxis(bounds, 0, -1)


def bound_error(bounds: Floats) -> Floats:
    r"""Returns the standard error that the number of resamples leaves in an interval's bounds.

    A quantile of ``B`` draws has the standard error :math:`\sqrt{p (1 - p) / B} / f`, with the
    density :math:`f` there. The figure is taken to be about normal, so that the density is that of
    a normal distribution whose interval is as wide.

    Args:
        bounds: ``(..., 2)``, as of :func:`percentiles` with :data:`RESAMPLES` draws.

    Returns:
        ``(...)``: 0.7 per cent of the width, NaN where there is no interval.

    References:
        - Serfling, "Approximation Theorems of Mathematical Statistics", 1980, section 2.3.3.
    """
    outside = (1 - LEVEL) / 2
    normal = NormalDist()
    bound = normal.inv_cdf(1 - outside)
    spread = math.sqrt(outside * (1 - outside) / RESAMPLES) / (2 * bound * normal.pdf(bound))
    return spread * (bounds[..., 1] - bounds[..., 0])


def decimals(bounds: Floats) -> int:
    """Returns how many decimals of an interval are printed: 3, or 2 where it is wide.

    With 3 the standard error of the bounds is at most half a unit of the last decimal; with 2 it
    is less than one, whatever the width of an interval in [0, 1].

    Args:
        bounds: ``(2,)``, shares.

    Returns:
        int.
    """
    return 3 if bound_error(bounds) <= 0.0005 else 2


def _draws(n: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yields multinomial weights, ``(some, n)``: how often each image was drawn."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS // n)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        # Drawn and counted: ten times as fast as `rng.multinomial`.
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
