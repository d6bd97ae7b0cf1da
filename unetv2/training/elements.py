"""What `train` takes its batches from, and the way there from what else holds images and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.data.origin import origin_of

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
    origin = origin_of(dataset)
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
