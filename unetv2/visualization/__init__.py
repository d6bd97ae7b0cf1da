"""Images of masks, and plots of predictions, trainings and evaluations.

All functions return an array or a matplotlib figure; nothing is displayed or written. Figures need
the extra ``viz``.
"""

from unetv2.visualization.masks import colorize, overlay
from unetv2.visualization.panels import panel
from unetv2.visualization.plots import (
    class_bars,
    confusion,
    legend,
    side_by_side,
    training_curves,
)

__all__ = [
    "class_bars",
    "colorize",
    "confusion",
    "legend",
    "overlay",
    "panel",
    "side_by_side",
    "training_curves",
]
