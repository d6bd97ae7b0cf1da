"""Pictures of masks, predictions, trainings and evaluations.

Everything returns an array or a matplotlib figure, nothing is shown or written. Figures need
the extra ``viz``.
"""

from unetv2.visualization.figures import legend, side_by_side, training_curves
from unetv2.visualization.masks import colorize, overlay
from unetv2.visualization.results import class_bars, confusion

__all__ = [
    "class_bars",
    "colorize",
    "confusion",
    "legend",
    "overlay",
    "side_by_side",
    "training_curves",
]
