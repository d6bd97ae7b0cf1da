"""Region losses, Tversky, Dice and Lovász-Softmax, and the boundary loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from unetv2.arguments import require_choice, require_integer, require_number
from unetv2.losses.base import ClassAverage


@keras.saving.register_keras_serializable(package="unetv2")
class Tversky(ClassAverage):
    r"""One minus the Tversky index of masks and softmax probabilities, averaged over classes.

    .. math::

        L_c = 1 - \frac{TP_c}{TP_c + \alpha FP_c + \beta FN_c}, \quad
        TP_c = \sum_{y_i = c} p_{i, c}, \;
        FP_c = \sum_{y_i \neq c} p_{i, c}, \;
        FN_c = \sum_{y_i = c} (1 - p_{i, c})

    over the labeled pixels. Unlike in cross-entropy, the weight of a class does not depend on its
    number of pixels.

    Classes without a true pixel are excluded from the mean: with no true positive possible, one
    false positive would cost as much as all of them. False positives of such a class still cost,
    as false negatives of the true class. So the denominator is positive without a smoothing
    constant.

    Args:
        alpha: float, at least 0. Weight of false positives.
        beta: float above 0. Weight of false negatives. ``alpha=beta=0.5`` is :class:`Dice`,
            ``alpha=beta=1`` the Jaccard index; beta above alpha favors recall.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones. Weights of the mean over classes.
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        average: ``"batch"`` computes the sums over the whole batch, ``"image"`` over each image and
            averages the results. In a batch fewer classes are missing, and images with a few
            pixels of a class have little influence.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None. With ``average="batch"`` they
            weight the pixels of the images, and their mean multiplies the result.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
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
        **loss: Any,
    ) -> None:
        super().__init__(
            average=average, ignore_class=ignore_class, class_weights=class_weights, **loss
        )
        self.alpha = require_number("alpha", alpha, "It is the weight of false positives.")
        self.beta = require_number(
            "beta",
            beta,
            "It is the weight of false negatives; at 0, predicting nothing would cost nothing.",
            positive=True,
        )

    def class_losses(self, probabilities: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        """Returns the loss and the number of true pixels of each class in each group."""
        is_true, is_other = _one_hot(probabilities, labels)
        true_positives, false_positives, sizes = self._sums(
            (probabilities * is_true, probabilities * is_other, is_true), weights
        )
        # Rounding must not make it negative.
        false_negatives = ops.maximum(sizes - true_positives, 0.0)
        errors = self.alpha * false_positives + self.beta * false_negatives
        return ops.divide_no_nan(errors, true_positives + errors), sizes

    def _sums(self, values: Sequence[Any], weights: Any) -> list[Any]:
        """Returns sums over each group, over all devices if the batch is one group."""
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
    r"""One minus the Dice coefficient of masks and softmax probabilities, averaged over classes.

    .. math::

        L_c = 1 - \frac{2 \sum_i p_{i, c} g_{i, c}}{\sum_i p_{i, c} + \sum_i g_{i, c}}
            = 1 - \frac{2 TP_c}{2 TP_c + FP_c + FN_c}

    with :math:`g_{i, c} = [y_i = c]`. This is the linear form of Drozdzal et al. and of nnU-Net,
    which is :class:`Tversky` with ``alpha=beta=0.5``. ``squared=True`` is the form of V-Net
    (Milletari et al.) with the denominator :math:`\sum_i p_{i, c}^2 + \sum_i g_{i, c}^2`. For
    probabilities of 0 and 1 both are equal; in between, the squared form is lower, and its gradient
    vanishes as a probability approaches the label.

    Args:
        squared: bool. Whether probabilities are squared in the denominator.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones. Weights of the mean over classes.
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        average: ``"batch"`` or ``"image"``, see :class:`Tversky`.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
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
        **loss: Any,
    ) -> None:
        super().__init__(
            alpha=0.5,
            beta=0.5,
            class_weights=class_weights,
            ignore_class=ignore_class,
            average=average,
            **loss,
        )
        require_choice("squared", squared, (True, False))
        self.squared = bool(squared)

    def class_losses(self, probabilities: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        """Returns the loss and the number of true pixels of each class in each group."""
        if not self.squared:
            return super().class_losses(probabilities, labels, weights)
        is_true, is_other = _one_hot(probabilities, labels)
        # p^2 + g^2 - 2 p g, so that numerator and denominator are sums of the same terms.
        gaps = ops.square(is_true - probabilities * (is_true + is_other))
        true_positives, errors, sizes = self._sums(
            (probabilities * is_true, gaps, is_true), weights
        )
        return ops.divide_no_nan(errors, 2 * true_positives + errors), sizes

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        config = {**super().get_config(), "squared": self.squared}
        return {key: value for key, value in config.items() if key not in ("alpha", "beta")}


def _one_hot(probabilities: Any, labels: Any) -> tuple[Any, Any]:
    """Returns 1 where a pixel is of a class, and 1 where it is of another one."""
    precision = probabilities.dtype
    is_true = ops.one_hot(labels, probabilities.shape[-1], dtype=precision)
    return is_true, ops.expand_dims(ops.cast(labels >= 0, precision), -1) - is_true


# Prevents a division by 0 without a boundary; negligible against numbers of pixels.
_EPSILON = 1e-7


@keras.saving.register_keras_serializable(package="unetv2")
class Boundary(ClassAverage):
    r"""One minus the F1 score of true and predicted boundaries, averaged over classes.

    The boundary of a class is its pixels next to another class, which a 3x3 erosion removes,
    :math:`b = p - \min_{3 \times 3} p`. Precision is the fraction of the predicted boundary within
    ``distance`` pixels of the true one, recall the fraction of the true one within ``distance``
    pixels of the predicted one,

    .. math::

        P_c = \frac{\sum b_c \max_{d} b^*_c}{\sum b_c}, \quad
        R_c = \frac{\sum b^*_c \max_{d} b_c}{\sum b^*_c}, \quad
        L_c = 1 - \frac{2 P_c R_c}{P_c + R_c}

    with the true boundary :math:`b^*` and the maximum over a square window of
    ``2 * distance + 1`` pixels. Add it to another loss, see :class:`Sum`: it does not depend on
    pixels far from boundaries, and its gradient is 0 for a uniform prediction.

    There is no boundary at the image border or next to ignored pixels. So the loss is 0 for masks
    in which ``ignore_class`` covers all boundaries, as in PASCAL VOC. A class without a true
    boundary, which is absent or fills the image, is excluded from the mean; if it is predicted
    inside another class, it reduces the precision of that class.

    Args:
        distance: int, at least 0. Tolerance in pixels, along rows and columns: the paper's
            :math:`\theta` is ``2 * distance + 1``, its :math:`\theta_0` is 3.
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        average: ``"batch"`` computes the sums over the whole batch, ``"image"``, as in the paper,
            over each image and averages the results.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None. With ``average="batch"`` they
            weight the pixels of the images, and their mean multiplies the result.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> labels = np.array([[[0, 0, 0, 1, 1, 1, 1]]])
        >>> shifted = np.array([[[0, 0, 0, 0, 1, 1, 1]]])
        >>> logits = 99 * np.eye(2)[shifted]
        >>> float(unetv2.losses.Boundary(distance=0)(labels, logits))
        1.0
        >>> float(unetv2.losses.Boundary(distance=1)(labels, logits)) < 1e-6
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
        **loss: Any,
    ) -> None:
        super().__init__(average=average, ignore_class=ignore_class, class_weights=None, **loss)
        self.distance = require_integer("distance", distance, 0, "It is the tolerance in pixels.")

    def class_losses(self, probabilities: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        """Returns the loss and the number of boundary pixels of each class in each group."""
        is_labeled = ops.expand_dims(labels >= 0, -1)
        is_true = ops.one_hot(labels, probabilities.shape[-1], dtype=probabilities.dtype)
        true, predicted = _boundary(is_true, is_labeled), _boundary(probabilities, is_labeled)
        near_true, near_predicted = (
            _maximum(boundary, self.distance) for boundary in (true, predicted)
        )
        right = self.sum_groups(predicted * near_true, weights)
        wrong = self.sum_groups(predicted * (1 - near_true), weights)
        found = self.sum_groups(true * near_predicted, weights)
        missed = self.sum_groups(true * (1 - near_predicted), weights)
        precision = right / (right + wrong + _EPSILON)
        recall = ops.divide_no_nan(found, found + missed)
        return 1 - 2 * precision * recall / (precision + recall + _EPSILON), found + missed

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "distance": self.distance}


