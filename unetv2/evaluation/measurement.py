"""What was counted of a model's predictions, and every figure that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from unetv2.classes import ClassTable
from unetv2.evaluation.bootstrap import percentiles, resampled
from unetv2.evaluation.examples import SHOWN, Example
from unetv2.evaluation.figures import point_figures, reliability
from unetv2.evaluation.rows import Rows
from unetv2.metrics.scores import Scores

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Counts and figures; :class:`unetv2.Evaluation` is one that can be shown and saved.

    Args:
        classes: The table of the ids, with the ``ignore_class`` that did not count.
        confusion: int64 ``(n_classes, n_classes)``. Pixels by true (rows) and predicted class.
        rows: What was counted of each picture, sorted by name.
        examples: The worst and best pictures, scaled down, the worst first.
        settings: How it was measured, of types that JSON knows.
    """

    classes: ClassTable
    confusion: Counts
    rows: Rows = field(repr=False)
    examples: tuple[Example, ...] = field(default=(), repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_pictures(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    @cached_property
    def scores(self) -> Scores:
        """The figures of the confusion matrix alone."""
        return Scores(self.confusion)

    @cached_property
    def figures(self) -> dict[str, Floats]:
        """All figures by name, those by class as ``(n_classes,)``."""
        return point_figures(self.rows)

    @cached_property
    def intervals(self) -> dict[str, Floats]:
        """Intervals of 95 % by the name of the figure, ``(2,)``; by class ``(n_classes, 2)``.

        Percentiles of the figures of 10,000 samples of the pictures, drawn with replacement (the
        bootstrap). They say how far a figure would move with other pictures of the same kind;
        not how far with another training. NaN with fewer than two pictures.
        """
        (figures,) = resampled([self.rows], int(self.settings.get("seed", 0)))
        found = {name: percentiles(values) for name, values in figures.items()}
        if self.n_pictures < 2:
            found = {name: np.full_like(bounds, np.nan) for name, bounds in found.items()}
        return found

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that are in the truth or predicted."""
        return float(self.figures["mean_iou"])

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels that are right."""
        return float(self.figures["pixel_accuracy"])

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU, each class weighted by its true pixels."""
        return float(self.figures["frequency_weighted_iou"])

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient over the classes that are in the truth or predicted."""
        return float(self.figures["mean_dice"])

    @property
    def mean_accuracy(self) -> float:
        """Mean recall over the classes that are in the truth."""
        return float(self.figures["mean_accuracy"])

    @property
    def mean_boundary_f1(self) -> float:
        """Mean boundary F1 over the classes that have a boundary."""
        return float(self.figures["mean_boundary_f1"])

    @property
    def calibration_error(self) -> float:
        """Expected calibration error in [0, 1], how far confidence and accuracy are apart."""
        return float(self.figures["calibration_error"])

    @property
    def iou_per_class(self) -> Floats:
        """Intersection over union, float64 ``(n_classes,)``; NaN for a class that is nowhere."""
        return self.figures["iou_per_class"]

    @property
    def boundary_f1_per_class(self) -> Floats:
        """Mean over the pictures of a class's boundary F1, float64 ``(n_classes,)``."""
        return self.figures["boundary_f1_per_class"]

    @property
    def reliability(self) -> dict[str, Floats]:
        """The reliability curve.

        ``(15,)`` for ``low``, ``high``, ``pixels``, ``confidence`` and ``accuracy`` of each bin.
        """
        return reliability(self.rows)

    @property
    def worst(self) -> tuple[tuple[str, float], ...]:
        """Name and mean IoU of up to 6 pictures where it is lowest, the worst first."""
        return self._ranked()[:SHOWN]

    @property
    def best(self) -> tuple[tuple[str, float], ...]:
        """Name and mean IoU of up to 6 pictures where it is highest, the best first."""
        return self._ranked()[: -SHOWN - 1 : -1]

    def _ranked(self) -> tuple[tuple[str, float], ...]:
        values = self.rows.mean_iou.tolist()
        pairs = [pair for pair in zip(self.rows.names, values, strict=True) if pair[1] == pair[1]]
        return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))
