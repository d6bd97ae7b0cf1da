"""Which pair comes when, and which part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.data.shutdown import call_python, owned

_BATCHES_AHEAD = 2


class EpochCounter:
    """Numbers the iterations over a data set.

    Attributes:
        next: int. Number of the next one; set it to go on where an earlier process stopped.
    """

    def __init__(self) -> None:
        self.next = 0

    def take(self) -> int:
        """Returns the number of an iteration that begins."""
        number = self.next
        self.next += 1
        return number


@dataclass(frozen=True)
class _Orders:
    """Draws the orders of epochs, one after the other."""

    n: int
    seed: int
    shuffle: bool
    counter: EpochCounter

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the next epoch's order and draws."""
        rng = np.random.default_rng([self.seed, self.counter.take()])
        order = rng.permutation(self.n) if self.shuffle else np.arange(self.n)
        return order, rng.integers(0, 2**31, self.n)


def epochs(
    n: int, *, seed: int, shuffle: bool, repeat: bool, counter: EpochCounter | None = None
) -> tf.data.Dataset:
    """Yields the numbers 0 .. n - 1, each with a draw of its own for what is random about it.

    Both follow from ``seed`` and the number of the epoch alone: TensorFlow's own shuffle depends
    on its global seed too. Every iteration over the data set is an epoch.

    Args:
        n: int. How many.
        seed: int. Another seed, other orders and draws.
        shuffle: bool. Whether every epoch has an order of its own.
        repeat: bool. Whether one iteration goes on for ever, epoch after epoch.
        counter: Tells which epoch begins; None counts from 0.

    Returns:
        tf.data.Dataset of ``(number, draw)``, int64 scalars; draws lie in [0, 2**31).
    """
    drawn = _Orders(n, seed, shuffle, EpochCounter() if counter is None else counter)

    def columns(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        order, draws = call_python(drawn.take, [], [tf.int64, tf.int64])
        return tf.ensure_shape(order, (n,)), tf.ensure_shape(draws, (n,))

    # Not `from_generator`: under Python 3.11 it has the whole process return every large block
    # of memory at once, which makes the reading of images slower by a fifth.
    order = owned(tf.data.Dataset.range(1).map(columns), drawn)
    cardinality = n
    if repeat:
        order, cardinality = order.repeat(), tf.data.INFINITE_CARDINALITY
    numbered = order.flat_map(
        lambda numbers, draws: tf.data.Dataset.from_tensor_slices((numbers, draws))
    )
    return numbered.apply(tf.data.experimental.assert_cardinality(cardinality))


def without_waits(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns a data set that reads ahead, and whose iterators end at once.

    TensorFlow's tuning of parallelism sleeps between its rounds, and an iterator that ends waits
    for it: up to seconds after each epoch. What it would tune has fixed numbers here.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(_BATCHES_AHEAD).with_options(options)


def random_crop(
    image: np.ndarray,
    mask: np.ndarray,
    size: tuple[int, int],
    *,
    draw: int,
    balanced: bool,
    ignore_class: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts the same random part out of an image and its mask.

    Args:
        image: ``(height, width, channels)``, at least as large as ``size``.
        mask: ids ``(height, width, 1)``.
        size: ``(height, width)`` of the crop.
        draw: int. Decides which part; the same draw, the same part.
        balanced: bool. Whether to draw a class first, each of the image's with the same
            chance, and then a part that holds a pixel of it: rare classes come as often as
            frequent ones.
        ignore_class: int or None. No class to draw.

    Returns:
        tuple ``(image, mask)`` of ``size``.
    """
    rng = np.random.default_rng(draw)
    limits = [have - want for have, want in zip(mask.shape[:2], size, strict=True)]
    lowest, highest = [0, 0], limits
    classes = np.unique(mask)
    classes = classes[classes != ignore_class] if ignore_class is not None else classes
    if balanced and len(classes):
        pixels = np.flatnonzero(mask[..., 0] == rng.choice(classes))
        pixel = divmod(int(rng.choice(pixels)), mask.shape[1])
        lowest = [max(0, at - want + 1) for at, want in zip(pixel, size, strict=True)]
        highest = [min(limit, at) for limit, at in zip(limits, pixel, strict=True)]
    row, column = (
        int(rng.integers(low, high + 1)) for low, high in zip(lowest, highest, strict=True)
    )
    window = (slice(row, row + size[0]), slice(column, column + size[1]))
    return image[window], mask[window]


# Which part of each batch belongs to which replica of a training on several devices.
#
# A batch is cut where it is still a list of numbers, so a worker reads the files of its own part
# only. The batch is the same on any number of workers.


class Place(NamedTuple):
    """Where a part lies in its batch.

    Attributes:
        first: int64 scalar. The position of its first image.
        real: bool scalar. Whether its images are its own. A batch of fewer images than
            replicas lends one to those that would go empty: no replica may be left out of a step,
            as the others would wait for it.
    """

    first: tf.Tensor
    real: tf.Tensor


@dataclass(frozen=True)
class Share:
    """The replicas of one worker among those of all.

    Args:
        first: int. The number of the worker's first replica.
        replicas: int. How many it has.
        total: int. How many all workers have.

    Raises:
        ValueError: If the worker has replicas that the whole has not.

    Example:
        >>> batches = tf.data.Dataset.range(5).batch(4)
        >>> parts = Share(first=1, replicas=1, total=2).parts(batches)
        >>> [(part.numpy().tolist(), bool(place.real)) for part, place in parts]
        [([2, 3], True), ([4], True)]
    """

    first: int
    replicas: int
    total: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 0 <= self.first < self.first + self.replicas <= self.total:
            raise ValueError(
                "A worker's replicas must be some of all. Received: "
                f"{self.replicas} from number {self.first} on, of {self.total}."
            )

    def parts(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Cuts batches into what each own replica gets, one after the other.

        The parts of a batch differ by one image at most.

        Args:
            batches: Of any tensors that have the batch as their first axis.

        Returns:
            tf.data.Dataset of ``(part, place)``, ``replicas`` of them for each batch.
        """

        def cut(*batch: Any) -> tf.data.Dataset:
            own = tf.data.Dataset.range(self.first, self.first + self.replicas)
            return own.map(lambda replica: self._part(batch, replica))

        return batches.flat_map(cut)

    def _part(self, batch: tuple[Any, ...], replica: tf.Tensor) -> tuple[Any, Place]:
        size = tf.shape(batch[0], tf.int64)[0]
        first, end = (size * number // self.total for number in (replica, replica + 1))
        real = end > first
        rows = slice(first, tf.maximum(end, first + 1))
        part = tuple(tensor[rows] for tensor in batch)
        return part if len(part) > 1 else part[0], Place(first, real)
