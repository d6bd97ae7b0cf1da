"""What dropout drops where it stays on at prediction, by a seed for each picture."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Noise:
    """Drops features, those of each picture by a seed of its own.

    Args:
        seeds: int32 ``(batch, 2)``.

    Attributes:
        draws: int. How often features were dropped.
    """

    def __init__(self, seeds: tf.Tensor) -> None:
        self._seeds = seeds
        self.draws = 0

    def __call__(self, inputs: tf.Tensor, rate: float, shape: Any) -> tf.Tensor:
        """Returns what is left, scaled to keep the mean; see :func:`unetv2.dropout.sampling`."""
        number = self.draws
        self.draws += 1
        extent = tf.shape(inputs)[1:]
        if shape is not None:
            extent = tf.stack([own or extent[axis] for axis, own in enumerate(shape[1:])])

        def draw(seed: tf.Tensor) -> tf.Tensor:
            seed = tf.random.experimental.stateless_fold_in(seed, number)
            return tf.random.stateless_uniform(extent, seed)

        kept = tf.map_fn(draw, self._seeds, fn_output_signature=tf.float32) >= rate
        return inputs * tf.cast(kept, inputs.dtype) / tf.cast(1 - rate, inputs.dtype)
