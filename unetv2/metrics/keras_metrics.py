"""Figures for ``compile(metrics=[...])``, each of a confusion matrix."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unetv2.metrics import confusion_matrix as formulas
from unetv2.metrics.confusion_matrix import ConfusionMatrix, most_probable


class _Share(ConfusionMatrix):
    """What the metrics below share: a figure in [0, 1]."""

    # Where Keras's callbacks with `mode="auto"` look whether more is better.
    _direction = "up"

    def result(self) -> Any:
        """Returns the figure of the pixels so far.

        Returns:
            Scalar in [0, 1]; 0 before the first pixel, as in Keras. NaN if a prediction was, or,
            in a compiled function, on ids that are neither a class nor ``ignore_class``.

        Raises:
            ValueError: On such ids, outside of compiled functions.
        """
        self._require_known_ids()
        return self._finished(self._figure(self._tally()))

    def _figure(self, tally: formulas.Tally) -> Any:
        # Each subclass's formula.
        raise NotImplementedError

    def _finished(self, figure: Any) -> Any:
        figure = ops.where(ops.any(self.counts > 0), figure, 0.0)
        return ops.cast(self._or_nan(figure), self.dtype)


@keras.saving.register_keras_serializable(package="unetv2")
class MeanIoU(_Share):
    r"""Mean intersection over union of the classes in the truth or predicted.

    :math:`\mathrm{IoU}_c = h_c / (t_c + p_c - h_c)`, with a class's hits, true pixels and
    predicted pixels; a class that is nowhere has none and is left out of the mean. As
    ``keras.metrics.MeanIoU(sparse_y_pred=False)``, which however drops ids that are no class in
    silence; here they are an error, see :class:`unetv2.metrics.ConfusionMatrix`.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str or None. Name in logs; ``"mean_iou"`` by default.
        dtype: Precision of the result.

    Raises:
        ValueError: If ``n_classes`` is below 2.
        TypeError: If ``n_classes`` or ``ignore_class`` is no integer.

    Example:
        >>> metric = unetv2.metrics.MeanIoU(3)
        >>> metric.update_state([0, 0, 1, 1], np.eye(3)[[0, 1, 1, 1]])
        >>> round(float(metric.result()), 4)  # of 1/2 and 2/3; the third class is nowhere
        0.5833
    """

    _default_name = "mean_iou"

    def _figure(self, tally: formulas.Tally) -> Any:
        return formulas.mean(ops, formulas.iou(ops, tally))


@keras.saving.register_keras_serializable(package="unetv2")
class MeanDice(_Share):
    r"""Mean Dice coefficient, or F1 score, of the classes in the truth or predicted.

    :math:`\mathrm{Dice}_c = 2 h_c / (t_c + p_c)`, with a class's hits, true pixels and predicted
    pixels over the whole data set, not averaged over images. A class that is nowhere is left
    out of the mean.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str or None. Name in logs; ``"mean_dice"`` by default.
        dtype: Precision of the result.

    Raises:
        ValueError: If ``n_classes`` is below 2.
        TypeError: If ``n_classes`` or ``ignore_class`` is no integer.

    Example:
        >>> metric = unetv2.metrics.MeanDice(3)
        >>> metric.update_state([0, 0, 1, 1], np.eye(3)[[0, 1, 1, 1]])
        >>> round(float(metric.result()), 4)  # of 2/3 and 4/5; the third class is nowhere
        0.7333
    """

    _default_name = "mean_dice"

    def _figure(self, tally: formulas.Tally) -> Any:
        return formulas.mean(ops, formulas.dice(ops, tally))


@keras.saving.register_keras_serializable(package="unetv2")
class FrequencyWeightedIoU(_Share):
    r"""IoU of the classes, each weighted by its share of the true pixels.

    :math:`\sum_c t_c \mathrm{IoU}_c / \sum_c t_c`, with a class's true pixels :math:`t_c`.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str or None. Name in logs; ``"frequency_weighted_iou"`` by default.
        dtype: Precision of the result.

    Raises:
        ValueError: If ``n_classes`` is below 2.
        TypeError: If ``n_classes`` or ``ignore_class`` is no integer.

    Example:
        >>> metric = unetv2.metrics.FrequencyWeightedIoU(3)
        >>> metric.update_state([0, 1, 1, 1], np.eye(3)[[0, 0, 1, 1]])
        >>> round(float(metric.result()), 4)  # 1/4 of 1/2 and 3/4 of 2/3
        0.625

    References:
        - `Long et al., 2015 <https://arxiv.org/abs/1411.4038>`_
    """

    _default_name = "frequency_weighted_iou"

    def _figure(self, tally: formulas.Tally) -> Any:
        return formulas.frequency_weighted_iou(ops, tally)


@keras.saving.register_keras_serializable(package="unetv2")
class SegmentationMetrics(_Share):
    """Several figures of one confusion matrix, for the cost of one.

    In ``compile(metrics=[SegmentationMetrics(n_classes)])`` of a model with one output; logs
    then hold ``accuracy``, ``mean_iou``, ``mean_dice`` and ``frequency_weighted_iou``, and in
    validation the same with ``val_`` in front. A second one in the same model would write to
    the same names. Callbacks that monitor one of these names need ``mode="max"``.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        per_class: bool. Adds ``iou_0``, ``iou_1`` and so on, the IoU of every class; NaN for a
            class that is neither in the truth nor predicted.
        name: str or None. Name of the metric, which logs do not show;
            ``"segmentation_metrics"`` by default.
        dtype: Precision of the figures.

    Raises:
        ValueError: If ``n_classes`` is below 2.
        TypeError: If ``n_classes`` or ``ignore_class`` is no integer.

    Example:
        >>> model = unetv2.build_unetv2((8, 8, 3), 3, filters=2)
        >>> model.compile("sgd", model.loss, metrics=[unetv2.metrics.SegmentationMetrics(3)])
        >>> images, masks = np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 1), "int32")
        >>> sorted(model.evaluate(images, masks, return_dict=True, verbose=0))
        ['accuracy', 'frequency_weighted_iou', 'loss', 'mean_dice', 'mean_iou']
    """

    _default_name = "segmentation_metrics"

    def __init__(
        self,
        n_classes: int,
        ignore_class: int | None = None,
        *,
        per_class: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(n_classes, ignore_class, name=name, dtype=dtype)
        self.per_class = per_class

    def result(self) -> dict[str, Any]:
        """Returns the figures of the pixels so far.

        Returns:
            dict of scalars in [0, 1]; 0 before the first pixel, as in Keras. NaN if a prediction
            was, or, in a compiled function, on ids that are neither a class nor ``ignore_class``.

        Raises:
            ValueError: On such ids, outside of compiled functions.
        """
        self._require_known_ids()
        tally = self._tally()
        iou = formulas.iou(ops, tally)
        figures = {
            "accuracy": formulas.pixel_accuracy(ops, tally),
            "mean_iou": formulas.mean(ops, iou),
            "mean_dice": formulas.mean(ops, formulas.dice(ops, tally)),
            "frequency_weighted_iou": formulas.frequency_weighted_iou(ops, tally),
        }
        finished = {name: self._finished(figure) for name, figure in figures.items()}
        if self.per_class:
            iou = ops.cast(self._or_nan(iou), self.dtype)
            finished |= {f"iou_{number}": iou[number] for number in range(self.n_classes)}
        return finished

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "per_class": self.per_class}


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
