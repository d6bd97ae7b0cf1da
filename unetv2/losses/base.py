"""What all losses share: which pixels count, and how an image's value becomes the batch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from numbers import Real
from typing import Any

import keras
from keras import ops

from unetv2.arguments import require_choice, require_ignore_class

_PRECISIONS = ("float32", "float64")


class SegmentationLoss(keras.losses.Loss):
    """Compares masks of ids with logits, pixel by pixel.

    A subclass says in :meth:`image_values` what each image costs. The mean of these values is
    the batch's figure, so Keras's reductions and weights by image keep their meaning.

    Args:
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values.
        dtype: str, ``keras.DTypePolicy`` or None. ``"float32"``, also for None, or
            ``"float64"``.
        ignore_class: int or None. Mask id of pixels that do not count.
        class_weights: sequence of floats or None. Importance of each class.

    Attributes:
        pool: function or None. Where a batch is spread over several devices, takes a list of
            sums over a device's part and returns their means over all parts: a ratio of sums is
            then the whole batch's. None where the batch is in one piece.
    """

    pool: Callable[[list[Any]], list[Any]] | None = None
    # Whether a pixel costs something by itself, so that it can have a weight of its own.
    _weighs_pixels = False

    def __init__(
        self,
        *,
        name: str,
        reduction: str | None,
        dtype: Any,
        ignore_class: int | None,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        # Not Keras's default, `floatx`: half precision has no room for a sum over pixels.
        super().__init__(name=name, reduction=reduction, dtype=dtype or "float32")
        if self.dtype not in _PRECISIONS:
            raise ValueError(
                "`dtype` must be 'float32' or 'float64'. "
                f"Received: dtype={dtype!r}. "
                "Pass logits of half precision as they are; the loss widens them."
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
            ValueError: If a shape does not fit the logits'.
        """
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if sample_weight is not None:
            sample_weight = _require_sample_weights(
                ops.convert_to_tensor(sample_weight, dtype=self.dtype), y_pred, self._weighs_pixels
            )
            # Keras keeps the weights from `call`, but what is one ratio over the whole batch
            # needs them before it divides. Nested like this they reach it.
            y_true = (y_true, sample_weight)
            if len(sample_weight.shape) > 1:
                # Weights of pixels are in the images' values already.
                sample_weight = None
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns one value an image, ``(batch,)``; their mean is the batch's figure."""
        y_true, weights = y_true if isinstance(y_true, tuple) else (y_true, None)
        _require_shapes(y_true.shape, y_pred.shape, self.class_weights)
        n_classes = y_pred.shape[-1]
        masks = ops.cast(y_true, self.dtype)
        masks = ops.squeeze(masks, -1) if len(masks.shape) == 4 else masks
        ids = ops.cast(masks, "int32")
        # Compared with the masks themselves: what was interpolated is no id.
        is_class = (ops.cast(ids, self.dtype) == masks) & (ids >= 0) & (ids < n_classes)
        logits = ops.cast(y_pred, self.dtype)
        is_known = counted = is_class
        if self.ignore_class is not None:
            ignored = masks == self.ignore_class
            is_known = is_class | ignored
            counted = is_class & ops.logical_not(ignored)
            # Constants in their place: whatever a loss does next, no gradient leads there.
            logits = ops.where(ops.expand_dims(counted, -1), logits, 0.0)
        values = self.image_values(
            ops.log_softmax(logits, axis=-1), ops.where(counted, ids, -1), weights
        )
        poison = ops.where(ops.all(is_known, axis=(1, 2)), 0.0, float("nan"))
        return values + ops.cast(poison, self.dtype)

    def image_values(self, log_probabilities: Any, truth: Any, weights: Any) -> Any:
        """Returns what each image costs.

        Losses of one sum ask for the same logarithms, which the graph computes once.

        Args:
            log_probabilities: Logarithms of the softmax, ``(batch, height, width, n_classes)``,
                in the loss's precision.
            truth: int32, ``(batch, height, width)``. Class, or -1 where a pixel does not count.
            weights: Weights of images, ``(batch,)``, or None. Keras multiplies the result by
                them, so only what does not split into images needs them here. Weights of pixels,
                ``(batch, height, width)``, are to be in the result.

        Returns:
            ``(batch,)``, in the loss's precision.
        """
        # Each subclass's formula.
        raise NotImplementedError

    def pooled(self, *sums: Any) -> list[Any]:
        """Returns sums over the batch as the means of those over its parts."""
        return list(sums) if self.pool is None else self.pool(list(sums))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that all losses have."""
        return {**super().get_config(), "dtype": self.dtype, "ignore_class": self.ignore_class}


def _require_shapes(mask_shape: Any, logits_shape: Any, class_weights: Any = None) -> None:
    """Raises unless masks and weights fit the logits, as far as their shapes are known.

    Args:
        mask_shape: Shape of the masks.
        logits_shape: Shape of the logits.
        class_weights: sequence of floats or None.

    Raises:
        ValueError: If they do not fit.
    """
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
            f"(batch, height, width). {received}Pass one id a pixel, no one-hot vectors."
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
    # Axes of 1 behind the first one are Keras's way to broadcast.
    if shape and all(side == 1 for side in shape[1:]) and len(shape) <= 4:
        fits, wanted = None in (shape[0], expected[0]) or shape[0] == expected[0], 1
    else:
        fits = of_pixels and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1))
        fits = fits and all(
            None in pair or pair[0] == pair[1] for pair in zip(shape[:3], expected, strict=True)
        )
        wanted = 3
    if not fits:
        pixels = ", or one a pixel, (batch, height, width)" if of_pixels else ""
        raise ValueError(
            f"`sample_weight` must be one weight an image, (batch,){pixels}. "
            f"Received: sample_weight of shape {shape} for y_pred of shape "
            f"{tuple(logits.shape)}. "
            "Weigh classes with the loss's `class_weights` and mark pixels that do not count "
            "with its `ignore_class`."
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
    # A mapping would pass its keys, a set has no order.
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
    """Averages a loss over the classes that the truth has.

    A subclass says in :meth:`class_losses` what each class costs in each group of pixels: the
    whole batch is one group, or each image is one.

    A class without a true pixel in a group is left out of its average. No pixel can be a hit
    there, so the class would cost as much for one false pixel as for all of them, and the
    average would be of little else, as most images lack most classes. Its false pixels do not
    go free: each is missing from the class that is there. Groups without any class are left
    out of the batch's average likewise.

    Args:
        average: ``"batch"`` or ``"image"``.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values.
        dtype: str, ``keras.DTypePolicy`` or None.
        ignore_class: int or None. Mask id of pixels that do not count.
        class_weights: sequence of floats or None. Importance of each class in the average.
    """

    def __init__(
        self,
        *,
        average: str,
        name: str,
        reduction: str | None,
        dtype: Any,
        ignore_class: int | None,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            name=name,
            reduction=reduction,
            dtype=dtype,
            ignore_class=ignore_class,
            class_weights=class_weights,
        )
        require_choice("average", average, ("batch", "image"))
        self.average = average

    def image_values(self, log_probabilities: Any, truth: Any, weights: Any) -> Any:
        """Returns what each image costs, ``(batch,)``; the same for all where the batch is one."""
        probabilities = ops.exp(log_probabilities)
        # Within an image its weight cancels out; within a batch it says what the image is of it.
        weights = None if self.average == "image" else weights
        losses, amounts = self.class_losses(probabilities, truth, weights)
        importance = ops.cast(amounts > 0, losses.dtype)
        if self.class_weights is not None:
            importance = importance * ops.convert_to_tensor(self.class_weights, losses.dtype)
        total = ops.sum(importance, axis=-1)
        groups = ops.divide_no_nan(ops.sum(importance * losses, axis=-1), total)
        known = ops.sum(ops.cast(total > 0, losses.dtype))
        if self.average == "image":
            (known,) = self.pooled(known)
        share = known / ops.cast(ops.shape(groups)[0], losses.dtype)
        images = ops.shape(truth)[0]
        return ops.broadcast_to(ops.divide_no_nan(groups, share), (images,))

    def class_losses(self, probabilities: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
        """Returns what each class costs in each group, and how much of it the truth has.

        Args:
            probabilities: ``(batch, height, width, n_classes)``, in the loss's precision.
            truth: int32, ``(batch, height, width)``. Class, or -1 where a pixel does not count.
            weights: Weights of images, ``(batch,)``, or None for equal ones.

        Returns:
            Two tensors ``(groups, n_classes)``, ``groups`` being 1 or ``batch``. Classes of
            which the truth has nothing are left out; what they cost must be finite.
        """
        # Each subclass's formula.
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
