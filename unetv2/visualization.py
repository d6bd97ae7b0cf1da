"""Pictures of masks, predictions and training curves.

Everything returns an array or a matplotlib figure, nothing is shown or written. Figures need
the extra ``viz``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unetv2.classes import ClassTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IGNORED_COLOR = (255, 255, 255)


def colorize(mask: np.ndarray, classes: ClassTable) -> np.ndarray:
    """Paints a mask in the colours of its classes.

    Args:
        mask: Integer ids, ``(height, width)`` or ``(height, width, 1)``.
        classes: The table of the ids. What it does not list, as ``ignore_class``, is white.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If the mask has another shape.

    Example:
        >>> unetv2.visualization.colorize(np.array([[1, 10]]), unetv2.CARLA).tolist()
        [[[70, 70, 70], [0, 0, 142]]]
    """
    ids = np.asarray(mask)
    if ids.ndim == 3 and ids.shape[2] == 1:
        ids = ids[..., 0]
    if ids.ndim != 2:
        raise ValueError(
            "`mask` must be of shape (height, width) or (height, width, 1). "
            f"Received: {ids.shape}. Pass one mask at a time."
        )
    known = (ids >= 0) & (ids < len(classes))
    palette = np.array((*classes.colors, _IGNORED_COLOR), dtype=np.uint8)
    return palette[np.where(known, ids, len(classes))]


def overlay(
    image: np.ndarray, mask: np.ndarray, classes: ClassTable, *, opacity: float = 0.5
) -> np.ndarray:
    """Lays a mask's colours over its image.

    Args:
        image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``. The first three
            channels are shown, of one or two the first, as grey.
        mask: Integer ids, ``(height, width)`` or ``(height, width, 1)``.
        classes: The table of the ids.
        opacity: float in [0, 1]. 0 shows the image, 1 the colours.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If image and mask differ in size, or ``opacity`` is out of its range.

    Example:
        >>> image = np.zeros((1, 2, 3), np.uint8)
        >>> unetv2.visualization.overlay(image, np.array([[1, 10]]), unetv2.CARLA).tolist()
        [[[35, 35, 35], [0, 0, 71]]]
    """
    colors = colorize(mask, classes)
    if image.ndim != 3 or image.shape[:2] != colors.shape[:2]:
        raise ValueError(
            "`image` must be (height, width, channels), of the mask's height and width. "
            f"Received: {image.shape} and a mask of {colors.shape[:2]}."
        )
    if not 0 <= opacity <= 1:
        raise ValueError(
            "`opacity` must be a number in [0, 1]. "
            f"Received: opacity={opacity!r}. 0 shows the image, 1 the colours."
        )
    shown = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    limit = 1.0 if shown.dtype.kind == "f" else float(np.iinfo(shown.dtype).max)
    photo = np.clip(shown / limit, 0, 1) * 255
    return np.rint(photo * (1 - opacity) + colors * opacity).astype(np.uint8)


def training_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draws what a training logged, one panel for each figure, with its validation.

    Args:
        history: ``History.history`` of Keras: values by epoch, validation under ``val_``.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If ``history`` is empty.
    """
    figures = [name for name in history if not name.startswith("val_") and len(history[name])]
    if not figures:
        raise ValueError(
            "`history` must hold values by epoch. Received: no value. "
            "Pass `History.history` after at least one epoch."
        )
    figure, panels = _subplots(1, len(figures), figsize=(5 * len(figures), 4))
    for panel, name in zip(panels[0], figures, strict=True):
        epochs = range(1, len(history[name]) + 1)
        panel.plot(epochs, history[name], label="training", color="tab:gray")
        if f"val_{name}" in history:
            panel.plot(epochs, history[f"val_{name}"], label="validation", color="tab:blue")
        panel.set_xlabel("epoch")
        panel.set_title(name.replace("_", " "))
        panel.grid(alpha=0.3)
        if name != "loss":
            panel.set_ylim(0, 1)
        panel.legend(loc="best")
    return figure


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
        images: Float in [0, 1] or uint8, ``(n, height, width, 3)``.
        masks: Integer ids, ``(n, height, width)`` or ``(n, height, width, 1)``.
        predictions: As ``masks``.
        classes: The table of the ids.
        ignore_class: int or None. Id that the legend calls "ignored"; the table's own if
            None.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one mask and one prediction for each image.
    """
    if not len(images) == len(masks) == len(predictions) > 0:
        raise ValueError(
            "`images`, `masks` and `predictions` must hold as many pictures, one at least. "
            f"Received: {len(images)}, {len(masks)} and {len(predictions)}."
        )
    aspect = images.shape[1] / images.shape[2]
    figure, panels = _subplots(len(images), 3, figsize=(10, 3.2 * aspect * len(images) + 1.2))
    for row, image, mask, prediction in zip(panels, images, masks, predictions, strict=True):
        row[0].imshow(image)
        row[1].imshow(colorize(mask, classes), interpolation="nearest")
        row[2].imshow(colorize(prediction, classes), interpolation="nearest")
    for panel, title in zip(panels[0], ("image", "truth", "prediction"), strict=True):
        panel.set_title(title)
    for panel in panels.flat:
        panel.set_axis_off()
    _add_legend(figure, masks, predictions, classes, ignore_class)
    return figure


def _add_legend(
    figure: Figure,
    masks: np.ndarray,
    predictions: np.ndarray,
    classes: ClassTable,
    ignore_class: int | None,
) -> None:
    from matplotlib.patches import Patch

    if ignore_class is None:
        ignore_class = classes.ignore_class
    present = np.union1d(np.unique(masks), np.unique(predictions))
    entries = [
        (classes.names[number], classes.colors[number])
        for number in present
        if 0 <= number < len(classes)
    ]
    if ignore_class in present:
        entries.append(("ignored", _IGNORED_COLOR))
    figure.legend(
        handles=[
            Patch(facecolor=np.array(color) / 255, edgecolor="gray", label=name)
            for name, color in entries
        ],
        loc="outside lower center",
        ncols=7,
        fontsize="small",
        frameon=False,
    )


def _subplots(rows: int, columns: int, *, figsize: tuple[float, float]) -> tuple[Figure, Any]:
    try:
        # Not pyplot: it keeps figures alive and looks for a screen.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Figures need matplotlib. Install it with `pip install unetv2[viz]`."
        ) from error
    figure = Figure(figsize=figsize, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
