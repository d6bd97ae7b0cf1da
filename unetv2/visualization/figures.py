"""Figures of trainings and predictions, by matplotlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.visualization.drawing import add_legend, blank, subplots
from unetv2.visualization.masks import colorize

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """Draws image, truth and prediction in a row for each picture, with a legend.

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
        >>> image, mask = unetv2.data.driving_scene(0, image_size=(48, 64))
        >>> figure = unetv2.visualization.side_by_side(
        ...     image[np.newaxis], mask[np.newaxis], mask[np.newaxis], unetv2.CARLA)
        >>> [panel.get_title() for panel in figure.axes]
        ['image', 'truth', 'prediction']
        >>> figure.savefig(tmp / "predictions.png")
    """
    if not len(images) == len(masks) == len(predictions) > 0:
        raise ValueError(
            "`images`, `masks` and `predictions` must hold as many pictures, one at least. "
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
    """Draws the names and colours of a table.

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
