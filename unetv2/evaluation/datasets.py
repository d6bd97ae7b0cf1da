"""A data set's batches, measured at the network's resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.classes import ClassTable
from unetv2.data.origin import Origin, origin_of
from unetv2.evaluation.labelling import resolve_classes
from unetv2.evaluation.measuring import Picture
from unetv2.metrics.prediction import most_probable

_PLURAL = "batches of (image, mask), as `make_dataset` makes them"


class DatasetPictures:
    """The pictures of a data set with what a model says of them.

    Args:
        model: Maps images to logits.
        dataset: Batches of ``(image, mask)`` that end.
        classes: ClassTable or None. See :func:`unetv2.evaluate`.

    Attributes:
        classes: The table of the ids.
        total: int or None. How many pictures there are, if that is known.
        settings: How they are measured.

    Raises:
        TypeError: If ``dataset`` is something else.
        ValueError: If it does not end, is empty, or does not fit the model or the table.
    """

    def __init__(self, model: keras.Model, dataset: Any, classes: ClassTable | None) -> None:
        n_classes = model.output_shape[-1]
        _require_dataset(dataset)
        origin = origin_of(dataset)
        labels = None if origin is None else origin.preparation.labels
        if origin is not None:
            _require_origin(origin, n_classes)
        _require_shapes(dataset, model)
        self._model = model
        self._dataset = dataset
        self._keys = None if origin is None else origin.keys
        self.classes = resolve_classes(
            classes,
            n_classes,
            known=None if labels is None else labels.classes,
            ignore_class=None if labels is None else labels.ignore_class,
        )
        self.total = None if origin is None else origin.n_pairs
        height, width = dataset.element_spec[0].shape[1:3]
        size = "the network's resolution" if None in (height, width) else f"{height}x{width}"
        self.settings = {"resolution": f"measured at {size}, as the network sees them"}

    def __iter__(self) -> Iterator[Picture]:
        """Yields the pictures."""
        answer = _compiled(self._model)
        number = 0
        for batch, (images, masks) in enumerate(self._dataset):
            predicted, confidence = (part.numpy() for part in answer(images))
            truths = np.asarray(masks)
            truths = truths[..., 0] if truths.ndim == 4 else truths
            _require_masks(truths, predicted, batch)
            for at, image in enumerate(np.asarray(images)):
                place = f"picture {at} of batch {batch}, both counted from 0"
                name = f"#{number:07d}"
                if self._keys is not None:
                    name = self._keys[number]
                    place = f"'{name}', {place}"
                yield Picture(name, place, image, truths[at], predicted[at], confidence[at])
                number += 1


def _compiled(model: keras.Model) -> Callable[[Any], tuple[Any, Any]]:
    @tf.function(reduce_retracing=True)
    def answer(images: Any) -> tuple[Any, Any]:
        logits = tf.cast(model(images, training=False), tf.float32)
        highest = tf.reduce_max(logits, axis=-1, keepdims=True)
        # The greatest of the probabilities, without the others.
        confidence = 1 / tf.reduce_sum(tf.exp(logits - highest), axis=-1)
        return most_probable(logits), confidence

    return answer


def _require_dataset(dataset: Any) -> None:
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"`dataset` must be a tf.data.Dataset of {_PLURAL}, or two folders (image_dir, "
            f"mask_dir). Received: {type(dataset).__name__}."
        )
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`dataset` must end. Received: an endless one. Make it without repeat=True."
        )
    if cardinality == 0:
        raise ValueError("`dataset` must hold a picture. Received: an empty data set.")


def _require_origin(origin: Origin, n_classes: int) -> None:
    found = origin.preparation.labels.n_classes
    if found not in (None, n_classes):
        raise ValueError(
            "`model` must have an output for each class of the data. "
            f"Received: {n_classes} outputs, and n_classes={found} in `dataset`. "
            "Pass the model's own data, or make the data set with the other number."
        )
    if origin.augmentation is not None:
        raise ValueError(
            "`dataset` must hold pictures as they are. Received: one with augmentation. "
            "Make it without."
        )


def _require_shapes(dataset: tf.data.Dataset, model: keras.Model) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        kind = f"{len(spec)} parts" if isinstance(spec, tuple) else type(spec).__name__
        raise ValueError(f"`dataset` must hold {_PLURAL}. Received: {kind}.")
    shape, wanted = spec[0].shape, model.input_shape
    fits = shape.rank == len(wanted) == 4 and all(
        None in sides or sides[0] == sides[1]
        for sides in zip(wanted[1:], shape.as_list()[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"Images in `dataset` must have the model's shape, {wanted}. Received: {shape}. "
            "Pass that `image_size` to `make_dataset`; two folders in place of the data set are "
            "prepared as the model's record says."
        )


def _require_masks(masks: np.ndarray, predicted: np.ndarray, batch: int) -> None:
    if masks.shape != predicted.shape or not np.issubdtype(masks.dtype, np.integer):
        raise ValueError(
            "Masks in `dataset` must hold an integer id for each pixel of the prediction, "
            f"{predicted.shape}. Received: {masks.dtype} of shape {masks.shape} in batch {batch}. "
            "No one-hot vectors; nearest neighbour where masks are resized."
        )
