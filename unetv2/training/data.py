"""Whether the data fits the model and the recipe, before the first step."""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
from unetv2.preprocessing import Preprocessing
from unetv2.training.recipes import Recipe

_PAIRS = "batches of (image, mask), as `make_dataset` makes them"
# What to do with data that does not end.
WAYS = {
    "train": "Leave out what repeats it, or pass `steps_per_epoch`.",
    "validation": "Leave out what repeats it, or take so many batches of it, by `.take(n)`.",
}
_SIGNATURE = (
    "output_signature=(tf.TensorSpec((None, None, None, 3)), "
    "tf.TensorSpec((None, None, None, 1), tf.int32))"
)


def require_dataset(name: str, data: Any) -> None:
    """Refuses what is no data set of images and masks, before anything is read of it.

    Args:
        name: The argument's name.
        data: What was given.

    Raises:
        TypeError: If it is no ``tf.data.Dataset``.
        ValueError: If its elements are no pairs of tensors.
    """
    if not isinstance(data, tf.data.Dataset):
        raise TypeError(
            f"`{name}` must be a tf.data.Dataset of {_PAIRS}. "
            f"Received: {type(data).__name__}. {_way(data)}"
        )
    found, advice = _kind(data.element_spec)
    if found:
        raise ValueError(f"`{name}` must hold {_PAIRS}. Received: {found}. {advice}")


def require_end(name: str, dataset: tf.data.Dataset, steps: int | None) -> None:
    """Refuses data without an end where an epoch is one pass over it.

    Args:
        name: The argument's name.
        dataset: Batches of ``(image, mask)``.
        steps: int or None. Batches of an epoch.

    Raises:
        ValueError: If it does not end and ``steps`` is None.
    """
    origin = info_of(dataset)
    repeats = origin is not None and origin.repeat
    if steps is None and (repeats or int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY):
        kind = "a data set with repeat=True" if repeats else "an endless one"
        raise ValueError(
            f"`{name}` must end, so that there are epochs. Received: {kind}. {WAYS[name]}"
        )


def _way(data: Any) -> str:
    if isinstance(data, keras.utils.PyDataset):
        return (
            "Make one of its batches: `tf.data.Dataset.from_generator(lambda: (data[i] for i in "
            f"range(len(data))), {_SIGNATURE})`."
        )
    if isinstance(data, tuple | list | np.ndarray) or tf.is_tensor(data):
        return (
            "Make one of arrays: `tf.data.Dataset.from_tensor_slices((images, masks))"
            ".shuffle(len(images)).batch(8)`."
        )
    if isinstance(data, Callable | Iterable) and not isinstance(data, str):  # type: ignore[arg-type]
        return (
            "Make one of a function that returns a generator of batches: "
            f"`tf.data.Dataset.from_generator(function, {_SIGNATURE})`, with `steps_per_epoch` "
            "where it never ends."
        )
    return "`make_dataset` makes one of two folders."


def _kind(spec: Any) -> tuple[str, str]:
    """Returns what the elements are if they are no pairs of tensors, and how they become some."""
    if isinstance(spec, Mapping):
        names = [repr(name) for name in spec]
        one, other = names if len(names) == 2 else ("'image'", "'mask'")
        return (
            f"dicts of {', '.join(names)}",
            f"Take the two out: `.map(lambda found: (found[{one}], found[{other}]))`.",
        )
    if not isinstance(spec, tuple):
        return "single tensors", "Give each image its mask: `tf.data.Dataset.zip`."
    if len(spec) != 2:
        return (
            f"{len(spec)} parts",
            "Leave out the others: `.map(lambda image, mask, *_: (image, mask))`. In place of "
            "weights, a recipe has `class_weights`, and pixels that are not to count have the id "
            "`ignore_class`.",
        )
    for what, part in zip(("image", "mask"), spec, strict=True):
        if isinstance(part, Mapping):
            keys = ", ".join(map(repr, part))
            return (
                f"a dict of {keys} as {what}",
                "Take the tensor out by `.map`; a model has one input and one output here.",
            )
        if not isinstance(part, tf.TensorSpec):
            return (
                f"a {type(part).__name__.removesuffix('Spec')} as {what}",
                "Make tensors of one size in a batch: `.map` with `tf.image.resize`, or a crop.",
            )
    return "", ""


