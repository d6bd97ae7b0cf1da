"""What a report is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from unetv2.classes import ClassTable
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.scores import percentiles, resampled

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The second evaluation less the first.

    Attributes:
        differences: Of all figures, by name.
        intervals: 95 % intervals of the differences, ``(..., 2)``.
        paired: bool. Whether both are of the same images, so that each resample draws the same
            ones for both; intervals are much narrower then.
    """

    differences: dict[str, Floats]
    intervals: dict[str, Floats]
    paired: bool


def compare(first: Measurement, second: Measurement) -> Comparison:
    """Compares two evaluations of the same classes."""
    one, other = first.rows, second.rows
    # Equal names alone may be numbers of different images.
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


@dataclass(frozen=True, eq=False)
class Subject:
    """One or two evaluations with their names.

    Attributes:
        evaluations: One, or two of the same classes.
        names: A name for each.
        comparison: What became of the first, if there are two.
    """

    evaluations: tuple[Measurement, ...]
    names: tuple[str, ...]
    comparison: Comparison | None

    @classmethod
    def of(cls, evaluations: Sequence[Measurement], names: Sequence[str] | None) -> Subject:
        """Checks what the caller passed.

        Raises:
            ValueError: If there are not one or two evaluations, their classes differ, or there is
                not one name for each.
        """
        if len(evaluations) not in (1, 2):
            raise ValueError(
                "`evaluations` must be one, or two to compare. "
                f"Received: {len(evaluations)}. Write several reports."
            )
        if any(other.classes != evaluations[0].classes for other in evaluations[1:]):
            raise ValueError(
                "`evaluations` must have the same classes to be compared. Received: two tables. "
                "Evaluate both with the same `classes`."
            )
        if names is not None and len(names) != len(evaluations):
            raise ValueError(
                "`names` must hold one name for each evaluation. "
                f"Received: {len(names)} for {len(evaluations)}."
            )
        named = tuple(map(str, names)) if names is not None else _names(evaluations)
        both = len(evaluations) == 2
        return cls(tuple(evaluations), named, compare(*evaluations) if both else None)

    @property
    def title(self) -> str:
        """What the report is called."""
        return " compared with ".join(self.names[::-1])

    @property
    def classes(self) -> ClassTable:
        """The classes' table."""
        return self.evaluations[0].classes

    @property
    def last(self) -> Measurement:
        """The evaluation that the report is about, the second of two."""
        return self.evaluations[-1]

    def each(self) -> list[tuple[str, Measurement]]:
        """Returns the evaluations with their names."""
        return list(zip(self.names, self.evaluations, strict=True))

    def shown_classes(self) -> list[int]:
        """Returns the ids of the classes that are in the truth or predicted, in order."""
        absent = [set(evaluation.scores.absent) for evaluation in self.evaluations]
        return [n for n in range(len(self.classes)) if not all(n in ids for ids in absent)]

    def difference(self, name: str, number: int | None = None) -> tuple[Any, npt.NDArray[Any]]:
        """Returns a figure's difference and its interval, NaN where there is no comparison."""
        if self.comparison is None:
            return np.nan, np.full(2, np.nan)
        values = self.comparison.differences[name], self.comparison.intervals[name]
        return values if number is None else (values[0][number], values[1][number])


def _names(evaluations: Sequence[Measurement]) -> tuple[str, ...]:
    """Returns the shortest ends of the models' paths that tell them apart."""
    paths = [_parts(str(evaluation.settings.get("model", "model"))) for evaluation in evaluations]
    for length in range(1, max(map(len, paths)) + 1):
        ends = tuple("/".join(parts[-length:]).replace("//", "/") for parts in paths)
        if len(set(ends)) == len(ends):
            return ends
    return tuple(f"{end}, {word}" for end, word in zip(ends, ("first", "second"), strict=True))


def _parts(model: str) -> tuple[str, ...]:
    parts = PurePath(model).parts or (model,)
    # Every training writes `model.keras`: its folder says which one it is.
    return parts[:-1] if PurePath(model).stem == "model" and len(parts) > 1 else parts
