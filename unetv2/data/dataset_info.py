"""How a ``tf.data.Dataset`` of the library was made, for training and evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from unetv2.data.augmentation import Augmentation
from unetv2.data.labels import Labels
from unetv2.data.pipeline import EpochCounter, Share
from unetv2.preprocessing import Preprocessing


@dataclass(frozen=True)
class DatasetInfo:
    """How the batches of a data set are made.

    Args:
        preprocessing: Preprocessing of the images.
        labels: Labels. The classes of the masks.
        n_pairs: int. Pairs in an epoch.
        keys: The pairs' keys in the order of the batches, or None if the order is random or pairs
            may be skipped.
        batch_size: int. Pairs in a batch.
        augmentation: Augmentation of the images, or None.
        repeat: bool. Whether one iteration never ends.
        epoch: Number of the next iteration, which decides its order and its random numbers.
        share: Returns a worker's parts of batches of a size, ``((image, mask), place)``; only the
            files of these parts are read.
        identity: Everything the batches depend on, of JSON types: equal on all machines with the
            same files and options.
    """

    preprocessing: Preprocessing
    labels: Labels
    n_pairs: int
    keys: tuple[str, ...] | None
    batch_size: int
    augmentation: Augmentation | None
    repeat: bool
    epoch: EpochCounter
    share: Callable[[int, Share], tf.data.Dataset]
    identity: Mapping[str, Any]


# Data sets of the library. An info must not refer to its data set, so that both can be deleted.
INFOS: weakref.WeakKeyDictionary[tf.data.Dataset, DatasetInfo] = weakref.WeakKeyDictionary()


def info_of(dataset: tf.data.Dataset) -> DatasetInfo | None:
    """Returns how a data set was made, or None if the library did not make it.

    It is also None for a data set that is derived from one of the library, by ``map`` or ``take``:
    number, order or content may have changed. See :func:`unetv2.preprocessing.of_dataset` for what
    is still known.
    """
    return INFOS.get(dataset) if isinstance(dataset, tf.data.Dataset) else None
