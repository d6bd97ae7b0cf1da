"""Cross-entropy with weights by class, and its focal form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from typing_extensions import override

from unetv2.arguments import require_fraction, require_number
from unetv2.losses.base import SegmentationLoss

# Below it 1 - p is lost in the digits of p. The derivative of its power below 1 is infinite at 0.
_SMALLEST_DOUBT = 1e-7


@keras.saving.register_keras_serializable(package="unetv2")
class CrossEntropy(SegmentationLoss):
    r"""Cross-entropy of masks and logits, each pixel weighted by its true class.

    .. math:: L = \frac{\sum_i w_{y_i} (-\log p_{i, y_i})}{\sum_i w_{y_i}}

    over the batch's pixels that count. Without weights it is
    ``keras.losses.SparseCategoricalCrossentropy(from_logits=True)``. Weights raise the share of
    classes that are rare; their common scale cancels out.

    A batch of which nothing counts costs 0. An id that is neither a class nor ``ignore_class``
    makes the loss NaN, as a mask that is wrong shall not pass for one that is right.

    Args:
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones.
        ignore_class: int or None. Mask id of pixels that do not count.
        label_smoothing: float in [0, 1). Share of the target that is spread over all classes
            evenly. A pixel keeps the weight of its true class.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or of pixels, ``(batch, height, width)``,
            or None. They multiply what images and pixels cost, and not what it is divided by, as
            in all of Keras's losses.

    Returns:
        Scalar, at least 0; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> loss = unetv2.losses.CrossEntropy(class_weights=[1, 3], ignore_class=255)
        >>> masks = np.array([[[0, 1, 255]]])
        >>> logits = np.log([[[[0.5, 0.5], [0.75, 0.25], [0.9, 0.1]]]])
        >>> round(float(loss(masks, logits)), 4)  # (1 * log(2) + 3 * log(4)) / 4
        1.213

    References:
        - `Szegedy et al., 2016 <https://arxiv.org/abs/1512.00567>`_ for label smoothing
    """

    _weighs_pixels = True

    def __init__(
        self,
        *,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            name=name,
            reduction=reduction,
            dtype=dtype,
            ignore_class=ignore_class,
            class_weights=class_weights,
        )
        self.label_smoothing = require_fraction(
            "label_smoothing", label_smoothing, "0 turns it off, 0.1 is common."
        )

    @override
    def image_values(self, log_probabilities: Any, truth: Any, weights: Any) -> Any:
        """Returns what each image costs, ``(batch,)``."""
        pixels = _surprise(log_probabilities, truth)
        if self.label_smoothing:
            evenly = -ops.mean(log_probabilities, axis=-1)
            pixels = (1 - self.label_smoothing) * pixels + self.label_smoothing * evenly
        return _weighted_mean(self, pixels, truth, weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable(package="unetv2")
class FocalCrossEntropy(SegmentationLoss):
    r"""Cross-entropy that counts what is already certain for little.

    .. math::

        L = \frac{\sum_i w_{y_i} (1 - p_{i, y_i})^\gamma (-\log p_{i, y_i})}{\sum_i w_{y_i}}

    over the batch's pixels that count. With ``gamma=0`` it is :class:`CrossEntropy`.

    The paper multiplies by a weight :math:`\alpha` as well, ``alpha`` for the foreground and
    ``1 - alpha`` for the background, and divides by a number of objects, which masks do not have.
    Here the weights are those of a mean: ``class_weights=[1 - alpha, alpha]`` balances two classes
    as the paper does, and the common scale of the weights cancels out.

    A batch of which nothing counts costs 0. An id that is neither a class nor ``ignore_class``
    makes the loss NaN.

    Args:
        gamma: float, at least 0. The larger, the less a pixel costs that is nearly right.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones.
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or of pixels, ``(batch, height, width)``,
            or None. They multiply what images and pixels cost, and not what it is divided by, as
            in all of Keras's losses.

    Returns:
        Scalar, at least 0; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> loss = unetv2.losses.FocalCrossEntropy(gamma=2)
        >>> logits = np.log([[[[0.5, 0.5]]]])
        >>> round(float(loss(np.array([[[0]]]), logits)), 4)  # 0.5**2 * log(2)
        0.1733

    References:
        - `Lin et al., 2017 <https://arxiv.org/abs/1708.02002>`_
    """

    _weighs_pixels = True

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        name: str = "focal_cross_entropy",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            name=name,
            reduction=reduction,
            dtype=dtype,
            ignore_class=ignore_class,
            class_weights=class_weights,
        )
        self.gamma = require_number("gamma", gamma, "0 is plain cross-entropy, 2 the paper's.")

    @override
    def image_values(self, log_probabilities: Any, truth: Any, weights: Any) -> Any:
        """Returns what each image costs, ``(batch,)``."""
        pixels = _surprise(log_probabilities, truth)
        # 1 - p without losing the digits of a p near 1.
        doubt = ops.maximum(-ops.expm1(-pixels), _SMALLEST_DOUBT)
        return _weighted_mean(self, doubt**self.gamma * pixels, truth, weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "class_weights": self.class_weights,
        }


def _surprise(log_probabilities: Any, truth: Any) -> Any:
    """Returns minus the logarithm of the true class's probability, ``(batch, height, width)``."""
    # As cheap as to gather, and its gradient is no scatter, whose order GPUs leave to chance.
    is_true = ops.one_hot(truth, log_probabilities.shape[-1], dtype=log_probabilities.dtype)
    return -ops.sum(is_true * log_probabilities, axis=-1)


def _weighted_mean(loss: SegmentationLoss, pixels: Any, truth: Any, of_samples: Any) -> Any:
    """Returns each image's share of the batch's weighted mean, times the number of images."""
    counted = truth >= 0
    weights = ops.cast(counted, pixels.dtype)
    if loss.class_weights is not None:
        by_class = ops.convert_to_tensor(loss.class_weights, dtype=pixels.dtype)
        weights = weights * ops.take(by_class, ops.maximum(truth, 0))
    images = ops.cast(ops.shape(pixels)[0], pixels.dtype)
    divisor = weights
    if of_samples is not None and len(of_samples.shape) > 1:
        weights = weights * of_samples
        if loss.reduction == "mean_with_sample_weight":
            divisor = weights
    (total,) = loss.pooled(ops.sum(divisor))
    return ops.divide_no_nan(images * ops.sum(weights * pixels, axis=(1, 2)), total)
