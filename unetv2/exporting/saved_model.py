"""Writes TensorFlow's SavedModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from unetv2.exporting.graph import Graph


def write(graph: Graph, folder: Path, _: str, __: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.writing`."""
    tf.saved_model.save(graph, str(folder), signatures=graph.function)
