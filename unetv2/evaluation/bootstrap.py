"""How far figures would move with other pictures: intervals by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.figures import weighted_figures
from unetv2.evaluation.rows import Rows

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
# So many that bounds are known to a hundredth of their interval's width; see `bound_error`.
RESAMPLES = 10_000
# Weights held at once, in float64: 16 MB.
_WEIGHTS = 2_000_000


def resampled(
    parts: Sequence[Rows], seed: int, resamples: int = RESAMPLES
) -> list[dict[str, Floats]]:
    """Returns the figures of pictures drawn anew, with replacement, again and again.

    Pixels of one picture resemble each other, so pictures are drawn, not pixels. The draws do
    not depend on the order of the rows.

    Args:
        parts: Rows of one or several models on the same pictures in the same order; each resample
            draws the same pictures for all of them.
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
    """Yields multinomial weights, ``(some, n)``: how often each picture was drawn."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS // n)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        # Drawn and counted: ten times as fast as `rng.multinomial`.
        drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
