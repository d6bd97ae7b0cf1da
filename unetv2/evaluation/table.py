"""An evaluation as text."""

from __future__ import annotations

import numpy as np

from unetv2.escaping import printable
from unetv2.evaluation.bootstrap import decimals
from unetv2.evaluation.measurement import Measurement
from unetv2.plurals import counted

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
    count = evaluation.n_pictures
    first = f"{counted(count, 'picture')}, {evaluation.settings.get('resolution', '')}"
    lines = [first.rstrip(", ") + "."]
    if count > 1:
        lines[0] += " Intervals are 95 %, by the bootstrap over pictures."
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
            f"Worst picture by mean IoU of its classes: {printable(name)} ({number_text(value)})."
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
