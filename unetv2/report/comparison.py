"""How far two evaluations are apart, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.bootstrap import percentiles, resampled
from unetv2.evaluation.measurement import Measurement

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The second evaluation less the first.

    Attributes:
        differences: Of all figures, by name.
        intervals: 95 % intervals of the differences, ``(..., 2)``.
        paired: bool. Whether both are of the same pictures, so that each resample draws the same
            ones for both; intervals are much narrower then.
    """

    differences: dict[str, Floats]
    intervals: dict[str, Floats]
    paired: bool


def compare(first: Measurement, second: Measurement) -> Comparison:
    """Compares two evaluations of the same classes."""
    one, other = first.rows, second.rows
    # Equal names alone may be numbers of different pictures.
    paired = one.names == other.names and np.array_equal(one.tallies[:, 1], other.tallies[:, 1])
    seed = int(first.settings.get("seed", 0))
    if paired:
        samples = resampled([one, other], seed)
    else:
        # Another seed: the draws must not go together.
        samples = [*resampled([one], seed), *resampled([other], seed + 1)]
    intervals = {name: percentiles(samples[1][name] - samples[0][name]) for name in samples[0]}
    if min(len(one), len(other)) < 2:
        intervals = {name: np.full_like(ends, np.nan) for name, ends in intervals.items()}
    return Comparison(
        {name: second.figures[name] - value for name, value in first.figures.items()},
        intervals,
        paired,
    )
