"""Light, lens, sensor and obstacles: what changes the image and leaves the ids alone.

Images are float32 ``(batch, height, width, channels)``; factors and amounts ``(batch,)``.
Nothing here clips to [0, 1]: that happens once, at the end.
"""

from __future__ import annotations

import tensorflow as tf

# ITU-R BT.601: how bright red, green and blue look.
_LUMINANCE = (0.299, 0.587, 0.114)
# A narrower bell weighs all neighbours with 0 in float32.
_SMALLEST_SIGMA = 0.01


def adjust_exposure(images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor) -> tf.Tensor:
    """Multiplies by ``brightness``, then the distance from the picture's mean by ``contrast``."""
    mean = tf.reduce_mean(images, axis=(1, 2, 3))
    gain = brightness * contrast
    offset = brightness * (1 - contrast) * mean
    return images * _per_picture(gain) + _per_picture(offset)


def adjust_saturation(images: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance from grey by ``saturation``; ``images`` have 3 channels."""
    # One product with a matrix of 3 by 3 for each picture: a fifth of the time that it takes to
    # make the grey picture and mix the two.
    grey = tf.repeat(tf.constant(_LUMINANCE)[:, tf.newaxis], 3, axis=1)
    matrices = grey + saturation[:, tf.newaxis, tf.newaxis] * (tf.eye(3) - grey)
    shape = tf.shape(images)
    pixels = tf.reshape(images, (shape[0], shape[1] * shape[2], 3))
    return tf.reshape(pixels @ matrices, shape)


def blur(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Blurs with a Gaussian of ``sigma`` pixels, first along the height, then the width."""
    # Whole rows at a time: products over pixels of three channels take three times as long.
    swapped = tf.transpose(_blur_height(images, sigma), (0, 2, 1, 3))
    return tf.transpose(_blur_height(swapped, sigma), (0, 2, 1, 3))


def cut_out(
    images: tf.Tensor, masks: tf.Tensor, box: tf.Tensor, ignore_class: int | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Paints a box in the picture's mean colour and, given an ``ignore_class``, in that id."""
    images = tf.where(box, tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)
    return images, masks if ignore_class is None else tf.where(box, ignore_class, masks)


def boxes(
    size: tuple[tf.Tensor, tf.Tensor], side: float, middles: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """Marks a box in each picture.

    Args:
        size: ``(height, width)`` in pixels, float32 scalars.
        side: float. Share of height and of width that the box covers.
        middles: Row and column of the boxes' middles as shares of the size, ``(batch,)``.

    Returns:
        bool tensor ``(batch, height, width, 1)``.
    """
    rows, columns = (
        tf.abs(tf.range(length) + 0.5 - middle[:, tf.newaxis] * length) < side * length / 2
        for length, middle in zip(size, middles, strict=True)
    )
    return rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]


def _blur_height(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(images)
    lines = tf.reshape(images, (shape[0], shape[1], shape[2] * shape[3]))
    return tf.reshape(_bells(shape[1], sigma) @ lines, shape)


def _bells(length: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Returns ``(batch, length, length)``: the weights of all pixels of a line for each of them.

    They sum to 1 at the ends of the line too, so nothing darkens there.
    """
    places = tf.cast(tf.range(length), tf.float32)
    distances = places[:, tf.newaxis] - places
    sigma = tf.maximum(sigma, _SMALLEST_SIGMA)[:, tf.newaxis, tf.newaxis]
    return tf.nn.softmax(-0.5 * tf.square(distances / sigma))


def _per_picture(values: tf.Tensor) -> tf.Tensor:
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
