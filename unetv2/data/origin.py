"""What a data set knows of itself, for those who train on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from unetv2.augmentation import Augmentation
from unetv2.data.reading import Preparation
from unetv2.data.sampling import EpochCounter
from unetv2.data.sharing import Share

_ATTRIBUTE = "_unetv2_origin"


@dataclass(frozen=True)
class Origin:
    """Where the batches of a data set come from.

    Args:
        preparation: How its pictures are prepared, and what its masks hold.
        n_pairs: int. Pairs in an epoch.
        batch_size: int. Pairs in a batch.
        augmentation: What varies them, or None.
        repeat: bool. Whether one iteration goes on for ever.
        epoch: The number of the next iteration, which decides its order and its draws.
        share: Returns a worker's parts of batches of a size, ``((image, mask), place)``, for which
            only its own files are read.
    """

    preparation: Preparation
    n_pairs: int
    batch_size: int
    augmentation: Augmentation | None
    repeat: bool
    epoch: EpochCounter
    share: Callable[[int, Share], tf.data.Dataset]


def remember(dataset: tf.data.Dataset, origin: Origin) -> tf.data.Dataset:
    """Returns the data set, which now knows its origin; what is made of it does not."""
    setattr(dataset, _ATTRIBUTE, origin)
    return dataset


def origin_of(dataset: tf.data.Dataset) -> Origin | None:
    """Returns the origin of a data set of ``make_dataset``, or None."""
    return getattr(dataset, _ATTRIBUTE, None)
