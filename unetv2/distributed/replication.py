"""Replication of a model on several devices, with the same results as on one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.distributed.collectives import Collectives
from unetv2.losses import Sum
from unetv2.losses.base import SegmentationLoss
from unetv2.models.segmentation_model import SegmentationModel

_SEED_SHAPE = (2,)


def replicate(model: keras.Model, collectives: Collectives, *, synchronize: bool) -> keras.Model:
    """Returns a copy of a model with the chief's weights, mirrored on all devices.

    Args:
        model: A functional model.
        collectives: Collectives. Communication of the workers.
        synchronize: bool. Whether batch normalization computes statistics of the whole batch
            instead of each replica's part.

    Returns:
        SegmentationModel, not compiled.
    """
    values = collectives.broadcast([np.asarray(variable) for variable in model.variables])
    with collectives.strategy.scope():
        copy = keras.models.clone_model(model)
    copy = SegmentationModel(
        copy.inputs[0], copy.outputs[0], name=model.name,
        preprocessing=getattr(model, "preprocessing", None),
    )  # fmt: skip
    copy.dtype_policy = model.dtype_policy
    if synchronize:
        _synchronize(copy, set())
    for variable, value in zip(copy.variables, values, strict=True):
        variable.assign(value)
    return copy


def _synchronize(item: Any, visited: set[int]) -> None:
    """Synchronizes the batch normalizations of a layer and, recursively, of its sublayers."""
    if id(item) in visited:
        return
    visited.add(id(item))
    if isinstance(item, keras.layers.BatchNormalization):
        item.synchronized = True
        return
    if isinstance(item, keras.layers.Layer):
        item = vars(item)
    if isinstance(item, dict):
        item = list(item.values())
    if isinstance(item, list | tuple):
        for part in item:
            _synchronize(part, visited)


def pool(loss: keras.losses.Loss) -> None:
    """Makes a loss compute its sums over the whole batch instead of a replica's part.

    A weighted mean over pixels, or Dice, is a ratio of sums, which differs from the mean of the
    replicas' ratios. Losses without sums, such as the sorting of Lovász, stay per replica.

    Args:
        loss: A loss of this library; changed in place.
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


def assign(
    collectives: Collectives, variables: Sequence[Any], arrays: Sequence[np.ndarray]
) -> None:
    """Assigns arrays to variables, also to those that are summed over replicas on read."""
    summed = []
    for variable, array in zip(variables, arrays, strict=True):
        if variable.synchronization == "on_read":
            summed.append((variable, tf.constant(array, variable.dtype)))
        else:
            variable.assign(array)

    # TensorFlow would divide the value by the number of replicas, which rounds integers.
    def replica() -> None:
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group, 0)
        for variable, value in summed:
            variable.assign(tf.where(first, value, tf.zeros_like(value)))

    if summed:
        _in_graph(collectives, replica)()


def make_seed_setter(model: keras.Model, collectives: Collectives) -> Callable[[], Any]:
    """Returns a function that sets each replica's seeds to the chief's plus the replica's id.

    Args:
        model: A Keras model. Its seeds are pairs of a seed and a counter, uint32.
        collectives: Collectives. Communication of the workers.
    """
    seeds = [
        variable
        for variable in model.non_trainable_variables
        if variable.dtype == "uint32" and tuple(variable.shape) == _SEED_SHAPE
    ]

    def replica() -> None:
        context = tf.distribute.get_replica_context()
        number = context.replica_id_in_sync_group
        first = tf.equal(number, 0)
        offset = tf.stack([tf.cast(number, tf.int64), tf.zeros((), tf.int64)])
        for seed in seeds:
            value = tf.cast(seed.value, tf.int64)
            chief_value = context.all_reduce("SUM", tf.where(first, value, tf.zeros_like(value)))
            seed.assign(tf.cast(chief_value + offset, tf.uint32))

    return _in_graph(collectives, replica) if seeds else _do_nothing


def make_statistics_averager(model: keras.Model, collectives: Collectives) -> Callable[[], Any]:
    """Returns a function that averages moving statistics over the replicas."""
    statistics = [
        variable
        for variable in model.non_trainable_variables
        if keras.backend.is_float_dtype(variable.dtype)
    ]

    def replica() -> None:
        context = tf.distribute.get_replica_context()
        # A variable's value has no device, which TensorFlow needs here; an identity has one.
        values = [tf.identity(variable.value) for variable in statistics]
        for variable, mean in zip(statistics, context.all_reduce("MEAN", values), strict=True):
            variable.assign(mean)

    return _in_graph(collectives, replica) if statistics else _do_nothing


def _do_nothing() -> None:
    pass


def _in_graph(collectives: Collectives, replica: Callable[[], None]) -> Callable[[], Any]:
    # Eagerly, the first replica would wait forever for the second.
    @tf.function(autograph=False)
    def run() -> None:
        collectives.strategy.run(replica)

    return run
