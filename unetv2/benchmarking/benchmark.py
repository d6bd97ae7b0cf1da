"""Measures models and artefacts on this machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.arguments import require_integer
from unetv2.benchmarking.entries import Entry, entries
from unetv2.benchmarking.result import Benchmark, Row
from unetv2.benchmarking.timing import in_turns
from unetv2.data.synthetic import driving_scene
from unetv2.evaluation.evaluate import evaluate
from unetv2.files import told
from unetv2.progress import Progress
from unetv2.versions import versions
from unetv2.visualization.drawing import require_figures

_BATCHES = 5
_PERCENTILES = (50, 95, 99)


def benchmark(
    models: Any,
    *,
    dataset: Any = None,
    batch_size: int = 32,
    runs: int = 100,
    threads: int | None = None,
    output: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Benchmark:
    """Measures how fast, how large and how good models and artefacts are on this machine.

    All are measured in turns, so that what else the machine does meets them alike: compare the
    figures of one call only. A Keras model is measured twice, by ``model.predict`` and as a
    compiled ``tf.function`` that gives masks and confidences, as artefacts do. Frames have the
    size that the network is fed with, or the artefact's ``frame_size``.

    Memory and start are those of a new process that has nothing but the runtime: from the start of
    Python to the first answer.

    Args:
        models: A Keras model, an :class:`~unetv2.ExportedModel`, the path of one, or a list.
        dataset: What :func:`unetv2.evaluate` takes, to have the mean IoU of each, or None.
        batch_size: int, at least 1. Frames in a batch, for the throughput.
        runs: int, at least 1. How often a single frame is answered, in rounds of 5: 12 are 15.
        threads: int, at least 1, or None. Threads of artefacts' runtimes, TensorFlow's excepted;
            None leaves them to the runtimes.
        output: A folder for ``benchmark.json``, ``benchmark.txt`` and ``benchmark.png``, or None.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        Benchmark.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there is nothing to measure, or an artefact is damaged.
        TypeError: If an argument is of the wrong type.
        ImportError: If a runtime is not installed, or matplotlib, for ``output``.
        OSError: If ``output`` cannot be written.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> exported = unetv2.export(
        ...     model, tmp / "measured_model", format="saved_model", verbose=False)
        >>> found = unetv2.benchmark([model, exported], runs=5, batch_size=2)
        >>> [row.format for row in found.rows]
        ['keras', 'keras', 'saved_model']
    """
    batch_size = require_integer("batch_size", batch_size, 1, "32 is the default.")
    runs = require_integer("runs", runs, 1, "100 are the default.")
    if threads is not None:
        threads = require_integer("threads", threads, 1, "None leaves it to the runtimes.")
    asked = list(models) if isinstance(models, list | tuple) else [models]
    found = [entry for model in asked for entry in entries(model, threads)]
    if not found:
        raise ValueError("`models` must hold a model. Received: none.")
    if output is not None:
        # Now, and not after minutes of measuring.
        require_figures()
        with told(Path(output), "to keep the figures"):
            Path(output).mkdir(parents=True, exist_ok=True)
    scores: dict[int, float] = {}
    for entry in found if dataset is not None else ():
        if id(entry.model) not in scores:
            measured = evaluate(entry.model, dataset, progress=False)
            scores[id(entry.model)] = float(measured.mean_iou)
    shown = Progress(len(found), "models", shown=progress)
    latencies = in_turns([partial(one.answer, _frames(one, 1)) for one in found], runs)
    batches = in_turns([partial(one.answer, _frames(one, batch_size)) for one in found], _BATCHES)
    rows = []
    for number, entry in enumerate(found):
        started = entry.start()
        median, high, highest = np.percentile(latencies[number], _PERCENTILES) * 1e3
        rows.append(
            Row(
                name=entry.name, format=entry.format, precision=entry.precision,
                latency_ms=(float(median), float(high), float(highest)),
                throughput=float(batch_size / np.median(batches[number])),
                peak_bytes=int(started["peak_bytes"]), file_bytes=entry.size,
                startup_s=float(started["startup_s"]), mean_iou=scores.get(id(entry.model)),
            )
        )  # fmt: skip
        shown.update(number + 1, entry.name)
    result = Benchmark(rows=rows, settings=_settings(found, batch_size, len(latencies[0]), threads))
    if output is not None:
        result.save(output)
    return result


def _frames(entry: Entry, count: int) -> np.ndarray:
    height, width, channels = entry.shape
    scene, _ = driving_scene(0, image_size=(height, width))
    return np.repeat(scene[np.newaxis, ..., np.arange(channels) % 3], count, axis=0)


def _settings(
    found: Sequence[Entry], batch_size: int, runs: int, threads: int | None
) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "batch_size": batch_size,
        "runs": runs,
        "threads": threads,
        "frames": [list(entry.shape) for entry in found],
        "machine": platform.machine(),
        "cores": cores,
        "versions": versions(),
    }
