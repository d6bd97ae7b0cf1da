"""Base classes of the losses: ignored pixels, weights, and averages over classes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from numbers import Real
from typing import Any

import keras
from keras import ops

from unetv2.arguments import require_choice, require_ignore_class

_PRECISIONS = ("float32", "float64")


class SegmentationLoss(keras.losses.Loss):
    """Base class of losses for masks of ids and logits.

    Subclasses return one value per image in :meth:`image_values`. The mean of these values is the
    loss of the batch, so Keras's reductions and weights of images keep their meaning.

    Attributes:
        pool: function or None. If the batch is distributed over several devices, it takes sums over
            one device's part and returns their means over all parts, so that a ratio of sums is
            that of the whole batch.
    """

    pool: Callable[[list[Any]], list[Any]] | None = None
    # Whether the loss is a sum over pixels, so that `sample_weight` may have a weight per pixel.
    _has_pixel_weights = False

    def __init__(
        self,
        *,
        ignore_class: int | None,
        class_weights: Sequence[float] | None = None,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        name = name or re.sub("(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        # Not Keras's default, `floatx`: sums over pixels need more than half precision.
        super().__init__(name=name, reduction=reduction, dtype=dtype or "float32")
        if self.dtype not in _PRECISIONS:
            raise ValueError(
                "`dtype` must be 'float32' or 'float64'. "
                f"Received: dtype={dtype!r}. "
                "The loss converts logits of half precision itself."
            )
        require_ignore_class(ignore_class)
        self.ignore_class = None if ignore_class is None else int(ignore_class)
        self.class_weights = _require_class_weights(class_weights)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the loss of a batch.

        Args:
            y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
            y_pred: Logits, ``(batch, height, width, n_classes)``.
            sample_weight: Weights of images, ``(batch,)`` or with axes of 1 behind it, or None;
                of a cross-entropy also of pixels, ``(batch, height, width)`` or with an axis of 1
                behind it.

        Raises:
            ValueError: If a shape does not match that of the logits.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if sample_weight is not None:
            sample_weight = _require_sample_weights(
                ops.convert_to_tensor(sample_weight, dtype=self.dtype),
                y_pred,
                self._has_pixel_weights,
            )
            # Keras does not pass the weights to `call`, but a ratio over the whole batch needs them
            # before the division.
            y_true = (y_true, sample_weight)
            if len(sample_weight.shape) > 1:
                # `image_values` applies weights of pixels.
                sample_weight = None
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value per image, ``(batch,)``; their mean is the loss of the batch."""
        y_true, weights = y_true if isinstance(y_true, tuple) else (y_true, None)
        _require_shapes(y_true.shape, y_pred.shape, self.class_weights)
        n_classes = y_pred.shape[-1]
        masks = ops.cast(y_true, self.dtype)
        masks = ops.squeeze(masks, -1) if len(masks.shape) == 4 else masks
        ids = ops.cast(masks, "int32")
        # Interpolated masks have values that are no ids.
        is_class = (ops.cast(ids, self.dtype) == masks) & (ids >= 0) & (ids < n_classes)
        logits = ops.cast(y_pred, self.dtype)
        is_known = is_labeled = is_class
        if self.ignore_class is not None:
            ignored = masks == self.ignore_class
            is_known = is_class | ignored
            is_labeled = is_class & ops.logical_not(ignored)
            # Constants have no gradient, whatever a loss computes of them.
            logits = ops.where(ops.expand_dims(is_labeled, -1), logits, 0.0)
        values = self.image_values(
            ops.log_softmax(logits, axis=-1), ops.where(is_labeled, ids, -1), weights
        )
        nan_if_unknown = ops.where(ops.all(is_known, axis=(1, 2)), 0.0, float("nan"))
        return values + ops.cast(nan_if_unknown, self.dtype)

    def image_values(self, log_probabilities: Any, labels: Any, weights: Any) -> Any:
        """Returns the loss of each image.

        Args:
            log_probabilities: Logarithms of the softmax, ``(batch, height, width, n_classes)``,
                in the loss's precision.
            labels: int32, ``(batch, height, width)``. Class, or -1 for ignored pixels.
            weights: Weights of images, ``(batch,)``, or None. Keras multiplies the result by
                them, so only ratios over the batch need them here. Weights of pixels,
                ``(batch, height, width)``, must be applied here.

        Returns:
            ``(batch,)``, in the loss's precision.
        """
        raise NotImplementedError

    def pooled(self, *sums: Any) -> list[Any]:
        """Returns sums over the batch as means of the sums over its parts, see ``pool``."""
        return list(sums) if self.pool is None else self.pool(list(sums))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "dtype": self.dtype, "ignore_class": self.ignore_class}


def _require_shapes(mask_shape: Any, logits_shape: Any, class_weights: Any = None) -> None:
    """Raises unless masks and class weights match the logits, as far as shapes are known."""
    mask_shape, logits_shape = tuple(mask_shape), tuple(logits_shape)
    received = f"Received: y_true of shape {mask_shape} for y_pred of shape {logits_shape}. "
    if len(logits_shape) != 4 or logits_shape[-1] is None or logits_shape[-1] < 2:
        raise ValueError(
            "`y_pred` must be logits (batch, height, width, n_classes) of at least 2 classes. "
            f"{received}The background counts: a binary mask has 2 classes."
        )
    fits = len(mask_shape) == 3 or (len(mask_shape) == 4 and mask_shape[-1] == 1)
    if not fits or not all(
        None in pair or pair[0] == pair[1]
        for pair in zip(mask_shape[:3], logits_shape[:3], strict=True)
    ):
        raise ValueError(
            "`y_true` must be masks of the logits' size, (batch, height, width, 1) or "
            f"(batch, height, width). {received}Pass one id per pixel, not one-hot vectors."
        )
    if class_weights is not None and len(class_weights) != logits_shape[-1]:
        raise ValueError(
            "`class_weights` must be one number for each class. "
            f"Received: {len(class_weights)} class_weights for y_pred of shape {logits_shape}. "
            f"Pass {logits_shape[-1]} of them, in the order of the ids."
        )


