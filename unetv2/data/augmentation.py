"""Random transforms of images and their masks.

Keras's random layers have a state, so that results would depend on earlier calls, on the number of
threads, and on the step at which a training was resumed. Here all random numbers depend only on the
seed of a batch, a tensor, and on an image's position in it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import keras
import tensorflow as tf

__all__ = ["PRESETS", "Augmentation", "driving", "get", "light"]

# The default algorithm may depend on the device.
_GENERATOR = "philox"
_NOISE = 1
# Luminance of red, green and blue in ITU-R BT.601.
_LUMINANCE = (0.299, 0.587, 0.114)
# In float32, a smaller standard deviation gives all neighbors the weight 0.
_MIN_SIGMA = 0.01

# Maximum and meaning of each strength.
_STRENGTHS = {
    "horizontal_flip": (1, "A probability; 0 is off."),
    "vertical_flip": (1, "A probability; 0 is off."),
    "transpose": (1, "A probability; 0 is off."),
    "rotation": (180, "The maximum angle in degrees, in both directions; 0 is off."),
    "translation": (
        1,
        "The maximum shift as a fraction of the size, in both directions; 0 is off.",
    ),
    "brightness": (1, "Factors are in [1 - brightness, 1 + brightness]; 0 is off."),
    "contrast": (1, "Factors are in [1 - contrast, 1 + contrast]; 0 is off."),
    "saturation": (1, "Factors are in [1 - saturation, 1 + saturation]; 0 is off."),
    "blur": (100, "The maximum standard deviation in pixels; 0 is off."),
    "noise": (1, "The maximum standard deviation, for images in [0, 1]; 0 is off."),
    "cutout": (1, "The side of the box as a fraction of the image's; 0 is off."),
}
_MIN_SCALE, _MAX_SCALE = 0.1, 10
# 16-bit masks are the deepest; -1 is Keras's usual choice.
_MIN_ID, _MAX_ID = -1, 65535


class Draws(NamedTuple):
    """Random numbers of each image, float32 ``(batch,)``, uniform in [0, 1).

    All are drawn, also for disabled transforms, so that a strength changes only its own effect.
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
    transpose: tf.Tensor


def _draw(batch: tf.Tensor, seed: tf.Tensor, first: tf.Tensor) -> Draws:
    # Filled row by row: the first rows do not depend on the batch size.
    shape = (first + batch, len(Draws._fields))
    numbers = tf.random.stateless_uniform(shape, seed, alg=_GENERATOR)[first:]
    return Draws(*tf.unstack(numbers, axis=1))


