"""What is measured: a Keras model in two ways, and artefacts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.artefacts.exported_model import ExportedModel
from unetv2.artefacts.formats import FORMATS
from unetv2.artefacts.loading import load_exported
from unetv2.benchmarking import alone
from unetv2.inference.network import Network
from unetv2.inference.predict import load
from unetv2.precision import precision_of
from unetv2.scratch import scratch_folder
from unetv2.segmentation_model import preprocessing_of

_OPEN = (256, 256)


@dataclass(frozen=True)
class Entry:
    """One thing that is measured.

    Args:
        name: str.
        format: str. ``"keras"``, or an artefact's.
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
        with scratch_folder(Path(tempfile.gettempdir())) as folder:
            file = self.file
            if file is None:
                file = str(folder / "model.keras")
                self.model.save(file)
            done = subprocess.run(
                [sys.executable, alone.__file__, self.format, file, *map(str, self.shape)],
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
        threads: int or None. Of artefacts' runtimes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an artefact is damaged.
    """
    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    if path is not None:
        model = load(path)
    if isinstance(model, ExportedModel):
        yield _artefact(model, threads)
        return
    yield from _keras(model, path)


def _artefact(model: ExportedModel, threads: int | None) -> Entry:
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
    root = str(Path(alone.__file__).parents[2])
    found = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, found))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
