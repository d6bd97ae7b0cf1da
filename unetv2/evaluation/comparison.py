"""Comparison of two evaluations of the same classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.evaluation import Evaluation
from unetv2.evaluation.scores import bootstrap, percentile_intervals

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The metrics of the second evaluation minus those of the first.

    Attributes:
        differences: Differences of all metrics, by name.
        intervals: Their 95 % intervals, ``(..., 2)``.
        paired: bool. Whether both evaluations are of the same images. Each resample then consists
            of the same images for both, which makes the intervals much narrower.
    """

    differences: dict[str, Floats]
    intervals: dict[str, Floats]
    paired: bool


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Compares two evaluations of the same classes."""
    counts = first.counts, second.counts
    # Names alone may be numbers of different images, so the ground truth is compared as well.
    paired = counts[0].names == counts[1].names and np.array_equal(
        counts[0].pixels[:, 1], counts[1].pixels[:, 1]
    )
    seed = int(first.settings.get("seed", 0))
    if paired:
        samples = bootstrap(counts, seed)
    else:
        # Different seeds, as the resamples must be independent.
        samples = [*bootstrap(counts[:1], seed), *bootstrap(counts[1:], seed + 1)]
    intervals = {
        name: percentile_intervals(samples[1][name] - values) for name, values in samples[0].items()
    }
    if min(map(len, counts)) < 2:
        intervals = {name: np.full_like(bounds, np.nan) for name, bounds in intervals.items()}
    differences = {name: second.metrics[name] - value for name, value in first.metrics.items()}
    return Comparison(differences, intervals, paired)


def distinct_names(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    """Returns the shortest ends of the models' paths that are distinct."""
    paths = [_path_parts(str(part.settings.get("model", "model"))) for part in evaluations]
    for length in range(1, max(map(len, paths)) + 1):
        ends = tuple("/".join(parts[-length:]).replace("//", "/") for parts in paths)
        if len(set(ends)) == len(ends):
            return ends
    return tuple(f"{end}, {word}" for end, word in zip(ends, ("first", "second"), strict=True))


def _path_parts(model: str) -> tuple[str, ...]:
    parts = PurePath(model).parts or (model,)
    # Every training writes `model.keras`, so the name of its folder is used instead.
    return parts[:-1] if PurePath(model).stem == "model" and len(parts) > 1 else parts
