"""Resizing in a graph: the library's arithmetic as two products with matrices.

What `unetv2.data.resizing` does to a picture is linear along rows and along columns, whatever the
interpolation. So each becomes a matrix, made of the sizes by operations that every format has, also
where the picture's size is open.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from unetv2.data.pixels import PILLOWS_CHANNELS
from unetv2.data.resizing import Geometry

_POWERS_OF_TWO = [2**power for power in range(25)]


class Place(NamedTuple):
    """Where the picture lies on what the network is fed with, each an int or a scalar tensor."""

    top: Any
    left: Any
    height: Any
    width: Any


def shrink(
    frames: tf.Tensor, size: tuple[int, int], resize: str, interpolation: str
) -> tuple[tf.Tensor, Place]:
    """Brings frames to a size, as `resize_image` does.

    Args:
        frames: uint8 ``(batch, height, width, channels)``, height and width open or known.
        size: ``(height, width)`` wanted.
        resize: ``"stretch"`` or ``"pad"``.
        interpolation: str. As of :func:`unetv2.make_dataset`.

    Returns:
        tuple ``(resized, place)``: whole numbers from 0 to 255, float32 ``(batch, *size,
        channels)``.
    """
    known = frames.shape.as_list()
    sizes = tf.shape(frames)
    source = [known[axis] or sizes[axis] for axis in (1, 2)]
    channels = known[3]
    place = _place(source, size, resize)
    values = tf.cast(frames, tf.float32)
    if list(size) == known[1:3]:
        return values, place
    rows, columns = (
        _weights(source[axis], place[2 + axis], place[axis], size[axis], interpolation)
        for axis in (0, 1)
    )
    batch = known[0] or sizes[0]
    values = tf.matmul(rows, tf.reshape(values, (batch, source[0], source[1] * channels)))
    values = tf.matmul(columns, tf.reshape(values, (batch, size[0], source[1], channels)))
    if interpolation == "area" and channels in PILLOWS_CHANNELS:
        tiles = _all(source[axis] % side == 0 for axis, side in enumerate(place[2:]))
        count = (source[0] // place.height) * (source[1] // place.width)
        rounded = _select(tiles, _as_pillow(values, count), tf.round(values))
    else:
        rounded = tf.round(values)
    return tf.clip_by_value(rounded, 0.0, 255.0), place


def enlarge(values: tf.Tensor, place: Place, size: tuple[Any, Any]) -> tf.Tensor:
    """Brings what is known of the network's pixels to the frames' size, bilinearly.

    Args:
        values: float32 ``(batch, height, width, channels)``.
        place: Where the picture lies on it.
        size: ``(height, width)`` of the frames, ints or scalar tensors.
    """
    if not _same((place.height, place.width), values.shape[1:3]):
        values = values[
            :, place.top : place.top + place.height, place.left : place.left + place.width
        ]
    if _same(size, values.shape[1:3]):
        return values
    return tf.image.resize(values, size)


def _place(source: list[Any], size: tuple[int, int], resize: str) -> Place:
    if resize == "stretch":
        return Place(0, 0, *size)
    if all(isinstance(side, int) for side in source):
        resized = Geometry.plan((source[0], source[1]), size, resize).resized
        height, width = resized
    else:
        # As `Geometry.plan`, for sizes that are not known yet.
        tall = source[0] * size[1] >= source[1] * size[0]
        height, width = (
            tf.where(
                filled,
                size[axis],
                tf.maximum(1, _rounded(source[axis] * size[1 - axis], source[1 - axis])),
            )
            for axis, filled in enumerate((tall, tf.logical_not(tall)))
        )
    return Place((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def _same(size: Any, other: Any) -> bool:
    """Returns whether two sizes are known and equal."""
    return all(isinstance(side, int) for side in size) and tuple(size) == tuple(other)


def _as_pillow(means: tf.Tensor, count: Any) -> tf.Tensor:
    """Rounds the means of whole tiles as Pillow does, which averages these.

    It adds half the count to the sum and multiplies by the count's reciprocal, rounded down: so a
    whole number becomes the one below, unless the count is a power of two.

    Args:
        means: float32.
        count: Pixels of a tile.
    """
    number = _float(count)
    sums = tf.round(means * number) + _float(count // 2)
    exact = tf.reduce_any(tf.equal(count, tf.constant(_POWERS_OF_TWO)))
    return tf.floor((sums - tf.where(exact, 0.0, 0.5)) / number)


def _rounded(dividend: Any, divisor: Any) -> Any:
    return (2 * dividend + divisor) // (2 * divisor)


def _weights(source: Any, resized: Any, start: Any, size: int, interpolation: str) -> tf.Tensor:
    """Returns how much each pixel of a side counts in each new one, float32 ``(size, source)``.

    Args:
        source: Pixels of the side.
        resized: Pixels that they become.
        start: The first of these; rows of other new pixels are zero.
        size: int. New pixels.
        interpolation: str.
    """
    new = (tf.range(size) - start)[:, tf.newaxis]
    old = tf.range(source)[tf.newaxis, :]
    if interpolation == "nearest":
        weights = tf.cast(tf.equal(old, (2 * new + 1) * source // (2 * resized)), tf.float32)
    else:
        # Between the middles of both, in pixels, in whole numbers as far as possible.
        halves = (2 * old + 1) * resized - (2 * new + 1) * source
        ratio = _float(source) / _float(resized)
        distance = tf.abs(_float(halves) / _float(2 * resized)) / tf.maximum(ratio, 1.0)
        kernel = _KERNELS["bilinear" if interpolation == "area" else interpolation](distance)
        weights = kernel / tf.reduce_sum(kernel, axis=1, keepdims=True)
        if interpolation == "area":
            first = tf.maximum(new * source, old * resized)
            last = tf.minimum((new + 1) * source, (old + 1) * resized)
            area = _float(tf.maximum(last - first, 0)) / _float(source)
            weights = _select(source >= resized, area, weights)
    if isinstance(resized, int) and resized == size:
        return weights
    inside = tf.logical_and(new >= 0, new < resized)
    return tf.where(inside, weights, tf.zeros_like(weights))


def _float(value: Any) -> tf.Tensor:
    return tf.cast(value, tf.float32)


def _all(conditions: Any) -> Any:
    result: Any = True
    for one in conditions:
        if isinstance(one, bool):
            result = result if one else False
        elif result is not False:
            result = one if result is True else tf.logical_and(result, one)
    return result


def _select(condition: Any, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    if isinstance(condition, bool):
        return one if condition else other
    return tf.where(condition, one, other)


# Those of `tf.image.resize`: the triangle, Keys's cubic with -1/2, and Lanczos's of three lobes.
def _triangle(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1.0 - x, 0.0)


def _cubic(x: tf.Tensor) -> tf.Tensor:
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return tf.where(x < 1.0, near, tf.where(x < 2.0, far, tf.zeros_like(x)))


def _lanczos3(x: tf.Tensor) -> tf.Tensor:
    angle = math.pi * tf.maximum(x, 1e-3)
    values = 3.0 * tf.sin(angle) * tf.sin(angle / 3.0) / (angle * angle)
    return tf.where(x <= 1e-3, tf.ones_like(x), tf.where(x < 3.0, values, tf.zeros_like(x)))


_KERNELS = {"bilinear": _triangle, "bicubic": _cubic, "lanczos3": _lanczos3}
