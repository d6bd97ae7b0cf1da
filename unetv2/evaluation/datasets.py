"""A data set's batches, measured at the network's resolution."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.classes import ClassTable
from unetv2.data.origin import Origin, origin_of
from unetv2.evaluation.labelling import resolve_classes
from unetv2.evaluation.measuring import Case
from unetv2.evaluation.models import Answers

_PLURAL = "batches of (image, mask), as `make_dataset` makes them"


class DatasetPictures:
    """The pictures of a data set with what a model says of them.

    Args:
        answers: The model.
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

    def __init__(self, answers: Answers, dataset: Any, classes: ClassTable | None) -> None:
        _require_dataset(dataset)
        origin = origin_of(dataset)
        if origin is not None:
            _require_origin(origin, answers.n_classes)
        _require_shapes(dataset, answers.input_shape)
        if origin is not None:
            answers.require_range(origin.preprocessing.value_range)
        self._answers = answers
        self._dataset = dataset
        self._keys = None if origin is None else origin.keys
        labels = None if origin is None else origin.preparation.labels
        self.classes = resolve_classes(classes, answers, labels=labels, ignore_class=None)
        self.total = None if origin is None else origin.n_pairs
        height, width = dataset.element_spec[0].shape[1:3]
        size = "the network's resolution" if None in (height, width) else f"{height}x{width}"
        self.settings = {"resolution": f"measured at {size}, as the network sees them"}

    def __iter__(self) -> Iterator[Case]:
        """Yields the pictures."""
        number = 0
        for batch, (images, masks) in enumerate(self._dataset):
            pixels, truths = np.asarray(images), np.asarray(masks)
            _require_masks(truths, pixels, batch)
            ids = truths.reshape(pixels.shape[:3])
            for at, answer in enumerate(self._answers.to_batch(images)):
                place = f"picture {at} of batch {batch}, both counted from 0"
                name = f"#{number:07d}"
                if self._keys is not None:
                    name = self._keys[number]
                    place = f"'{name}', {place}"
                # Called by other threads, later.
                image, truth = partial(pixels.__getitem__, at), partial(ids.__getitem__, at)
                yield Case(name, place, image, truth, answer)
                number += 1


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


def _require_shapes(dataset: tf.data.Dataset, wanted: tuple[int | None, ...]) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        kind = f"{len(spec)} parts" if isinstance(spec, tuple) else type(spec).__name__
        raise ValueError(f"`dataset` must hold {_PLURAL}. Received: {kind}.")
    shape = spec[0].shape
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


def _require_masks(masks: np.ndarray, images: np.ndarray, batch: int) -> None:
    sizes = images.shape[:3], (*images.shape[:3], 1)
    if masks.shape not in sizes or not np.issubdtype(masks.dtype, np.integer):
        raise ValueError(
            f"Masks in `dataset` must hold an integer id for each pixel, {sizes[1]}. "
            f"Received: {masks.dtype} of shape {masks.shape} in batch {batch}. "
            "No one-hot vectors; nearest neighbour where masks are resized."
        )