def _boundary(areas: Any, is_labeled: Any) -> Any:
    """Returns the pixels of areas in [0, 1] that an erosion by one pixel removes."""
    # Ignored pixels are never the minimum.
    eroded = -_maximum(-ops.where(is_labeled, areas, 1.0), 1)
    return ops.where(is_labeled, areas - eroded, 0.0)


def _maximum(values: Any, distance: int) -> Any:
    """Returns the maximum over the square window of ``distance`` around each pixel."""
    # Columns and rows separately, so that the time is linear in the distance.
    window = 2 * distance + 1
    for pool in ((window, 1), (1, window)):
        values = ops.max_pool(values, pool, 1, padding="same", data_format="channels_last")
    return values


@keras.saving.register_keras_serializable(package="unetv2")
class LovaszSoftmax(ClassAverage):
    r"""Lovász extension of the Jaccard loss, averaged over classes: a surrogate for mean IoU.

    A pixel's error for class *c* is :math:`m_i = |[y_i = c] - p_{i, c}|`. With the errors in
    decreasing order, the loss of the class is

    .. math::

        L_c = \sum_i m_{(i)} \left( J_c(\{(1), \dots, (i)\}) - J_c(\{(1), \dots, (i-1)\}) \right)

    where :math:`J_c` is one minus the intersection over union if these pixels are wrong. For
    probabilities of 0 and 1 it is exactly one minus the IoU. Classes without a true pixel are
    excluded from the mean, as in :class:`Tversky`. In float32, numbers of pixels are exact up to
    16,777,216 per batch.

    It sorts the pixels once for each class, which takes some ten times as long as
    :class:`Dice`.

    Args:
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        average: ``"batch"`` treats the whole batch as one image, as the metric does,
            ``"image"`` averages over images.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None. With ``average="batch"`` they
            weight the pixels of the images, and their mean multiplies the result.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
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
        **loss: Any,
    ) -> None:
        super().__init__(average=average, ignore_class=ignore_class, class_weights=None, **loss)

    def class_losses(self, probabilities: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        """Returns the loss and the weight of the true pixels of each class in each group."""
        precision, n_classes = probabilities.dtype, probabilities.shape[-1]
        is_labeled = ops.expand_dims(ops.cast(labels >= 0, precision), -1)
        is_true = ops.one_hot(labels, n_classes, dtype=precision)
        errors = self._by_class(ops.abs(is_true - probabilities) * is_labeled)
        # The weight of a pixel, positive if it is of the class and negative if not. It is 0 for
        # ignored pixels, which may thus be sorted anywhere.
        signed = 2 * is_true - is_labeled
        if weights is not None:
            signed = signed * ops.reshape(weights, (-1, 1, 1, 1))
        signed = self._by_class(signed)

        order = ops.argsort(-errors, axis=-1)
        errors = ops.take_along_axis(errors, order, axis=-1)
        signed = ops.take_along_axis(signed, order, axis=-1)
        true, other = ops.maximum(signed, 0.0), ops.maximum(-signed, 0.0)
        sizes = ops.sum(true, axis=-1)
        intersection = ops.maximum(ops.expand_dims(sizes, -1) - ops.cumsum(true, axis=-1), 0.0)
        union = ops.expand_dims(sizes, -1) + ops.cumsum(other, axis=-1)
        # The increment of the Jaccard loss in closed form: the difference of adjacent values, as in
        # the paper's code, keeps one or two digits among a million pixels.
        growth = true + ops.divide_no_nan(other * intersection, union - other)
        steps = ops.divide_no_nan(growth, union)
        return ops.sum(errors * steps, axis=-1), sizes

    def _by_class(self, values: Any) -> Any:
        """Returns ``(batch, height, width, n_classes)`` as ``(groups, n_classes, pixels)``."""
        n_classes = values.shape[-1]
        groups = ops.shape(values)[0] if self.average == "image" else 1
        return ops.transpose(ops.reshape(values, (groups, -1, n_classes)), (0, 2, 1))
