"""Writes LiteRT models, by TensorFlow's converter."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from unetv2.exporting.artifact import FORMATS, Description, network_of, require_module
from unetv2.exporting.formats.base import Outputs
from unetv2.exporting.graph import Graph

_FORMAT = FORMATS["litert"]


def write(graph: Graph, folder: Path, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.export`."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete()], graph)
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    content = _quantized(graph, calibration) if precision == "int8" else converter.convert()
    (folder / _FORMAT.main).write_bytes(content)


def _quantized(graph: Graph, calibration: Sequence[np.ndarray]) -> bytes:
    """Converts to integers of eight bits, the layer of the logits excepted.

    All classes' logits have one scale. It follows from the surest pixels, so that the unsure ones,
    at which classes differ by less than a step, all tie.
    """

    def frames() -> Iterator[list[np.ndarray]]:
        for frame in calibration:
            yield [frame[np.newaxis]]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete()], graph)
    logits = _name_of_logits(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = frames
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    with warnings.catch_warnings():
        # It warns of its own interpreter, which is deprecated.
        warnings.simplefilter("ignore", UserWarning)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=frames,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=[logits]),
        )
    return bytes(debugger.get_nondebug_quantized_model())


def _name_of_logits(content: bytes) -> str:
    """Returns what the converter calls the tensor of the logits."""
    runtime = require_module(_FORMAT.runtime, _FORMAT.extra, "to quantize")
    interpreter = runtime.Interpreter(model_content=content)
    return str(interpreter.get_signature_runner().get_output_details()["logits"]["name"])


class Runner:
    """Runs a ``.tflite`` file, frame by frame.

    By ``ai_edge_litert``, the runtime that follows ``tf.lite.Interpreter``, which is deprecated. It
    has none of TensorFlow's own operations either, so that a model cannot touch files.

    Args:
        files: Of the artifact.
        description: Of it.
        threads: int or None.
    """

    def __init__(
        self, files: Mapping[str, Path], description: Description, threads: int | None
    ) -> None:
        module = require_module(_FORMAT.runtime, _FORMAT.extra, "to run LiteRT models")
        content = network_of(files, description)
        self._interpreter = module.Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._run = self._interpreter.get_signature_runner()
        # An interpreter has one set of tensors, for one frame at a time.
        self._lock = threading.Lock()

    def __call__(self, frames: np.ndarray) -> Outputs:
        """Runs it; see :class:`unetv2.exporting.formats.base.Runner`."""
        answers = []
        for at in range(len(frames)):
            # Frame by frame, so that threads take turns. The outputs are copies.
            with self._lock:
                answers.append(self._run(frames=frames[at : at + 1]))
        return Outputs(
            *(np.concatenate([one[name] for one in answers]) for name in Outputs._fields)
        )
