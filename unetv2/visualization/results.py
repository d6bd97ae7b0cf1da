"""Figures of evaluations, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.visualization.drawing import subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches.
_CELL, _BAR, _MARGIN = 0.36, 0.26, 1.4
# From this share of a row on a cell shows its number, and from the second one in white.
_SHOWN, _DARK = 0.005, 0.55


def confusion(counts: Any, classes: ClassTable) -> Figure:
    """Draws a confusion matrix in per cent of the true class.

    Args:
        counts: ``(n_classes, n_classes)``, pixels by true (rows) and predicted class (columns),
            as ``Evaluation.confusion``. Classes that are nowhere are left out.
        classes: The table of the ids.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not a row and a column for each class, or no pixel.

    Example:
        >>> classes = unetv2.ClassTable(("road", "car"), ((128, 64, 128), (0, 0, 142)))
        >>> figure = unetv2.visualization.confusion([[3, 1], [0, 4]], classes)
        >>> [text.get_text() for text in figure.axes[0].texts]  # per cent of road, of car
        ['75', '25', '100']
    """
    counts = np.asarray(counts)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(
            f"`counts` must be ({len(classes)}, {len(classes)}), a row and a column for each of "
            f"`classes`. Received: shape {counts.shape}."
        )
    present = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if not len(present):
        raise ValueError("`counts` must hold a pixel. Received: zeros alone.")
    totals = counts.sum(axis=1, keepdims=True)[present]
    shares = counts[np.ix_(present, present)] / np.maximum(totals, 1)
    side = _CELL * len(present) + _MARGIN
    figure, panels = subplots(1, 1, figsize=(side, side))
    panel = panels[0, 0]
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if share >= _SHOWN:
            color = "white" if share >= _DARK else "black"
            label = {"ha": "center", "va": "center", "fontsize": "x-small", "color": color}
            panel.text(column, row, f"{100 * share:.0f}", **label)
    names = [classes.names[number] for number in present]
    panel.set_xticks(range(len(names)), names, rotation=90)
    panel.set_yticks(range(len(names)), names)
    panel.set_xlabel("predicted")
    panel.set_ylabel("truth")
    return figure


def class_bars(
    values: Any, classes: ClassTable, *, intervals: Any = None, label: str = "IoU"
) -> Figure:
    """Draws a figure of each class as a bar in its colour, the highest first.

    Args:
        values: ``(n_classes,)`` in [0, 1], as ``Evaluation.iou_per_class``. NaN is left out.
        classes: The table of the ids, with the bars' colours.
        intervals: ``(n_classes, 2)``, as ``Evaluation.intervals["iou_per_class"]``, or None.
        label: str. What the values are, written under the bars.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one value, and one interval if any, for each class, or no
            value at all.

    Example:
        >>> classes = unetv2.ClassTable(("road", "car"), ((128, 64, 128), (0, 0, 142)))
        >>> figure = unetv2.visualization.class_bars(
        ...     [0.5, 0.75], classes, intervals=[[0.4, 0.6], [0.7, 0.8]])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['car', 'road']
    """
    values = np.asarray(values, np.float64)
    shapes = [values.shape] if intervals is None else [values.shape, np.shape(intervals)]
    if shapes != [(len(classes),), (len(classes), 2)][: len(shapes)]:
        raise ValueError(
            "`values` must hold a number, and `intervals` two, for each of the "
            f"{len(classes)} `classes`. Received: shapes {', '.join(map(str, shapes))}."
        )
    order = [n for n in np.argsort(-values, kind="stable") if not np.isnan(values[n])]
    if not order:
        raise ValueError("`values` must hold a number. Received: NaN alone.")
    figure, panels = subplots(1, 1, figsize=(6, _BAR * len(order) + 1))
    panel = panels[0, 0]
    colors = [np.array(classes.colors[number]) / 255 for number in order]
    places = np.arange(len(order))
    panel.barh(places, values[order], color=colors, edgecolor="gray", linewidth=0.5)
    if intervals is not None:
        low, high = np.asarray(intervals, np.float64)[order].T
        panel.hlines(places, low, high, colors="black", linewidth=1.5)
    panel.set_yticks(places, [classes.names[number] for number in order])
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.set_xlabel(label)
    panel.grid(axis="x", alpha=0.3)
    panel.set_axisbelow(True)
    return figure
