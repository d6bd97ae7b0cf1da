"""Losses of a batch that is spread over replicas."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from unetv2.losses import Sum
from unetv2.losses.segmentation_loss import SegmentationLoss


def pool(loss: keras.losses.Loss) -> None:
    """Has a loss take its sums over the whole batch, not over a replica's part.

    A weighted mean over pixels, or Dice, is a ratio of sums: the mean of the replicas' ratios is
    another number. What is not made of sums, such as Lovász's sorting, stays each replica's own.

    Args:
        loss: Of this library; changed in place.
    """
    if isinstance(loss, Sum):
        for part in loss.losses:
            pool(part)
    elif isinstance(loss, SegmentationLoss):
        loss.pool = _means_over_replicas


def _means_over_replicas(sums: list[Any]) -> list[Any]:
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return sums
    return list(context.all_reduce("MEAN", sums))
