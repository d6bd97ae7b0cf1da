"""Sums of losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from unetv2.arguments import require_number
from unetv2.losses.cross_entropy import CrossEntropy
from unetv2.losses.region import Dice


@keras.saving.register_keras_serializable(package="unetv2")
class Sum(keras.losses.Loss):
    """Weighted sum of losses.

    Each loss keeps its own reduction and precision. A compiled training step computes common parts,
    such as the softmax, once.

    Args:
        losses: sequence of ``keras.losses.Loss``, this library's or Keras's.
        weights: sequence of non-negative floats, one for each loss, or None for 1 each.
        name: str. Name in logs.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)``, or whatever the losses accept.
        y_pred: Logits, ``(batch, height, width, n_classes)``.
        sample_weight: Weights of images, ``(batch,)``, or None, passed to each loss.

    Returns:
        Scalar; ``(batch,)`` where all losses have ``reduction=None``.

    Raises:
        ValueError: If there is no loss, a weight is out of its range, or there are not as many
            weights as losses.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> losses = [unetv2.losses.CrossEntropy(), unetv2.losses.Boundary()]
        >>> loss = unetv2.losses.Sum(losses, weights=[1, 0.5])
        >>> masks = np.array([[[0, 0, 1, 1]]])
        >>> float(loss(masks, 99 * np.eye(2)[masks])) < 1e-6
        True
    """

    def __init__(
        self,
        losses: Sequence[keras.losses.Loss],
        weights: Sequence[float] | None = None,
        *,
        name: str = "sum",
    ) -> None:
        super().__init__(name=name)
        message = (
            "`losses` must be a sequence of one or more keras.losses.Loss. "
            f"Received: losses={losses!r}. Pass instances, such as unetv2.losses.Dice()."
        )
        if not isinstance(losses, list | tuple) or not all(
            isinstance(loss, keras.losses.Loss) for loss in losses
        ):
            raise TypeError(message)
        if not losses:
            raise ValueError(message)
        if weights is None:
            weights = [1.0] * len(losses)
        advice = f"Pass {len(losses)} of them, in the order of the losses."
        if not isinstance(weights, list | tuple) or len(weights) != len(losses):
            raise ValueError(
                f"`weights` must be one number for each loss. Received: weights={weights!r}. "
                f"{advice}"
            )
        self.losses = list(losses)
        self.weights = [require_number("weights", weight, advice) for weight in weights]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Returns the weighted sum of the losses."""
        values = [
            weight * loss(y_true, y_pred, sample_weight)
            for loss, weight in zip(self.losses, self.weights, strict=True)
        ]
        if len({len(value.shape) for value in values}) > 1:
            raise ValueError(
                "`losses` must return values of one shape. Received: losses that return "
                f"{', '.join(str(tuple(value.shape)) for value in values)}. "
                "Give all of them the same `reduction`."
            )
        return sum(values[1:], values[0])

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the weighted sum of the losses."""
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {
            "losses": [keras.saving.serialize_keras_object(loss) for loss in self.losses],
            "weights": self.weights,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sum:
        """Returns the sum that :meth:`get_config` describes."""
        losses = [keras.saving.deserialize_keras_object(loss) for loss in config["losses"]]
        return cls(**{**config, "losses": losses})


@keras.saving.register_keras_serializable(package="unetv2")
class CrossEntropyDice(Sum):
    """Sum of cross-entropy and Dice, ``CrossEntropy + dice_weight * Dice``.

    Cross-entropy has a gradient at every pixel from the first step on; Dice gives small classes the
    same weight as large ones. ``class_weights`` apply to the cross-entropy only.

    Args:
        dice_weight: float, at least 0. Factor of Dice.
        class_weights: sequence of non-negative floats, one for each class, or None for equal
            ones. Weights of the cross-entropy's pixels by their true class.
        ignore_class: int or None. Mask id of unlabeled pixels, which are ignored.
        label_smoothing: float in [0, 1), for the cross-entropy only.
        average: ``"batch"`` or ``"image"``, for Dice, see :class:`Tversky`.
        squared: bool, for Dice, see :class:`Dice`.
        **loss: ``name``, ``reduction``, ``dtype`` of ``keras.losses.Loss``.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None.

    Returns:
        Scalar, at least 0; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not match.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> loss = unetv2.losses.CrossEntropyDice(ignore_class=255)
        >>> logits = np.log([[[[0.8, 0.2], [0.6, 0.4]]]])
        >>> round(float(loss(np.array([[[0, 255]]]), logits)), 4)  # -log(0.8) + 0.2 / 1.8
        0.3343

    References:
        - `Isensee et al., 2018 <https://arxiv.org/abs/1809.10486>`_
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        class_weights: Sequence[float] | None = None,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        average: str = "batch",
        squared: bool = False,
        **loss: Any,
    ) -> None:
        self.dice_weight = require_number("dice_weight", dice_weight, "1 is the usual weight.")
        name = loss.pop("name", "cross_entropy_dice")
        self.cross_entropy = CrossEntropy(
            class_weights=class_weights,
            ignore_class=ignore_class,
            label_smoothing=label_smoothing,
            **loss,
        )
        self.dice = Dice(squared=squared, ignore_class=ignore_class, average=average, **loss)
        super().__init__([self.cross_entropy, self.dice], [1.0, self.dice_weight], name=name)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **self.cross_entropy.get_config(),
            "dice_weight": self.dice_weight,
            "average": self.dice.average,
            "squared": self.dice.squared,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CrossEntropyDice:
        """Returns the loss that :meth:`get_config` describes."""
        return cls(**config)
