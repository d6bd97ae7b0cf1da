"""Pixel accuracy."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unetv2.metrics.prediction import most_probable


@keras.saving.register_keras_serializable(package="unetv2")
class PixelAccuracy(keras.metrics.Metric):
    """Share of pixels whose most probable class is the true one.

    ``keras.metrics.SparseCategoricalAccuracy`` with an ``ignore_class``.

    Args:
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str. Name in logs.
        dtype: Precision of the result.

    Example:
        >>> metric = unetv2.metrics.PixelAccuracy(ignore_class=255)
        >>> metric.update_state([[[1], [0], [255]]], [[[0., 1.], [0., 1.], [0., 1.]]])
        >>> float(metric.result())
        0.5
    """

    # Where Keras's callbacks with `mode="auto"` look whether more is better.
    _direction = "up"

    def __init__(
        self, ignore_class: int | None = None, name: str = "pixel_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.ignore_class = ignore_class
        self.correct = self.add_variable((), initializer="zeros", name="correct")
        self.total = self.add_variable((), initializer="zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Mask ids, ``(batch, ..., 1)`` or ``(batch, ...)``.
            y_pred: Logits or probabilities, ``(batch, ..., n_classes)``.
            sample_weight: Weights that broadcast to ``(batch, ...)``, or None.
        """
        predicted = most_probable(y_pred)
        truth = ops.reshape(ops.cast(y_true, predicted.dtype), ops.shape(predicted))
        weights = ops.ones_like(truth, dtype=self.dtype)
        if self.ignore_class is not None:
            weights = ops.cast(truth != self.ignore_class, self.dtype)
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, self.dtype)
            missing = len(weights.shape) - len(sample_weight.shape)
            sample_weight = ops.reshape(
                sample_weight, (*ops.shape(sample_weight), *[1] * max(missing, 0))
            )
            weights = weights * sample_weight
        correct = ops.cast(truth == predicted, self.dtype)
        self.correct.assign_add(ops.sum(weights * correct))
        self.total.assign_add(ops.sum(weights))

    def result(self) -> Any:
        """Returns the accuracy so far, a scalar in [0, 1]; 0 before the first pixel."""
        return ops.divide_no_nan(self.correct, self.total)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "ignore_class": self.ignore_class}
