"""What was counted of a model's predictions, and every figure that follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from unetv2.classes import ClassTable
from unetv2.evaluation.counts import Rows
from unetv2.evaluation.examples import SHOWN, Example
from unetv2.evaluation.scores import (
    BY_CLASS,
    LEVEL,
    RESAMPLES,
    SCALARS,
    decimals,
    percentiles,
    point_figures,
    reliability,
    resampled,
)
from unetv2.metrics.confusion_matrix import Scores
from unetv2.text import counted, printable

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measurement:
    """Counts and figures; :class:`unetv2.Evaluation` is one that can be shown and saved.

    Args:
        classes: The table of the ids, with the ``ignore_class`` that did not count.
        confusion: int64 ``(n_classes, n_classes)``. Pixels by true (rows) and predicted class.
        rows: What was counted of each image, sorted by name.
        examples: The worst and best images, scaled down, the worst first.
        settings: How it was measured, of types that JSON knows.
    """

    classes: ClassTable
    confusion: Counts
    rows: Rows = field(repr=False)
    examples: tuple[Example, ...] = field(default=(), repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_images(self) -> int:
        """Number of images."""
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

        Percentiles of the figures of 10,000 samples of the images, drawn with replacement (the
        bootstrap). They say how far a figure would move with other images of the same kind;
        not how far with another training. NaN with fewer than two images.
        """
        (figures,) = resampled([self.rows], int(self.settings.get("seed", 0)))
        found = {name: percentiles(values) for name, values in figures.items()}
        if self.n_images < 2:
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
        """Mean over the images of a class's boundary F1, float64 ``(n_classes,)``."""
        return self.figures["boundary_f1_per_class"]

    @property
    def reliability(self) -> dict[str, Floats]:
        """The reliability curve.

        ``(15,)`` for ``low``, ``high``, ``pixels``, ``confidence`` and ``accuracy`` of each bin.
        """
        return reliability(self.rows)

    @property
    def worst(self) -> tuple[tuple[str, float], ...]:
        """Name and mean IoU of up to 6 images where it is lowest, the worst first."""
        return self._ranked()[:SHOWN]

    @property
    def best(self) -> tuple[tuple[str, float], ...]:
        """Name and mean IoU of up to 6 images where it is highest, the best first."""
        return self._ranked()[: -SHOWN - 1 : -1]

    def _ranked(self) -> tuple[tuple[str, float], ...]:
        values = self.rows.mean_iou.tolist()
        pairs = [pair for pair in zip(self.rows.names, values, strict=True) if pair[1] == pair[1]]
        return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


def describe(evaluation: Measurement) -> dict[str, Any]:
    """Returns all figures; see ``Evaluation.as_dict``."""
    figures, intervals = evaluation.figures, evaluation.intervals
    support = evaluation.scores.support.tolist()
    classes = evaluation.classes
    by_class = [
        {
            "id": number,
            "name": classes.names[number],
            "color": list(classes.colors[number]),
            "pixels": support[number],
            **{
                name.removesuffix("_per_class"): _figure(
                    figures[name][number], intervals[name][number]
                )
                for name in BY_CLASS
            },
        }
        for number in range(len(classes))
    ]
    curve = {
        name: [_plain(value) for value in values] for name, values in evaluation.reliability.items()
    }
    return {
        "images": evaluation.n_images,
        "pixels": sum(support),
        "ignore_class": classes.ignore_class,
        "figures": {name: _figure(figures[name], intervals[name]) for name in SCALARS},
        "classes": by_class,
        "confusion": evaluation.confusion.tolist(),
        "reliability": curve,
        "worst": [{"name": name, "mean_iou": value} for name, value in evaluation.worst],
        "best": [{"name": name, "mean_iou": value} for name, value in evaluation.best],
        "intervals": {"level": LEVEL, "resamples": RESAMPLES},
        "settings": dict(evaluation.settings),
    }


