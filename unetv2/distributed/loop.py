"""``model.fit`` for several devices and machines.

Keras 3's own ``fit`` fails under ``MultiWorkerMirroredStrategy`` (keras issue 20585: ``PerReplica
... unsupported type``). This is that function on ``strategy.run``, with Keras's callbacks, metrics
and optimizers, and no more of it than the trainer uses. The day that ``fit`` works, `train` calls
it with `SharedFeed`'s batches instead of this, and this file and ``steps`` go; what ``fit`` does
not do itself, the sums over replicas before clipping, must have come too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.distributed.collectives import Crew, PreemptedError, Signals
from unetv2.distributed.watchdog import Watch, told_who_is_lost
from unetv2.models.segmentation_model import SegmentationModel

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


# A step of training, and one of validation, done by all replicas as if they were one.
#
# Where Keras's ``fit`` reduces the gradients after each replica has clipped its own, here they are
# summed first: clipping, moving averages and decay then see what one device would see. Everything
# else is Keras's own: the model's loss and metrics, and ``optimizer.apply``, called where
# ``tf.distribute`` updates a variable on all devices alike.

# Packs of this size are sent while the next gradients are still computed.
_BYTES_AT_ONCE = 8 << 20


class Steps:
    """The two steps of a compiled model.

    Args:
        model: Compiled within the crew's scope.
        crew: The workers.
        gradient_dtype: str. Precision in which gradients are sent and summed.

    Attributes:
        train: Takes an iterator over parts and this worker's signals ``(n,)``; returns the batch's
            loss, its number of images, and the sums of all signals, float32 ``(2 + n,)``.
        test: Takes an iterator over parts.
    """

    def __init__(self, model: keras.Model, crew: Crew, gradient_dtype: str) -> None:
        self._model = model
        self._strategy = crew.strategy
        self._gradient_dtype = gradient_dtype
        self._loss = next(metric for metric in model.metrics if metric.name == "loss")
        self._options = tf.distribute.experimental.CommunicationOptions(
            bytes_per_pack=_BYTES_AT_ONCE
        )

        @tf.function(reduce_retracing=True)
        def train(iterator: Any, own: tf.Tensor) -> tf.Tensor:
            strategy = self._strategy
            results = strategy.run(self._train_replica, args=(next(iterator), own))
            gradients, sums = strategy.experimental_local_results(results)[0]
            # Out here, where Keras takes them as summed already.
            model.optimizer.apply(gradients, model.trainable_variables)
            return sums

        @tf.function(reduce_retracing=True)
        def test(iterator: Any) -> None:
            self._strategy.run(self._test_replica, args=(next(iterator),))

        self.train = train
        self.test = test

    def _train_replica(
        self, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor], signals: tf.Tensor
    ) -> tuple[list[Any], tf.Tensor]:
        images, masks, _ = batch
        model = self._model
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = model.compute_loss(images, masks, logits, None, training=True)
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        gradients = self._summed(gradients, variables)
        return gradients, self._measured(batch, logits, loss, signals)

    def _test_replica(self, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> None:
        images, masks, _ = batch
        logits = self._model(images, training=False)
        loss = self._model.compute_loss(images, masks, logits, None, training=False)
        self._measured(batch, logits, loss, tf.zeros((0,)))

    def _summed(self, gradients: list[Any], variables: list[Any]) -> list[Any]:
        known = [number for number, one in enumerate(gradients) if one is not None]
        sent = [tf.cast(gradients[number], self._gradient_dtype) for number in known]
        context = tf.distribute.get_replica_context()
        for number, one in zip(known, context.all_reduce("SUM", sent, self._options), strict=True):
            gradients[number] = tf.cast(one, variables[number].dtype)
        return gradients

    def _measured(
        self, batch: Any, logits: tf.Tensor, loss: tf.Tensor, signals: tf.Tensor
    ) -> tf.Tensor:
        """Returns the batch's loss, its number of images, and the sums of the signals."""
        images, masks, count = batch
        own = tf.cast(count, tf.float32)
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce("SUM", tf.concat([[loss, own], signals], axis=0))
        self._loss.update_state(sums[0], sample_weight=own)
        self._model.compute_metrics(images, masks, logits, None)
        return sums


