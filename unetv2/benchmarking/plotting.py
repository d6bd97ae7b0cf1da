"""A benchmark as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from unetv2.visualization.drawing import subplots


def accuracy_over_latency(rows: Sequence[Any]) -> Any:
    """Draws mean IoU over the median latency, or the latencies alone where that is unknown.

    Args:
        rows: Of a benchmark.

    Returns:
        matplotlib.figure.Figure.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    figure, axes = subplots(1, 1, figsize=(7, 4.5))
    panel = axes[0, 0]
    labels = [_label(row) for row in rows]
    latencies = [row.latency_ms[0] for row in rows]
    if any(row.mean_iou is None for row in rows):
        panel.barh(labels, latencies)
        panel.invert_yaxis()
        panel.set_xlabel("milliseconds a frame, median")
        return figure
    formats = sorted({row.format for row in rows})
    for kind in formats:
        some = [number for number, row in enumerate(rows) if row.format == kind]
        panel.scatter(
            [latencies[number] for number in some], [rows[number].mean_iou for number in some],
            label=kind,
        )  # fmt: skip
    for label, latency, row in zip(labels, latencies, rows, strict=True):
        panel.annotate(
            label, (latency, row.mean_iou), xytext=(4, 4), textcoords="offset points", fontsize=7
        )
    panel.set_xscale("log")
    panel.set_xlabel("milliseconds a frame, median")
    panel.set_ylabel("mean IoU")
    panel.legend()
    return figure


def _label(row: Any) -> str:
    return row.name if row.format == "keras" else f"{row.format} {row.precision}"
