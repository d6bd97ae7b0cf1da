"""The Lovász extension of the Jaccard loss."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unetv2.losses.class_average import ClassAverage


@keras.saving.register_keras_serializable(package="unetv2")
class LovaszSoftmax(ClassAverage):
    r"""Lovász extension of the Jaccard loss, averaged over classes: a stand-in for mean IoU.

    A pixel's error for class *c* is :math:`m_i = |[y_i = c] - p_{i, c}|`. With the errors in
    falling order, the class costs

    .. math::

        L_c = \sum_i m_{(i)} \left( J_c(\{(1), \dots, (i)\}) - J_c(\{(1), \dots, (i-1)\}) \right)

    where :math:`J_c` is one minus the intersection over union that is left when these pixels
    are wrong. Where probabilities are 0 or 1 it is exactly one minus the IoU.

    Classes without a true pixel are left out of the average: one false pixel would cost as much
    as all of them. False positives of such a class still cost, as each is an error of its true
    class.

    It sorts the pixels once for each class, which takes some ten times as long as
    :class:`Dice`. A batch of which nothing counts costs 0. An id that is neither a class nor
    ``ignore_class`` makes the loss NaN.

    Args:
        ignore_class: int or None. Mask id of pixels that do not count.
        average: ``"batch"`` takes the whole batch as one picture, as the metric does,
            ``"image"`` averages over images.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits. In float32 the count of pixels
            is exact up to 16,777,216 in a batch.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None. With ``average="batch"`` they
            weigh the images' pixels, and their mean multiplies the result.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> loss = unetv2.losses.LovaszSoftmax()
        >>> logits = [[[[9., -9.], [9., -9.], [-9., 9.]]]]  # predicts 0 0 1
        >>> round(float(loss(np.array([[[0, 1, 1]]]), np.array(logits))), 4)  # IoU 1/2 and 1/2
        0.5

    References:
        - `Berman et al., 2018 <https://arxiv.org/abs/1705.08790>`_
    """

    def __init__(
        self,
        *,
        ignore_class: int | None = None,
        average: str = "batch",
        name: str = "lovasz_softmax",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            average=average,
            name=name,
            reduction=reduction,
            dtype=dtype,
            ignore_class=ignore_class,
        )

    def class_losses(self, probabilities: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
        """Returns what each class costs in each group, and the weight of its true pixels."""
        precision, n_classes = probabilities.dtype, probabilities.shape[-1]
        counted = ops.expand_dims(ops.cast(truth >= 0, precision), -1)
        is_true = ops.one_hot(truth, n_classes, dtype=precision)
        errors = self._by_class(ops.abs(is_true - probabilities) * counted)
        # One number says both what a pixel weighs and, by its sign, whether it is of the class.
        # One that does not count weighs nothing, so it moves no sum wherever it is sorted.
        signed = 2 * is_true - counted
        if weights is not None:
            signed = signed * ops.reshape(weights, (-1, 1, 1, 1))
        signed = self._by_class(signed)

        order = ops.argsort(-errors, axis=-1)
        errors = ops.take_along_axis(errors, order, axis=-1)
        signed = ops.take_along_axis(signed, order, axis=-1)
        true, other = ops.maximum(signed, 0.0), ops.maximum(-signed, 0.0)
        amounts = ops.sum(true, axis=-1)
        intersection = ops.maximum(ops.expand_dims(amounts, -1) - ops.cumsum(true, axis=-1), 0.0)
        union = ops.expand_dims(amounts, -1) + ops.cumsum(other, axis=-1)
        # What a pixel adds to the Jaccard loss, in closed form: the difference of neighbouring
        # values, as the paper's code has it, keeps one or two digits among a million pixels.
        growth = true + ops.divide_no_nan(other * intersection, union - other)
        steps = ops.divide_no_nan(growth, union)
        return ops.sum(errors * steps, axis=-1), amounts

    def _by_class(self, values: Any) -> Any:
        """Returns ``(batch, height, width, n_classes)`` as ``(groups, n_classes, pixels)``."""
        n_classes = values.shape[-1]
        groups = ops.shape(values)[0] if self.average == "image" else 1
        return ops.transpose(ops.reshape(values, (groups, -1, n_classes)), (0, 2, 1))