# What Keras's `fit` calls and the loop for several devices does itself.
_STEPS = (
    "compute_loss",
    "compute_metrics",
    "make_test_function",
    "make_train_function",
    "test_step",
    "train_step",
)


def require_class(model: keras.Model, *, shared: bool) -> None:
    """Refuses a class of which a part would be left out.

    On one device the model itself is trained, with all that its class overrides; on several a copy
    is, on a loop of the library. The files hold its layers, without its class.

    Args:
        model: A functional model, perhaps of a class of the user's.
        shared: bool. Whether it is trained on several devices.

    Raises:
        ValueError: If it overrides what would be left out.
    """
    kind = type(model).__name__
    image = keras.Input((None, None, 1))
    functional = type(keras.Model(image, image))
    # A class of the user's inherits either.
    if "call" in vars(model) or type(model).call not in (functional.call, keras.Sequential.call):
        raise ValueError(
            "`model` must compute what its layers say, as files and exports hold these alone. "
            f"Received: {kind}, which has a `call` of its own. Put what it does into a layer, or "
            "override `train_step` for what is done in training only."
        )
    own = [
        name
        for name in _STEPS
        if name in vars(model) or getattr(type(model), name) is not getattr(keras.Model, name)
    ]
    if shared and own:
        raise ValueError(
            "`model` must have Keras's own training step where there is a `strategy`. Received: "
            f"{kind}, which overrides {', '.join(own)}. Pass strategy=None, which keeps it, or put "
            "what it does into the data set or into a layer."
        )
    try:
        inspect.signature(model.compile).bind(optimizer=None, loss=None, metrics=None)
    except TypeError as error:
        raise ValueError(
            "`model` must compile with optimizer, loss and metrics, which the recipe chooses. "
            f"Received: {kind}, whose `compile` does not ({error}). Pass what else it needs to "
            "its constructor."
        ) from error


# Batches that are counted where a data set does not say how many it holds.
_MOST_COUNTED = 10_000
_TOLD_AFTER = 200

_log = logging.getLogger("unetv2")


