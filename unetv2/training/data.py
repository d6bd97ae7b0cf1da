"""Validation of model, data and recipe before training."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.classes import require_class_ids
from unetv2.data.augmentation import Augmentation
from unetv2.data.augmentation import get as get_augmentation
from unetv2.data.dataset_info import DatasetInfo, info_of
from unetv2.inference.outputs import require_logits
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing, of_dataset
from unetv2.training.recipes import Recipe

_PAIRS = "batches of (image, mask), as returned by `make_dataset`"
# Advice on infinite data sets.
_ENDLESS = {
    "train": "Remove its `repeat`, or pass `steps_per_epoch`.",
    "validation": "Remove its `repeat`, or limit it by `.take(n)`.",
}
_SIGNATURE = (
    "output_signature=(tf.TensorSpec((None, None, None, 3)), "
    "tf.TensorSpec((None, None, None, 1), tf.int32))"
)
# Methods that Keras's `fit` calls, but training with a strategy does not.
_STEP_METHODS = (
    "compute_loss",
    "compute_metrics",
    "make_test_function",
    "make_train_function",
    "test_step",
    "train_step",
)
# Limits for data sets of unknown cardinality, in batches.
_MOST_COUNTED = 10_000
_WARNED_AFTER = 200

_log = logging.getLogger("unetv2")


@dataclasses.dataclass(frozen=True)
class DataSpec:
    """The properties of a training's data.

    Args:
        n_classes: int. The model's number of classes.
        ignore_class: int or None. Id of unlabeled pixels.
        n_pairs: int. Pairs in an epoch.
        batch_size: int. Pairs in a batch of the training.
        rebatched: bool. Whether the data set has batches of other sizes.
        augmentation: The augmentation that the training applies, or None.
        image_shape: ``(height, width, channels)`` of the first image.
        validated: bool. Whether there is validation data.
        preprocessing: Preprocessing of the images, or None if it is unknown.
        dataset_augmentation: The augmentation that the data set applies, or None.
        steps_per_epoch: int or None. Batches in an epoch; None is one pass over the data set.
    """

    n_classes: int
    ignore_class: int | None
    n_pairs: int
    batch_size: int
    rebatched: bool
    augmentation: Augmentation | None
    image_shape: tuple[int, ...]
    validated: bool
    preprocessing: Preprocessing | None
    dataset_augmentation: Augmentation | None = None
    steps_per_epoch: int | None = None

    def __str__(self) -> str:
        """Returns the augmentation of the training images."""
        if self.dataset_augmentation is not None:
            return f"Augmentation, by the data set: {self.dataset_augmentation}."
        return f"Augmentation: {self.augmentation}."

    def as_dict(self) -> dict[str, Any]:
        """Returns the values that must not change on resume, JSON-serializable."""
        values = {
            name: value
            for name, value in vars(self).items()
            if name not in ("augmentation", "preprocessing", "dataset_augmentation")
        }
        if self.augmentation is not None:
            values["augmentation"] = dataclasses.asdict(self.augmentation)
        return values


def inspect_data(
    model: keras.Model,
    train: Any,
    validation: Any,
    recipe: Recipe,
    *,
    steps_per_epoch: int | None = None,
    is_distributed: bool = False,
) -> DataSpec:
    """Validates the first batches for the model and the recipe.

    Args:
        model: Maps images to logits.
        train: The training data.
        validation: The validation data, or None.
        recipe: Its batch size and augmentation.
        steps_per_epoch: int or None. Batches in an epoch; None is one pass over ``train``.
        is_distributed: bool. Whether several workers train, each on its part of the data.

    Raises:
        TypeError: If the data is not a ``tf.data.Dataset``.
        ValueError: If it does not fit.
    """
    n_classes = require_logits(model)
    _require_class(model, is_distributed=is_distributed)
    _require_dataset("train", train, must_end=steps_per_epoch is None)
    if validation is not None:
        _require_dataset("validation", validation, must_end=True)
    info = info_of(train)
    ignore_class = _ignore_class(model, info, validation)
    shape = _check_first_batch("train", train, model, n_classes, ignore_class)
    if validation is not None:
        _check_first_batch("validation", validation, model, n_classes, ignore_class)
    if is_distributed and info is not None:
        # Equal on all workers, even if they skip different pairs.
        n_pairs, given, is_regular = info.n_pairs, info.batch_size, True
    elif steps_per_epoch is not None:
        # Batches are filled across the end of a pass, so their sizes differ from the data set's.
        given = len(next(iter(train))[1]) if info is None else info.batch_size
        n_pairs, is_regular = steps_per_epoch * (recipe.batch_size or given), False
    else:
        n_pairs, given, is_regular = count_pairs("train", train)
    dataset_augmentation = None if info is None else info.augmentation
    augmentation = get_augmentation(recipe.augmentation, ignore_class, channels=shape[-1])
    batch_size = recipe.batch_size or given
    return DataSpec(
        n_classes=n_classes,
        ignore_class=ignore_class,
        n_pairs=n_pairs,
        batch_size=batch_size,
        rebatched=not is_regular or batch_size != given,
        # Images must not be augmented twice.
        augmentation=augmentation if dataset_augmentation is None else None,
        image_shape=shape,
        validated=validation is not None,
        preprocessing=_preprocessing(model, train, n_classes),
        dataset_augmentation=dataset_augmentation,
        steps_per_epoch=steps_per_epoch,
    )


def _require_dataset(name: str, data: Any, *, must_end: bool) -> None:
    if not isinstance(data, tf.data.Dataset):
        raise TypeError(
            f"`{name}` must be a tf.data.Dataset of {_PAIRS}. "
            f"Received: {name} of type {type(data).__name__}. {_conversion(data)}"
        )
    found, advice = _not_a_pair(data.element_spec)
    if found:
        raise ValueError(f"`{name}` must contain {_PAIRS}. Received: {found}. {advice}")
    info = info_of(data)
    repeats = info is not None and info.repeat
    if must_end and (repeats or int(data.cardinality()) == tf.data.INFINITE_CARDINALITY):
        kind = "a data set with repeat=True" if repeats else "an endless data set"
        raise ValueError(
            f"`{name}` must end, as an epoch is one pass. Received: {kind}. {_ENDLESS[name]}"
        )


def _conversion(data: Any) -> str:
    """Returns advice on converting data of another type."""
    if isinstance(data, keras.utils.PyDataset):
        return (
            "Convert its batches: `tf.data.Dataset.from_generator(lambda: (data[i] for i in "
            f"range(len(data))), {_SIGNATURE})`."
        )
    if isinstance(data, tuple | list | np.ndarray) or tf.is_tensor(data):
        return (
            "Convert arrays by `tf.data.Dataset.from_tensor_slices((images, masks))"
            ".shuffle(len(images)).batch(8)`."
        )
    if isinstance(data, Callable | Iterable) and not isinstance(data, str):  # type: ignore[arg-type]
        return (
            "Convert a function that returns a generator of batches by "
            f"`tf.data.Dataset.from_generator(function, {_SIGNATURE})`, and pass "
            "`steps_per_epoch` if it never ends."
        )
    return "`make_dataset` creates one from two folders."


def _not_a_pair(spec: Any) -> tuple[str, str]:
    """Returns the type of elements that are not pairs of tensors, and advice; else empty."""
    if isinstance(spec, Mapping):
        keys = [repr(key) for key in spec]
        image, mask = keys if len(keys) == 2 else ("'image'", "'mask'")
        return (
            f"dicts of {', '.join(keys)}",
            f"Convert them by `.map(lambda item: (item[{image}], item[{mask}]))`.",
        )
    if not isinstance(spec, tuple):
        return "single tensors", "Combine images and masks by `tf.data.Dataset.zip`."
    if len(spec) != 2:
        return (
            f"tuples of {len(spec)}",
            "Remove the rest by `.map(lambda image, mask, *_: (image, mask))`. Instead of sample "
            "weights, use the recipe's `class_weights`, and `ignore_class` for pixels that must "
            "not count.",
        )
    for what, part in zip(("image", "mask"), spec, strict=True):
        if isinstance(part, Mapping):
            return (
                f"a dict of {', '.join(map(repr, part))} as {what}",
                "Select one tensor by `.map`: the model must have one input and one output.",
            )
        if not isinstance(part, tf.TensorSpec):
            return (
                f"a {type(part).__name__.removesuffix('Spec')} as {what}",
                "Give all images of a batch one size, by `.map` with `tf.image.resize` or a crop.",
            )
    return "", ""


def _require_class(model: keras.Model, *, is_distributed: bool) -> None:
    """Raises a ValueError for model classes with overridden methods that would be ignored.

    One device trains the model itself. With a strategy, a copy of its layers is trained, and files
    contain the layers without the class.
    """
    kind = type(model).__name__
    image = keras.Input((None, None, 1))
    functional = type(keras.Model(image, image))
    # A subclass inherits one of these.
    if "call" in vars(model) or type(model).call not in (functional.call, keras.Sequential.call):
        raise ValueError(
            "`model` must be a functional or sequential model without its own `call`, as files and "
            f"exports contain only its layers. Received: model of type {kind}, which overrides "
            "`call`. Move that code into a layer, or override `train_step` if it is only for "
            "training."
        )
    overridden = [
        name
        for name in _STEP_METHODS
        if name in vars(model) or getattr(type(model), name) is not getattr(keras.Model, name)
    ]
    if is_distributed and overridden:
        raise ValueError(
            "`model` must use Keras's own training step with a `strategy`. Received: model of type "
            f"{kind}, which overrides {', '.join(overridden)}. Pass strategy=None, or move that "
            "code into the data set or a layer."
        )
    try:
        inspect.signature(model.compile).bind(optimizer=None, loss=None, metrics=None)
    except TypeError as error:
        raise ValueError(
            "`model` must accept optimizer, loss and metrics in `compile`, which the recipe sets. "
            f"Received: model of type {kind}, whose `compile` fails with: {error}. Pass other "
            "arguments to its constructor."
        ) from error


def _preprocessing(
    model: keras.Model, train: tf.data.Dataset, n_classes: int
) -> Preprocessing | None:
    """Returns the preprocessing of the data, the model, or the data that it is derived from."""
    info = info_of(train)
    if info is not None:
        return info.preprocessing
    if isinstance(getattr(model, "preprocessing", None), Preprocessing):
        return preprocessing_of(model, n_classes)
    return of_dataset(train)


def _ignore_class(model: keras.Model, info: DatasetInfo | None, validation: Any) -> int | None:
    """Returns the data's ``ignore_class``, or else that of the compiled model."""
    compiled = getattr(getattr(model, "loss", None), "ignore_class", None)
    if info is None:
        return compiled
    ignore_class = info.labels.ignore_class
    other = info_of(validation)
    if other is not None and other.labels.ignore_class != ignore_class:
        raise ValueError(
            "`train` and `validation` must have the same `ignore_class`. Received: "
            f"{ignore_class} and {other.labels.ignore_class}."
        )
    return compiled if ignore_class is None else ignore_class


def _check_first_batch(
    name: str, dataset: Any, model: keras.Model, n_classes: int, ignore_class: int | None
) -> tuple[int, ...]:
    """Returns the shape of the first image."""
    info = info_of(dataset)
    if info is not None:
        found = info.labels.n_classes
        if found not in (None, n_classes):
            raise ValueError(
                "`model` must have one output per class of the data. "
                f"Received: {n_classes} outputs, and n_classes={found} in `{name}`. "
                "Build the model, or create the data set, with the other number."
            )
    batch = next(iter(dataset), None)
    if batch is None:
        raise ValueError(f"`{name}` must contain at least one batch. Received: an empty data set.")
    images, masks = (np.asarray(part) for part in batch)
    _require_shapes(name, images.shape, masks.shape, model)
    require_class_ids(
        masks,
        n_classes,
        ignore_class,
        source=f"the first batch of `{name}`",
        advice=lambda invalid: _advice(invalid, has_info=info is not None),
    )
    # Augmentations may slightly exceed the range.
    if images.size and not -0.5 <= images.min() <= images.max() <= 1.5:
        raise ValueError(
            f"Images in `{name}` must be in [0, 1]. Received: values from {images.min():g} to "
            f"{images.max():g}. Divide 8-bit images by 255."
        )
    return images.shape[1:]