def _figure(value: Any, bounds: Any) -> dict[str, float | None]:
    low, high = map(_plain, bounds)
    return {"value": _plain(value), "low": low, "high": high}


def _plain(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


_BY_CLASS = {
    "iou_per_class": "IoU",
    "dice_per_class": "Dice",
    "precision_per_class": "precision",
    "recall_per_class": "recall",
    "boundary_f1_per_class": "boundary F1",
}
_MEANS = {
    "iou_per_class": "mean_iou",
    "dice_per_class": "mean_dice",
    "recall_per_class": "mean_accuracy",
    "boundary_f1_per_class": "mean_boundary_f1",
}
_LINES = {
    "mean_iou": "Mean IoU",
    "pixel_accuracy": "Pixel accuracy",
    "frequency_weighted_iou": "Frequency-weighted IoU",
    "mean_boundary_f1": "Mean boundary F1",
    "calibration_error": "Calibration error",
}


def table(evaluation: Measurement) -> str:
    """Returns the figures by class, the means, and the intervals."""
    figures, intervals = evaluation.figures, evaluation.intervals
    support = evaluation.scores.support.tolist()
    labels = [f"{number} {printable(name)}" for number, name in enumerate(evaluation.classes.names)]
    rows = [["class", "pixels", "IoU", "interval", *list(_BY_CLASS.values())[1:]]]
    for number, label in enumerate(labels):
        values = [number_text(figures[name][number]) for name in _BY_CLASS]
        interval = interval_text(intervals["iou_per_class"][number])
        rows.append([label, str(support[number]), values[0], interval, *values[1:]])
    means = [number_text(figures[_MEANS[name]]) if name in _MEANS else "" for name in _BY_CLASS]
    interval = interval_text(intervals["mean_iou"])
    rows.append(["mean", str(sum(support)), means[0], interval, *means[1:]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    lines.append("")
    width = max(map(len, _LINES.values()))
    lines += [
        f"{label.ljust(width)}  {number_text(figures[name])}  {interval_text(intervals[name])}"
        for name, label in _LINES.items()
    ]
    lines += ["", *_notes(evaluation, labels)]
    return "\n".join(line.rstrip() for line in lines)


def _notes(evaluation: Measurement, labels: list[str]) -> list[str]:
    count = evaluation.n_images
    first = f"{counted(count, 'image')}, {evaluation.settings.get('resolution', '')}"
    lines = [first.rstrip(", ") + "."]
    if count > 1:
        lines[0] += " Intervals are 95 %, by the bootstrap over images."
    recorded = evaluation.settings.get("as_in_training", [])
    if recorded:
        reading = evaluation.settings.get("reading", {})
        told = ", ".join(f"{name}={reading.get(name)!r}" for name in recorded)
        lines.append(f"Read as in the model's training: {told}.")
    shards = evaluation.settings.get("shards", [])
    if shards and len(shards) < shards[0][1]:
        found = ", ".join(str(index) for index, _ in shards)
        lines.append(f"A part of the data: shard {found} of {shards[0][1]}, counted from 0.")
    if evaluation.scores.absent:
        left_out = ", ".join(labels[number] for number in evaluation.scores.absent)
        lines.append(f"Left out of the means, as neither in the truth nor predicted: {left_out}.")
    if evaluation.worst:
        name, value = evaluation.worst[0]
        lines.append(
            f"Worst image by mean IoU of its classes: {printable(name)} ({number_text(value)})."
        )
    return lines


def number_text(figure: float | np.floating | np.ndarray) -> str:
    """Returns a figure with three digits, ``-`` for NaN."""
    return "-" if np.isnan(figure) else f"{figure:.3f}"


def interval_text(bounds: np.ndarray) -> str:
    """Returns an interval with the digits that its resamples leave sure, ``-`` for NaN."""
    if np.isnan(bounds).any():
        return "-"
    return "-".join(f"{bound:.{decimals(bounds)}f}" for bound in bounds)
