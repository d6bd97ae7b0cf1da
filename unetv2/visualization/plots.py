"""Plots of trainings, predictions and evaluations with matplotlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable, Color
from unetv2.visualization.masks import IGNORED_COLOR, colorize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Sizes in inches.
_CELL, _BAR, _MARGIN = 0.36, 0.26, 1.4
# Smallest shares that are printed in a confusion matrix, and that are printed in white.
_LABELED, _DARK = 0.005, 0.55


def require_matplotlib() -> type[Figure]:
    """Returns the class of matplotlib's figures.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        # Not pyplot, which keeps figures alive and selects a display.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib. Install it with `pip install unetv2[viz]`."
        ) from error
    return Figure


def subplots(rows: int, columns: int, *, figsize: tuple[float, float]) -> tuple[Figure, Any]:
    """Returns a figure of a size in inches, and its axes ``(rows, columns)``."""
    figure = require_matplotlib()(figsize=figsize, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def training_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Plots the logs of a training, one plot per metric, with its validation.

    Args:
        history: ``History.history`` of Keras, or :attr:`unetv2.Training.history`: values per epoch,
            those of the validation with the prefix ``val_``. Metrics in [0, 1] are plotted from 0
            to 1, except losses and ``learning_rate``.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If ``history`` is empty.

    Example:
        >>> history = {"loss": [2.1, 0.9], "mean_iou": [0.2, 0.4], "val_mean_iou": [0.1, 0.3]}
        >>> figure = unetv2.visualization.training_curves(history)
        >>> [axes.get_title() for axes in figure.axes]
        ['loss', 'mean iou']
    """
    names = [name for name in history if not name.startswith("val_") and len(history[name])]
    if not names:
        raise ValueError(
            "`history` must hold values by epoch. Received: no value. "
            "Pass `History.history` after at least one epoch."
        )
    figure, grid = subplots(1, len(names), figsize=(5 * len(names), 4))
    for axes, name in zip(grid[0], names, strict=True):
        training, validation = history[name], history.get(f"val_{name}")
        epochs = range(1, len(training) + 1)
        axes.plot(epochs, training, label="training", color="tab:gray")
        if validation is not None:
            axes.plot(epochs, validation, label="validation", color="tab:blue")
        axes.set_xlabel("epoch")
        axes.set_title(name.replace("_", " "))
        axes.grid(alpha=0.3)
        # NaN does not change the limits.
        in_range = not any(
            value < 0 or value > 1 for value in [*training, *history.get(f"val_{name}", ())]
        )
        if in_range and not name.endswith(("loss", "learning_rate")):
            axes.set_ylim(0, 1)
        axes.legend(loc="best")
    return figure


def side_by_side(
    images: np.ndarray,
    masks: np.ndarray,
    predictions: np.ndarray,
    classes: ClassTable,
    *,
    ignore_class: int | None = None,
) -> Figure:
    """Plots image, ground truth and prediction in one row per image, with a legend.

    Args:
        images: uint8 or float in [0, 1], ``(n, height, width, 3)``, RGB.
        masks: Integer ids, ``(n, height, width)`` or ``(n, height, width, 1)``.
        predictions: As ``masks``.
        classes: Class table. ``ignore_class`` and ids that are not in the table are white.
        ignore_class: int or None. Id that is white and called "ignored" in the legend; None takes
            the one of the table.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one mask and one prediction for each image.

    Example:
        >>> image, mask = unetv2.synthetic.driving_scene(0, image_size=(48, 64))
        >>> figure = unetv2.visualization.side_by_side(
        ...     image[np.newaxis], mask[np.newaxis], mask[np.newaxis], unetv2.CARLA)
        >>> [axes.get_title() for axes in figure.axes]
        ['image', 'ground truth', 'prediction']
        >>> figure.savefig(tmp / "predictions.png")
    """
    if not len(images) == len(masks) == len(predictions) > 0:
        raise ValueError(
            "`images`, `masks` and `predictions` must have the same length, at least 1. "
            f"Received: {len(images)}, {len(masks)} and {len(predictions)}."
        )
    if ignore_class is not None and ignore_class != classes.ignore_class:
        classes = dataclasses.replace(classes, ignore_class=ignore_class, ignore_color=None)
    aspect = images.shape[1] / images.shape[2]
    figure, grid = subplots(len(images), 3, figsize=(10, 3.2 * aspect * len(images) + 1.2))
    for row, image, mask, prediction in zip(grid, images, masks, predictions, strict=True):
        row[0].imshow(image)
        row[1].imshow(colorize(mask, classes), interpolation="nearest")
        row[2].imshow(colorize(prediction, classes), interpolation="nearest")
    for axes, title in zip(grid[0], ("image", "ground truth", "prediction"), strict=True):
        axes.set_title(title)
    for axes in grid.flat:
        axes.set_axis_off()
    present = np.union1d(np.unique(masks), np.unique(predictions)).tolist()
    options = {"loc": "outside lower center", "ncols": 7, "fontsize": "small"}
    _add_legend(figure, classes, present, **options)
    return figure


def legend(classes: ClassTable, *, columns: int = 4) -> Figure:
    """Plots the names and colors of a class table.

    Args:
        classes: Class table.
        columns: int, at least 1. Number of columns.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If ``columns`` is below 1.
        TypeError: If ``columns`` is not an integer.

    Example:
        >>> unetv2.visualization.legend(unetv2.CAMVID).savefig(tmp / "legend.png")
    """
    columns = require_integer("columns", columns, 1, "4 is the default.")
    ids = list(range(len(classes)))
    if classes.ignore_class is not None and classes.ignore_class not in ids:
        ids.append(classes.ignore_class)
    rows = -(-len(ids) // columns)
    figsize = (1.6 * columns, 0.25 * rows + 0.2)
    figure = require_matplotlib()(figsize=figsize, layout="constrained")
    _add_legend(figure, classes, ids, loc="center", ncols=columns)
    return figure


def _add_legend(figure: Figure, classes: ClassTable, ids: Sequence[int], **options: Any) -> None:
    """Adds a legend of classes; ids that are not in the table are left out."""
    from matplotlib.patches import Patch

    entries: list[tuple[str, Color]] = [
        (classes.names[number], classes.colors[number])
        for number in ids
        if 0 <= number < len(classes) and number != classes.ignore_class
    ]
    if classes.ignore_class in ids:
        entries.append(("ignored", IGNORED_COLOR))
    handles = [
        Patch(facecolor=np.array(color) / 255, edgecolor="gray", label=name)
        for name, color in entries
    ]
    figure.legend(handles=handles, frameon=False, **options)


def confusion(counts: Any, classes: ClassTable) -> Figure:
    """Plots a confusion matrix in percent of the ground-truth class.

    Args:
        counts: ``(n_classes, n_classes)``, pixels by ground-truth class (rows) and predicted class
            (columns), as ``Evaluation.confusion``. Absent classes are left out.
        classes: Class table.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not a row and a column for each class, or all counts are 0.

    Example:
        >>> classes = unetv2.ClassTable(("road", "car"), ((128, 64, 128), (0, 0, 142)))
        >>> figure = unetv2.visualization.confusion([[3, 1], [0, 4]], classes)
        >>> [text.get_text() for text in figure.axes[0].texts]  # percent of road, of car
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
        raise ValueError("`counts` must hold a pixel. Received: only zeros.")
    totals = counts.sum(axis=1, keepdims=True)[present]
    shares = counts[np.ix_(present, present)] / np.maximum(totals, 1)
    side = _CELL * len(present) + _MARGIN
    figure, grid = subplots(1, 1, figsize=(side, side))
    axes = grid[0, 0]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if share >= _LABELED:
            color = "white" if share >= _DARK else "black"
            style = {"ha": "center", "va": "center", "fontsize": "x-small", "color": color}
            axes.text(column, row, f"{100 * share:.0f}", **style)
    names = [classes.names[number] for number in present]
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("ground truth")
    return figure


def class_bars(
    values: Any, classes: ClassTable, *, intervals: Any = None, label: str = "IoU"
) -> Figure:
    """Plots a metric of each class as a bar in the color of the class, the highest first.

    Args:
        values: ``(n_classes,)`` in [0, 1], as ``Evaluation.iou_per_class``. NaN is left out.
        classes: Class table.
        intervals: ``(n_classes, 2)``, as ``Evaluation.intervals["iou_per_class"]``, or None.
        label: str. Label of the axis.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one value, and one interval if any, for each class, or all
            values are NaN.

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
        raise ValueError("`values` must hold a number. Received: only NaN.")
    figure, grid = subplots(1, 1, figsize=(6, _BAR * len(order) + 1))
    axes = grid[0, 0]
    colors = [np.array(classes.colors[number]) / 255 for number in order]
    positions = np.arange(len(order))
    axes.barh(positions, values[order], color=colors, edgecolor="gray", linewidth=0.5)
    if intervals is not None:
        low, high = np.asarray(intervals, np.float64)[order].T
        axes.hlines(positions, low, high, colors="black", linewidth=1.5)
    axes.set_yticks(positions, [classes.names[number] for number in order])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure
