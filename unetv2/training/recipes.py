"""Training recipes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from unetv2.arguments import require_choice, require_fraction, require_integer, require_number
from unetv2.data.augmentation import Augmentation
from unetv2.data.augmentation import get as get_augmentation
from unetv2.losses import CrossEntropy, CrossEntropyDice
from unetv2.models.unet import build_unetv2
from unetv2.runtime import automatic_precision, precision_of
from unetv2.training.class_weights import METHODS
from unetv2.training.clock import TimedSchedule

_LOSSES: dict[str, Callable[..., keras.losses.Loss]] = {
    "cross_entropy": CrossEntropy,
    "cross_entropy_dice": CrossEntropyDice,
}
_SCHEDULES = ("constant", "cosine")
# Resolution of a schedule that follows the time.
_POSITIONS = 100_000
_RATE_ADVICE = "The reference has 1e-3."
__all__ = ["FAST", "NAMES", "REFERENCE", "Recipe", "get"]


def _require_progressive_resizing(value: Any) -> tuple[tuple[float, float], ...]:
    message = (
        "`progressive_resizing` must be pairs (share of the epochs, scale of the images): shares "
        "above 0 with the sum 1, scales in (0, 1], the last one 1. Received: "
        f"progressive_resizing={value!r}. Pass ((1, 1),) to train at full size only."
    )
    try:
        pairs = tuple((float(share), float(scale)) for share, scale in value)
    except (TypeError, ValueError):
        raise ValueError(message) from None
    is_valid = (
        pairs
        and abs(sum(share for share, _ in pairs) - 1) < 1e-6
        and all(share > 0 and 0 < scale <= 1 for share, scale in pairs)
        and pairs[-1][1] == 1
    )
    if not is_valid:
        raise ValueError(message)
    return pairs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The hyperparameters of a training.

    Args:
        name: str. Name for logs.
        learning_rate: float, at least 0. Maximum of the schedule.
        schedule: ``"cosine"``, which decays to zero at the end of training, or ``"constant"``.
        warmup: float in [0, 1). Fraction of the steps in which the rate rises from zero.
        weight_decay: float, at least 0. Weight decay of AdamW, which excludes biases and the
            parameters of normalization layers. 0 uses Adam.
        clip_norm: float above 0, or None. Maximum global norm of the gradients; None does not clip.
        ema_momentum: float in [0, 1) or None. Momentum of an exponential moving average of the
            weights, which is validated and saved; None does not average.
        loss: ``"cross_entropy"`` or ``"cross_entropy_dice"``.
        class_weights: Class weights of the cross-entropy: a ``method`` of
            :func:`unetv2.class_weights`; a non-negative number for each class; or None for equal
            weights.
        label_smoothing: float in [0, 1). Label smoothing of the cross-entropy.
        augmentation: ``"light"``, ``"driving"``, an ``Augmentation`` or None. Augments the training
            images, unless the data set does.
        batch_size: int, at least 1, or None. None uses the data set's.
        progressive_resizing: Phases ``(share, scale)``: a ``share`` of the epochs, or of the
            ``minutes``, above 0 and 1 in total, uses images of ``scale`` times the height and
            width, in (0, 1]; the last scale is 1. Training on small images costs less.
            ``((1, 1),)`` trains at full size only.
        model: Arguments of ``build_unetv2`` that belong to the recipe; ``dtype="auto"`` is the
            result of :func:`unetv2.automatic_precision`.

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
    ema_momentum: float | None = None
    loss: str = "cross_entropy"
    class_weights: str | Sequence[float] | None = None
    label_smoothing: float = 0.0
    augmentation: str | Augmentation | None = None
    batch_size: int | None = None
    progressive_resizing: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks every value."""
        require_number("learning_rate", self.learning_rate, _RATE_ADVICE)
        require_choice("schedule", self.schedule, _SCHEDULES)
        require_fraction(
            "warmup", self.warmup, "It is the share of the steps in which the rate rises."
        )
        require_number("weight_decay", self.weight_decay, "0 is Adam.")
        if self.clip_norm is not None:
            require_number("clip_norm", self.clip_norm, "None does not clip.", positive=True)
        if self.ema_momentum is not None:
            advice = "0.99 is common; None does not average."
            require_fraction("ema_momentum", self.ema_momentum, advice)
        require_choice("loss", self.loss, _LOSSES)
        if isinstance(self.class_weights, str):
            require_choice("class_weights", self.class_weights, METHODS)
        elif self.class_weights is not None:
            CrossEntropy(class_weights=self.class_weights)  # Validates them.
            object.__setattr__(self, "class_weights", tuple(map(float, self.class_weights)))
        require_fraction("label_smoothing", self.label_smoothing, "0 turns it off.")
        get_augmentation(self.augmentation)
        if self.batch_size is not None:
            require_integer("batch_size", self.batch_size, 1, "None uses the data set's.")
        phases = _require_progressive_resizing(self.progressive_resizing)
        object.__setattr__(self, "progressive_resizing", phases)
        object.__setattr__(self, "model", dict(self.model))

    def build(
        self, input_shape: tuple[int | None, int | None, int], n_classes: int, **options: Any
    ) -> keras.Model:
        """Builds the recipe's network.

        Args:
            input_shape: ``(height, width, channels)``, as of :func:`unetv2.build_unetv2`.
            n_classes: int, 2 to 65,536. Number of classes.
            **options: Options of :func:`unetv2.build_unetv2`; they override the recipe's.

        Returns:
            SegmentationModel, compiled; :func:`unetv2.train` compiles it again.

        Raises:
            ValueError: If an argument is out of its range or conflicts with another.
            TypeError: If an argument is unknown or of the wrong type.
        """
        arguments = {**self.model, **options}
        if arguments.get("dtype") == "auto":
            arguments["dtype"] = automatic_precision()
        return build_unetv2(input_shape, n_classes, **arguments)

    def loss_function(
        self, ignore_class: int | None, class_weights: Sequence[float] | None
    ) -> keras.losses.Loss:
        """Creates the loss.

        Args:
            ignore_class: int or None. Id of pixels that have no label.
            class_weights: A non-negative number for each class, or None for equal weights. The
                recipe's own may be a method, whose weights depend on the data.

        Returns:
            keras.losses.Loss, of :mod:`unetv2.losses`.
        """
        return _LOSSES[self.loss](
            class_weights=class_weights,
            ignore_class=ignore_class,
            label_smoothing=self.label_smoothing,
        )

    def optimizer(
        self,
        model: keras.Model,
        steps: int,
        *,
        factor: float = 1.0,
        position: keras.Variable | None = None,
    ) -> Any:
        """Creates the optimizer of a model.

        Args:
            model: The model to train.
            steps: int, at least 1. All steps of the training; without effect with a ``position``.
            factor: float. Factor of the learning rate, below 1 after a rollback.
            position: A scalar float32 ``keras.Variable`` in [0, 1], which the schedule follows
                instead of the steps, such as the elapsed share of a time; or None.

        Returns:
            keras.optimizers.Optimizer. AdamW, or Adam without a weight decay; with loss scaling for
            float16.
        """
        rate = self.learning_rate * factor
        if position is not None:
            steps = _POSITIONS
        warmup = round(self.warmup * steps)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=max(1, steps - warmup),
            # A constant rate is a schedule too, as a variable would be restored from checkpoints.
            alpha=0.0 if self.schedule == "cosine" else 1.0,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
        if position is not None:
            schedule = TimedSchedule(schedule, steps, position)
        shared: dict[str, Any] = {
            "global_clipnorm": self.clip_norm,
            "use_ema": self.ema_momentum is not None,
            "ema_momentum": self.ema_momentum if self.ema_momentum is not None else 0.99,
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

    def phases(self, epochs: int) -> list[tuple[int, int, float]]:
        """Returns the phases of progressive resizing.

        Args:
            epochs: int, at least 1. Epochs of the whole training.

        Returns:
            list of tuples ``(start, end, scale)``. Epochs count from 0 and exclude ``end``; phases
            without an epoch are omitted.
        """
        phases, start, done = [], 0, 0.0
        for number, (share, scale) in enumerate(self.progressive_resizing):
            done += share
            # The last phase, at full size, has at least one epoch.
            is_last = number == len(self.progressive_resizing) - 1
            end = epochs if is_last else min(round(done * epochs), epochs - 1)
            if end > start:
                phases.append((start, end, scale))
            start = max(start, end)
        return phases

    def phase(self, epoch: int, epochs: int) -> tuple[int, int, float]:
        """Returns the phase ``(start, end, scale)`` of an epoch.

        Args:
            epoch: int. The epoch, from 0.
            epochs: int, at least 1. Epochs of the whole training.
        """
        return next(phase for phase in self.phases(epochs) if epoch < phase[1])

    def phases_of_time(self) -> list[tuple[float, float, float]]:
        """Returns the phases of progressive resizing of a training for a given time.

        Returns:
            list of tuples ``(start, end, scale)``. ``start`` and ``end`` are shares of the time, in
            [0, 1].
        """
        phases, start = [], 0.0
        for share, scale in self.progressive_resizing[:-1]:
            phases.append((start, start + share, scale))
            start += share
        return [*phases, (start, 1.0, 1.0)]

    def as_dict(self) -> dict[str, Any]:
        """Returns all values, JSON-serializable."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(self.augmentation, Augmentation):
            values["augmentation"] = dataclasses.asdict(self.augmentation)
        return values

    def __str__(self) -> str:
        """Returns a line for each value."""
        lines = [f"Recipe '{self.name}':"]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "name":
                lines.append(f"  {field.name:22}{value}")
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
    progressive_resizing=((0.6, 0.5), (0.4, 1.0)),
    # benchmarks/architecture.py measures the gain of each.
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
    """Returns a recipe, with some values replaced.

    Args:
        recipe: ``"reference"``, ``"fast"``, or a :class:`Recipe`.
        **overrides: Values of :class:`Recipe` to change.

    Returns:
        Recipe.

    Raises:
        ValueError: If the recipe is unknown, or a value is out of its range.
        TypeError: If an option is unknown, or a value is of the wrong type.

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
            f"Options of a recipe must be among {', '.join(sorted(known))}. "
            f"Received: {', '.join(unknown)}."
        )
    return dataclasses.replace(recipe, **overrides)
