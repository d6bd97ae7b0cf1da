"""TensorFlow's SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.artefacts.description import Description
from unetv2.artefacts.formats import FORMATS
from unetv2.artefacts.operations import require_harmless
from unetv2.artefacts.running import Outputs


class Runner:
    """Runs a SavedModel, after a look at what it would do.

    Args:
        files: Of the artefact.
        description: Of it.
        threads: None. TensorFlow has one number of them for the whole process.
    """

    def __init__(
        self, files: Mapping[str, Path], description: Description, threads: int | None
    ) -> None:
        if threads is not None:
            raise ValueError(
                "`threads` must be None for a SavedModel. "
                f"Received: threads={threads}. TensorFlow's are set for the whole process, by "
                "`tf.config.threading.set_intra_op_parallelism_threads` before it computes."
            )
        path = files[FORMATS["saved_model"].main]
        require_harmless(path)
        self._loaded = tf.saved_model.load(str(path.parent))
        self._function: Any = self._loaded.signatures["serving_default"]

    def __call__(self, frames: np.ndarray) -> Outputs:
        """Runs it; see :class:`unetv2.artefacts.running.Runner`."""
        results = self._function(frames=tf.constant(frames))
        return Outputs(*(results[name].numpy() for name in Outputs._fields))
