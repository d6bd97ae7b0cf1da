"""OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.artefacts.description import Description
from unetv2.artefacts.formats import FORMATS, require_module
from unetv2.artefacts.running import Outputs

_FORMAT = FORMATS["openvino"]
# What the processor computes in; it takes float32 where it cannot.
_HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "f32"}


class Runner:
    """Runs an OpenVINO model on the CPU.

    Args:
        files: Of the artefact.
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
        """Runs it; see :class:`unetv2.artefacts.running.Runner`."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        results = self._own.request.infer({"frames": frames})
        return Outputs(*(np.array(results[name]) for name in Outputs._fields))


def _native(core: Any) -> set[str]:
    """Returns the names of the floats that the processor has."""
    names = {"FP32": "f32", "FP16": "f16", "BF16": "bf16"}
    found = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return {names[one] for one in found if one in names}
