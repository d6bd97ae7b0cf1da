"""Writes ONNX models, by tf2onnx and the quantization of ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.exporting.artifact import FORMATS, Description, network_of, require_module
from unetv2.exporting.formats.base import Outputs
from unetv2.exporting.graph import INPUT, Graph

_FORMAT = FORMATS["onnx"]
# The newest one that tf2onnx converts everything to, and of 2021: most runtimes have it.
_OPSET = 17
# What ONNX Runtime computes in integers, and what carries these on.
_QUANTIZED = ("Conv", "ConvTranspose", "MaxPool", "Concat", "Relu")


def write(graph: Graph, folder: Path, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.export`."""
    tf2onnx = require_module("tf2onnx", _FORMAT.extra, "to write ONNX models")
    model, _ = tf2onnx.convert.from_function(
        graph.function, input_signature=graph.function.input_signature, opset=_OPSET
    )
    # What the converter does not know it writes all the same, and says so in its log.
    onnx: Any = require_module("onnx", _FORMAT.extra, "to write ONNX models")
    onnx.checker.check_model(model)
    path = folder / _FORMAT.main
    if precision != "int8":
        path.write_bytes(model.SerializeToString())
        return
    quantization = require_module("onnxruntime.quantization", _FORMAT.extra, "to quantize")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        plain, prepared = Path(scratch) / "plain.onnx", Path(scratch) / "prepared.onnx"
        plain.write_bytes(model.SerializeToString())
        require_module(
            "onnxruntime.quantization.shape_inference", _FORMAT.extra, "to quantize"
        ).quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            _Frames(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            # All classes' logits would have one scale, that of the surest pixels.
            nodes_to_exclude=_last_convolution(onnx.load(prepared).graph),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def _last_convolution(graph: Any) -> list[str]:
    """Returns the name of the node that computes the logits, if it is a convolution."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get("logits")
    while node is not None and node.op_type not in ("Conv", "ConvTranspose"):
        node = makers.get(node.input[0])
    return [] if node is None else [node.name]


class _Frames:
    """Gives frames one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        self._frames: Iterator[np.ndarray] = iter(frames)

    def get_next(self) -> dict[str, Any] | None:
        """Returns the next inputs, or None."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT: frame[np.newaxis]}


_ERRORS_ONLY = 3


class Runner:
    """Runs an ``.onnx`` file on the CPU.

    Args:
        files: Of the artifact.
        description: Of it.
        threads: int or None.
    """

    def __init__(
        self, files: Mapping[str, Path], description: Description, threads: int | None
    ) -> None:
        runtime = require_module(_FORMAT.runtime, _FORMAT.extra, "to run ONNX models")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = _ERRORS_ONLY
        # From memory: so no file beside it is read, whatever it names.
        self._session = runtime.InferenceSession(
            network_of(files, description), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, frames: np.ndarray) -> Outputs:
        """Runs it; see :class:`unetv2.exporting.formats.base.Runner`."""
        return Outputs(*self._session.run(list(Outputs._fields), {"frames": frames}))
