"""What a benchmark found."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetv2.files import atomic_folder
from unetv2.text import printable
from unetv2.visualization.masks import subplots


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


JSON, TEXT, IMAGE = "benchmark.json", "benchmark.txt", "benchmark.png"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one model or artifact.

    Args:
        name: str.
        format: str.
        precision: str.
        latency_ms: Median, 95th and 99th percentile of a frame's answer, in milliseconds.
        throughput: float. Frames a second in batches.
        peak_bytes: int. The most memory of a process that starts it and answers a frame.
        file_bytes: int. Of its files; of a Keras model that has none, 4 for each parameter.
        startup_s: float. Seconds from the start of Python to the first answer.
        mean_iou: float or None. On the data given.
    """

    name: str
    format: str
    precision: str
    latency_ms: tuple[float, float, float]
    throughput: float
    peak_bytes: int
    file_bytes: int
    startup_s: float
    mean_iou: float | None


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What :func:`unetv2.benchmark` found. ``print`` shows it as a table.

    Args:
        rows: One for each model or artifact: ``name``, ``format``, ``precision``, ``latency_ms``
            (median, 95th and 99th percentile of a frame's answer), ``throughput`` in frames a
            second, ``peak_bytes``, ``file_bytes``, ``startup_s`` and ``mean_iou``.
        settings: How it was measured, of types that JSON knows.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> found = unetv2.benchmark(model, runs=5, batch_size=2)
        >>> [row.name for row in found.rows]
        ['model.predict', 'tf.function']
        >>> found.save(tmp / "found")
        >>> sorted(path.name for path in (tmp / "found").iterdir())
        ['benchmark.json', 'benchmark.png', 'benchmark.txt']
    """

    rows: Sequence[Row]
    settings: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Returns everything, of types that JSON knows."""
        return {
            "settings": self.settings,
            "rows": [dataclasses.asdict(row) for row in self.rows],
        }

    def __str__(self) -> str:
        """Returns the table."""
        size = self.settings["batch_size"]
        lines: list[tuple[str, ...]] = [
            ("", "format", "precision", "ms", "95 %", "99 %", f"batch {size}", "MB", "memory",
             "start", "mean IoU"),
        ]  # fmt: skip
        for row in self.rows:
            lines.append(
                (
                    printable(row.name), row.format, row.precision,
                    *(f"{value:.1f}" for value in row.latency_ms),
                    f"{row.throughput:.0f}/s", f"{row.file_bytes / 1e6:.1f}",
                    f"{row.peak_bytes / 1e6:.0f}", f"{row.startup_s:.1f} s",
                    "" if row.mean_iou is None else f"{row.mean_iou:.3f}",
                )
            )  # fmt: skip
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        text = [
            "  ".join(
                word.ljust(width) if column < 3 else word.rjust(width)
                for column, (word, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join(text)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``benchmark.json``, ``benchmark.txt`` and ``benchmark.png``, which appear as one.

        The image shows mean IoU against latency, or latency alone where there were no masks.

        Args:
            folder: Where to; made if it does not exist.

        Raises:
            ImportError: If matplotlib is not installed.
            OSError: If it cannot be written.
        """
        figure = accuracy_over_latency(self.rows)
        content = json.dumps(self.as_dict(), indent=2) + "\n"
        with atomic_folder(Path(folder), "to keep the figures") as new:
            (new / JSON).write_bytes(content.encode())
            (new / TEXT).write_bytes(f"{self}\n".encode())
            figure.savefig(new / IMAGE, format="png")
