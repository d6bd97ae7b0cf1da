"""Properties of the data sets that the library creates, for training and evaluation."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from unetv2.data.augmentation import Augmentation
from unetv2.data.labels import Labels
from unetv2.data.pipeline import EpochCounter, Shard
from unetv2.preprocessing import Preprocessing


@dataclass(frozen=True)
class DatasetInfo:
    """Properties of the batches of a data set.

    Args:
        preprocessing: Preprocessing of the images.
        labels: Labels. The classes of the masks.
        n_pairs: int. Pairs in an epoch.
        keys: The pairs' keys in the order of the batches, or None if the order is random or pairs
            may be skipped.
        batch_size: int. Pairs in a batch.
        augmentation: Augmentation of the images, or None.
        repeat: bool. Whether one iteration never ends.
        epoch: Counter of the iterations; its value determines the order and the random numbers.
        shard: Maps a batch size and a worker's shard to the parts ``((image, mask), position)`` of
            its replicas; only the files of these parts are read.
        identity: JSON-serializable description of all that determines the batches, equal on all
            machines with the same files and options.
    """

    preprocessing: Preprocessing
    labels: Labels
    n_pairs: int
    keys: tuple[str, ...] | None
    batch_size: int
    augmentation: Augmentation | None
    repeat: bool
    epoch: EpochCounter
    shard: Callable[[int, Shard], tf.data.Dataset]
    identity: Mapping[str, Any]


# An info must not reference its data set, so that both can be deleted.
INFOS: weakref.WeakKeyDictionary[tf.data.Dataset, DatasetInfo] = weakref.WeakKeyDictionary()


def info_of(dataset: tf.data.Dataset) -> DatasetInfo | None:
    """Returns the properties of a data set, or None if the library did not create it.

    They are unknown for a data set that was derived by ``map`` or ``take``, which may change
    number, order and content; :func:`unetv2.preprocessing.of_dataset` returns its preprocessing.
    """
    return INFOS.get(dataset) if isinstance(dataset, tf.data.Dataset) else None