def _require_sample_weights(weights: Any, logits: Any, of_pixels: bool) -> Any:
    """Returns weights of images, ``(batch,)``, or of pixels, ``(batch, height, width)``."""
    shape, expected = tuple(weights.shape), tuple(logits.shape[:3])
    # Keras adds axes of 1 for broadcasting.
    if shape and all(side == 1 for side in shape[1:]) and len(shape) <= 4:
        fits, wanted = None in (shape[0], expected[0]) or shape[0] == expected[0], 1
    else:
        fits = of_pixels and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1))
        fits = fits and all(
            None in pair or pair[0] == pair[1] for pair in zip(shape[:3], expected, strict=True)
        )
        wanted = 3
    if not fits:
        pixels = ", or one per pixel, (batch, height, width)" if of_pixels else ""
        raise ValueError(
            f"`sample_weight` must be one weight per image, (batch,){pixels}. "
            f"Received: sample_weight of shape {shape} for y_pred of shape "
            f"{tuple(logits.shape)}. "
            "Use the loss's `class_weights` for classes and `ignore_class` for unlabeled pixels."
        )
    for axis in range(len(shape) - 1, wanted - 1, -1):
        weights = ops.squeeze(weights, axis)
    return weights


def _require_class_weights(class_weights: Any) -> list[float] | None:
    if class_weights is None:
        return None
    message = (
        "`class_weights` must be non-negative finite numbers, at least one of them positive. "
        f"Received: class_weights={class_weights!r}. "
        "Pass one number for each class, in the order of the ids."
    )
    # A mapping yields its keys; a set has no order.
    if isinstance(class_weights, str | Mapping | Set):
        raise TypeError(message)
    try:
        numbers = list(class_weights)
    except TypeError:
        raise TypeError(message) from None
    if any(isinstance(number, bool) or not isinstance(number, Real) for number in numbers):
        raise TypeError(message)
    weights = [float(number) for number in numbers]
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise ValueError(message)
    return weights


class ClassAverage(SegmentationLoss):
    """Base class of losses that are a mean over the classes in the masks.

    Subclasses return the loss of each class in each group of pixels in :meth:`class_losses`: the
    whole batch is one group, or each image is one.

    Classes without a true pixel in a group are excluded from its mean, see
    :class:`unetv2.losses.Tversky`, and groups without any class from the mean over the batch.
    """

    def __init__(
        self,
        *,
        average: str,
        ignore_class: int | None,
        class_weights: Sequence[float] | None = None,
        **loss: Any,
    ) -> None:
        super().__init__(ignore_class=ignore_class, class_weights=class_weights, **loss)
        require_choice("average", average, ("batch", "image"))
        self.average = average

    def image_values(self, log_probabilities: Any, labels: Any, weights: Any) -> Any:
        """Returns the loss of each image, ``(batch,)``; of the batch with ``average="batch"``."""
        probabilities = ops.exp(log_probabilities)
        # Within one image, its weight cancels out.
        weights = None if self.average == "image" else weights
        losses, sizes = self.class_losses(probabilities, labels, weights)
        importance = ops.cast(sizes > 0, losses.dtype)
        if self.class_weights is not None:
            importance = importance * ops.convert_to_tensor(self.class_weights, losses.dtype)
        total = ops.sum(importance, axis=-1)
        groups = ops.divide_no_nan(ops.sum(importance * losses, axis=-1), total)
        known = ops.sum(ops.cast(total > 0, losses.dtype))
        if self.average == "image":
            (known,) = self.pooled(known)
        share = known / ops.cast(ops.shape(groups)[0], losses.dtype)
        images = ops.shape(labels)[0]
        return ops.broadcast_to(ops.divide_no_nan(groups, share), (images,))

    def class_losses(self, probabilities: Any, labels: Any, weights: Any) -> tuple[Any, Any]:
        """Returns the loss and the true size of each class in each group.

        Args:
            probabilities: ``(batch, height, width, n_classes)``, in the loss's precision.
            labels: int32, ``(batch, height, width)``. Class, or -1 for ignored pixels.
            weights: Weights of images, ``(batch,)``, or None for equal ones.

        Returns:
            Two tensors ``(groups, n_classes)`` with 1 or ``batch`` groups. Classes of size 0 are
            excluded from the mean; their loss must be finite.
        """
        raise NotImplementedError

    def sum_groups(self, values: Any, weights: Any) -> Any:
        """Sums ``(batch, height, width, n_classes)`` to ``(groups, n_classes)``."""
        images = ops.sum(values, axis=(1, 2))
        if self.average == "image":
            return images
        if weights is not None:
            images = images * ops.expand_dims(weights, -1)
        return ops.sum(images, axis=0, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "average": self.average}
