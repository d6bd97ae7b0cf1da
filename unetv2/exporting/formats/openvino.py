"""OpenVINO: written by its converter, quantized by NNCF."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.exporting.formats.base import ExportFormat, Frames, Run
from unetv2.exporting.graph import INPUT, Graph, Outputs

_WEIGHTS = "model.bin"
# Inference precisions, and OpenVINO's names of the types that a processor supports.
_HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "f32"}
_CAPABILITIES = {"f32": "FP32", "f16": "FP16", "bf16": "BF16"}


class _OpenVINO(ExportFormat):
    """A folder with ``model.xml`` and ``model.bin``, which runs on the CPU.

    Weights of half precision are stored as float16. The processor computes in half precision if it
    supports that, otherwise in float32.
    """

    name = "openvino"
    precisions = ("float32", "float16", "bfloat16", "int8")
    main = "model.xml"
    runtime = "openvino"
    extra = "openvino"
    runtime_files = ("model.xml", _WEIGHTS)

    def required_modules(self, precision: str) -> tuple[str, ...]:
        """Returns the modules; int8 needs NNCF."""
        return (self.runtime, "nncf") if precision == "int8" else (self.runtime,)

    def write(self, graph: Graph, folder: Path, precision: str, calibration: Frames) -> None:
        openvino = self.require_module("openvino", "to write OpenVINO models")
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            tf.saved_model.save(graph, scratch, signatures=graph.function)
            model = openvino.convert_model(scratch)
        if precision == "int8":
            nncf = self.require_module("nncf", "to quantize")
            frames = [{INPUT: frame[np.newaxis]} for frame in calibration]
            model = nncf.quantize(
                model,
                nncf.Dataset(frames),
                subset_size=len(frames),
                # Only the network is quantized. A graph without resizing has no node of the first
                # pattern, which validation would refuse.
                ignored_scope=nncf.IgnoredScope(
                    patterns=[".*preprocess/.*", ".*postprocess/.*"], validate=False
                ),
                # Processors without VNNI add pairs of products in 16 bits, where products of the
                # full range overflow. Half of the range gives the same masks on all processors.
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.ENABLE
                ),
            )
        openvino.save_model(
            model, folder / self.main, compress_to_fp16=precision in ("float16", "bfloat16")
        )

    def load(self, network: Path, *, size: int, precision: str, threads: int | None) -> Run:
        core = self.require_module(self.runtime, "to run OpenVINO models").Core()
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        hint = _HINTS[precision]
        supported = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        settings["INFERENCE_PRECISION_HINT"] = hint if _CAPABILITIES[hint] in supported else "f32"
        # Both files are passed, so that no other file is read.
        model = core.read_model(network, network.with_name(_WEIGHTS))
        compiled = core.compile_model(model, "CPU", settings)
        # A request has one set of tensors, so each thread needs its own.
        local = threading.local()

        def run(frames: np.ndarray) -> Outputs:
            if not hasattr(local, "request"):
                local.request = compiled.create_infer_request()
            results = local.request.infer({INPUT: frames})
            return Outputs(*(np.array(results[name]) for name in Outputs._fields))

        return run

    @staticmethod
    def run_alone(file: str, frames: Any) -> Any:
        import openvino

        return openvino.compile_model(file, "CPU")({"frames": frames})


FORMAT = _OpenVINO()
