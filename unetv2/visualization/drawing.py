"""What figures are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unetv2.classes import ClassTable, Color
from unetv2.visualization.masks import IGNORED_COLOR

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    """Adds the colours of classes.

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
