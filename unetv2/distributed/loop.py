"""``model.fit`` for several devices and machines.

Keras 3's own ``fit`` fails under ``MultiWorkerMirroredStrategy`` (keras issue 20585: ``PerReplica
... unsupported type``). This is the part of it that the trainer uses, on ``strategy.run`` and with
Keras's callbacks, metrics and optimizers. When Keras fixes ``fit``, ``DistributedBackend.fit`` can
call it instead, provided that it also sums gradients over replicas before clipping them.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.distributed.collectives import Collectives
from unetv2.distributed.replication import make_seed_setter, make_statistics_averager
from unetv2.distributed.watchdog import Watchdog, report_lost_workers

_STOP, _SAVE = range(2)
# Gradients are sent in packs of this size while further gradients are computed.
_BYTES_AT_ONCE = 8 << 20


class PreemptedError(RuntimeError):
    """A worker received SIGTERM; all workers saved a checkpoint and stopped.

    Args:
        message: str. The epoch, and what to do.

    Example:
        >>> issubclass(unetv2.distributed.PreemptedError, RuntimeError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Signals:
    """Flags for stopping and saving, which are summed over the workers with each step.

    A worker that receives SIGTERM sets the flag for stopping, so that all workers save and stop
    after the same step. The flag for saving is set by the chief.

    Args:
        is_chief: bool. Whether this worker decides when to save.
        checkpoint_seconds: float. Longest time between two checkpoints.

    Attributes:
        stop: bool. Whether a worker received SIGTERM.
        save: bool. Whether a checkpoint is due.
    """

    def __init__(self, *, is_chief: bool, checkpoint_seconds: float) -> None:
        self._is_chief = is_chief
        self._checkpoint_seconds = checkpoint_seconds
        self._saved = time.monotonic()
        self._terminated = threading.Event()
        self._previous: Any = None
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        self.stop = self.save = False

    def __enter__(self) -> Signals:
        """Handles SIGTERM."""
        if self._in_main_thread:
            self._previous = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the handler of SIGTERM."""
        if self._in_main_thread:
            # None is a handler that was not set by Python, such as TensorFlow's.
            signal.signal(signal.SIGTERM, self._previous or signal.SIG_DFL)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._terminated.set()

    def local(self) -> np.ndarray:
        """Returns this worker's flags, to be summed with the next step."""
        due = self._is_chief and time.monotonic() - self._saved >= self._checkpoint_seconds
        flags = np.zeros(2, np.float32)
        flags[_STOP], flags[_SAVE] = self._terminated.is_set(), due
        return flags

    def update(self, sums: Sequence[float]) -> None:
        """Sets ``stop`` and ``save`` from the sums of all workers' flags."""
        self.stop, self.save = sums[_STOP] > 0, sums[_SAVE] > 0
        if self.save:
            self._saved = time.monotonic()


class Steps:
    """The training and validation steps of a compiled model, over all replicas.

    Keras's ``fit`` sums gradients after each replica has clipped its own. Here they are summed
    first, so that clipping, moving averages and weight decay are the same as on one device.

    Args:
        model: Compiled within the strategy's scope.
        strategy: The ``tf.distribute.Strategy``.
        gradient_dtype: str. Precision in which gradients are sent and summed.

    Attributes:
        train: Takes an iterator over ``(images, masks, n_images)`` and this worker's flags
            ``(n,)``; returns the batch's loss, its number of images, and the sums of the flags,
            float32 ``(2 + n,)``.
        test: Takes an iterator.
    """

    def __init__(self, model: keras.Model, strategy: Any, gradient_dtype: str) -> None:
        self._model = model
        self._gradient_dtype = gradient_dtype
        self._loss = next(metric for metric in model.metrics if metric.name == "loss")
        self._options = tf.distribute.experimental.CommunicationOptions(
            bytes_per_pack=_BYTES_AT_ONCE
        )

        @tf.function(reduce_retracing=True)
        def train(iterator: Any, flags: tf.Tensor) -> tf.Tensor:
            results = strategy.run(self._train_replica, args=(next(iterator), flags))
            gradients, sums = strategy.experimental_local_results(results)[0]
            # Outside of `run`, where Keras expects summed gradients.
            model.optimizer.apply(gradients, model.trainable_variables)
            return sums

        @tf.function(reduce_retracing=True)
        def test(iterator: Any) -> None:
            strategy.run(self._test_replica, args=(next(iterator),))

        self.train = train
        self.test = test

    def _train_replica(
        self, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor], flags: tf.Tensor
    ) -> tuple[list[Any], tf.Tensor]:
        images, masks, _ = batch
        model = self._model
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = model.compute_loss(images, masks, logits, None, training=True)
            scaled = model.optimizer.scale_loss(loss)
        gradients = self._sum_gradients(tape.gradient(scaled, variables), variables)
        return gradients, self._update_metrics(batch, logits, loss, flags)

    def _test_replica(self, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> None:
        images, masks, _ = batch
        logits = self._model(images, training=False)
        loss = self._model.compute_loss(images, masks, logits, None, training=False)
        self._update_metrics(batch, logits, loss, tf.zeros((0,)))

    def _sum_gradients(self, gradients: list[Any], variables: list[Any]) -> list[Any]:
        indices = [index for index, gradient in enumerate(gradients) if gradient is not None]
        sent = [tf.cast(gradients[index], self._gradient_dtype) for index in indices]
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce("SUM", sent, self._options)
        for index, total in zip(indices, sums, strict=True):
            gradients[index] = tf.cast(total, variables[index].dtype)
        return gradients

    def _update_metrics(
        self, batch: Any, logits: tf.Tensor, loss: tf.Tensor, flags: tf.Tensor
    ) -> tf.Tensor:
        """Returns the batch's loss, its number of images, and the sums of the flags."""
        images, masks, n_images = batch
        n_images = tf.cast(n_images, tf.float32)
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce("SUM", tf.concat([[loss, n_images], flags], axis=0))
        self._loss.update_state(sums[0], sample_weight=n_images)
        self._model.compute_metrics(images, masks, logits, None)
        return sums


class Loop:
    """Trains a compiled model on all devices of all workers, as ``model.fit`` does.

    Args:
        model: Compiled within the strategy's scope.
        collectives: The workers.
        signals: The flags of this worker.
        gradient_dtype: str. Precision in which gradients are sent and summed.
        timeout: float. Seconds without a step after which a worker exits.
    """

    def __init__(
        self,
        model: keras.Model,
        collectives: Collectives,
        signals: Signals,
        *,
        gradient_dtype: str,
        timeout: float,
    ) -> None:
        self._model = model
        self._collectives = collectives
        self._signals = signals
        self._timeout = timeout
        self._steps = Steps(model, collectives.strategy, gradient_dtype)
        self._set_seeds = make_seed_setter(model, collectives)
        self._average_statistics = make_statistics_averager(model, collectives)

    def fit(
        self,
        train: tuple[tf.data.Dataset, int],
        validation: tuple[tf.data.Dataset, int] | None,
        *,
        epochs: range,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Trains the model for some epochs.

        Callbacks run on each worker. The logs of ``on_train_batch_end`` contain only the running
        mean of the loss; those of ``on_epoch_end`` contain all metrics.

        Args:
            train: This worker's parts of the batches, and the number of batches per epoch.
            validation: The same for the validation data, or None.
            epochs: range. Numbers of the epochs.
            callbacks: Keras callbacks.

        Raises:
            WorkerLostError: If a worker is lost.
            PreemptedError: If a worker received SIGTERM, after ``on_train_batch_end`` has saved a
                checkpoint.
        """
        model, signals = self._model, self._signals
        batches, n_steps = self._distribute(train[0]), train[1]
        val_batches = (
            None if validation is None else (self._distribute(validation[0]), validation[1])
        )
        callback_list = keras.callbacks.CallbackList(
            list(callbacks), model=model, verbose=0, epochs=epochs.stop, steps=n_steps
        )
        model.stop_training = False
        with (
            Watchdog(self._collectives, self._timeout) as watchdog,
            report_lost_workers(self._collectives),
        ):
            callback_list.on_train_begin()
            logs: dict[str, float] = {}
            for epoch in epochs:
                model.reset_metrics()
                callback_list.on_epoch_begin(epoch)
                self._set_seeds()
                self._train_epoch(iter(batches), n_steps, epoch, callback_list, watchdog)
                self._average_statistics()
                logs = self._results()
                if val_batches is not None:
                    scores = self._validate(
                        iter(val_batches[0]), val_batches[1], callback_list, watchdog
                    )
                    logs |= {f"val_{name}": value for name, value in scores.items()}
                callback_list.on_epoch_end(epoch, logs)
                watchdog.reset()
                if model.stop_training:
                    break
                if signals.stop and epoch + 1 < epochs.stop:
                    raise _preempted(epoch + 1)
            model.optimizer.finalize_variable_values(model.trainable_variables)
            callback_list.on_train_end(logs)

    def _train_epoch(
        self,
        iterator: Any,
        n_steps: int,
        epoch: int,
        callback_list: keras.callbacks.CallbackList,
        watchdog: Watchdog,
    ) -> None:
        signals = self._signals
        loss_sum, n_images = 0.0, 0.0
        for step in range(n_steps):
            callback_list.on_train_batch_begin(step)
            sums = self._steps.train(iterator, signals.local())
            loss, count, *flags = np.asarray(sums).tolist()
            signals.update(flags)
            watchdog.reset()
            loss_sum, n_images = loss_sum + loss * count, n_images + count
            if signals.save or signals.stop:
                self._average_statistics()
            callback_list.on_train_batch_end(step, {"loss": loss_sum / max(n_images, 1)})
            if signals.stop and step + 1 < n_steps:
                raise _preempted(epoch)
            if self._model.stop_training:
                break

    def _validate(
        self,
        iterator: Any,
        n_steps: int,
        callback_list: keras.callbacks.CallbackList,
        watchdog: Watchdog,
    ) -> dict[str, float]:
        callback_list.on_test_begin()
        self._model.reset_metrics()
        for step in range(n_steps):
            callback_list.on_test_batch_begin(step)
            self._steps.test(iterator)
            watchdog.reset()
            callback_list.on_test_batch_end(step, {})
        logs = self._results()
        callback_list.on_test_end(logs)
        return logs

    def _distribute(self, dataset: tf.data.Dataset) -> Any:
        return self._collectives.strategy.distribute_datasets_from_function(lambda _: dataset)

    def _results(self) -> dict[str, float]:
        """Returns the metrics of all workers."""
        return {name: float(value) for name, value in self._model.get_metrics_result().items()}


def _preempted(epoch: int) -> PreemptedError:
    return PreemptedError(
        "All workers must run until the training ends. Received: SIGTERM on a worker, in epoch "
        f"{epoch + 1}. A checkpoint was saved; start all workers again with resume=True."
    )
