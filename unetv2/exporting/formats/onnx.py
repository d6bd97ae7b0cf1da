"""ONNX: written by tf2onnx, quantized and run by ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.exporting.formats.base import ExportFormat, Frames, Run
from unetv2.exporting.graph import INPUT, Graph, Outputs

# The newest opset that tf2onnx converts everything to. It is of 2021, so most runtimes have it.
_OPSET = 17
# Ops that ONNX Runtime computes in integers, and those that pass integers on.
_QUANTIZED = ("Conv", "ConvTranspose", "MaxPool", "Concat", "Relu")
_ERRORS_ONLY = 3
# `ModelProto.metadata_props` in Protocol Buffers: field 14, an entry of the strings 1 and 2.
_FIELD, _KEY = b"\x72", b"\x0a\x06unetv2\x12"


class _ONNX(ExportFormat):
    """An ``.onnx`` file, which runs on the CPU here and on many accelerators elsewhere."""

    name = "onnx"
    precisions = ("float32", "float16", "int8")
    main = "model.onnx"
    runtime = "onnxruntime"
    tools = ("onnx", "tf2onnx")
    extra = "onnx"
    suffix = ".onnx"
    runtime_files = ("model.onnx",)

    def network_dtype(self, precision: str) -> str:
        return "float32" if precision == "int8" else precision

    def write(self, graph: Graph, folder: Path, precision: str, calibration: Frames) -> None:
        tf2onnx = self.require_module("tf2onnx", "to write ONNX models")
        model, _ = tf2onnx.convert.from_function(
            graph.function, input_signature=graph.function.input_signature, opset=_OPSET
        )
        # tf2onnx only logs an error for ops that it cannot convert, and writes them unchanged.
        self.require_module("onnx", "to write ONNX models").checker.check_model(model)
        path = folder / self.main
        if precision != "int8":
            path.write_bytes(model.SerializeToString())
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            plain = Path(scratch) / "plain.onnx"
            plain.write_bytes(model.SerializeToString())
            self._quantize(plain, path, calibration)

    def _quantize(self, plain: Path, path: Path, calibration: Frames) -> None:
        quantization = self.require_module("onnxruntime.quantization", "to quantize")
        shapes = self.require_module("onnxruntime.quantization.shape_inference", "to quantize")
        onnx = self.require_module("onnx", "to quantize")
        prepared = plain.with_name("prepared.onnx")
        shapes.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            _Frames(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            # The logits of all classes would have one scale, which the largest of them sets.
            nodes_to_exclude=_last_convolution(onnx.load(prepared).graph),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )

    def load(self, network: Path, *, size: int, precision: str, threads: int | None) -> Run:
        runtime = self.require_module(self.runtime, "to run ONNX models")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = _ERRORS_ONLY
        # From memory, so that no file beside it is read, whatever the model refers to.
        content = network.read_bytes()[:size]
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return lambda frames: Outputs(*session.run(list(Outputs._fields), {INPUT: frames}))

    @staticmethod
    def run_alone(file: str, frames: Any) -> Any:
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return session.run(["mask", "confidence"], {"frames": frames})

    def embed(self, network: Path, description: bytes) -> None:
        """Appends an entry of the metadata, with the key ``"unetv2"``.

        Protocol Buffers allow to append a field to a message. So the bytes of the network stay as
        they are, and neither writing nor reading needs the package ``onnx``.
        """
        with network.open("ab") as file:
            file.write(_metadata(description))

    def read_embedded(self, path: Path, max_bytes: int) -> tuple[bytes, int]:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - max_bytes))
            tail = file.read()
        start = tail.rfind(_KEY)
        if start < 0:
            raise ValueError("it has no metadata at its end")
        # The description is JSON with line breaks; the bytes before it are its length.
        description = tail[tail.index(b"{\n", start) :]
        metadata = _metadata(description)
        if not tail.endswith(metadata):
            raise ValueError("its metadata is damaged")
        return description, size - len(metadata)


class _Frames:
    """Frames with the interface of ONNX Runtime's ``CalibrationDataReader``."""

    def __init__(self, frames: Frames) -> None:
        self._frames: Iterator[np.ndarray] = iter(frames)

    def get_next(self) -> dict[str, Any] | None:
        """Returns the next inputs, or None."""
        frame = next(self._frames, None)
        return None if frame is None else {INPUT: frame[np.newaxis]}


def _last_convolution(graph: Any) -> list[str]:
    """Returns the name of the node that computes the logits, if it is a convolution."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers.get("logits")
    while node is not None and node.op_type not in ("Conv", "ConvTranspose"):
        node = producers.get(node.input[0])
    return [] if node is None else [node.name]


def _metadata(description: bytes) -> bytes:
    entry = _KEY + _varint(len(description)) + description
    return _FIELD + _varint(len(entry)) + entry


def _varint(number: int) -> bytes:
    """Encodes a number as Protocol Buffers do: seven bits per byte, the lowest first."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


FORMAT = _ONNX()
