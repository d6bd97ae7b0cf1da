"""Measures models and artifacts on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
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
from unetv2.benchmarking.result import Benchmark, Row
from unetv2.evaluation.evaluate import evaluate
from unetv2.exporting.artifact import FORMATS
from unetv2.exporting.exported_model import ExportedModel
from unetv2.exporting.load import load_exported
from unetv2.files import explain_write_errors, temporary_folder
from unetv2.inference.compiled_model import Network
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.prediction.predict import load
from unetv2.progress import Progress
from unetv2.runtime import precision_of, versions
from unetv2.synthetic import driving_scene
from unetv2.visualization.masks import require_figures

# Starts an artifact by its runtime alone, answers one frame, and says what that took.
#
# A program, and not a part of the library: run by its path, it imports nothing of it, so what it
# measures is what a device has to bear. ``python alone.py FORMAT FILE HEIGHT WIDTH CHANNELS``

_start = time.perf_counter()


def run(kind: str, file: str, shape: tuple[int, int, int, int]) -> Any:
    """Loads the file and answers one frame.

    Args:
        kind: str. The artifact's format, or ``"keras"`` for a model of this library.
        file: str. What its runtime loads.
        shape: Of the frames.
    """
    import numpy as np

    frames = np.zeros(shape, np.uint8)
    if kind == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=file)
        return interpreter.get_signature_runner()(frames=frames)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return session.run(["mask", "confidence"], {"frames": frames})
    if kind == "openvino":
        import openvino

        return openvino.compile_model(file, "CPU")({"frames": frames})
    if kind == "saved_model":
        import tensorflow as tf

        return tf.saved_model.load(file).signatures["serving_default"](frames=tf.constant(frames))
    import keras

    # The blocks are registered by it.
    import unetv2  # noqa: F401

    return keras.models.load_model(file, compile=False)(frames.astype("float32"))


def peak_memory() -> int:
    """Returns the most memory that this process has had, in bytes."""
    with contextlib.suppress(OSError):
        # Linux; its `getrusage` would count what the process was before it became this program.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    kind, file, *size = sys.argv[1:]
    height, width, channels = map(int, size)
    run(kind, file, (1, height, width, channels))
    seconds = time.perf_counter() - _start
    print(json.dumps({"startup_s": seconds, "peak_bytes": peak_memory()}))


_OPEN = (256, 256)


@dataclass(frozen=True)
class Entry:
    """One thing that is measured.

    Args:
        name: str.
        format: str. ``"keras"``, or an artifact's.
        precision: str. Of the network.
        shape: ``(height, width, channels)`` of the frames that it is fed with.
        answer: From uint8 frames ``(batch, height, width, channels)`` to what it answers.
        model: What :func:`unetv2.evaluate` takes.
        file: What its runtime loads, or None.
        size: int. Bytes of its files.
    """

    name: str
    format: str
    precision: str
    shape: tuple[int, int, int]
    answer: Callable[[np.ndarray], Any]
    model: Any
    file: str | None
    size: int

    def start(self) -> dict[str, float]:
        """Starts it in a process of its own; returns seconds to the first answer and peak bytes.

        Raises:
            RuntimeError: If the process fails.
        """
        with temporary_folder(Path(tempfile.gettempdir())) as folder:
            file = self.file
            if file is None:
                file = str(folder / "model.keras")
                self.model.save(file)
            done = subprocess.run(
                [sys.executable, __file__, self.format, file, *map(str, self.shape)],
                capture_output=True, text=True, env={**os.environ, **_environment()}, check=False,
            )  # fmt: skip
        if done.returncode:
            raise RuntimeError(
                f"'{self.name}' must start in a process of its own. "
                f"Received: {done.stderr.strip()[-500:]}"
            )
        return json.loads(done.stdout.strip().splitlines()[-1])


def entries(model: Any, threads: int | None) -> Iterator[Entry]:
    """Yields what there is to measure of a model.

    Args:
        model: A Keras model, an exported one, or the path of one.
        threads: int or None. Of artifacts' runtimes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an artifact is damaged.
    """
    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    if path is not None:
        model = load(path)
    if isinstance(model, ExportedModel):
        yield _artifact(model, threads)
        return
    yield from _keras(model, path)


def _artifact(model: ExportedModel, threads: int | None) -> Entry:
    known = model.description
    if threads is not None and known.format != "saved_model":
        model = load_exported(model.path, threads=threads)
    height, width = (
        frame or fed or usual
        for frame, fed, usual in zip(known.frame_size, known.network_size, _OPEN, strict=True)
    )
    path = Path(model.path)
    main = path if path.is_file() else path / FORMATS[known.format].main
    file = path if known.format == "saved_model" else main
    return Entry(
        name=path.name, format=known.format, precision=known.precision,
        shape=(height, width, known.preprocessing.channels), answer=model.run, model=model,
        file=str(file), size=sum(one["bytes"] for one in known.files.values()),
    )  # fmt: skip


def _keras(model: keras.Model, path: str | None) -> Iterator[Entry]:
    network = Network.of(model)
    known = preprocessing_of(model, network.n_classes)
    size = known.input_size or network.size
    height, width = (side or usual for side, usual in zip(size, _OPEN, strict=True))
    low, high = known.value_range
    given = network.probabilities

    @tf.function(autograph=False, jit_compile=False)
    def compiled(frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(frames, tf.float32) / 255.0 * (high - low) + low
        outputs = tf.cast(model(images, training=False), tf.float32)
        probabilities = outputs if given else tf.nn.softmax(outputs)
        confidence = tf.reduce_max(probabilities, axis=-1)
        return tf.argmax(outputs, axis=-1, output_type=tf.int32), confidence

    def predicted(frames: np.ndarray) -> Any:
        images = frames.astype(np.float32) / 255.0 * (high - low) + low
        return model.predict(images, batch_size=len(images), verbose=0)

    def called(frames: np.ndarray) -> Any:
        return [one.numpy() for one in compiled(tf.constant(frames))]

    weights = Path(path).stat().st_size if path else 4 * model.count_params()
    for name, answer in (("model.predict", predicted), ("tf.function", called)):
        yield Entry(
            name=name, format="keras", precision=precision_of(model).name,
            shape=(height, width, network.channels), answer=answer, model=model, file=path,
            size=weights,
        )  # fmt: skip


def _environment() -> dict[str, str]:
    """Has the processes find this library, also where it is not installed, and say less."""
    root = str(Path(__file__).parents[2])
    found = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, found))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


# After another one's turn the first call finds its weights out of the cache, and that one's
# threads still awake.
_UNTIMED, _TIMED = 1, 5


def in_turns(calls: Sequence[Callable[[], Any]], runs: int) -> list[np.ndarray]:
    """Calls each in turns.

    Args:
        calls: What is timed.
        runs: int. How often each, at least.

    Returns:
        list of np.ndarray. Seconds of each one's calls.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(-(-runs // _TIMED)):
        for call, taken in zip(calls, seconds, strict=True):
            for number in range(_UNTIMED + _TIMED):
                start = time.perf_counter()
                call()
                if number >= _UNTIMED:
                    taken.append(time.perf_counter() - start)
    return [np.array(taken) for taken in seconds]


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
    """Measures how fast, how large and how good models and artifacts are on this machine.

    All are measured in turns, so that what else the machine does meets them alike: compare the
    figures of one call only. A Keras model is measured twice, by ``model.predict`` and as a
    compiled ``tf.function`` that gives masks and confidences, as artifacts do. Frames have the
    size that the network is fed with, or the artifact's ``frame_size``.

    Memory and start are those of a new process that has nothing but the runtime: from the start of
    Python to the first answer.

    Args:
        models: A Keras model, an :class:`~unetv2.ExportedModel`, the path of one, or a list.
        dataset: What :func:`unetv2.evaluate` takes, to have the mean IoU of each, or None.
        batch_size: int, at least 1. Frames in a batch, for the throughput.
        runs: int, at least 1. How often a single frame is answered, in rounds of 5: 12 are 15.
        threads: int, at least 1, or None. Threads of artifacts' runtimes, TensorFlow's excepted;
            None leaves them to the runtimes.
        output: A folder for ``benchmark.json``, ``benchmark.txt`` and ``benchmark.png``, or None.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        Benchmark.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there is nothing to measure, or an artifact is damaged.
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
        with explain_write_errors(Path(output), "to keep the figures"):
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
