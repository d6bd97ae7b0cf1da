"""Holds a model against masks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.evaluation.boundaries import TOLERANCE, require_tolerance
from unetv2.evaluation.datasets import DatasetPictures
from unetv2.evaluation.measuring import measure
from unetv2.evaluation.provenance import provenance
from unetv2.evaluation.result import Evaluation
from unetv2.progress import Progress


def evaluate(
    model: keras.Model | str | os.PathLike[str],
    dataset: tf.data.Dataset,
    *,
    classes: ClassTable | None = None,
    boundary_tolerance: int | float = TOLERANCE,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Holds a model against masks.

    Args:
        model: A Keras model that maps images to logits ``(batch, height, width, n_classes)``, or
            the path of its ``.keras`` file.
        dataset: Batches of ``(image, mask)`` that end, as of :func:`unetv2.make_dataset`; they
            are measured at their own size.
        classes: ClassTable or None. Names, colours and ``ignore_class``. None takes the data's,
            or numbers the classes.
        boundary_tolerance: By how much a boundary may be off: pixels as an int, or a share of the
            picture's diagonal as a float.
        seed: int. Seed of the intervals.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        Evaluation.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If the data is empty, does not end or does not fit the model; if ``classes``
            is of another length; or if a mask holds an id that is no class.

    Example:
        >>> images, masks = unetv2.data.write_driving_scenes(
        ...     tmp / "evaluated", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, shuffle=False)
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, filters=2, depth=2)
        >>> evaluation = unetv2.evaluate(model, data, classes=unetv2.CARLA, progress=False)
        >>> evaluation.n_pictures, int(evaluation.confusion.sum())
        (4, 49152)
    """
    tolerance = require_tolerance(boundary_tolerance)
    seed = require_integer("seed", seed, 0, "It is the intervals'.")
    model, path = _opened(model)
    pictures = DatasetPictures(model, dataset, classes)
    counted = measure(
        pictures,
        n_classes=len(pictures.classes),
        ignore_class=pictures.classes.ignore_class,
        tolerance=tolerance,
        progress=Progress(pictures.total, "pictures", shown=progress),
    )
    settings = {
        "model": model.name if path is None else os.fspath(path),
        **pictures.settings,
        "boundary_tolerance": tolerance,
        "seed": seed,
        **provenance(path),
    }
    return Evaluation(classes=pictures.classes, settings=settings, **counted)


def _opened(model: Any) -> tuple[keras.Model, Path | None]:
    """Returns a model and its file, if it comes from one."""
    path = None
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        if not path.exists():
            raise FileNotFoundError(
                f"`model` must be a model or a .keras file. Received: '{path}', which does not "
                "exist. Check the path."
            )
        model = keras.saving.load_model(path, compile=False)
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or not isinstance(shape[-1], int):
        raise ValueError(
            "`model` must give logits (batch, height, width, n_classes). "
            f"Received: output of shape {shape}. `build_unetv2` builds such a model."
        )
    return model, path