@dataclass(frozen=True)
class Inputs:
    """What a training is fed with.

    Args:
        n_classes: int. The model's.
        ignore_class: int or None. Id of pixels that have no label.
        n_pairs: int. Pairs in an epoch.
        batch_size: int. Pairs in a batch of the training.
        rebatched: bool. Whether the data set's batches are of other sizes.
        augmentation: What varies the images besides, or None.
        image_shape: ``(height, width, channels)`` of the first image.
        validated: bool. Whether there is validation data.
        preprocessing: How the images are prepared, or None if nobody knows.
        varied_before: What varies them in the data set already, or None.
        steps_per_epoch: int or None. Batches of an epoch, where that is no pass over the data set.
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
    varied_before: Augmentation | None = None
    steps_per_epoch: int | None = None

    def __str__(self) -> str:
        """Returns how the training images are varied, which the recipe alone does not tell."""
        if self.varied_before is not None:
            return f"Training images are varied by the data set: {self.varied_before}."
        if self.augmentation is not None:
            return f"Training images are varied: {self.augmentation}."
        return "Training images are not varied."

    def as_dict(self) -> dict[str, Any]:
        """Returns what a resumed run must share, of types that JSON knows."""
        values = {
            name: value
            for name, value in vars(self).items()
            if name not in ("augmentation", "preprocessing", "varied_before")
        }
        if self.augmentation is not None:
            values["augmentation"] = dataclasses.asdict(self.augmentation)
        return values


def examine(
    model: keras.Model,
    train: Any,
    validation: Any,
    recipe: Recipe,
    *,
    steps: int | None = None,
    shared: bool = False,
) -> Inputs:
    """Checks the data against the model, as far as the first batches tell.

    Args:
        model: Maps images to logits.
        train: The training data.
        validation: The validation data, or None.
        recipe: Says what is changed about the data.
        steps: int or None. Batches of an epoch; None is one pass over the training data.
        shared: bool. Whether this is one of several workers, which reads a part only.

    Returns:
        Inputs.

    Raises:
        TypeError: If one is no ``tf.data.Dataset``.
        ValueError: If the data does not fit.
    """
    n_classes = require_logits(model)
    require_class(model, shared=shared)
    require_dataset("train", train)
    require_end("train", train, steps)
    if validation is not None:
        require_dataset("validation", validation)
        require_end("validation", validation, None)
    origin = info_of(train)
    ignore_class = _ignore_class(model, origin, validation)
    shape = _first_batch("train", train, model, n_classes, ignore_class)
    if validation is not None:
        _first_batch("validation", validation, model, n_classes, ignore_class)
    if shared and origin is not None:
        # All workers count alike, whichever pairs each of them has to skip.
        n_pairs, given, regular = origin.n_pairs, origin.batch_size, True
    elif steps is not None:
        # Batches across the end of a pass are filled, so their sizes are not the data set's.
        given, regular = _batch_size(train), False
        n_pairs = steps * (recipe.batch_size or given)
    else:
        n_pairs, given, regular = count("train", train)
    augmentation = get_augmentation(recipe.augmentation, ignore_class, channels=shape[-1])
    varied_before = None if origin is None else origin.augmentation
    if varied_before is not None:
        # The data set varies its images itself; twice would be too much.
        augmentation = None
    wanted = recipe.batch_size or given
    return Inputs(
        n_classes, ignore_class, n_pairs, wanted, not regular or wanted != given,
        augmentation, shape, validation is not None, _preprocessing(model, origin, n_classes),
        varied_before, steps,
    )  # fmt: skip


def _preprocessing(
    model: keras.Model, origin: DatasetInfo | None, n_classes: int
) -> Preprocessing | None:
    """Returns the data's, or the one that the model had before."""
    if origin is not None:
        return origin.preprocessing
    before = getattr(model, "preprocessing", None)
    return preprocessing_of(model, n_classes) if isinstance(before, Preprocessing) else None


def _ignore_class(model: keras.Model, origin: DatasetInfo | None, validation: Any) -> int | None:
    """Returns the data's, or the one that the model was compiled with."""
    compiled = getattr(getattr(model, "loss", None), "ignore_class", None)
    if origin is None:
        return compiled
    ignore_class = origin.labels.ignore_class
    other = info_of(validation)
    if other is not None and other.labels.ignore_class != ignore_class:
        raise ValueError(
            "`train` and `validation` must have the same `ignore_class`. Received: "
            f"{ignore_class} and {other.labels.ignore_class}."
        )
    return compiled if ignore_class is None else ignore_class


def _first_batch(
    name: str, dataset: Any, model: keras.Model, n_classes: int, ignore_class: int | None
) -> tuple[int, ...]:
    """Returns the shape of the first image."""
    origin = info_of(dataset)
    if origin is not None:
        found = origin.labels.n_classes
        if found not in (None, n_classes):
            raise ValueError(
                "`model` must have an output for each class of the data. "
                f"Received: {n_classes} outputs, and n_classes={found} in `{name}`. "
                "Build the model or make the data set with the other number."
            )
    batch = next(iter(dataset), None)
    if batch is None:
        raise ValueError(f"`{name}` must hold a batch. Received: an empty data set.")
    images, masks = (np.asarray(part) for part in batch)
    _require_shapes(name, images.shape, masks.shape, model)
    require_class_ids(
        masks,
        n_classes,
        ignore_class,
        source=f"the first batch of `{name}`",
        advice=lambda invalid: _advice(invalid, told=origin is not None),
    )
    # A little beyond is no mistake of the scale.
    if images.size and not -0.5 <= images.min() <= images.max() <= 1.5:
        raise ValueError(
            f"Images in `{name}` must be in [0, 1]. Received: values from {images.min():g} to "
            f"{images.max():g}. Divide those of 8 bits by 255."
        )
    return images.shape[1:]


