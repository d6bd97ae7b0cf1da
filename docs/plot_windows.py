"""Draws ``_static/windows.png``: weights of windows along a side of an image.

python docs/plot_windows.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from unetv2.inference.tiling import Axis


def main() -> None:
    """Draws the figure."""
    axis = Axis.plan(260, 64, 0.25)
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    panel = figure.subplots()
    total = np.zeros(axis.length)
    for number, weights in enumerate(axis.weights()):
        first, end = axis.inside(number)
        panel.fill_between(np.arange(first, end), weights, alpha=0.35)
        total[first:end] += weights
    panel.plot(total, color="black", label="sum")
    panel.set_xlabel("pixel")
    panel.set_ylabel("weight")
    panel.set_xlim(0, axis.length - 1)
    panel.set_ylim(0, 1.1)
    panel.legend(loc="lower right")
    figure.savefig(Path(__file__).parent / "_static" / "windows.png", dpi=100)


if __name__ == "__main__":
    main()
