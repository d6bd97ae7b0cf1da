"""Masks in the colors of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unetv2.classes import ClassTable, Color

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Of what has no label, or is not in the table.
IGNORED_COLOR = (255, 255, 255)


def colorize(mask: np.ndarray, classes: ClassTable) -> np.ndarray:
    """Paints a mask in the colors of its classes.

    Args:
        mask: Integer ids, ``(height, width)`` or ``(height, width, 1)``.
        classes: The table of the ids. ``ignore_class``, and what it does not list, is white.

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
    if classes.ignore_class is not None:
        known &= ids != classes.ignore_class
    palette = np.array((*classes.colors, IGNORED_COLOR), dtype=np.uint8)
    # NumPy's own integer: a Python one would have to fit into the mask's dtype.
    return palette[np.where(known, ids, np.int64(len(classes)))]


def overlay(
    image: np.ndarray, mask: np.ndarray, classes: ClassTable, *, opacity: float = 0.5
) -> np.ndarray:
    """Lays a mask's colors over its image.

    Args:
        image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``. The first three
            channels are shown, of one or two the first, as gray.
        mask: Integer ids, ``(height, width)`` or ``(height, width, 1)``.
        classes: The table of the ids.
        opacity: float in [0, 1]. 0 shows the image, 1 the colors.

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
            f"Received: opacity={opacity!r}. 0 shows the image, 1 the colors."
        )
    photo = visible(image)
    return np.rint(photo * (1 - opacity) + colors * opacity).astype(np.uint8)


def visible(image: np.ndarray) -> np.ndarray:
    """Returns an image of any number of channels as one to look at.

    Args:
        image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``.

    Returns:
        np.ndarray. float in [0, 255], ``(height, width, 3)``: the first three channels, or of one
        or two the first, as gray.
    """
    shown = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    limit = 1.0 if shown.dtype.kind == "f" else float(np.iinfo(shown.dtype).max)
    return np.clip(np.nan_to_num(shown / limit), 0, 1) * 255


def require_figures() -> type[Figure]:
    """Returns the class of figures.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        # Not pyplot: it keeps figures alive and looks for a screen.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Figures need matplotlib. Install it with `pip install unetv2[viz]`."
        ) from error
    return Figure


def blank(figsize: tuple[float, float]) -> Figure:
    """Returns an empty figure.

    Args:
        figsize: ``(width, height)`` in inches.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    return require_figures()(figsize=figsize, layout="constrained")


def subplots(rows: int, columns: int, *, figsize: tuple[float, float]) -> tuple[Figure, Any]:
    """Returns a figure and its panels, ``(rows, columns)``."""
    figure = blank(figsize)
    return figure, figure.subplots(rows, columns, squeeze=False)


def add_legend(
    figure: Figure,
    classes: ClassTable,
    ids: Sequence[int],
    ignore_class: int | None,
    **options: Any,
) -> None:
    """Adds the colors of classes.

    Args:
        figure: Where to.
        classes: The table.
        ids: Which ones; those that it lacks are left out.
        ignore_class: int or None. The id that is called "ignored".
        **options: Of ``Figure.legend``.
    """
    from matplotlib.patches import Patch

    entries: list[tuple[str, Color]] = [
        (classes.names[number], classes.colors[number])
        for number in ids
        if 0 <= number < len(classes) and number != ignore_class
    ]
    if ignore_class in ids:
        entries.append(("ignored", IGNORED_COLOR))
    figure.legend(
        handles=[
            Patch(facecolor=np.array(color) / 255, edgecolor="gray", label=name)
            for name, color in entries
        ],
        frameon=False,
        **options,
    )
