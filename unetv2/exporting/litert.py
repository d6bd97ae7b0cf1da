"""Writes LiteRT models, by TensorFlow's converter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from unetv2.artefacts.formats import FORMATS
from unetv2.exporting.graph import Graph


def write(graph: Graph, folder: Path, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.writing`."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete()], graph)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":

        def frames() -> Iterator[list[np.ndarray]]:
            for frame in calibration:
                yield [frame[np.newaxis]]

        converter.representative_dataset = frames
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
    (folder / FORMATS["litert"].main).write_bytes(converter.convert())
