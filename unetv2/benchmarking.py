"""Measures speed, size, memory and accuracy of models on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.evaluation.evaluate import evaluate
from unetv2.exporting.artifact import is_artifact
from unetv2.exporting.exported_model import ExportedModel, load_exported
from unetv2.exporting.formats.base import get_format
from unetv2.files import atomic_folder, explain_write_errors, temporary_folder
from unetv2.inference.network import network_of
from unetv2.keras_files import load_model
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.progress import Progress
from unetv2.runtime import precision_of, versions
from unetv2.text import printable
from unetv2.visualization.plots import require_matplotlib, subplots

JSON, TEXT, IMAGE = "benchmark.json", "benchmark.txt", "benchmark.png"

# Height and width of images for models without a size.
_SIZE = (256, 256)
_N_BATCHES = 5
_PERCENTILES = (50, 95, 99)
# Models are called in turns. The first call of a turn is not timed: the weights are not in the
# cache then, and the threads of the model before may still be running.
_WARMUP_CALLS, _TIMED_CALLS = 1, 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """Measurements of one model.

    Args:
        name: str. Name of the model.
        format: str. ``"keras"``, or the format of an exported model.
        precision: str. Precision of the network.
        latency_ms: Median, 95th and 99th percentile of the time of a single image, in milliseconds.
        throughput: float. Images per second in batches.
        peak_bytes: int. Largest memory of a process that loads the model and predicts an image.
        file_bytes: int. Size of its files; 4 bytes per parameter for a Keras model without a file.
        startup_s: float. Seconds from the start of Python to the first prediction.
        mean_iou: float or None. Mean IoU on the given data.
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
    """The result of :func:`unetv2.benchmark`. ``print`` shows it as a table.

    Args:
        rows: One per model: ``name``, ``format``, ``precision``, ``latency_ms`` (median, 95th and
            99th percentile of a single image), ``throughput`` in images per second,
            ``peak_bytes``, ``file_bytes``, ``startup_s`` and ``mean_iou``.
        settings: Settings of the measurement, of JSON types.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> result = unetv2.benchmark(model, runs=5, batch_size=2)
        >>> [row.name for row in result.rows]
        ['model.predict', 'tf.function']
        >>> result.save(tmp / "benchmark")
        >>> sorted(path.name for path in (tmp / "benchmark").iterdir())
        ['benchmark.json', 'benchmark.png', 'benchmark.txt']
    """

    rows: Sequence[Row]
    settings: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Returns all values, of JSON types."""
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
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``benchmark.json``, ``benchmark.txt`` and ``benchmark.png``, all at once.

        The plot shows mean IoU against latency, or only latencies if there is no mean IoU.

        Args:
            folder: The folder, which is created if it does not exist.

        Raises:
            ImportError: If matplotlib is not installed.
            OSError: If the files cannot be written.
        """
        figure = _plot(self.rows)
        content = json.dumps(self.as_dict(), indent=2) + "\n"
        with atomic_folder(Path(folder), "to save the benchmark") as new:
            (new / JSON).write_bytes(content.encode())
            (new / TEXT).write_bytes(f"{self}\n".encode())
            figure.savefig(new / IMAGE, format="png")


