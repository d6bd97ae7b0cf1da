"""What a data set knows of itself, for those who train on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import tensorflow as tf

from unetv2.data.augmentation import Augmentation
from unetv2.data.pairs import Pair
from unetv2.data.preprocess import Preparation
from unetv2.data.sampling import EpochCounter, Share
from unetv2.preprocessing import ORIGIN, Preprocessing

_SIZES_ASKED = 1000


@dataclass(frozen=True)
class Origin:
    """Where the batches of a data set come from.

    Args:
        preparation: How its images are prepared, and what its masks hold.
        crop_size: ``(height, width)`` of the parts that are cut out of them, or None.
        n_pairs: int. Pairs in an epoch.
        keys: The pairs' keys in the order in which they come, or None where it is another one
            in each epoch or some may be left out.
        batch_size: int. Pairs in a batch.
        augmentation: What varies them, or None.
        repeat: bool. Whether one iteration goes on for ever.
        epoch: The number of the next iteration, which decides its order and its draws.
        share: Returns a worker's parts of batches of a size, ``((image, mask), place)``, for which
            only its own files are read.
        image_suffix: str. What the images' names end with.
        mask_suffix: str. What the masks' names end with.
        identity: What it was made of, of types that JSON knows: the same on all machines that
            have the same files and ask for the same of them.
    """

    preparation: Preparation
    crop_size: tuple[int, int] | None
    n_pairs: int
    keys: tuple[str, ...] | None
    batch_size: int
    augmentation: Augmentation | None
    repeat: bool
    epoch: EpochCounter
    share: Callable[[int, Share], tf.data.Dataset]
    image_suffix: str
    mask_suffix: str
    identity: Mapping[str, Any]

    @property
    def preprocessing(self) -> Preprocessing:
        """What of it a model must know to predict, and to be evaluated."""
        preparation = self.preparation
        labels = preparation.labels
        # An empty map is told where a table has another one, which would be taken in its place.
        mapped = labels.label_map or (labels.classes is not None and labels.classes.label_map)
        return Preprocessing(
            image_size=preparation.image_size,
            resize=preparation.resize,
            interpolation=preparation.interpolation,
            channels=preparation.channels,
            crop_size=self.crop_size,
            ignore_class=labels.ignore_class,
            classes=labels.classes,
            encoding=labels.encoding,
            label_map=labels.label_map if mapped else None,
            image_suffix=self.image_suffix,
            mask_suffix=self.mask_suffix,
        )


def digest(pairs: Sequence[Pair]) -> str:
    """Returns a hash of the pairs' keys and of some files' sizes, wherever the folders lie."""
    found = blake2b(digest_size=8)
    for number, pair in enumerate(pairs):
        found.update(pair.key.encode("utf-8", "surrogateescape") + b"\0")
        # Asking for each of a million may take minutes on a shared disk.
        if number < _SIZES_ASKED:
            sizes = [os.stat(path).st_size for path in (pair.image, pair.mask)]
            found.update(repr(sizes).encode())
    return found.hexdigest()


def remember(dataset: tf.data.Dataset, origin: Origin) -> tf.data.Dataset:
    """Returns the data set, which now knows its origin; what is made of it does not."""
    setattr(dataset, ORIGIN, origin)
    return dataset


def origin_of(dataset: tf.data.Dataset) -> Origin | None:
    """Returns the origin of a data set of ``make_dataset``, or None."""
    return getattr(dataset, ORIGIN, None)
