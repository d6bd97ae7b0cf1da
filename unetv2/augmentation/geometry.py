"""Flips, zoom, shift and rotation as one affine transform, so that pictures blur only once.

A transform names, for each pixel of the result, the place in the picture where it comes from:
``x_in = a0 x + a1 y + a2`` and ``y_in = b0 x + b1 y + b2``, in pixels, with the middle of the
first pixel at (0, 0). The middle of a picture is then ``((width - 1) / 2, (height - 1) / 2)``,
and everything turns about it.
"""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from unetv2.augmentation.draws import Draws


def random_transform(
    draws: Draws,
    size: tuple[tf.Tensor, tf.Tensor],
    *,
    horizontal_flip: float,
    vertical_flip: float,
    scale: tuple[float, float],
    rotation: float,
    translation: float,
) -> tf.Tensor:
    """Returns each picture's transform from result to picture.

    Args:
        draws: What chance decides.
        size: ``(height, width)`` in pixels, float32 scalars.
        horizontal_flip: float. Probability.
        vertical_flip: float. Probability.
        scale: Smallest and largest zoom factor, equally likely on a logarithmic scale.
        rotation: float. Largest angle in degrees, both ways.
        translation: float. Largest shift as a share of height and width, both ways.

    Returns:
        float32 tensor ``(batch, 8)``: ``a0, a1, a2, b0, b1, b2, 0, 0``.
    """
    height, width = size
    low, high = (math.log(factor) for factor in scale)
    step = tf.exp(-(low + (high - low) * draws.scale))
    angle = math.radians(rotation) * _signed(draws.rotation)
    cosine, sine = step * tf.cos(angle), step * tf.sin(angle)
    mirror_x = tf.where(draws.horizontal_flip < horizontal_flip, -1.0, 1.0)
    mirror_y = tf.where(draws.vertical_flip < vertical_flip, -1.0, 1.0)
    # A smaller window may lie anywhere in the picture, a larger one anywhere around it.
    reach = tf.abs(step - 1) / 2 + translation

    a0, a1 = mirror_x * cosine, -mirror_x * sine
    b0, b1 = mirror_y * sine, mirror_y * cosine
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # Halves are exact in floats, so identity and flips come out without rounding.
    a2 = middle_x - a0 * middle_x - a1 * middle_y + reach * width * _signed(draws.column)
    b2 = middle_y - b0 * middle_x - b1 * middle_y + reach * height * _signed(draws.row)
    zero = tf.zeros_like(a0)
    return tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


def apply_transform(
    images: tf.Tensor, masks: tf.Tensor, transform: tf.Tensor, ignore_class: int | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves images and masks alike; ids are taken from the nearest pixel.

    Args:
        images: float32 ``(batch, height, width, channels)``. Mirrored beyond their edges.
        masks: int32 ``(batch, height, width, 1)``. Mirrored as well without `ignore_class`.
        transform: float32 ``(batch, 8)``.
        ignore_class: int or None. Id of what lies outside the picture.

    Returns:
        tuple of images and masks, same shapes and dtypes.
    """
    outside = "reflect" if ignore_class is None else "constant"
    moved_images = keras.ops.image.affine_transform(
        images,
        transform,
        interpolation="bilinear",
        fill_mode="reflect",
        data_format="channels_last",
    )
    moved_masks = keras.ops.image.affine_transform(
        masks,
        transform,
        interpolation="nearest",
        fill_mode=outside,
        fill_value=ignore_class or 0,
        data_format="channels_last",
    )
    return moved_images, moved_masks


def _signed(draw: tf.Tensor) -> tf.Tensor:
    """Takes [0, 1) to [-1, 1)."""
    return 2 * draw - 1
