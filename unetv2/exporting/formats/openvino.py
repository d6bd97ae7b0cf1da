"""Writes OpenVINO models, by its converter and the quantization of NNCF."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.exporting.artifact import FORMATS, Description, require_module
from unetv2.exporting.formats.base import Outputs
from unetv2.exporting.graph import INPUT, Graph

_FORMAT = FORMATS["openvino"]


def write(graph: Graph, folder: Path, precision: str, calibration: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.export`."""
    openvino: Any = require_module("openvino", _FORMAT.extra, "to write OpenVINO models")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        tf.saved_model.save(graph, scratch, signatures=graph.function)
        model = openvino.convert_model(scratch)
    if precision == "int8":
        nncf: Any = require_module("nncf", _FORMAT.extra, "to quantize")
        frames = [{INPUT: frame[np.newaxis]} for frame in calibration]
        model = nncf.quantize(
            model,
            nncf.Dataset(frames),
            subset_size=len(frames),
            # Resizing and the answer's figures are no part of the network. Frames of the network's
            # size need no resizing, hence without validation.
            ignored_scope=nncf.IgnoredScope(
                patterns=[".*prepare/.*", ".*answer/.*"], validate=False
            ),
            # Processors without VNNI add pairs of products in 16 bits, which weights of the full
            # range overflow. Half of it gives the same masks on every processor.
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
    openvino.save_model(
        model, folder / _FORMAT.main, compress_to_fp16=precision in ("float16", "bfloat16")
    )


# What the processor computes in; it takes float32 where it cannot.
_HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "f32"}


class Runner:
    """Runs an OpenVINO model on the CPU.

    Args:
        files: Of the artifact.
        description: Of it.
        threads: int or None.
    """

    def __init__(
        self, files: Mapping[str, Path], description: Description, threads: int | None
    ) -> None:
        runtime = require_module(_FORMAT.runtime, _FORMAT.extra, "to run OpenVINO models")
        core = runtime.Core()
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        hint = _HINTS[description.precision]
        if hint in _native(core):
            settings["INFERENCE_PRECISION_HINT"] = hint
        else:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        # Both are named, so that no other file is read.
        model = core.read_model(files[_FORMAT.main], files["model.bin"])
        self._compiled = core.compile_model(model, "CPU", settings)
        # A request has one set of tensors, so each thread needs its own.
        self._own = threading.local()

    def __call__(self, frames: np.ndarray) -> Outputs:
        """Runs it; see :class:`unetv2.exporting.formats.base.Runner`."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        results = self._own.request.infer({"frames": frames})
        return Outputs(*(np.array(results[name]) for name in Outputs._fields))


def _native(core: Any) -> set[str]:
    """Returns the names of the floats that the processor has."""
    names = {"FP32": "f32", "FP16": "f16", "BF16": "bf16"}
    found = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {names[one] for one in found if one in names}
