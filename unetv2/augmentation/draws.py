"""What chance decides about each picture of a batch.

Keras's random layers keep a state that every call advances, so what a picture gets depends on
the calls before it: on how many threads prepare the data, and on where a training was
interrupted. Here everything follows from a seed, so a training that goes on after an
interruption, or runs on another machine, sees the same pictures.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

# By name: the default may choose another generator, so other pictures, on another device.
_GENERATOR = "philox"
_NOISE = 1


class Draws(NamedTuple):
    """One number for each picture and decision, float32 ``(batch,)``, uniform in [0, 1).

    All are drawn whatever is switched on, so a strength changes nothing but its own effect.
    """

    horizontal_flip: tf.Tensor
    vertical_flip: tf.Tensor
    scale: tf.Tensor
    rotation: tf.Tensor
    row: tf.Tensor
    column: tf.Tensor
    brightness: tf.Tensor
    contrast: tf.Tensor
    saturation: tf.Tensor
    blur: tf.Tensor
    noise: tf.Tensor
    cutout_row: tf.Tensor
    cutout_column: tf.Tensor


def draw(batch: tf.Tensor, seed: tf.Tensor, first: tf.Tensor | int = 0) -> Draws:
    """Draws for each picture of a batch.

    Args:
        batch: int32 tensor. Number of pictures.
        seed: int64 ``(2,)``.
        first: int32 tensor. Position of the first one in the batch.

    Returns:
        Draws. A picture's numbers follow from the seed and its position in the batch.
    """
    # Rows are filled one after the other: a longer batch begins with the shorter one's rows.
    shape = (first + batch, len(Draws._fields))
    numbers = tf.random.stateless_uniform(shape, seed, alg=_GENERATOR)[first:]
    return Draws(*tf.unstack(numbers, axis=1))


def draw_noise(shape: tf.Tensor, seed: tf.Tensor, first: tf.Tensor | int = 0) -> tf.Tensor:
    """Draws noise of mean 0 and standard deviation 1.

    Args:
        shape: int32 tensor. ``(batch, height, width, channels)``.
        seed: int64 ``(2,)``.
        first: int32 tensor. Position of the first picture in the batch.

    Returns:
        float32 tensor of this shape, normally distributed.
    """
    own = tf.random.fold_in(seed, _NOISE, alg=_GENERATOR)
    whole = tf.concat([[first + shape[0]], shape[1:]], axis=0)
    return tf.random.stateless_normal(whole, own, alg=_GENERATOR)[first:]


def seed_pair(seed: Any) -> tf.Tensor:
    """Returns a seed as TensorFlow's stateless functions take it.

    Args:
        seed: Integer tensor, or what becomes one: a number or two.

    Returns:
        int64 tensor ``(2,)``.

    Raises:
        TypeError: If ``seed`` holds no integers.
        ValueError: If ``seed`` is neither one number nor two.
    """
    if isinstance(seed, (tuple, list)) and len(seed) == 2:
        # One by one: a data set's count and Python's number differ in dtype.
        seed = tf.stack([_integers(number) for number in seed])
    pair = _integers(seed)
    if pair.shape.as_list() not in ([], [2]):
        raise ValueError(_seed_message(f"shape {tuple(pair.shape)}"))
    return tf.stack([pair, tf.zeros_like(pair)]) if pair.shape.rank == 0 else pair


def _integers(numbers: Any) -> tf.Tensor:
    """Returns an int64 tensor, or says that these are no integers."""
    # With a dtype asked for, TensorFlow would round NumPy's floats without a word.
    dtype = None if hasattr(numbers, "dtype") else tf.int64
    try:
        tensor = tf.convert_to_tensor(numbers, dtype)
    except (TypeError, ValueError):
        raise TypeError(_seed_message(repr(numbers))) from None
    if not tensor.dtype.is_integer:
        raise TypeError(_seed_message(f"dtype {tensor.dtype.name}"))
    return tf.cast(tensor, tf.int64)


def _seed_message(received: str) -> str:
    return (
        "`seed` must be an integer or a pair of integers. "
        f"Received: seed of {received}. Pass one number for each batch, such as its count."
    )
