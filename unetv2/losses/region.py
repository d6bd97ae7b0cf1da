"""Overlap of truth and prediction: Tversky's index and Dice's coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from unetv2.arguments import require_choice, require_integer, require_number
from unetv2.losses.base import ClassAverage


@keras.saving.register_keras_serializable(package="unetv2")
class Tversky(ClassAverage):
    r"""One minus Tversky's index of truth and softmax probabilities, averaged over classes.

    .. math::

        L_c = 1 - \frac{TP_c}{TP_c + \alpha FP_c + \beta FN_c}, \quad
        TP_c = \sum_{y_i = c} p_{i, c}, \;
        FP_c = \sum_{y_i \neq c} p_{i, c}, \;
        FN_c = \sum_{y_i = c} (1 - p_{i, c})

    over the pixels that count. Unlike cross-entropy it weighs a class by itself, not by its
    number of pixels.

    Classes without a true pixel are left out of the average: no pixel could be a hit, so one
    false pixel would cost as much as all of them. False positives of such a class still cost,
    as each is a false negative of its true class. There is no smoothing constant, and none is
    needed: a class that is there has a denominator above 0.

    A batch of which nothing counts costs 0. An id that is neither a class nor ``ignore_class``
    makes the loss NaN.

    Args:
        alpha: float, at least 0. Weight of false positives.
        beta: float above 0. Weight of false negatives. ``alpha=beta=0.5`` is :class:`Dice`,
            ``alpha=beta=1`` the Jaccard index; a beta above alpha finds more of small objects.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones. Weights of the average over classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        average: ``"batch"`` takes the sums over the whole batch, ``"image"`` over each image
            and averages these. Over a batch, classes are rarely missing and a few pixels of
            one in some image weigh little.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits.

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
        >>> loss = unetv2.losses.Tversky(alpha=0.3, beta=0.7)
        >>> logits = np.log([[[[0.8, 0.2], [0.6, 0.4]]]])
        >>> round(float(loss(np.array([[[0, 0]]]), logits)), 4)  # 1 - 1.4 / (1.4 + 0.7 * 0.6)
        0.2308

    References:
        - `Salehi et al., 2017 <https://arxiv.org/abs/1706.05721>`_
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        *,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        average: str = "batch",
        name: str = "tversky",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            average=average,
            name=name,
            reduction=reduction,
            dtype=dtype,
            ignore_class=ignore_class,
            class_weights=class_weights,
        )
        self.alpha = require_number("alpha", alpha, "It is the weight of false positives.")
        self.beta = require_number(
            "beta",
            beta,
            "It is the weight of false negatives; without them it costs nothing to find nothing.",
            positive=True,
        )

    def class_losses(self, probabilities: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
        """Returns what each class costs in each group, and its number of true pixels."""
        is_true, is_other = _one_hot(probabilities, truth)
        hits, false, amounts = self._sums(
            (probabilities * is_true, probabilities * is_other, is_true), weights
        )
        # Two sums that ought to be equal may differ by their rounding, and no loss is negative.
        missed = ops.maximum(amounts - hits, 0.0)
        wrong = self.alpha * false + self.beta * missed
        return ops.divide_no_nan(wrong, hits + wrong), amounts

    def _sums(self, values: Sequence[Any], weights: Any) -> list[Any]:
        """Returns sums over the groups, over all devices' parts where the batch is one group."""
        sums = [self.sum_groups(one, weights) for one in values]
        return self.pooled(*sums) if self.average == "batch" else sums

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "beta": self.beta,
            "class_weights": self.class_weights,
        }


