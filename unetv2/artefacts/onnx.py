"""ONNX, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unetv2.artefacts.description import Description
from unetv2.artefacts.formats import FORMATS, require_module
from unetv2.artefacts.running import Outputs
from unetv2.artefacts.storage import network_of

_FORMAT = FORMATS["onnx"]
_ERRORS_ONLY = 3


class Runner:
    """Runs an ``.onnx`` file on the CPU.

    Args:
        files: Of the artefact.
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
        """Runs it; see :class:`unetv2.artefacts.running.Runner`."""
        return Outputs(*self._session.run(list(Outputs._fields), {"frames": frames}))
