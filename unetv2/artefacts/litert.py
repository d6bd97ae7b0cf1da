"""LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unetv2.artefacts.description import Description
from unetv2.artefacts.formats import FORMATS, require_module
from unetv2.artefacts.running import Outputs
from unetv2.artefacts.storage import network_of

_FORMAT = FORMATS["litert"]


class Runner:
    """Runs a ``.tflite`` file, frame by frame.

    By ``ai_edge_litert``, the runtime that follows ``tf.lite.Interpreter``, which is deprecated. It
    has none of TensorFlow's own operations either, so that a model cannot touch files.

    Args:
        files: Of the artefact.
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
        """Runs it; see :class:`unetv2.artefacts.running.Runner`."""
        answers = []
        for at in range(len(frames)):
            # Frame by frame, so that threads take turns. The outputs are copies.
            with self._lock:
                answers.append(self._run(frames=frames[at : at + 1]))
        return Outputs(
            *(np.concatenate([one[name] for one in answers]) for name in Outputs._fields)
        )
