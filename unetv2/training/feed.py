"""From a data set to what a stage of the training is fed with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from unetv2.data.augmentation import Augmentation
from unetv2.data.dataset_info import info_of
from unetv2.data.pipeline import EpochCounter, epochs, without_waits
from unetv2.training.data import count


@dataclass
class Feed:
    """The training data, batch by batch, the same for the same epoch and seed.

    Args:
        dataset: Batches of ``(image, mask)`` that end.
        n_pairs: int. Pairs in it.
        batch_size: int. Pairs in a batch of the training.
        rebatched: bool. Whether the data set's own batches are of another size.
        augmentation: What varies the images besides, or None.
        seed: int. Seed of the variation.
        validation: The validation data, or None. Only its epoch is set.
        streamed: bool. Whether epochs are consecutive parts of it, repeated without end, instead of
            passes over it.
    """

    dataset: tf.data.Dataset
    n_pairs: int
    batch_size: int
    rebatched: bool
    augmentation: Augmentation | None
    seed: int
    validation: tf.data.Dataset | None = None
    streamed: bool = False

    def __post_init__(self) -> None:
        """Finds what numbers the epochs."""
        origin = info_of(self.dataset)
        self._draws = EpochCounter()
        self._passes = [] if origin is None else [origin.epoch]
        # Batches of the stream before its iterator, after the epoch that has begun.
        self._stream: Any = None
        self._position = 0
        other = info_of(self.validation)
        self._fixed = None if other in (None, origin) else other.epoch

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-self.n_pairs // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Makes the next iteration that of an epoch, whatever was iterated before."""
        self._position = (epoch + 1) * self.steps
        self._draws.next = epoch
        for counter in () if self.streamed else self._passes:
            counter.next = epoch
        if self._fixed is not None:
            # The same order and crops whenever it is looked at.
            self._fixed.next = 0

    def batches(self, scale: float, skipped: int = 0, epoch: int = 0) -> tf.data.Dataset:
        """Returns the batches of an epoch.

        Args:
            scale: float. Height and width as a share of the data set's.
            skipped: int. Batches to leave out from the start.
            epoch: int. The first one that is gone through.

        Returns:
            tf.data.Dataset of ``(image, mask)``.
        """
        steps = self.steps - skipped
        if self.streamed:
            dataset = self._streamed(epoch * self.steps + skipped, steps)
        else:
            dataset = with_shapes(self.dataset)
            if self.rebatched:
                dataset = dataset.rebatch(self.batch_size)
            # Skipped before the work, not after.
            dataset = dataset.skip(skipped)
        if self.augmentation is not None:
            draws = epochs(
                self.steps, seed=self.seed, shuffle=False, repeat=False, counter=self._draws
            )
            dataset = tf.data.Dataset.zip((dataset, draws.skip(skipped)))
            dataset = dataset.map(self._varied, num_parallel_calls=os.cpu_count())
        if scale != 1:
            dataset = dataset.map(
                partial(shrunk, scale=scale),
                num_parallel_calls=os.cpu_count(),
            )
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
        return without_waits(dataset)

    def _streamed(self, first: int, steps: int) -> tf.data.Dataset:
        """Returns a data set of which each iteration takes the next batches of the stream."""
        if self._stream is None or first != self._position:
            # After a failure or in a resumed run: what was trained on before is gone through.
            for counter in self._passes:
                counter.next = 0
            self._stream = iter(stream(self.dataset, self.batch_size).skip(first))
        batches = self._stream
        return tf.data.Dataset.range(steps).map(lambda _: next(batches))

    def _varied(
        self, images: tuple[tf.Tensor, tf.Tensor], drawn: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        assert self.augmentation is not None
        number, draw = drawn
        return self.augmentation(*images, (draw, number))


def stream(dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Returns a data set again and again, in batches of one size."""
    return with_shapes(dataset).repeat().rebatch(batch_size)


def with_shapes(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches whose ranks and channels are known without looking at one."""
    if all(part.shape.rank == 4 and part.shape[-1] for part in dataset.element_spec):
        return dataset
    images, _ = next(iter(dataset))
    channels = images.shape[-1]
    return dataset.map(
        lambda image, mask: (
            tf.ensure_shape(image, (None, None, None, channels)),
            tf.ensure_shape(mask, (None, None, None, 1)),
        )
    )


def with_length(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches whose number is known: Keras warns of an end it did not expect."""
    if int(dataset.cardinality()) >= 0:
        return dataset
    n_pairs, batch_size, regular = count("validation", dataset)
    if not regular:
        dataset = dataset.rebatch(batch_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-n_pairs // batch_size)))


def scaled_size(size: int, scale: float) -> int:
    """Returns a height or width at a scale."""
    return max(1, round(size * scale))


def shrunk(images: tf.Tensor, masks: tf.Tensor, scale: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes a batch: images by their mean over areas, masks to the id in the middle."""
    shape = tf.shape(images)
    # As `scaled_size` does, halves to the even number.
    size = tf.maximum(1, tf.cast(tf.round(tf.cast(shape[1:3], tf.float64) * scale), tf.int32))
    rows, columns = (
        ((2 * tf.range(size[axis]) + 1) * shape[axis + 1]) // (2 * size[axis]) for axis in (0, 1)
    )
    shrunk = tf.image.resize(images, size, method="area")
    shrunk = tf.ensure_shape(shrunk, (None, None, None, images.shape[-1]))
    return shrunk, tf.gather(tf.gather(masks, rows, axis=1), columns, axis=2)
