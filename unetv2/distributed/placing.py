"""A model's variables on all devices, and what each device has of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.distributed.crew import Crew
from unetv2.segmentation_model import SegmentationModel

_SEED_SHAPE = (2,)


def mirrored(model: keras.Model, crew: Crew, *, synchronize: bool) -> keras.Model:
    """Returns a model like another, with its weights on all devices of all workers.

    Args:
        model: Any functional model. The chief's weights are taken.
        crew: The workers.
        synchronize: bool. Whether batch normalization has the statistics of whole batches; those
            of a replica's own part otherwise.

    Returns:
        SegmentationModel, not compiled.
    """
    values = crew.from_chief([np.asarray(variable) for variable in model.variables])
    with crew.scope():
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


def _synchronize(thing: Any, seen: set[int]) -> None:
    """Tells the batch normalizations in a layer, and in its layers, to see whole batches."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, keras.layers.BatchNormalization):
        thing.synchronized = True
    elif isinstance(thing, keras.layers.Layer):
        for part in vars(thing).values():
            _synchronize(part, seen)
    elif isinstance(thing, list | tuple):
        for part in thing:
            _synchronize(part, seen)
    elif isinstance(thing, dict):
        for part in thing.values():
            _synchronize(part, seen)


def assign(crew: Crew, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
    """Sets variables; those that are summed over replicas when they are read, to that sum."""
    summed = []
    for variable, array in zip(variables, arrays, strict=True):
        if crew.strategy is None or variable.synchronization != "on_read":
            variable.assign(array)
        else:
            summed.append((variable, tf.constant(array, variable.dtype)))

    # TensorFlow would give each replica its share, and integers would lose the rest.
    def replica() -> None:
        context = tf.distribute.get_replica_context()
        first = tf.equal(context.replica_id_in_sync_group, 0)
        for variable, value in summed:
            variable.assign(tf.where(first, value, tf.zeros_like(value)))

    if summed:
        _compiled(crew, replica)()


def spreading_seeds(model: keras.Model, crew: Crew) -> Callable[[], Any]:
    """Returns what gives each replica dropout of its own: by the chief's seeds, and its number.

    Args:
        model: Its seeds are uint32, a seed and a count.
        crew: The workers.
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
        for seed in seeds:
            own = tf.cast(seed.value, tf.int64)
            chiefs = context.all_reduce("SUM", tf.where(first, own, tf.zeros_like(own)))
            apart = tf.stack([tf.cast(number, tf.int64), tf.zeros((), tf.int64)])
            seed.assign(tf.cast(chiefs + apart, tf.uint32))

    return _compiled(crew, replica) if seeds else _nothing


def settling(model: keras.Model, crew: Crew) -> Callable[[], Any]:
    """Returns what makes moving statistics, which each replica gathers of its own, their mean."""
    gathered = [
        variable
        for variable in model.non_trainable_variables
        if keras.backend.is_float_dtype(variable.dtype)
    ]

    def replica() -> None:
        context = tf.distribute.get_replica_context()
        # An identity lies on a device, which TensorFlow asks for; a variable's value does not.
        own = [tf.identity(variable.value) for variable in gathered]
        for variable, mean in zip(gathered, context.all_reduce("MEAN", own), strict=True):
            variable.assign(mean)

    return _compiled(crew, replica) if gathered else _nothing


def _nothing() -> None:
    pass


def _compiled(crew: Crew, replica: Callable[[], None]) -> Callable[[], Any]:
    # In a graph: one replica after the other would wait for the next one for ever.
    @tf.function(autograph=False)
    def run() -> None:
        crew.strategy.run(replica)

    return run