def _require_shapes(
    name: str, images: tuple[int, ...], masks: tuple[int, ...], model: keras.Model
) -> None:
    expected = model.input_shape
    fits = len(images) == len(expected) == 4 and all(
        size in (None, given) for size, given in zip(expected[1:], images[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"Images in `{name}` must have the model's input shape, {expected}. "
            f"Received: {images}. Pass that `image_size` to `make_dataset`, or build the model "
            "for (None, None, channels)."
        )
    if masks != (*images[:3], 1):
        raise ValueError(
            f"Masks in `{name}` must have the images' size, {(*images[:3], 1)}. "
            f"Received: {masks}. Pass one id per pixel instead of one-hot vectors."
        )


def _advice(invalid: np.ndarray, *, has_info: bool) -> str:
    """Returns advice on the distinct invalid ids of a data set."""
    if has_info:
        return "Build the model with more classes, or pass `ignore_class` to `make_dataset`."
    if len(invalid) > 1:
        return "Build the model with more classes, or map these ids to `ignore_class`."
    # `map` and other methods return data sets without the information of `make_dataset`.
    return (
        "The data set has no `ignore_class`, even if `make_dataset` had one before `map` or "
        f"another method. Pass `ignore_class={invalid[0]}` to `build_unetv2`, or build the model "
        "with more classes if it is a class."
    )


def count_pairs(name: str, dataset: tf.data.Dataset) -> tuple[int, int, bool]:
    """Counts the pairs of a data set, with an iteration if its cardinality is unknown.

    Args:
        name: The argument's name.
        dataset: Batches of ``(image, mask)``.

    Returns:
        tuple ``(n_pairs, batch_size, is_regular)``. ``is_regular`` is whether all batches but the
        last have ``batch_size`` pairs.

    Raises:
        ValueError: If there are more than 10,000 batches.
    """
    info = info_of(dataset)
    if info is not None and int(dataset.cardinality()) >= 0:
        return info.n_pairs, info.batch_size, True
    sizes: list[int] = []
    for _, masks in dataset:
        sizes.append(int(tf.shape(masks)[0]))
        if len(sizes) == _WARNED_AFTER:
            _log.warning(
                "`%s` has an unknown cardinality, so its batches are counted first. Set it by "
                "`.apply(tf.data.experimental.assert_cardinality(n))`.", name,
            )  # fmt: skip
        if len(sizes) > _MOST_COUNTED:
            raise ValueError(
                f"`{name}` must end, as an epoch is one pass. Received: a data set of unknown "
                f"cardinality with more than {_MOST_COUNTED} batches. Set the cardinality by "
                f"`.apply(tf.data.experimental.assert_cardinality(n))`. {_ENDLESS[name]}"
            )
    if info is not None:
        # Skipped pairs make batches smaller, different ones in each epoch.
        return sum(sizes), info.batch_size, sum(sizes) == info.n_pairs
    is_regular = set(sizes[:-1]) <= {sizes[0]} and sizes[-1] <= sizes[0]
    return sum(sizes), sizes[0], is_regular
