"""TensorFlow's SavedModel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from unetv2.exporting.formats.base import ExportFormat, Frames, Run
from unetv2.exporting.graph import COMPUTE_OPS, Graph, Outputs

# TensorFlow's own functions to write and read variables, which models without variables have too.
_VARIABLE_FUNCTIONS = ("__inference__traced_save_", "__inference__traced_restore_")
# Kinds of objects that are functions, or contain them.
_OBJECTS = ("user_object", "function", "bare_concrete_function", "constant")


class _SavedModel(ExportFormat):
    """A folder for TensorFlow and TensorFlow Serving.

    TensorFlow runs whatever a graph contains, which may read and write files or call Python. So a
    graph is loaded only if all of its ops are in a list of ops that compute.
    """

    name = "saved_model"
    precisions = ("float32", "float16", "bfloat16")
    main = "saved_model.pb"
    runtime = "tensorflow"
    runtime_files = ("saved_model.*", "variables/*", "assets/*", "fingerprint.pb")
    threads_advice = (
        "TensorFlow has one number of threads for the process: call "
        "`tf.config.threading.set_intra_op_parallelism_threads` before it computes."
    )

    def network_dtype(self, precision: str) -> str:
        return precision

    def write(self, graph: Graph, folder: Path, precision: str, calibration: Frames) -> None:
        tf.saved_model.save(graph, str(folder), signatures=graph.function)

    def load(self, network: Path, *, size: int, precision: str, threads: int | None) -> Run:
        _require_compute_ops(network)
        loaded = tf.saved_model.load(str(network.parent))
        function: Any = loaded.signatures["serving_default"]

        # As a default, so that the variables of the model live as long as the function.
        def run(frames: np.ndarray, _: Any = loaded) -> Outputs:
            results = function(frames=tf.constant(frames))
            return Outputs(*(results[name].numpy() for name in Outputs._fields))

        return run

    @staticmethod
    def run_alone(file: str, frames: Any) -> Any:
        import tensorflow as tf

        return tf.saved_model.load(file).signatures["serving_default"](frames=tf.constant(frames))

    def network_path(self, path: Path) -> Path:
        return path


def _require_compute_ops(path: Path) -> None:
    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError(f"it is not a SavedModel ({error})") from error
    for graph in message.meta_graphs:
        # Without objects, TensorFlow uses the loader of version 1.
        if not graph.HasField("object_graph_def"):
            raise ValueError("it contains no objects")
        unsupported = set(_ops(graph)) - COMPUTE_OPS
        if unsupported:
            raise ValueError(f"it contains unsupported ops: {', '.join(sorted(unsupported))}")
        for node in graph.object_graph_def.nodes:
            kind = node.WhichOneof("kind")
            if kind not in _OBJECTS:
                raise ValueError(f"it contains an object of the kind '{kind}'")


def _ops(graph: Any) -> Iterator[str]:
    """Yields all ops that may run, without those of variable functions that nothing can call."""
    library = {function.signature.name: function for function in graph.graph_def.library.function}
    own = {name for name in library if name.startswith(_VARIABLE_FUNCTIONS)}
    callers = [function.node_def for name, function in library.items() if name not in own]
    for node in itertools.chain(*callers):
        yield node.op
        for value in node.attr.values():
            called = {value.func.name, *(function.name for function in value.list.func)}
            yield from called & own
    yield from (node.op for node in graph.graph_def.node)
    yield from own & set(graph.object_graph_def.concrete_functions)


FORMAT = _SavedModel()
