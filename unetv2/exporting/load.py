"""Loads what was exported."""

from __future__ import annotations

import functools
import importlib
import os
from pathlib import Path

from unetv2.arguments import require_integer
from unetv2.exporting.artifact import BrokenArtifactError, read
from unetv2.exporting.exported_model import ExportedModel

# Of loading what others replace meanwhile.
_ATTEMPTS = 10


def load_exported(path: str | os.PathLike[str], *, threads: int | None = None) -> ExportedModel:
    """Loads what :func:`unetv2.export` wrote.

    The runtime of its format is imported here, and no other. Nothing in an artifact is run as
    code: its files must be those that its description names, by their SHA-256; graphs that do more
    than compute are refused.

    Args:
        path: The artifact's folder, or its ``.tflite`` or ``.onnx`` file.
        threads: int, at least 1, or None. Threads of the runtime; None leaves that to it.
            TensorFlow's, for a SavedModel, are set for the whole process elsewhere.

    Returns:
        ExportedModel. Predicts as the Keras model does, whatever its format.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If it is no artifact, or a damaged one, or ``threads`` is out of its range.
        TypeError: If ``threads`` is no integer.
        ImportError: If the format's runtime is not installed.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> exported = unetv2.export(
        ...     model, tmp / "loaded", format="saved_model", verbose=False)
        >>> exported = unetv2.load_exported(tmp / "loaded")
        >>> prediction = exported.predict(np.zeros((30, 40, 3), np.uint8))
        >>> prediction.mask.shape, prediction.confidence.dtype.name
        ((30, 40), 'float32')
    """
    if threads is not None:
        threads = require_integer("threads", threads, 1, "None leaves it to the runtime.")
    left = _ATTEMPTS
    while True:
        before = _identity(path)
        left -= 1
        # Where another process puts another artifact there meanwhile, parts may be of either.
        try:
            loaded = _load(path, threads)
        except (FileNotFoundError, BrokenArtifactError):
            if left and _identity(path) != before:
                continue
            raise
        if not left or _identity(path) == before:
            return loaded


def _identity(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Returns what an artifact has alone among all that were at its path."""
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _load(path: str | os.PathLike[str], threads: int | None) -> ExportedModel:
    description, files = read(path)
    runner = importlib.import_module(f"unetv2.exporting.{description.format}").Runner
    try:
        loaded = runner(files, description, threads)
    except (BrokenArtifactError, ImportError):
        raise
    # Each runtime has errors of its own for what it cannot read.
    except Exception as error:
        if threads is not None and "`threads`" in str(error):
            raise
        raise BrokenArtifactError(path, f"its runtime says: {error}") from error
    again = functools.partial(load_exported, Path(path).resolve(), threads=threads)
    return ExportedModel(description, loaded, path, load=again)
