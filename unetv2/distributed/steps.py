"""A step of training, and one of validation, done by all replicas as if they were one.

Where Keras's ``fit`` reduces the gradients after each replica has clipped its own, here they are
summed first: clipping, moving averages and decay then see what one device would see. Everything
else is Keras's own: the model's loss and metrics, and ``optimizer.apply``, called where
``tf.distribute`` updates a variable on all devices alike.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from unetv2.distributed.crew import Crew

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
            loss, its number of pictures, and the sums of all signals, float32 ``(2 + n,)``.
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
        """Returns the batch's loss, its number of pictures, and the sums of the signals."""
        images, masks, count = batch
        own = tf.cast(count, tf.float32)
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce("SUM", tf.concat([[loss, own], signals], axis=0))
        self._loss.update_state(sums[0], sample_weight=own)
        self._model.compute_metrics(images, masks, logits, None)
        return sums
