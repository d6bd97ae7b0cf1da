"""Input pipelines of training and validation, for whole batches or a worker's shard."""

from __future__ import annotations

import os
from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from unetv2.data.dataset_info import info_of
from unetv2.data.pipeline import EpochCounter, PartPosition, Shard, epochs, with_prefetch
from unetv2.training.data import DataSpec, count_pairs

# Id of padding in shards if the data has no `ignore_class`. Masks in files do not contain it.
_PADDING_ID = -1


class Feed:
    """Training and validation data that depend only on the epoch and the seed.

    Args:
        train: Batches of ``(image, mask)``, finite unless there is ``spec.steps_per_epoch``.
        validation: The same for validation, or None.
        spec: The properties of the data.
        seed: int. Seed of the augmentation.
        shard: Shard. The replicas of this worker, or None for one device.

    Attributes:
        spec: DataSpec. The properties of the data.
        steps: int. Batches in an epoch.
        ignore_class: int or None. Id of pixels that losses and metrics ignore.
    """

    def __init__(
        self,
        train: tf.data.Dataset,
        validation: tf.data.Dataset | None,
        spec: DataSpec,
        *,
        seed: int,
        shard: Shard | None = None,
    ) -> None:
        if shard is not None and spec.batch_size < shard.total:
            raise ValueError(
                "`batch_size` must be at least the number of replicas. Received: batch_size="
                f"{spec.batch_size} for {shard.total} replicas. Pass a recipe with a larger "
                "`batch_size`, which is that of all workers together."
            )
        self._train = train
        self._validation = validation
        self.spec = spec
        self._seed = seed
        self._shard = shard
        self._is_stream = spec.steps_per_epoch is not None
        self.steps = -(-spec.n_pairs // spec.batch_size)
        self.ignore_class = spec.ignore_class
        if shard is not None and spec.ignore_class is None:
            self.ignore_class = _PADDING_ID
        info, other = info_of(train), info_of(validation)
        self._draws = EpochCounter()
        self._train_counter = None if info is None else info.epoch
        self._validation_counter = None if other in (None, info) else other.epoch
        # Position of the stream's iterator, in batches, after the current epoch.
        self._iterator: Any = None
        self._position = 0

    def start_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iteration."""
        self._position = (epoch + 1) * self.steps
        self._draws.next = epoch
        if self._train_counter is not None and not self._is_stream:
            self._train_counter.next = epoch
        if self._validation_counter is not None:
            # The same order and crops of validation in every epoch.
            self._validation_counter.next = 0

    def batches(
        self, scale: float = 1.0, *, epoch: int = 0, skipped: int = 0
    ) -> tuple[tf.data.Dataset, int]:
        """Returns the batches of an epoch and their number.

        Args:
            scale: float. Factor of height and width.
            epoch: int. The first epoch.
            skipped: int. Batches to skip at its start.

        Returns:
            tuple ``(dataset, steps)`` of ``(image, mask)``; with a ``shard``, of ``(image, mask,
            n_images)`` for each replica of the worker in turn, where ``n_images`` excludes padding.
        """
        steps = self.steps - skipped
        if self._shard is not None:
            return self._shards(scale, skipped, self._shard), steps
        if self._is_stream:
            dataset = self._next_of_stream(epoch * self.steps + skipped, steps)
        else:
            dataset = with_shapes(self._train)
            if self.spec.rebatched:
                dataset = dataset.rebatch(self.spec.batch_size)
            # Before the augmentation, so that skipped batches are not augmented.
            dataset = dataset.skip(skipped)
        if self.spec.augmentation is not None:
            draws = self._augmentation_draws().skip(skipped)
            dataset = tf.data.Dataset.zip((dataset, draws))
            dataset = dataset.map(self._augment, num_parallel_calls=os.cpu_count())
        if scale != 1:
            dataset = dataset.map(partial(shrink, scale=scale), num_parallel_calls=os.cpu_count())
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
        return with_prefetch(dataset), steps

    @cached_property
    def validation_batches(self) -> tuple[tf.data.Dataset, int] | None:
        """The validation data in the format of :meth:`batches`, or None."""
        dataset = self._validation
        if dataset is None:
            return None
        info = info_of(dataset)
        if self._shard is None or info is None:
            dataset = with_length(dataset)
            steps = int(dataset.cardinality())
            dataset = with_shapes(dataset)
            if self._shard is None:
                return with_prefetch(dataset), steps
            return self._pad(self._shard.parts(dataset)), steps
        shards = info.shard(info.batch_size, self._shard)
        return self._pad(shards), -(-info.n_pairs // info.batch_size)

    def _next_of_stream(self, first: int, steps: int) -> tf.data.Dataset:
        """Returns a data set whose every iteration yields the next batches of the stream."""
        if self._iterator is None or first != self._position:
            # Skips earlier batches after a rollback or a resume.
            if self._train_counter is not None:
                self._train_counter.next = 0
            self._iterator = iter(repeat(self._train, self.spec.batch_size).skip(first))
        iterator = self._iterator
        return tf.data.Dataset.range(steps).map(lambda _: next(iterator))

    def _augmentation_draws(self) -> tf.data.Dataset:
        return epochs(self.steps, seed=self._seed, shuffle=False, repeat=False, counter=self._draws)

    def _augment(
        self, batch: tuple[tf.Tensor, tf.Tensor], drawn: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        assert self.spec.augmentation is not None
        number, draw = drawn
        return self.spec.augmentation(*batch, (draw, number))

    def _shards(self, scale: float, skipped: int, shard: Shard) -> tf.data.Dataset:
        info, batch_size = info_of(self._train), self.spec.batch_size
        if info is not None:
            shards = info.shard(batch_size, shard)
        else:
            # Other data sets are read as a whole and then divided.
            dataset = with_shapes(self._train)
            shards = shard.parts(dataset.rebatch(batch_size) if self.spec.rebatched else dataset)
        skipped *= shard.replicas
        if self.spec.augmentation is not None:
            draws = self._augmentation_draws().flat_map(
                lambda *draw: tf.data.Dataset.from_tensors(draw).repeat(shard.replicas)
            )
            shards = tf.data.Dataset.zip((shards, draws)).skip(skipped)
            shards = shards.map(self._augment_shard, num_parallel_calls=os.cpu_count())
        elif skipped:
            shards = shards.skip(skipped)
        if scale != 1:
            shards = shards.map(
                lambda batch, position: (shrink(batch[0], batch[1], scale), position),
                num_parallel_calls=os.cpu_count(),
            )
        return self._pad(shards)

    def _augment_shard(
        self, shard: tuple[Any, PartPosition], drawn: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[Any, PartPosition]:
        assert self.spec.augmentation is not None
        (images, masks), position = shard
        number, draw = drawn
        return self.spec.augmentation(images, masks, (draw, number), position.first), position

    def _pad(self, shards: tf.data.Dataset) -> tf.data.Dataset:
        """Appends the number of images, and adds an ignored image to empty parts."""
        padding_id = self.ignore_class

        def pad(
            batch: tuple[tf.Tensor, tf.Tensor], position: PartPosition
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            images, masks = batch
            n_images = tf.shape(masks)[0]
            # All images of a part may have been skipped.
            missing = tf.cast(n_images == 0, tf.int32)
            paddings = [[0, missing], [0, 0], [0, 0], [0, 0]]
            images = tf.ensure_shape(tf.pad(images, paddings), images.shape)
            masks = tf.pad(masks, paddings, constant_values=padding_id)
            masks = tf.where(position.is_real, tf.ensure_shape(masks, batch[1].shape), padding_id)
            return images, masks, tf.where(position.is_real, n_images, 0)

        padded = shards.map(pad, num_parallel_calls=os.cpu_count())
        # The loop counts the steps. For infinite data, TensorFlow does not synchronize the workers
        # before each step to detect the end.
        empty = tuple(
            tf.zeros([size or 0 for size in part.shape], part.dtype) for part in padded.element_spec
        )
        return with_prefetch(padded.concatenate(tf.data.Dataset.from_tensors(empty).repeat()))


def repeat(dataset: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
    """Repeats a data set forever, in batches of one size."""
    return with_shapes(dataset).repeat().rebatch(batch_size)


def with_shapes(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Sets static ranks and channels of batches."""
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
    """Sets the cardinality of batches, as Keras warns about unexpected ends."""
    if int(dataset.cardinality()) >= 0:
        return dataset
    n_pairs, batch_size, is_regular = count_pairs("validation", dataset)
    if not is_regular:
        dataset = dataset.rebatch(batch_size)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-n_pairs // batch_size)))


def shrink(images: tf.Tensor, masks: tf.Tensor, scale: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Resizes a batch: images by area averaging, masks by the nearest pixel."""
    shape = tf.shape(images)
    # Halves are rounded to even, as in Python's `round`.
    size = tf.maximum(1, tf.cast(tf.round(tf.cast(shape[1:3], tf.float64) * scale), tf.int32))
    rows, columns = (
        ((2 * tf.range(size[axis]) + 1) * shape[axis + 1]) // (2 * size[axis]) for axis in (0, 1)
    )
    resized = tf.image.resize(images, size, method="area")
    resized = tf.ensure_shape(resized, (None, None, None, images.shape[-1]))
    return resized, tf.gather(tf.gather(masks, rows, axis=1), columns, axis=2)
