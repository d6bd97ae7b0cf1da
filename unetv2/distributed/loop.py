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

from unetv2.distributed.crew import Crew
from unetv2.distributed.placing import settling, spreading_seeds
from unetv2.distributed.signals import PreemptedError, Signals
from unetv2.distributed.steps import Steps
from unetv2.distributed.watch import Watch, told_who_is_lost


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
            losses, pictures = 0.0, 0.0
            for step in range(parts.steps):
                listed.on_train_batch_begin(step)
                loss, count, *heard = np.asarray(steps.train(iterator, signals.own())).tolist()
                signals.hear(heard)
                watch.heard()
                losses, pictures = losses + loss * count, pictures + count
                if signals.save or signals.stop:
                    settle()
                listed.on_train_batch_end(step, {"loss": losses / max(pictures, 1)})
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
    """Returns the metrics of all workers' pictures."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}
