"""Images of masks, predictions, trainings and evaluations.

Everything returns an array or a matplotlib figure, nothing is shown or written. Figures need
the extra ``viz``.
"""

from unetv2.visualization.figures import (
    class_bars,
    confusion,
    legend,
    side_by_side,
    training_curves,
)
from unetv2.visualization.masks import colorize, overlay

__all__ = [
    "class_bars",
    "colorize",
    "confusion",
    "legend",
    "overlay",
    "side_by_side",
    "training_curves",
]
