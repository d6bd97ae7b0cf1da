"""LiteRT (TensorFlow Lite): written by TensorFlow's converter, run by ``ai_edge_litert``."""

from __future__ import annotations

import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.checksums import read_member
from unetv2.exporting.formats.base import DESCRIPTION, ExportFormat, Frames, Run
from unetv2.exporting.graph import Graph, Outputs


class _LiteRT(ExportFormat):
    """A ``.tflite`` file, which takes one frame of a fixed size at a time.

    It runs with ``ai_edge_litert``, the successor of the deprecated ``tf.lite.Interpreter``. That
    runtime has none of TensorFlow's own ops, so a model cannot access files.
    """

    name = "litert"
    precisions = ("float32", "float16", "int8")
    main = "model.tflite"
    runtime = "ai_edge_litert.interpreter"
    extra = "litert"
    suffix = ".tflite"
    any_size = False
    runtime_files = ("model.tflite",)

    def write(self, graph: Graph, folder: Path, precision: str, calibration: Frames) -> None:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete()], graph)
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        is_quantized = precision == "int8"
        content = self._quantize(graph, calibration) if is_quantized else converter.convert()
        (folder / self.main).write_bytes(content)

    def _quantize(self, graph: Graph, calibration: Frames) -> bytes:
        """Quantizes all layers but the last one.

        The logits of all classes have one scale, which the largest of them sets. Where the network
        is less certain, logits differ by less than a step and would all be equal.
        """

        def frames() -> Iterator[list[np.ndarray]]:
            for frame in calibration:
                yield [frame[np.newaxis]]

        converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.concrete()], graph)
        runtime = self.require_module(self.runtime, "to quantize")
        interpreter = runtime.Interpreter(model_content=converter.convert())
        logits = interpreter.get_signature_runner().get_output_details()["logits"]["name"]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = frames
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
            tf.lite.OpsSet.TFLITE_BUILTINS,
        ]
        with warnings.catch_warnings():
            # TensorFlow warns of its own interpreter, which is deprecated.
            warnings.simplefilter("ignore", UserWarning)
            debugger = tf.lite.experimental.QuantizationDebugger(
                converter=converter,
                debug_dataset=frames,
                debug_options=tf.lite.experimental.QuantizationDebugOptions(
                    denylisted_nodes=[str(logits)]
                ),
            )
        return bytes(debugger.get_nondebug_quantized_model())

    def load(self, network: Path, *, size: int, precision: str, threads: int | None) -> Run:
        runtime = self.require_module(self.runtime, "to run LiteRT models")
        content = network.read_bytes()[:size]
        interpreter = runtime.Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
        signature = interpreter.get_signature_runner()
        # An interpreter has one set of tensors, for one frame at a time.
        lock = threading.Lock()

        def run(frames: np.ndarray) -> Outputs:
            outputs = []
            for frame in frames:
                # The lock is released between frames, so that threads take turns.
                with lock:
                    outputs.append(signature(frames=frame[np.newaxis]))
            names = Outputs._fields
            return Outputs(*(np.concatenate([part[name] for part in outputs]) for name in names))

        return run

    @staticmethod
    def run_alone(file: str, frames: Any) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_path=file).get_signature_runner()(frames=frames)

    def embed(self, network: Path, description: bytes) -> None:
        """Appends the description as a ZIP archive, as LiteRT does with associated files."""
        with zipfile.ZipFile(network, "a") as archive:
            # Without a time, so that the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(DESCRIPTION), description)

    def read_embedded(self, path: Path, max_bytes: int) -> tuple[bytes, int]:
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.infolist()
            if member.filename != DESCRIPTION or member.file_size > max_bytes:
                raise ValueError(f"it contains '{member.filename}' of {member.file_size} bytes")
            return read_member(archive, member), member.header_offset


FORMAT = _LiteRT()