def _plot(rows: Sequence[Row]) -> Any:
    """Plots mean IoU over the median latency, or latencies as bars if there is no mean IoU."""
    figure, axes = subplots(1, 1, figsize=(7, 4.5))
    axis = axes[0, 0]
    axis.set_xlabel("median latency per image (ms)")
    labels = [
        row.name if row.format == "keras" else f"{row.format} {row.precision}" for row in rows
    ]
    latencies = [row.latency_ms[0] for row in rows]
    if any(row.mean_iou is None for row in rows):
        axis.barh(labels, latencies)
        axis.invert_yaxis()
        return figure
    for name in sorted({row.format for row in rows}):
        points = [(row.latency_ms[0], row.mean_iou) for row in rows if row.format == name]
        axis.scatter(*zip(*points, strict=True), label=name)
    for label, latency, row in zip(labels, latencies, rows, strict=True):
        axis.annotate(
            label, (latency, row.mean_iou), xytext=(4, 4), textcoords="offset points", fontsize=7
        )
    axis.set_xscale("log")
    axis.set_ylabel("mean IoU")
    axis.legend()
    return figure


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
    """Measures speed, size, memory and accuracy of models on this machine.

    The models are called in turns, so that other load of the machine affects all of them: compare
    values of the same call only. A Keras model is measured twice, with ``model.predict`` and as a
    compiled ``tf.function`` that returns masks and confidences, as exported models do. The images
    are random and have the size of the network's input, or ``frame_size`` of an exported model.

    Memory and start-up time are those of a new process with only the runtime, from the start of
    Python to the first prediction.

    Args:
        models: A Keras model, an :class:`~unetv2.ExportedModel`, the path of one, or a list.
        dataset: Data for the mean IoU, as in :func:`unetv2.evaluate`, or None.
        batch_size: int, at least 1. Images per batch, for the throughput.
        runs: int, at least 1. Number of single images, rounded up to a multiple of 5.
        threads: int, at least 1, or None. Threads of exported models, but not of a SavedModel; None
            uses the default of the runtimes.
        output: A folder for ``benchmark.json``, ``benchmark.txt`` and ``benchmark.png``, or None.
        progress: bool. Whether to report progress on stderr.

    Returns:
        Benchmark.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there is no model, or an exported model is damaged.
        TypeError: If an argument has a wrong type.
        ImportError: If a runtime is not installed, or matplotlib for ``output``.
        OSError: If ``output`` cannot be written.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> exported = unetv2.export(model, tmp / "measured_model", format="saved_model")
        >>> result = unetv2.benchmark([model, exported], runs=5, batch_size=2)
        >>> [row.format for row in result.rows]
        ['keras', 'keras', 'saved_model']
    """
    batch_size = require_integer("batch_size", batch_size, 1, "32 is the default.")
    runs = require_integer("runs", runs, 1, "100 is the default.")
    if threads is not None:
        threads = require_integer("threads", threads, 1, "None uses the runtimes' default.")
    listed = list(models) if isinstance(models, list | tuple) else [models]
    candidates = [candidate for model in listed for candidate in _candidates(model, threads)]
    if not candidates:
        raise ValueError("`models` must contain a model. Received: none. Pass at least one.")
    if output is not None:
        # Errors are raised before minutes of measuring.
        require_matplotlib()
        with explain_write_errors(Path(output), "to save the benchmark"):
            Path(output).mkdir(parents=True, exist_ok=True)
    mean_iou: dict[int, float] = {}
    for candidate in candidates if dataset is not None else ():
        if id(candidate.model) not in mean_iou:
            evaluation = evaluate(candidate.model, dataset, progress=False)
            mean_iou[id(candidate.model)] = float(evaluation.mean_iou)
    bar = Progress(len(candidates), "models", shown=progress)
    latencies = call_in_turns(
        [partial(candidate.predict, candidate.images(1)) for candidate in candidates], runs
    )
    batches = call_in_turns(
        [partial(candidate.predict, candidate.images(batch_size)) for candidate in candidates],
        _N_BATCHES,
    )
    rows = []
    for number, candidate in enumerate(candidates):
        median, high, highest = np.percentile(latencies[number], _PERCENTILES) * 1e3
        row = Row(
            name=candidate.name, format=candidate.format, precision=candidate.precision,
            latency_ms=(float(median), float(high), float(highest)),
            throughput=float(batch_size / np.median(batches[number])),
            file_bytes=candidate.file_bytes, mean_iou=mean_iou.get(id(candidate.model)),
            **candidate.measure_startup(),
        )  # fmt: skip
        rows.append(row)
        bar.update(number + 1, candidate.name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    settings = {
        "batch_size": batch_size,
        "runs": len(latencies[0]),
        "threads": threads,
        "frames": [list(candidate.shape) for candidate in candidates],
        "machine": platform.machine(),
        "cores": cores,
        "versions": versions(),
    }
    result = Benchmark(rows=rows, settings=settings)
    if output is not None:
        result.save(output)
    return result


@dataclass(frozen=True)
class _Candidate:
    """A function that runs a model, for images of a ``shape`` ``(height, width, channels)``.

    ``file`` is the path that the runtime loads, None for a Keras model in memory. ``run_alone``
    loads it in a process of its own; see
    :meth:`unetv2.exporting.formats.base.ExportFormat.run_alone`.
    """

    name: str
    format: str
    precision: str
    shape: tuple[int, int, int]
    predict: Callable[[np.ndarray], Any]
    model: Any
    file: str | None
    file_bytes: int
    run_alone: Callable[[str, Any], Any]

    def images(self, count: int) -> np.ndarray:
        """Returns a batch of random images."""
        return np.random.default_rng(0).integers(0, 256, (count, *self.shape), np.uint8)

    def measure_startup(self) -> dict[str, Any]:
        """Measures ``startup_s`` and ``peak_bytes`` in a process of its own.

        Raises:
            RuntimeError: If the process fails.
        """
        root = str(Path(__file__).parents[1])
        environment = {
            **os.environ,
            # This library is found also where it is not installed.
            "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with temporary_folder(Path(tempfile.gettempdir())) as folder:
            file = self.file
            if file is None:
                file = str(folder / "model.keras")
                self.model.save(file)
            done = subprocess.run(
                [sys.executable, "-c", _program(self.run_alone), file, *map(str, self.shape)],
                capture_output=True, text=True, env=environment, check=False,
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(
                f"'{self.name}' must start in a process of its own. "
                f"Received: {done.stderr.strip()[-500:]}. Check its packages."
            )
        measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return measured


def _candidates(model: Any, threads: int | None) -> Iterator[_Candidate]:
    """Yields a candidate for each runtime of a model or of the path of one."""
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    if path is not None:
        model = load_exported(path) if is_artifact(path) else load_model(path)
    if isinstance(model, ExportedModel):
        yield _exported_candidate(model, threads)
    else:
        yield from _keras_candidates(model, path)


def _exported_candidate(model: ExportedModel, threads: int | None) -> _Candidate:
    description = model.description
    format = get_format(description.format)
    if threads is not None and not format.threads_advice:
        model = load_exported(model.path, threads=threads)
    height, width = (
        frame or network or usual
        for frame, network, usual in zip(
            description.frame_size, description.network_size, _SIZE, strict=True
        )
    )
    path = Path(model.path)
    return _Candidate(
        name=path.name, format=description.format, precision=description.precision,
        shape=(height, width, description.preprocessing.channels),
        predict=model.run, model=model,
        file=str(format.network_path(path)),
        file_bytes=sum(file["bytes"] for file in description.files.values()),
        run_alone=format.run_alone,
    )  # fmt: skip


def _keras_candidates(model: keras.Model, path: Path | None) -> Iterator[_Candidate]:
    network = network_of(model)
    preprocessing = preprocessing_of(model, network.n_classes)
    size = preprocessing.input_size or network.size
    height, width = (side or usual for side, usual in zip(size, _SIZE, strict=True))
    low, high = preprocessing.value_range
    probabilities = network.probabilities

    @tf.function(autograph=False, jit_compile=False)
    def compiled(frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(frames, tf.float32) / 255.0 * (high - low) + low
        outputs = tf.cast(model(images, training=False), tf.float32)
        confidence = tf.reduce_max(outputs if probabilities else tf.nn.softmax(outputs), axis=-1)
        return tf.argmax(outputs, axis=-1, output_type=tf.int32), confidence

    def call_predict(frames: np.ndarray) -> Any:
        images = frames.astype(np.float32) / 255.0 * (high - low) + low
        return model.predict(images, batch_size=len(images), verbose=0)

    def call_compiled(frames: np.ndarray) -> Any:
        return [output.numpy() for output in compiled(tf.constant(frames))]

    file_bytes = path.stat().st_size if path else 4 * model.count_params()
    for name, predict in (("model.predict", call_predict), ("tf.function", call_compiled)):
        yield _Candidate(
            name=name, format="keras", precision=precision_of(model).name,
            shape=(height, width, network.channels), predict=predict, model=model,
            file=None if path is None else str(path), file_bytes=file_bytes,
            run_alone=_run_keras_alone,
        )  # fmt: skip


def call_in_turns(calls: Sequence[Callable[[], Any]], runs: int) -> list[np.ndarray]:
    """Times functions in turns.

    Args:
        calls: The functions.
        runs: int. Smallest number of timed calls of each.

    Returns:
        list of np.ndarray. The seconds of each function's calls.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(-(-runs // _TIMED_CALLS)):
        for call, taken in zip(calls, seconds, strict=True):
            for number in range(_WARMUP_CALLS + _TIMED_CALLS):
                start = time.perf_counter()
                call()
                if number >= _WARMUP_CALLS:
                    taken.append(time.perf_counter() - start)
    return [np.array(taken) for taken in seconds]


def _run_keras_alone(file: str, frames: Any) -> Any:
    import importlib

    import keras

    # Registers the layers.
    importlib.import_module("unetv2")
    return keras.models.load_model(file, compile=False)(frames.astype("float32"))


def peak_memory() -> int:
    """Returns the largest memory that this process has used, in bytes."""
    with contextlib.suppress(OSError):
        # On Linux, `getrusage` includes the memory of the process before it became this program.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return peak if sys.platform == "darwin" else 1024 * peak


def _program(run_alone: Callable[[str, Any], Any]) -> str:
    """Returns a program that runs a model once and prints its duration and memory.

    It consists of the source code of functions and imports nothing of this library itself, so that
    only the runtime is measured.
    """
    source = textwrap.dedent(inspect.getsource(run_alone)).removeprefix("@staticmethod\n")
    return "\n".join([
        "from __future__ import annotations",
        "import time",
        "start = time.perf_counter()",
        "import contextlib, json, sys",
        "from pathlib import Path",
        "import numpy as np",
        source,
        inspect.getsource(peak_memory),
        "frames = np.zeros((1, *map(int, sys.argv[2:])), np.uint8)",
        f"{run_alone.__name__}(sys.argv[1], frames)",
        "seconds = time.perf_counter() - start",
        "print(json.dumps({'startup_s': seconds, 'peak_bytes': peak_memory()}))",
    ])  # fmt: skip
