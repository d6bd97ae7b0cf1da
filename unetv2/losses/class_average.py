"""From a loss for each class to one for the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from unetv2.arguments import require_choice
from unetv2.losses.segmentation_loss import SegmentationLoss


class ClassAverage(SegmentationLoss):
    """Averages a loss over the classes that the truth has.

    A subclass says in :meth:`class_losses` what each class costs in each group of pixels: the
    whole batch is one group, or each image is one.

    A class without a true pixel in a group is left out of its average. No pixel can be a hit
    there, so the class would cost as much for one false pixel as for all of them, and the
    average would be of little else, as most pictures lack most classes. Its false pixels do not
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
