"""Which part of each batch belongs to which replica of a training on several devices.

A batch is cut where it is still a list of numbers, so a worker reads the files of its own part
only. Whoever cuts it, the batch is the same: what is learned does not depend on how many share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf


class Place(NamedTuple):
    """Where a part lies in its batch.

    Attributes:
        first: int64 scalar. The position of its first picture.
        real: bool scalar. Whether its pictures are its own. A batch of fewer pictures than
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

        The parts of a batch differ by one picture at most.

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
