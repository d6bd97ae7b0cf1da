"""Which versions run here: results are compared by them."""

from __future__ import annotations

import platform
from importlib import metadata

import keras
import numpy as np
import tensorflow as tf


def versions() -> dict[str, str]:
    """Returns the versions of this library and of those that decide its results."""
    return {
        "unetv2": _own(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _own() -> str:
    try:
        return metadata.version("unetv2")
    # Used from its source, without being installed.
    except metadata.PackageNotFoundError:
        return "unknown"