@keras.saving.register_keras_serializable(package="unetv2")
class Dice(Tversky):
    r"""One minus Dice's coefficient of truth and softmax probabilities, averaged over classes.

    .. math::

        L_c = 1 - \frac{2 \sum_i p_{i, c} g_{i, c}}{\sum_i p_{i, c} + \sum_i g_{i, c}}
            = 1 - \frac{2 TP_c}{2 TP_c + FP_c + FN_c}

    with the truth :math:`g_{i, c} = [y_i = c]`. It is the linear form of Drozdzal et al. and of
    nnU-Net, :class:`Tversky` with ``alpha=beta=0.5``, where the sums, the classes left out and NaN
    are described. ``squared=True`` is the form of V-Net (Milletari et al.), whose denominator is
    :math:`\sum_i p_{i, c}^2 + \sum_i g_{i, c}^2`. Where probabilities are 0 or 1 both are one
    minus the Dice coefficient; in between the squared form costs less, and its slope falls to 0
    as a probability comes near to the truth.

    Args:
        squared: bool. Whether probabilities are squared in the denominator.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones. Weights of the average over classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        average: ``"batch"`` takes the sums over the whole batch, ``"image"`` over each image
            and averages these.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> loss = unetv2.losses.Dice()
        >>> logits = np.log([[[[0.8, 0.2], [0.6, 0.4]]]])
        >>> round(float(loss(np.array([[[0, 0]]]), logits)), 4)  # 1 - 2 * 1.4 / (1.4 + 2)
        0.1765
        >>> loss = unetv2.losses.Dice(squared=True)
        >>> round(float(loss(np.array([[[0, 0]]]), logits)), 4)  # 1 - 2 * 1.4 / (0.64 + 0.36 + 2)
        0.0667

    References:
        - `Drozdzal et al., 2016 <https://arxiv.org/abs/1608.04117>`_, the linear form
        - `Milletari et al., 2016 <https://arxiv.org/abs/1606.04797>`_, the squared form
    """

    def __init__(
        self,
        *,
        squared: bool = False,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        average: str = "batch",
        name: str = "dice",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            class_weights=class_weights,
            ignore_class=ignore_class,
            average=average,
            name=name,
            reduction=reduction,
            dtype=dtype,
        )
        require_choice("squared", squared, (True, False))
        self.squared = bool(squared)

    def class_losses(self, probabilities: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
        """Returns what each class costs in each group, and its number of true pixels."""
        if not self.squared:
            return super().class_losses(probabilities, truth, weights)
        is_true, is_other = _one_hot(probabilities, truth)
        # p^2 + g^2 - 2 p g, so that numerator and denominator are sums of the same terms.
        gaps = ops.square(is_true - probabilities * (is_true + is_other))
        hits, wrong, amounts = self._sums((probabilities * is_true, gaps, is_true), weights)
        return ops.divide_no_nan(wrong, 2 * hits + wrong), amounts

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        config = {**super().get_config(), "squared": self.squared}
        return {key: value for key, value in config.items() if key not in ("alpha", "beta")}


def _one_hot(probabilities: Any, truth: Any) -> tuple[Any, Any]:
    """Returns 1 where a pixel is of a class and 0 elsewhere, and where it counts as another's."""
    precision = probabilities.dtype
    is_true = ops.one_hot(truth, probabilities.shape[-1], dtype=precision)
    return is_true, ops.expand_dims(ops.cast(truth >= 0, precision), -1) - is_true


# Against numbers of pixels it is nothing; without any boundary it decides 0 / 0.
_NOTHING = 1e-7


@keras.saving.register_keras_serializable(package="unetv2")
class Boundary(ClassAverage):
    r"""One minus the F1 score of true and predicted boundaries, averaged over classes.

    A class's boundary is what a 3x3 erosion takes from it, :math:`b = p - \min_{3 \times 3} p`:
    its pixels next to another class. Precision is the share of the predicted boundary within
    ``distance`` pixels of the true one, recall the share of the true one within ``distance``
    pixels of the predicted one,

    .. math::

        P_c = \frac{\sum b_c \max_{d} b^*_c}{\sum b_c}, \quad
        R_c = \frac{\sum b^*_c \max_{d} b_c}{\sum b^*_c}, \quad
        L_c = 1 - \frac{2 P_c R_c}{P_c + R_c}

    with the truth's boundary :math:`b^*` and the maximum over a square window of
    ``2 * distance + 1`` pixels. It is a term to add to another loss, see :class:`Sum`: it says
    nothing about what lies between boundaries, and where no class is preferred yet it has no
    gradient.

    Neither the image's border nor a pixel that does not count makes a boundary. Masks
    that mark all boundaries with ``ignore_class``, as PASCAL VOC's do, thus have none, and
    cost 0. A class without a true boundary, which is absent or fills the image, is left out
    of the average; where it is predicted inside another class, it costs that class precision.

    A batch of which nothing counts costs 0. An id that is neither a class nor ``ignore_class``
    makes the loss NaN.

    Args:
        distance: int, at least 0. By how many pixels a boundary may be off, in rows and columns:
            the paper's :math:`\theta` is ``2 * distance + 1``, its :math:`\theta_0` is 3.
        ignore_class: int or None. Mask id of pixels that do not count.
        average: ``"batch"`` takes the sums over the whole batch, ``"image"`` over each image
            and averages these, as the paper does.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits.

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
        >>> truth = np.array([[[0, 0, 0, 1, 1, 1, 1]]])
        >>> shifted = np.array([[[0, 0, 0, 0, 1, 1, 1]]])
        >>> logits = 99 * np.eye(2)[shifted]
        >>> float(unetv2.losses.Boundary(distance=0)(truth, logits))
        1.0
        >>> float(unetv2.losses.Boundary(distance=1)(truth, logits)) < 1e-6
        True

    References:
        - `Bokhovkin and Burnaev, 2019 <https://arxiv.org/abs/1905.07852>`_
    """

    def __init__(
        self,
        distance: int = 2,
        *,
        ignore_class: int | None = None,
        average: str = "batch",
        name: str = "boundary",
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
        self.distance = require_integer(
            "distance", distance, 0, "It is by how many pixels a boundary may be off."
        )

    def class_losses(self, probabilities: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
        """Returns what each class costs in each group, and its number of boundary pixels."""
        counted = ops.expand_dims(truth >= 0, -1)
        is_true = ops.one_hot(truth, probabilities.shape[-1], dtype=probabilities.dtype)
        true, predicted = _boundary(is_true, counted), _boundary(probabilities, counted)
        near_true, near_predicted = (
            _maximum(boundary, self.distance) for boundary in (true, predicted)
        )
        right = self.sum_groups(predicted * near_true, weights)
        wrong = self.sum_groups(predicted * (1 - near_true), weights)
        found = self.sum_groups(true * near_predicted, weights)
        missed = self.sum_groups(true * (1 - near_predicted), weights)
        precision = right / (right + wrong + _NOTHING)
        recall = ops.divide_no_nan(found, found + missed)
        return 1 - 2 * precision * recall / (precision + recall + _NOTHING), found + missed

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "distance": self.distance}


def _boundary(areas: Any, counted: Any) -> Any:
    """Returns what an erosion by one pixel takes from areas in [0, 1]."""
    # What does not count is no neighbor: 1 never is the minimum.
    eroded = -_maximum(-ops.where(counted, areas, 1.0), 1)
    return ops.where(counted, areas - eroded, 0.0)


def _maximum(values: Any, distance: int) -> Any:
    """Returns the maximum over the square window of ``distance`` around each pixel."""
    # First columns, then rows: the time grows with the distance instead of its square. Outside
    # of the image there is nothing to be a maximum.
    window = 2 * distance + 1
    for pool in ((window, 1), (1, window)):
        values = ops.max_pool(values, pool, 1, padding="same", data_format="channels_last")
    return values


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
        average: ``"batch"`` takes the whole batch as one image, as the metric does,
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
        # What a pixel adds to the Jaccard loss, in closed form: the difference of neighboring
        # values, as the paper's code has it, keeps one or two digits among a million pixels.
        growth = true + ops.divide_no_nan(other * intersection, union - other)
        steps = ops.divide_no_nan(growth, union)
        return ops.sum(errors * steps, axis=-1), amounts

    def _by_class(self, values: Any) -> Any:
        """Returns ``(batch, height, width, n_classes)`` as ``(groups, n_classes, pixels)``."""
        n_classes = values.shape[-1]
        groups = ops.shape(values)[0] if self.average == "image" else 1
        return ops.transpose(ops.reshape(values, (groups, -1, n_classes)), (0, 2, 1))