@dataclass(frozen=True)
class Parts:
    """A worker's parts of batches, as ``SharedFeed.batches`` gives them, and how many batches."""

    dataset: tf.data.Dataset
    steps: int


def fit(
    model: keras.Model,
    crew: Crew,
    parts: Parts,
    validation: Parts | None,
    *,
    initial_epoch: int,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback],
    gradient_dtype: str,
    signals: Signals,
    timeout: float,
) -> None:
    """Trains a model as ``model.fit`` does, on all devices of all workers.

    Callbacks run on each worker. In ``on_train_batch_end`` logs hold the loss alone, the mean of
    the epoch so far; the other metrics, which are sums over all workers, come with the epoch.

    Args:
        model: Compiled within the crew's scope.
        crew: The workers.
        parts: What this one trains on.
        validation: What it validates on, or None.
        initial_epoch: int. The first epoch's number.
        epochs: int. The number behind the last epoch's.
        callbacks: Keras's.
        gradient_dtype: str. Precision in which gradients are sent and summed.
        signals: What workers tell each other.
        timeout: float. Seconds without a step after which a worker ends.

    Raises:
        WorkerLostError: If a worker is gone.
        PreemptedError: If one was told to end; after ``on_train_batch_end``, which saves then.
    """
    strategy = crew.strategy
    listed = keras.callbacks.CallbackList(
        list(callbacks), model=model, verbose=0, epochs=epochs, steps=parts.steps
    )
    spread_seeds, settle = spreading_seeds(model, crew), settling(model, crew)
    steps = Steps(model, crew, gradient_dtype)
    batches = _distributed(strategy, parts)
    held_out = None if validation is None else _distributed(strategy, validation)
    model.stop_training = False
    with Watch(crew, timeout) as watch, told_who_is_lost(crew):
        listed.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            listed.on_epoch_begin(epoch)
            spread_seeds()
            iterator = iter(batches)
            losses, images = 0.0, 0.0
            for step in range(parts.steps):
                listed.on_train_batch_begin(step)
                loss, count, *heard = np.asarray(steps.train(iterator, signals.own())).tolist()
                signals.hear(heard)
                watch.heard()
                losses, images = losses + loss * count, images + count
                if signals.save or signals.stop:
                    settle()
                listed.on_train_batch_end(step, {"loss": losses / max(images, 1)})
                if signals.stop and step + 1 < parts.steps:
                    raise _preempted(epoch)
                if model.stop_training:
                    break
            settle()
            logs = _results(model)
            if validation is not None and held_out is not None:
                found = _validate(model, steps, held_out, validation.steps, listed, watch.heard)
                logs |= {f"val_{name}": value for name, value in found.items()}
            listed.on_epoch_end(epoch, logs)
            watch.heard()
            if model.stop_training:
                break
            if signals.stop and epoch + 1 < epochs:
                raise _preempted(epoch + 1)
        model.optimizer.finalize_variable_values(model.trainable_variables)
        listed.on_train_end(logs)


def _preempted(epoch: int) -> PreemptedError:
    return PreemptedError(
        "A worker was told to end (SIGTERM), so all of them do, after saving. Received: it in "
        f"epoch {epoch + 1}. Start all workers again with resume=True."
    )


def _distributed(strategy: Any, parts: Parts) -> Any:
    return strategy.distribute_datasets_from_function(lambda _: parts.dataset)


def _validate(
    model: keras.Model,
    steps: Steps,
    batches: Any,
    n_steps: int,
    callbacks: keras.callbacks.CallbackList,
    heard: Callable[[], None],
) -> dict[str, float]:
    callbacks.on_test_begin()
    model.reset_metrics()
    iterator = iter(batches)
    for step in range(n_steps):
        callbacks.on_test_batch_begin(step)
        steps.test(iterator)
        heard()
        callbacks.on_test_batch_end(step, {})
    logs = _results(model)
    callbacks.on_test_end(logs)
    return logs


def _results(model: keras.Model) -> dict[str, float]:
    """Returns the metrics of all workers' images."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}
