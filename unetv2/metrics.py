"""Metrics that Keras lacks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unetv2.arguments import require_integer


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
        predicted = ops.argmax(y_pred, axis=-1)
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


@keras.saving.register_keras_serializable(package="unetv2")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts pixels by true and by predicted class; every other figure follows from it.

    Ids that are neither a class nor ``ignore_class`` make every count NaN: a mask that is
    wrong shall not pass for one that is right.

    Args:
        n_classes: int. Number of classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str. Name in logs.
        dtype: Precision of the counts. In float32 a count is exact up to 16,777,216 and
            off by less than 1e-6 of itself beyond.

    Example:
        >>> confusion = unetv2.metrics.ConfusionMatrix(2)
        >>> confusion.update_state([[0], [1], [1]], [[2., 1.], [0., 1.], [3., 1.]])
        >>> np.asarray(confusion.result()).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
        >>> np.asarray(confusion.iou_per_class()).tolist()
        [0.5, 0.5]
    """

    def __init__(
        self,
        n_classes: int,
        ignore_class: int | None = None,
        name: str = "confusion_matrix",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.n_classes = require_integer(
            "n_classes", n_classes, 2, "The background counts: a binary mask has 2 classes."
        )
        self.ignore_class = ignore_class
        self.counts = self.add_variable(
            (self.n_classes, self.n_classes), initializer="zeros", name="counts"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Mask ids in ``[0, n_classes)`` or ``ignore_class``, ``(batch, ..., 1)``
                or ``(batch, ...)``.
            y_pred: Logits or probabilities, ``(batch, ..., n_classes)``.
            sample_weight: Refused: a weighted count is no count.

        Raises:
            ValueError: If ``sample_weight`` is given.
        """
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must be None for a confusion matrix. "
                "Mark pixels that do not count with `ignore_class`."
            )
        predicted = ops.reshape(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), (-1,))
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        is_class = ops.logical_and(truth >= 0, truth < self.n_classes)
        counted = is_class
        is_known = is_class
        if self.ignore_class is not None:
            ignored = truth == self.ignore_class
            counted = ops.logical_and(is_class, ops.logical_not(ignored))
            is_known = ops.logical_or(is_class, ignored)
        # One more cell takes the pixels that do not count.
        cells = self.n_classes**2
        cell = ops.where(counted, truth * self.n_classes + predicted, cells)
        # Not `bincount`, which XLA does not compile: its result's size is not static.
        ones = ops.ones_like(cell, dtype="int32")
        counts = ops.scatter(ops.expand_dims(cell, 1), ones, (cells + 1,))[:cells]
        counts = ops.cast(ops.reshape(counts, self.counts.shape), self.dtype)
        poison = ops.where(ops.all(is_known), 0.0, float("nan"))
        self.counts.assign_add(counts + ops.cast(poison, self.dtype))

    def result(self) -> Any:
        """Returns the counts, ``(n_classes, n_classes)``: rows truth, columns prediction."""
        return ops.convert_to_tensor(self.counts)

    def pixel_accuracy(self) -> Any:
        """Returns the share of counted pixels that are right, a scalar in [0, 1]."""
        return ops.divide_no_nan(ops.trace(self.counts), ops.sum(self.counts))

    def iou_per_class(self) -> Any:
        """Returns intersection over union by class, ``(n_classes,)`` in [0, 1].

        NaN for a class that is neither in the truth nor predicted.
        """
        intersection = ops.diagonal(self.counts)
        union = ops.sum(self.counts, axis=0) + ops.sum(self.counts, axis=1) - intersection
        return intersection / union

    def mean_iou(self) -> Any:
        """Returns the mean IoU over the classes in truth or prediction, a scalar in [0, 1]."""
        iou = self.iou_per_class()
        union = ops.sum(self.counts, axis=0) + ops.sum(self.counts, axis=1)
        present = union != 0  # NaN counts stay in, so that they show.
        return ops.divide_no_nan(
            ops.sum(ops.where(present, iou, 0.0)), ops.sum(ops.cast(present, self.dtype))
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "n_classes": self.n_classes,
            "ignore_class": self.ignore_class,
        }