def _require_shapes(
    name: str, images: tuple[int, ...], masks: tuple[int, ...], model: keras.Model
) -> None:
    wanted = model.input_shape
    fits = len(images) == len(wanted) == 4 and all(
        size in (None, given) for size, given in zip(wanted[1:], images[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"Images in `{name}` must have the model's shape, {wanted}. "
            f"Received: {images}. Pass that `image_size` to `make_dataset`, or build the model "
            "for (None, None, channels)."
        )
    if masks != (*images[:3], 1):
        raise ValueError(
            f"Masks in `{name}` must have the images' size, {(*images[:3], 1)}. "
            f"Received: {masks}. One id a pixel, no one-hot vectors."
        )


def _advice(invalid: np.ndarray, told: bool) -> str:
    """Returns what to do about invalid ids.

    Args:
        invalid: Each of them once.
        told: bool. Whether the data set has its ``ignore_class`` with it.
    """
    if told:
        return "Build the model with more classes, or pass `ignore_class` to `make_dataset`."
    if len(invalid) > 1:
        return "Build the model with more classes, or map these ids to one that is ignored."
    # What `make_dataset` knows is lost by `map` and others.
    return (
        "The data set does not carry an `ignore_class`, even if `make_dataset` had one before "
        f"`map` or another method. Pass `ignore_class={invalid[0]}` to the model, by "
        "`build_unetv2(...)`, or build the model with more classes if it is a class."
    )


def _batch_size(dataset: tf.data.Dataset) -> int:
    origin = info_of(dataset)
    return len(next(iter(dataset))[1]) if origin is None else origin.batch_size


def count(name: str, dataset: tf.data.Dataset) -> tuple[int, int, bool]:
    """Counts the pairs of a data set, by going through it if it does not tell.

    Args:
        name: The argument's name.
        dataset: Batches of ``(image, mask)``.

    Returns:
        tuple ``(pairs, batch_size, regular)``. Whether all batches but the last hold
        ``batch_size`` pairs, in every epoch.

    Raises:
        ValueError: If it does not end after so many batches that it may never.
    """
    origin = info_of(dataset)
    if origin is not None and int(dataset.cardinality()) >= 0:
        return origin.n_pairs, origin.batch_size, True
    sizes: list[int] = []
    for _, masks in dataset:
        sizes.append(int(tf.shape(masks)[0]))
        if len(sizes) == _TOLD_AFTER:
            _log.warning(
                "`%s` does not know how many batches it holds, so they are counted first. It is "
                "told by `.apply(tf.data.experimental.assert_cardinality(n))`.", name,
            )  # fmt: skip
        if len(sizes) > _MOST_COUNTED:
            raise ValueError(
                f"`{name}` must end, so that there are epochs. Received: one of unknown length, "
                f"with more than {_MOST_COUNTED} batches. Say how many it holds, by "
                f"`.apply(tf.data.experimental.assert_cardinality(n))`. {WAYS[name]}"
            )
    if origin is not None:
        # Where a pair was skipped its batch is smaller, another one in each epoch.
        return sum(sizes), origin.batch_size, sum(sizes) == origin.n_pairs
    regular = set(sizes[:-1]) <= {sizes[0]} and sizes[-1] <= sizes[0]
    return sum(sizes), sizes[0], regular
