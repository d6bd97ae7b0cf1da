"""How a model is trained, as a value that can be printed, compared, changed and stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from unetv2.arguments import require_choice, require_fraction, require_integer, require_number
from unetv2.data.augmentation import Augmentation
from unetv2.data.augmentation import get as get_augmentation
from unetv2.losses import CrossEntropy, CrossEntropyDice
from unetv2.models.unet import build_unetv2
from unetv2.runtime import automatic_precision, precision_of
from unetv2.training.class_weights import METHODS

_LOSSES = ("cross_entropy", "cross_entropy_dice")
_SCHEDULES = ("constant", "cosine")
_RATE_ADVICE = "The reference has 1e-3."
__all__ = ["FAST", "NAMES", "REFERENCE", "Recipe", "get"]


def _require_stages(stages: Any) -> tuple[tuple[float, float], ...]:
    message = (
        "`stages` must be (share, scale) pairs: shares of the epochs that are 1 in sum, scales in "
        f"(0, 1], the last one 1. Received: stages={stages!r}. ((1, 1),) is one stage."
    )
    try:
        pairs = tuple((float(share), float(scale)) for share, scale in stages)
    except (TypeError, ValueError):
        raise ValueError(message) from None
    fits = (
        pairs
        and abs(sum(share for share, _ in pairs) - 1) < 1e-6
        and all(share > 0 and 0 < scale <= 1 for share, scale in pairs)
        and pairs[-1][1] == 1
    )
    if not fits:
        raise ValueError(message)
    return pairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Args:
        name: str. What it is called in logs.
        learning_rate: float, at least 0. The highest of the schedule.
        schedule: ``"cosine"``, down to zero at the end of training, or ``"constant"``.
        warmup: float in [0, 1). Share of the steps in which the rate rises from zero.
        weight_decay: float, at least 0. Of AdamW; biases, norms' scales and offsets are left out. 0
            is Adam.
        clip_norm: float above 0, or None. Largest global norm of the gradients; None clips nothing.
        average: float in [0, 1) or None. Momentum of an exponential moving average of the
            weights, which is what is validated and saved then; None averages nothing.
        loss: ``"cross_entropy"`` or ``"cross_entropy_dice"``.
        class_weights: How the cross-entropy weighs classes, a ``method`` of
            :func:`unetv2.class_weights`; a non-negative number for each class; or None for equal
            ones.
        label_smoothing: float in [0, 1). Of the cross-entropy.
        augmentation: ``"light"``, ``"driving"``, an ``Augmentation`` or None. Varies the training
            images unless the data set does so itself.
        batch_size: int, at least 1, or None. None takes the data set's.
        stages: ``(share, scale)`` pairs. Share of the epochs, above 0 and 1 in sum, that is trained
            at ``scale`` times the height and width, in (0, 1]; the last scale is 1. Small images
            first cost a fraction and bring most of the way.
        model: Arguments of ``build_unetv2`` that belong to the recipe; ``dtype="auto"`` is what
            :func:`unetv2.automatic_precision` finds.

    Raises:
        ValueError: If a value is out of its range.
        TypeError: If a value is of the wrong type.

    Example:
        >>> recipe = unetv2.recipes.get("fast", learning_rate=1e-3)
        >>> recipe.learning_rate, recipe.schedule
        (0.001, 'cosine')
    """

    name: str = "custom"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    average: float | None = None
    loss: str = "cross_entropy"
    class_weights: str | Sequence[float] | None = None
    label_smoothing: float = 0.0
    augmentation: str | Augmentation | None = None
    batch_size: int | None = None
    stages: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks every value."""
        require_number("learning_rate", self.learning_rate, _RATE_ADVICE)
        require_choice("schedule", self.schedule, _SCHEDULES)
        require_fraction("warmup", self.warmup, "It is a share of the steps.")
        require_number("weight_decay", self.weight_decay, "0 is Adam.")
        if self.clip_norm is not None:
            require_number("clip_norm", self.clip_norm, "None clips nothing.", positive=True)
        if self.average is not None:
            require_fraction("average", self.average, "0.99 is common; None averages nothing.")
        require_choice("loss", self.loss, _LOSSES)
        if isinstance(self.class_weights, str):
            require_choice("class_weights", self.class_weights, METHODS)
        elif self.class_weights is not None:
            CrossEntropy(class_weights=self.class_weights)  # It checks them.
            object.__setattr__(self, "class_weights", tuple(map(float, self.class_weights)))
        require_fraction("label_smoothing", self.label_smoothing, "0 turns it off.")
        get_augmentation(self.augmentation)
        if self.batch_size is not None:
            require_integer("batch_size", self.batch_size, 1, "None takes the data set's.")
        object.__setattr__(self, "stages", _require_stages(self.stages))
        object.__setattr__(self, "model", dict(self.model))

    def build(
        self, input_shape: tuple[int | None, int | None, int], n_classes: int, **options: Any
    ) -> keras.Model:
        """Builds the network that goes with the recipe.

        Args:
            input_shape: ``(height, width, channels)``, as of :func:`unetv2.build_unetv2`.
            n_classes: int, 2 to 65,536. Number of classes.
            **options: Of :func:`unetv2.build_unetv2`; they win over the recipe's.

        Returns:
            SegmentationModel, compiled; :func:`unetv2.train` compiles it anew.

        Raises:
            ValueError: If an argument is out of its range or does not go with another.
            TypeError: If an argument is unknown or of the wrong type.
        """
        arguments = {**self.model, **options}
        if arguments.get("dtype") == "auto":
            arguments["dtype"] = automatic_precision()
        return build_unetv2(input_shape, n_classes, **arguments)

    def loss_function(
        self, ignore_class: int | None, class_weights: Sequence[float] | None
    ) -> keras.losses.Loss:
        """Returns the loss.

        Args:
            ignore_class: int or None. Id of pixels that have no label.
            class_weights: A non-negative number for each class, or None for equal ones. The
                recipe's own are not looked at, as only the data tells what a name stands for.

        Returns:
            keras.losses.Loss, of :mod:`unetv2.losses`.
        """
        arguments: dict[str, Any] = {
            "class_weights": class_weights,
            "ignore_class": ignore_class,
            "label_smoothing": self.label_smoothing,
        }
        if self.loss == "cross_entropy":
            return CrossEntropy(**arguments)
        return CrossEntropyDice(**arguments)

    def optimizer(self, model: keras.Model, steps: int, *, factor: float = 1.0) -> Any:
        """Returns the optimizer, built for a model.

        Args:
            model: Whose weights are trained.
            steps: int, at least 1. All steps of the training.
            factor: float. What the learning rate is multiplied by, after a failure.

        Returns:
            keras.optimizers.Optimizer. AdamW, or Adam without a decay; scaled for float16.
        """
        rate = self.learning_rate * factor
        warmup = round(self.warmup * steps)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=max(1, steps - warmup),
            # A constant rate is a decay to itself. So no rate is a variable of the optimizer,
            # which a checkpoint would set.
            alpha=0.0 if self.schedule == "cosine" else 1.0,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
        shared: dict[str, Any] = {
            "global_clipnorm": self.clip_norm,
            "use_ema": self.average is not None,
            "ema_momentum": self.average if self.average is not None else 0.99,
        }
        if self.weight_decay:
            optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.weight_decay, **shared)
            optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        else:
            optimizer = keras.optimizers.Adam(schedule, **shared)
        if precision_of(model).compute_dtype == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        return optimizer

    def spans(self, epochs: int) -> list[tuple[int, int, float]]:
        """Returns ``(first epoch, end, scale)`` of each stage, for so many epochs.

        Args:
            epochs: int, at least 1. Epochs of the whole training.

        Returns:
            list of tuples; epochs are counted from 0, the end is not in the stage, and stages
            without an epoch are left out.
        """
        found, start, done = [], 0, 0.0
        for number, (share, scale) in enumerate(self.stages):
            done += share
            # The last stage, at full size, has an epoch whatever the shares are.
            last = number == len(self.stages) - 1
            end = epochs if last else min(round(done * epochs), epochs - 1)
            if end > start:
                found.append((start, end, scale))
            start = max(start, end)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Returns every value, of types that JSON knows."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(self.augmentation, Augmentation):
            values["augmentation"] = dataclasses.asdict(self.augmentation)
        return values

    def __str__(self) -> str:
        """Returns what the recipe does, a line for each value."""
        lines = [f"Recipe '{self.name}':"]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "name":
                lines.append(f"  {field.name:16}{value}")
        return "\n".join(lines)


REFERENCE = Recipe(name="reference")

FAST = Recipe(
    name="fast",
    learning_rate=2e-3,
    warmup=0.3,
    weight_decay=0.02,
    loss="cross_entropy_dice",
    class_weights="sqrt_median_frequency",
    augmentation=Augmentation(horizontal_flip=0.5, scale=(0.7, 1.8), brightness=0.2),
    batch_size=8,
    stages=((0.6, 0.5), (0.4, 1.0)),
    # What each of these gains: benchmarks/architecture.py.
    model={
        "normalization": "batch",
        "normalization_start": 1,
        "upsampling": "bilinear",
        "residual": True,
        "dtype": "auto",
    },
)

_BY_NAME = {recipe.name: recipe for recipe in (REFERENCE, FAST)}
NAMES = tuple(_BY_NAME)


def get(recipe: str | Recipe, **overrides: Any) -> Recipe:
    """Returns the recipe of a name, with other values where given.

    Args:
        recipe: ``"reference"``, ``"fast"``, or a :class:`Recipe`.
        **overrides: Values of :class:`Recipe` to change.

    Returns:
        Recipe.

    Raises:
        ValueError: If there is no such recipe, or a value is out of its range.
        TypeError: If there is no such value, or one is of the wrong type.

    Example:
        >>> unetv2.recipes.get("reference", batch_size=16).batch_size
        16
    """
    if not isinstance(recipe, Recipe):
        require_choice("recipe", recipe, NAMES)
        recipe = _BY_NAME[recipe]
    known = {field.name for field in dataclasses.fields(Recipe)}
    unknown = sorted(overrides.keys() - known)
    if unknown:
        raise TypeError(
            f"A recipe must be changed by its own values: {', '.join(sorted(known))}. "
            f"Received: {', '.join(unknown)}."
        )
    return dataclasses.replace(recipe, **overrides)
