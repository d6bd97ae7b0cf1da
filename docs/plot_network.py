"""Draws ``_static/network.png`` and ``network.svg``: the layers of the reference network.

python docs/plot_network.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

import unetv2

PLACE = Path(__file__).parent / "_static"
INPUT_SHAPE, N_CLASSES = (96, 128, 3), 23
WIDTH, HEIGHT = 1.8, 1.05
# Distance to the next box: beside it, or below or above, where both may overlap in width.
BESIDE, ACROSS, ROW = 2.15, 1.15, 1.6
COLORS = {"EncoderBlock": "#cfe0f3", "DecoderBlock": "#f6d9d5", "InputLayer": "#eeeeee"}
OTHERS = "#e6ecc8"
# Styles of arrows: to the next level, and across.
DOWN, UP, SKIP, ON = "#2f6db2", "#c2453a", "#666666", "black"

Place = tuple[float, float]


def sizes(layer: keras.layers.Layer) -> list[tuple[int, int, int]]:
    """Returns ``(height, width, channels)`` of each output of a layer."""
    outputs = layer.output if isinstance(layer.output, list | tuple) else [layer.output]
    return [tuple(output.shape[1:]) for output in outputs]


def edges(model: keras.Model) -> Iterator[tuple[str, int, str]]:
    """Yields ``(source, index of its output, target)`` for each connection of the graph."""
    for layer in model.get_config()["layers"]:
        waiting: list[Any] = [layer["inbound_nodes"]]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict) and "keras_history" in part:
                name, _, output = part["keras_history"]
                yield name, output, layer["name"]
            elif isinstance(part, dict):
                waiting.extend(part.values())
            elif isinstance(part, list | tuple):
                waiting.extend(part)


def places(model: keras.Model) -> dict[str, Place]:
    """Places layers from left to right, each at the depth of its last output's resolution."""
    heights = sorted({sizes(layer)[-1][0] for layer in model.layers}, reverse=True)
    found: dict[str, Place] = {}
    x, y = -BESIDE, 0.0
    for layer in model.layers:
        depth = -ROW * heights.index(sizes(layer)[-1][0])
        x, y = x + (BESIDE if depth == y else ACROSS), depth
        found[layer.name] = x, y
    return found


def draw_box(panel: Axes, layer: keras.layers.Layer, place: Place) -> None:
    """Draws a layer: name, size, channels, parameters."""
    x, y = place
    kind = type(layer).__name__
    panel.add_patch(
        FancyBboxPatch(
            (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=COLORS.get(kind, OTHERS), edgecolor="#444444", linewidth=0.8,
        )
    )  # fmt: skip
    height, width, channels = sizes(layer)[-1]
    for above, text, style in (
        (0.29, layer.name, {"weight": "bold", "size": 10}),
        (-0.01, f"{height}x{width}x{channels}", {"size": 9.5}),
        (-0.31, f"{layer.count_params():,}", {"size": 9, "color": "#444444"}),
    ):
        panel.text(x, y + above, text, ha="center", va="center", **style)


def draw_edge(panel: Axes, start: Place, end: Place, *, is_skip: bool) -> None:
    """Draws a connection: along a level, down, or up."""
    (x, y), (to_x, to_y) = start, end
    style: dict[str, Any] = {"arrowstyle": "-|>", "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    middle = (x + to_x) / 2
    if to_y < y:
        ends = (middle, y - HEIGHT / 2), (middle, to_y + HEIGHT / 2)
        style |= {"color": DOWN}
    elif to_y > y:
        ends = (middle, y + HEIGHT / 2), (middle, to_y - HEIGHT / 2)
        style |= {"color": UP}
    else:
        ends = (x + WIDTH / 2, y), (to_x - WIDTH / 2, to_y)
        style |= {"color": SKIP, "linestyle": (0, (5, 2))} if is_skip else {"color": ON}
    panel.annotate("", xy=ends[1], xytext=ends[0], arrowprops=style, zorder=0)


def main() -> None:
    """Draws the figure."""
    model = unetv2.build_unetv2(INPUT_SHAPE, N_CLASSES)
    where = places(model)
    figure = Figure(figsize=(10, 4.9), layout="constrained")
    panel = figure.subplots()
    for layer in model.layers:
        draw_box(panel, layer, where[layer.name])
    for start, output, end in edges(model):
        # An encoder block returns its output and the skip; the last one has no skip.
        is_skip = output == 1 and where[start][1] == where[end][1]
        draw_edge(panel, where[start], where[end], is_skip=is_skip)
    down, up = model.get_layer("encoder_0").pooling, model.get_layer("decoder_0").upsampling
    panel.legend(
        handles=[
            Line2D([], [], color=DOWN, label=f"{type(down).__name__} by {down.strides[0]}"),
            Line2D([], [], color=UP, label=f"{type(up).__name__}, stride {up.strides[0]}"),
            Line2D([], [], color=SKIP, linestyle=(0, (5, 2)), label="skip"),
            Line2D([], [], color=ON, label="as it is"),
        ],
        loc="lower right", frameon=False, fontsize=10,
    )  # fmt: skip
    depth = min(y for _, y in where.values())
    panel.text(
        -WIDTH / 2, depth, f"in each box\nheight x width x channels\nand its parameters,\n"
        f"{model.count_params():,} in all", size=10, va="center",
    )  # fmt: skip
    panel.set_aspect("equal")
    panel.set_xlim(-0.55 * WIDTH, max(x for x, _ in where.values()) + 0.55 * WIDTH)
    panel.set_ylim(depth - 0.6 * HEIGHT, 0.6 * HEIGHT)
    panel.axis("off")
    figure.savefig(PLACE / "network.png", dpi=110)
    # Reproducible bytes, and searchable text.
    mpl.rcParams.update({"svg.hashsalt": "network", "svg.fonttype": "none"})
    figure.savefig(PLACE / "network.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