def _draw_noise(shape: tf.Tensor, seed: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Returns noise of mean 0 and standard deviation 1."""
    seed = tf.random.fold_in(seed, _NOISE, alg=_GENERATOR)
    shape = tf.concat([[first + shape[0]], shape[1:]], axis=0)
    return tf.random.stateless_normal(shape, seed, alg=_GENERATOR)[first:]


def _seed_pair(seed: Any) -> tf.Tensor:
    """Returns a seed of one or two integers as int64 ``(2,)``."""
    if isinstance(seed, (tuple, list)) and len(seed) == 2:
        # Separately, as the dtypes of a data set's count and a Python integer differ.
        seed = tf.stack([_integers(number) for number in seed])
    pair = _integers(seed)
    if pair.shape.as_list() not in ([], [2]):
        raise ValueError(_seed_message(f"shape {tuple(pair.shape)}"))
    return tf.stack([pair, tf.zeros_like(pair)]) if pair.shape.rank == 0 else pair


def _integers(numbers: Any) -> tf.Tensor:
    # With a dtype, TensorFlow would round floats of NumPy silently.
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


def _signed(draw: tf.Tensor) -> tf.Tensor:
    """Maps [0, 1) to [-1, 1)."""
    return 2 * draw - 1


def _factor(strength: float, draw: tf.Tensor) -> tf.Tensor:
    """Maps [0, 1) to [1 - strength, 1 + strength)."""
    return 1 + strength * _signed(draw)


def _per_image(values: tf.Tensor) -> tf.Tensor:
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _adjust_exposure(images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(images, axis=(1, 2, 3))
    offset = brightness * (1 - contrast) * mean
    return images * _per_image(brightness * contrast) + _per_image(offset)


def _adjust_saturation(images: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    # Five times as fast as interpolating with a gray image.
    gray = tf.repeat(tf.constant(_LUMINANCE)[:, tf.newaxis], 3, axis=1)
    matrices = gray + saturation[:, tf.newaxis, tf.newaxis] * (tf.eye(3) - gray)
    shape = tf.shape(images)
    pixels = tf.reshape(images, (shape[0], shape[1] * shape[2], 3))
    return tf.reshape(pixels @ matrices, shape)


def _blur(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Applies a Gaussian of ``sigma`` pixels along the height, then along the width."""
    # Three times as fast as products over three channels.
    swapped = tf.transpose(_blur_height(images, sigma), (0, 2, 1, 3))
    return tf.transpose(_blur_height(swapped, sigma), (0, 2, 1, 3))


def _blur_height(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(images)
    rows = tf.reshape(images, (shape[0], shape[1], shape[2] * shape[3]))
    positions = tf.cast(tf.range(shape[1]), tf.float32)
    distances = positions[:, tf.newaxis] - positions
    sigma = tf.maximum(sigma, _MIN_SIGMA)[:, tf.newaxis, tf.newaxis]
    # The weights of a pixel also sum to 1 at the borders, which are not darkened.
    weights = tf.nn.softmax(-0.5 * tf.square(distances / sigma))
    return tf.reshape(weights @ rows, shape)


def _boxes(
    size: tuple[tf.Tensor, tf.Tensor], side: float, centers: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """Returns a mask of a box in each image.

    Args:
        size: ``(height, width)`` in pixels, float32 scalars.
        side: float. Height and width of the box as a fraction of the image's.
        centers: Row and column of the centers as fractions of the size, ``(batch,)``.

    Returns:
        bool tensor ``(batch, height, width, 1)``.
    """
    rows, columns = (
        tf.abs(tf.range(length) + 0.5 - center[:, tf.newaxis] * length) < side * length / 2
        for length, center in zip(size, centers, strict=True)
    )
    return rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Applies random transforms to images and their masks.

    Each image of a batch is transformed differently, together with its mask. Flips, transposition,
    zoom, shift and rotation are one affine transform, so that images are interpolated only once,
    bilinearly; ids are never interpolated. ``horizontal_flip=0.5, vertical_flip=0.5,
    transpose=0.5`` draws from all eight symmetries of a square with equal probabilities.
    Brightness, contrast, saturation, blur, noise and the cut-out box follow, and images are clipped
    to [0, 1].

    Pixels from outside the image are filled by reflection. Their ids are ``ignore_class``, or
    reflected too without one.

    The result depends on the arguments, the seed and the position in the batch alone: not on
    earlier calls, threads, or the other images. A strength changes only its own effect.

    Args:
        horizontal_flip: float in [0, 1]. Probability of a flip left to right; 0 is off.
        vertical_flip: float in [0, 1]. Probability of a flip top to bottom; 0 is off.
        transpose: float in [0, 1]. Probability of exchanging rows and columns, which applies to
            square images only; 0 is off.
        scale: Two floats in [0.1, 10], minimum and maximum zoom factor, log-uniform. Above 1 the
            result is a random part of the image; below 1 it is the whole image at a random
            position in the frame. (1, 1) is off.
        rotation: float in [0, 180]. Maximum angle in degrees, in both directions; 0 is off.
        translation: float in [0, 1]. Maximum shift in addition to that of ``scale``, as a fraction
            of height and width, in both directions; 0 is off.
        brightness: float in [0, 1]. Images are multiplied by a factor in
            [1 - brightness, 1 + brightness]; 0 is off.
        contrast: float in [0, 1]. Differences from an image's mean are multiplied by a
            factor in [1 - contrast, 1 + contrast]; 0 is off.
        saturation: float in [0, 1]. Differences from gray (luminance of ITU-R BT.601) are
            multiplied by a factor in [1 - saturation, 1 + saturation]; 0 is off. It has no
            effect unless images have three channels.
        blur: float in [0, 100]. Maximum standard deviation of a Gaussian blur in pixels;
            0 is off.
        noise: float in [0, 1]. Maximum standard deviation of Gaussian noise, for images in
            [0, 1]; 0 is off.
        cutout: float in [0, 1]. Height and width of a box as a fraction of the image's, with its
            center anywhere in the image. It is filled with the image's mean color and
            ``ignore_class``; without one it keeps its ids. 0 is off.
        ignore_class: int in [-1, 65535] or None. Id of unlabeled pixels.

    Call arguments:
        images: float32 in [0, 1], ``(batch, height, width, channels)``, any number of
            channels. All but the rank may be unknown.
        masks: int32 ids, ``(batch, height, width, 1)``.
        seed: Integer or integer tensor, ``()`` or ``(2,)``; a different one for each batch.
        first: Integer or integer tensor. Position of the first image in its batch, if these
            are a part of one: the result is that of the whole batch.

    Returns:
        When called, ``(images, masks)`` with the same shapes, dtypes and ranges. It works in
        ``Dataset.map`` and in a ``tf.function``.

    Raises:
        TypeError: If a strength is not a number, or the dtype of images, masks or seed is wrong.
        ValueError: If a strength is out of its range, or the shape of images, masks or seed is
            wrong.

    Example:
        >>> augmentation = unetv2.augmentation.Augmentation(horizontal_flip=1.0)
        >>> images = np.array([[[[0.0], [0.5], [1.0]]]], np.float32)
        >>> masks = np.array([[[[1], [2], [3]]]], np.int32)
        >>> images, masks = augmentation(images, masks, seed=0)
        >>> images.numpy().ravel().tolist(), masks.numpy().ravel().tolist()
        ([1.0, 0.5, 0.0], [3, 2, 1])

    References:
        - Cut-out: `DeVries and Taylor, 2017 <https://arxiv.org/abs/1708.04552>`_
        - Luminance: `Recommendation ITU-R BT.601 <https://www.itu.int/rec/R-REC-BT.601>`_
    """

    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    transpose: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    translation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    ignore_class: int | None = None

    def __post_init__(self) -> None:
        """Checks every strength."""
        for name, (high, advice) in _STRENGTHS.items():
            # Python numbers are JSON-serializable.
            object.__setattr__(self, name, _require_number(name, getattr(self, name), high, advice))
        object.__setattr__(self, "scale", _require_scale(self.scale))
        object.__setattr__(self, "ignore_class", _require_id(self.ignore_class))

    def __repr__(self) -> str:
        """Returns a constructor call with the enabled transforms."""
        on = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(on)})"

    def __call__(
        self, images: Any, masks: Any, seed: Any, first: Any = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Transforms a batch; see the class."""
        images, masks = _require_batch(images, masks)
        seed = _seed_pair(seed)
        shape = tf.shape(images)
        size = height, width = tf.unstack(tf.cast(shape[1:3], tf.float32))
        first = tf.cast(first, tf.int32)
        draws = _draw(shape[0], seed, first)

        flips = self.horizontal_flip or self.vertical_flip or self.transpose
        if flips or self.rotation or self.translation or self.scale != (1, 1):
            images, masks = self._move(images, masks, self._transform(draws, height, width))
        if self.brightness or self.contrast:
            images = _adjust_exposure(
                images,
                _factor(self.brightness, draws.brightness),
                _factor(self.contrast, draws.contrast),
            )
        if self.saturation and images.shape[-1] == 3:
            images = _adjust_saturation(images, _factor(self.saturation, draws.saturation))
        if self.blur:
            images = _blur(images, self.blur * draws.blur)
        if self.noise:
            images += _per_image(self.noise * draws.noise) * _draw_noise(shape, seed, first)
        if self.cutout:
            box = _boxes(size, self.cutout, (draws.cutout_row, draws.cutout_column))
            images = tf.where(box, tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)
            if self.ignore_class is not None:
                masks = tf.where(box, self.ignore_class, masks)
        return tf.clip_by_value(images, 0.0, 1.0), masks

    def _transform(self, draws: Draws, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """Returns each image's affine transform ``a0, a1, a2, b0, b1, b2, 0, 0``.

        It maps each pixel ``(x, y)`` of the result to a position in the image:
        ``x_in = a0 x + a1 y + a2`` and ``y_in = b0 x + b1 y + b2``, with the center of the first
        pixel at (0, 0). The center of an image is then ``((width - 1) / 2, (height - 1) / 2)``.
        """
        low, high = (math.log(factor) for factor in self.scale)
        step = tf.exp(-(low + (high - low) * draws.scale))
        angle = math.radians(self.rotation) * _signed(draws.rotation)
        cosine, sine = step * tf.cos(angle), step * tf.sin(angle)
        mirror_x = tf.where(draws.horizontal_flip < self.horizontal_flip, -1.0, 1.0)
        mirror_y = tf.where(draws.vertical_flip < self.vertical_flip, -1.0, 1.0)
        # A smaller window may be anywhere in the image, a larger one anywhere around it.
        reach = tf.abs(step - 1) / 2 + self.translation

        a0, a1 = mirror_x * cosine, -mirror_x * sine
        b0, b1 = mirror_y * sine, mirror_y * cosine
        is_transposed = (draws.transpose < self.transpose) & (height == width)
        a0, b0 = tf.where(is_transposed, b0, a0), tf.where(is_transposed, a0, b0)
        a1, b1 = tf.where(is_transposed, b1, a1), tf.where(is_transposed, a1, b1)
        center_x, center_y = (width - 1) / 2, (height - 1) / 2
        # Halves are exact in float32, so identity and flips are exact.
        a2 = center_x - a0 * center_x - a1 * center_y + reach * width * _signed(draws.column)
        b2 = center_y - b0 * center_x - b1 * center_y + reach * height * _signed(draws.row)
        zero = tf.zeros_like(a0)
        return tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def _move(
        self, images: tf.Tensor, masks: tf.Tensor, transform: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images = keras.ops.image.affine_transform(
            images,
            transform,
            interpolation="bilinear",
            fill_mode="reflect",
            data_format="channels_last",
        )
        masks = keras.ops.image.affine_transform(
            masks,
            transform,
            interpolation="nearest",
            fill_mode="reflect" if self.ignore_class is None else "constant",
            fill_value=self.ignore_class or 0,
            data_format="channels_last",
        )
        return images, masks


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _require_number(name: str, value: Any, high: int, advice: str) -> float:
    message = f"`{name}` must be a number in [0, {high}]. Received: {name}={value!r}. {advice}"
    if not _is_number(value):
        raise TypeError(message)
    if not 0 <= value <= high:
        raise ValueError(message)
    return float(value)


def _require_scale(scale: Any) -> tuple[float, float]:
    message = (
        f"`scale` must be two numbers in [{_MIN_SCALE}, {_MAX_SCALE}], the smaller "
        f"one first. Received: scale={scale!r}. Zoom factors; (1, 1) is off."
    )
    if not isinstance(scale, Sequence) or not all(map(_is_number, scale)):
        raise TypeError(message)
    if len(scale) != 2 or not _MIN_SCALE <= scale[0] <= scale[1] <= _MAX_SCALE:
        raise ValueError(message)
    return float(scale[0]), float(scale[1])


def _require_id(ignore_class: Any) -> int | None:
    if ignore_class is None:
        return None
    message = (
        f"`ignore_class` must be an integer in [{_MIN_ID}, {_MAX_ID}] or None. "
        f"Received: ignore_class={ignore_class!r}. The id of unlabeled pixels."
    )
    if isinstance(ignore_class, bool) or not isinstance(ignore_class, Integral):
        raise TypeError(message)
    if not _MIN_ID <= int(ignore_class) <= _MAX_ID:
        raise ValueError(message)
    return int(ignore_class)


def _require_batch(images: Any, masks: Any) -> tuple[tf.Tensor, tf.Tensor]:
    images, masks = tf.convert_to_tensor(images), tf.convert_to_tensor(masks)
    if (images.dtype, masks.dtype) != (tf.float32, tf.int32):
        raise TypeError(
            "`images` must be float32 and `masks` int32. "
            f"Received: images of {images.dtype.name} and masks of {masks.dtype.name}. "
            "Cast them first; images of 0 .. 255 are to be divided by 255."
        )
    if images.shape.rank != 4 or not masks.shape.is_compatible_with((*images.shape[:3], 1)):
        raise ValueError(
            "`images` must be of shape (batch, height, width, channels) and `masks` of "
            f"(batch, height, width, 1). Received: images of {images.shape} and masks of "
            f"{masks.shape}. Add an axis in front of a single image."
        )
    return images, masks


def light(*, ignore_class: int | None = None) -> Augmentation:
    """Returns an augmentation for most images.

    Half of the images are flipped left to right; the zoom is 0.9 to 1.2, and brightness and
    contrast change by up to a tenth. Set ``horizontal_flip`` to 0 where left and right matter, as
    in text.

    Args:
        ignore_class: int or None. Id of unlabeled pixels.

    Returns:
        Augmentation.

    Example:
        >>> unetv2.augmentation.light(ignore_class=255).scale
        (0.9, 1.2)
    """
    return Augmentation(
        horizontal_flip=0.5,
        scale=(0.9, 1.2),
        brightness=0.1,
        contrast=0.1,
        ignore_class=ignore_class,
    )


def driving(*, ignore_class: int | None = None) -> Augmentation:
    """Returns an augmentation for images of a car's camera.

    Half of the images are flipped left to right, never top to bottom; the zoom is 0.7 to 1.6, the
    rotation up to 5 degrees, and exposure, sharpness and noise vary as between drives.

    Args:
        ignore_class: int or None. Id of unlabeled pixels.

    Returns:
        Augmentation.

    Example:
        >>> unetv2.augmentation.driving().rotation
        5.0
    """
    return Augmentation(
        horizontal_flip=0.5,
        scale=(0.7, 1.6),
        rotation=5,
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        blur=0.7,
        noise=0.03,
        ignore_class=ignore_class,
    )


_BY_NAME = {"light": light, "driving": driving}
PRESETS = tuple(_BY_NAME)


def get(
    augmentation: str | Augmentation | None,
    ignore_class: int | None = None,
    *,
    channels: int | None = None,
) -> Augmentation | None:
    """Returns an augmentation by name.

    Args:
        augmentation: One of :data:`PRESETS`, an :class:`Augmentation`, or None for none.
        ignore_class: int or None. Id of pixels that have no label, for a name and for an
            augmentation without one.
        channels: int or None. Channels of the images. Unless there are 3, the saturation of a name
            is disabled, and an augmentation with one is an error. None skips the check.

    Returns:
        Augmentation or None.

    Raises:
        ValueError: If the name is unknown, or the augmentation has a different ``ignore_class``,
            or a saturation although there are not 3 channels.

    Example:
        >>> unetv2.augmentation.get("driving") == unetv2.augmentation.driving()
        True
    """
    if augmentation is None:
        return None
    colored = channels in (None, 3)
    if not isinstance(augmentation, Augmentation):
        if not isinstance(augmentation, str) or augmentation not in _BY_NAME:
            names = ", ".join(map(repr, PRESETS))
            raise ValueError(
                f"`augmentation` must be one of {names}, an `Augmentation` or None. "
                f"Received: augmentation={augmentation!r}."
            )
        preset = _BY_NAME[augmentation](ignore_class=ignore_class)
        return preset if colored else dataclasses.replace(preset, saturation=0.0)
    if augmentation.saturation and not colored:
        raise ValueError(
            "`augmentation` must have no `saturation` unless images have 3 channels: it needs "
            f"red, green and blue. Received: augmentation.saturation={augmentation.saturation} "
            f"and channels={channels}. "
            "Leave it out: `dataclasses.replace(augmentation, saturation=0)`."
        )
    if ignore_class is None or ignore_class == augmentation.ignore_class:
        return augmentation
    if augmentation.ignore_class is not None:
        raise ValueError(
            f"`augmentation` must have the data's `ignore_class`, {ignore_class!r}. "
            f"Received: augmentation.ignore_class={augmentation.ignore_class!r}. "
            "Leave it out of the augmentation to get the data's."
        )
    return dataclasses.replace(augmentation, ignore_class=ignore_class)
