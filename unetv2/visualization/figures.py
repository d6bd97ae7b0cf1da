"""Figures of trainings and predictions, by matplotlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.visualization.masks import add_legend, blank, colorize, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from typing import TYPE_CHECKING, Any


def training_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draws what a training logged, one panel for each figure, with its validation.

    Args:
        history: ``History.history`` of Keras, or :attr:`unetv2.Training.history`: values by epoch,
            validation under ``val_``. Shares are drawn from 0 to 1; ``loss``, ``learning_rate`` and
            what is beyond 1 on axes of their own.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If ``history`` is empty.

    Example:
        >>> history = {"loss": [2.1, 0.9], "mean_iou": [0.2, 0.4], "val_mean_iou": [0.1, 0.3]}
        >>> figure = unetv2.visualization.training_curves(history)
        >>> [panel.get_title() for panel in figure.axes]
        ['loss', 'mean iou']
    """
    figures = [name for name in history if not name.startswith("val_") and len(history[name])]
    if not figures:
        raise ValueError(
            "`history` must hold values by epoch. Received: no value. "
            "Pass `History.history` after at least one epoch."
        )
    figure, panels = subplots(1, len(figures), figsize=(5 * len(figures), 4))
    for panel, name in zip(panels[0], figures, strict=True):
        epochs = range(1, len(history[name]) + 1)
        panel.plot(epochs, history[name], label="training", color="tab:gray")
        if f"val_{name}" in history:
            panel.plot(epochs, history[f"val_{name}"], label="validation", color="tab:blue")
        panel.set_xlabel("epoch")
        panel.set_title(name.replace("_", " "))
        panel.grid(alpha=0.3)
        if _is_share(name, history):
            panel.set_ylim(0, 1)
        panel.legend(loc="best")
    return figure


def _is_share(name: str, history: Mapping[str, Sequence[float]]) -> bool:
    values = [*history[name], *history.get(f"val_{name}", ())]
    return not name.endswith(("loss", "learning_rate")) and not any(
        value < 0 or value > 1 for value in values
    )


def side_by_side(
    images: np.ndarray,
    masks: np.ndarray,
    predictions: np.ndarray,
    classes: ClassTable,
    *,
    ignore_class: int | None = None,
) -> Figure:
    """Draws image, truth and prediction in a row for each image, with a legend.

    Args:
        images: uint8 or float in [0, 1], ``(n, height, width, 3)``, RGB.
        masks: Integer ids, ``(n, height, width)`` or ``(n, height, width, 1)``.
        predictions: As ``masks``.
        classes: The table of the ids. ``ignore_class``, and what it does not list, is white.
        ignore_class: int or None. Id that is white and "ignored" in the legend; the table's own
            if None.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one mask and one prediction for each image.

    Example:
        >>> image, mask = unetv2.synthetic.driving_scene(0, image_size=(48, 64))
        >>> figure = unetv2.visualization.side_by_side(
        ...     image[np.newaxis], mask[np.newaxis], mask[np.newaxis], unetv2.CARLA)
        >>> [panel.get_title() for panel in figure.axes]
        ['image', 'truth', 'prediction']
        >>> figure.savefig(tmp / "predictions.png")
    """
    if not len(images) == len(masks) == len(predictions) > 0:
        raise ValueError(
            "`images`, `masks` and `predictions` must hold as many images, one at least. "
            f"Received: {len(images)}, {len(masks)} and {len(predictions)}."
        )
    if ignore_class is not None and ignore_class != classes.ignore_class:
        classes = dataclasses.replace(classes, ignore_class=ignore_class, ignore_color=None)
    aspect = images.shape[1] / images.shape[2]
    figure, panels = subplots(len(images), 3, figsize=(10, 3.2 * aspect * len(images) + 1.2))
    for row, image, mask, prediction in zip(panels, images, masks, predictions, strict=True):
        row[0].imshow(image)
        row[1].imshow(colorize(mask, classes), interpolation="nearest")
        row[2].imshow(colorize(prediction, classes), interpolation="nearest")
    for panel, title in zip(panels[0], ("image", "truth", "prediction"), strict=True):
        panel.set_title(title)
    for panel in panels.flat:
        panel.set_axis_off()
    present = np.union1d(np.unique(masks), np.unique(predictions)).tolist()
    where = {"loc": "outside lower center", "ncols": 7, "fontsize": "small"}
    add_legend(figure, classes, present, classes.ignore_class, **where)
    return figure


def legend(classes: ClassTable, *, columns: int = 4) -> Figure:
    """Draws the names and colors of a table.

    Args:
        classes: The table.
        columns: int, at least 1. How many names stand beside each other.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If ``columns`` is below 1.
        TypeError: If it is no integer.

    Example:
        >>> unetv2.visualization.legend(unetv2.CAMVID).savefig(tmp / "legend.png")
    """
    columns = require_integer("columns", columns, 1, "4 is the default.")
    ids = list(range(len(classes)))
    if classes.ignore_class is not None and classes.ignore_class not in ids:
        ids.append(classes.ignore_class)
    rows = -(-len(ids) // columns)
    figure = blank((1.6 * columns, 0.25 * rows + 0.2))
    add_legend(figure, classes, ids, classes.ignore_class, loc="center", ncols=columns)
    return figure


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
    """Draws a figure of each class as a bar in its color, the highest first.

    Args:
        values: ``(n_classes,)`` in [0, 1], as ``Evaluation.iou_per_class``. NaN is left out.
        classes: The table of the ids, with the bars' colors.
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
