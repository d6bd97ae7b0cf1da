"""Cross-entropy with class weights, and the focal loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from typing_extensions import override

from unetv2.arguments import require_fraction, require_number
from unetv2.losses.base import SegmentationLoss

# Lower bound of 1 - p: the precision of p near 1. At 0, powers below 1 have an infinite derivative.
_MIN_COMPLEMENT = 1e-7


@keras.saving.register_keras_serializable(package="unetv2")
class CrossEntropy(SegmentationLoss):
    r"""Cross-entropy of masks and logits, each pixel weighted by its true class.

    .. math:: L = \frac{\sum_i w_{y_i} (-\log p_{i, y_i})}{\sum_i w_{y_i}}

    over the labeled pixels of the batch. Without weights it is
    ``keras.losses.SparseCategoricalCrossentropy(from_logits=True)``. Higher weights increase the
    influence of rare classes; a common factor of the weights cancels out.

    Args:
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones.
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        label_smoothing: float in [0, 1). Fraction of the target that is distributed evenly over all
            classes. A pixel keeps the weight of its true class.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or of pixels, ``(batch, height, width)``,
            or None. They multiply the numerator only, as in all losses of Keras.

    Returns:
        Scalar, at least 0; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
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

    _has_pixel_weights = True

    def __init__(
        self,
        *,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        **loss: Any,
    ) -> None:
        super().__init__(ignore_class=ignore_class, class_weights=class_weights, **loss)
        self.label_smoothing = require_fraction(
            "label_smoothing", label_smoothing, "0 turns it off, 0.1 is common."
        )

    @override
    def image_values(self, log_probabilities: Any, labels: Any, weights: Any) -> Any:
        """Returns the loss of each image, ``(batch,)``."""
        pixels = _negative_log_likelihood(log_probabilities, labels)
        if self.label_smoothing:
            evenly = -ops.mean(log_probabilities, axis=-1)
            pixels = (1 - self.label_smoothing) * pixels + self.label_smoothing * evenly
        return _weighted_mean(self, pixels, labels, weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "class_weights": self.class_weights,
            "label_smoothing": self.label_smoothing,
        }


@keras.saving.register_keras_serializable(package="unetv2")
class FocalCrossEntropy(SegmentationLoss):
    r"""Focal loss: cross-entropy with lower weights for well-classified pixels.

    .. math::

        L = \frac{\sum_i w_{y_i} (1 - p_{i, y_i})^\gamma (-\log p_{i, y_i})}{\sum_i w_{y_i}}

    over the labeled pixels of the batch. With ``gamma=0`` it is :class:`CrossEntropy`.

    The paper also multiplies by a weight :math:`\alpha`, ``alpha`` for the foreground and
    ``1 - alpha`` for the background, and divides by the number of objects, which masks do not have.
    Here ``class_weights=[1 - alpha, alpha]`` balances two classes as in the paper; a common factor
    of the weights cancels out.

    Args:
        gamma: float, at least 0. Focusing parameter: the larger, the lower the loss of
            well-classified pixels.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones.
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or of pixels, ``(batch, height, width)``,
            or None. They multiply the numerator only, as in all losses of Keras.

    Returns:
        Scalar, at least 0; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> loss = unetv2.losses.FocalCrossEntropy(gamma=2)
        >>> logits = np.log([[[[0.5, 0.5]]]])
        >>> round(float(loss(np.array([[[0]]]), logits)), 4)  # 0.5**2 * log(2)
        0.1733

    References:
        - `Lin et al., 2017 <https://arxiv.org/abs/1708.02002>`_
    """

    _has_pixel_weights = True

    def __init__(
        self,
        gamma: float = 2.0,
        *,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        **loss: Any,
    ) -> None:
        super().__init__(ignore_class=ignore_class, class_weights=class_weights, **loss)
        self.gamma = require_number("gamma", gamma, "0 is plain cross-entropy, 2 the paper's.")

    @override
    def image_values(self, log_probabilities: Any, labels: Any, weights: Any) -> Any:
        """Returns the loss of each image, ``(batch,)``."""
        pixels = _negative_log_likelihood(log_probabilities, labels)
        # 1 - p, precise also for p near 1.
        complement = ops.maximum(-ops.expm1(-pixels), _MIN_COMPLEMENT)
        return _weighted_mean(self, complement**self.gamma * pixels, labels, weights)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "class_weights": self.class_weights,
        }


def _negative_log_likelihood(log_probabilities: Any, labels: Any) -> Any:
    """Returns the negative log-likelihood of the true class, ``(batch, height, width)``."""
    # As fast as a gather, whose gradient is a scatter, which GPUs sum in any order.
    is_true = ops.one_hot(labels, log_probabilities.shape[-1], dtype=log_probabilities.dtype)
    return -ops.sum(is_true * log_probabilities, axis=-1)


def _weighted_mean(loss: SegmentationLoss, pixels: Any, labels: Any, sample_weights: Any) -> Any:
    """Returns one value per image, whose mean is the weighted mean over the pixels of the batch."""
    is_labeled = labels >= 0
    weights = ops.cast(is_labeled, pixels.dtype)
    if loss.class_weights is not None:
        by_class = ops.convert_to_tensor(loss.class_weights, dtype=pixels.dtype)
        weights = weights * ops.take(by_class, ops.maximum(labels, 0))
    images = ops.cast(ops.shape(pixels)[0], pixels.dtype)
    divisor = weights
    if sample_weights is not None and len(sample_weights.shape) > 1:
        weights = weights * sample_weights
        if loss.reduction == "mean_with_sample_weight":
            divisor = weights
    (total,) = loss.pooled(ops.sum(divisor))
    return ops.divide_no_nan(images * ops.sum(weights * pixels, axis=(1, 2)), total)
