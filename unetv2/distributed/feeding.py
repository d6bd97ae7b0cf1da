"""What a worker's replicas are fed with: its own parts of each batch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from unetv2.data.origin import origin_of
from unetv2.data.sampling import epochs, without_waits
from unetv2.data.sharing import Place, Share
from unetv2.training.feeding import Feed, shrunk, with_length, with_shapes
from unetv2.training.inputs import Inputs

# No class has it, and no file holds it: what is lent to a replica without pictures.
_NOBODY = -1


@dataclass
class SharedFeed(Feed):
    """The parts of the training data that are this worker's.

    Args:
        share: Which these are.
        ignore_class: int. Id of pixels that do not count.
    """

    share: Share = field(default_factory=lambda: Share(0, 1, 1))
    ignore_class: int = _NOBODY

    def batches(self, scale: float, skipped: int = 0, epoch: int = 0) -> tf.data.Dataset:
        """Returns the parts of an epoch's batches.

        Args:
            scale: float. Height and width as a share of the data set's.
            skipped: int. Batches to leave out from the start.
            epoch: int. The first one that is gone through.

        Returns:
            tf.data.Dataset of ``(image, mask, count)``, a part for each replica of the worker,
            batch after batch; ``count`` is how many pictures of it are its own.
        """
        skipped *= self.share.replicas
        parts = _parts(self.dataset, self.batch_size, self.rebatched, self.share)
        if self.augmentation is not None:
            draws = epochs(
                self.steps, seed=self.seed, shuffle=False, repeat=False, counter=self._draws
            ).flat_map(lambda *draw: tf.data.Dataset.from_tensors(draw).repeat(self.share.replicas))
            parts = tf.data.Dataset.zip((parts, draws)).skip(skipped)
            parts = parts.map(self._varied_part, num_parallel_calls=os.cpu_count())
        elif skipped:
            parts = parts.skip(skipped)
        if scale != 1:
            parts = parts.map(
                lambda pictures, place: (shrunk(pictures[0], pictures[1], scale), place),
                num_parallel_calls=os.cpu_count(),
            )
        return _counted(parts, self.ignore_class)

    def _varied_part(
        self, part: tuple[Any, Place], drawn: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[Any, Place]:
        assert self.augmentation is not None
        (images, masks), place = part
        number, draw = drawn
        return self.augmentation(images, masks, (draw, number), place.first), place


def marker(inputs: Inputs) -> int:
    """Returns the id of pixels that do not count, one that nothing has where the data has none."""
    return _NOBODY if inputs.ignore_class is None else inputs.ignore_class


def shared_validation(
    validation: tf.data.Dataset, share: Share, ignore_class: int
) -> tuple[tf.data.Dataset, int]:
    """Returns a worker's parts of the validation data.

    Args:
        validation: Batches of ``(image, mask)`` that end.
        share: The worker's part.
        ignore_class: int. Id of pixels that do not count.

    Returns:
        tuple ``(parts, steps)``; parts as :meth:`SharedFeed.batches` gives them.
    """
    origin = origin_of(validation)
    if origin is not None:
        parts = _parts(validation, origin.batch_size, False, share)
        return _counted(parts, ignore_class), -(-origin.n_pairs // origin.batch_size)
    validation = with_length(validation)
    steps = int(validation.cardinality())
    return _counted(share.parts(with_shapes(validation)), ignore_class), steps


def _parts(
    dataset: tf.data.Dataset, batch_size: int, rebatched: bool, share: Share
) -> tf.data.Dataset:
    origin = origin_of(dataset)
    if origin is not None:
        return origin.share(batch_size, share)
    # Not one of ours: it is cut when it has been read.
    dataset = with_shapes(dataset)
    return share.parts(dataset.rebatch(batch_size) if rebatched else dataset)


def _counted(parts: tf.data.Dataset, ignore_class: int) -> tf.data.Dataset:
    def count(
        pictures: tuple[tf.Tensor, tf.Tensor], place: Place
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, masks = pictures
        there = tf.shape(masks)[0]
        # Where all of a part had to be skipped, one is put in its place that does not count.
        missing = tf.cast(there == 0, tf.int32)
        more = [[0, missing], [0, 0], [0, 0], [0, 0]]
        images = tf.ensure_shape(tf.pad(images, more), images.shape)
        masks = tf.ensure_shape(tf.pad(masks, more, constant_values=ignore_class), masks.shape)
        masks = tf.where(place.real, masks, ignore_class)
        return images, masks, tf.where(place.real, there, 0)

    counted = parts.map(count, num_parallel_calls=os.cpu_count())
    # Steps are counted, so that all make the same number of them. Of data that never ends
    # TensorFlow does not ask all workers before each step whether somebody's is over.
    nothing = tuple(
        tf.zeros([size or 0 for size in part.shape], part.dtype) for part in counted.element_spec
    )
    return without_waits(counted.concatenate(tf.data.Dataset.from_tensors(nothing).repeat()))
