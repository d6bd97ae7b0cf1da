"""How strongly images are varied, and the function that does it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import keras
import tensorflow as tf

__all__ = ["PRESETS", "Augmentation", "driving", "get", "light"]

# Light, lens, sensor and obstacles: what changes the image and leaves the ids alone.
#
# Images are float32 ``(batch, height, width, channels)``; factors and amounts ``(batch,)``.
# Nothing here clips to [0, 1]: that happens once, at the end.

# ITU-R BT.601: how bright red, green and blue look.
_LUMINANCE = (0.299, 0.587, 0.114)
# A narrower bell weighs all neighbors with 0 in float32.
_SMALLEST_SIGMA = 0.01


def adjust_exposure(images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor) -> tf.Tensor:
    """Multiplies by ``brightness``, then the distance from the image's mean by ``contrast``."""
    mean = tf.reduce_mean(images, axis=(1, 2, 3))
    gain = brightness * contrast
    offset = brightness * (1 - contrast) * mean
    return images * _per_image(gain) + _per_image(offset)


def adjust_saturation(images: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance from gray by ``saturation``; ``images`` have 3 channels."""
    # One product with a matrix of 3 by 3 for each image: a fifth of the time that it takes to
    # make the gray image and mix the two.
    gray = tf.repeat(tf.constant(_LUMINANCE)[:, tf.newaxis], 3, axis=1)
    matrices = gray + saturation[:, tf.newaxis, tf.newaxis] * (tf.eye(3) - gray)
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
    """Paints a box in the image's mean color and, given an ``ignore_class``, in that id."""
    images = tf.where(box, tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)
    return images, masks if ignore_class is None else tf.where(box, ignore_class, masks)


def boxes(
    size: tuple[tf.Tensor, tf.Tensor], side: float, middles: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """Marks a box in each image.

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


def _per_image(values: tf.Tensor) -> tf.Tensor:
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


# What chance decides about each image of a batch.
#
# Keras's random layers keep a state that every call advances, so what an image gets depends on
# the calls before it: on how many threads prepare the data, and on where a training was
# interrupted. Here everything follows from a seed, so a training that goes on after an
# interruption, or runs on another machine, sees the same images.

# By name: the default may choose another generator, so other images, on another device.
_GENERATOR = "philox"
_NOISE = 1


class Draws(NamedTuple):
    """One number for each image and decision, float32 ``(batch,)``, uniform in [0, 1).

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
    """Draws for each image of a batch.

    Args:
        batch: int32 tensor. Number of images.
        seed: int64 ``(2,)``.
        first: int32 tensor. Position of the first one in the batch.

    Returns:
        Draws. An image's numbers follow from the seed and its position in the batch.
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
        first: int32 tensor. Position of the first image in the batch.

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


# Flips, zoom, shift and rotation as one affine transform, so that images blur only once.
#
# A transform names, for each pixel of the result, the place in the image where it comes from:
# ``x_in = a0 x + a1 y + a2`` and ``y_in = b0 x + b1 y + b2``, in pixels, with the middle of the
# first pixel at (0, 0). The middle of an image is then ``((width - 1) / 2, (height - 1) / 2)``,
# and everything turns about it.


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
    """Returns each image's transform from result to image.

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
    # A smaller window may lie anywhere in the image, a larger one anywhere around it.
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
        ignore_class: int or None. Id of what lies outside the image.

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


# The largest value of each, and what it means.
_STRENGTHS = {
    "horizontal_flip": (1, "It is a probability; 0 is off."),
    "vertical_flip": (1, "It is a probability; 0 is off."),
    "rotation": (180, "It is the largest angle in degrees, both ways; 0 is off."),
    "translation": (1, "It is the largest shift as a share of the size, both ways; 0 is off."),
    "brightness": (1, "Factors lie in [1 - brightness, 1 + brightness]; 0 is off."),
    "contrast": (1, "Factors lie in [1 - contrast, 1 + contrast]; 0 is off."),
    "saturation": (1, "Factors lie in [1 - saturation, 1 + saturation]; 0 is off."),
    "blur": (100, "It is the largest standard deviation in pixels; 0 is off."),
    "noise": (1, "It is the largest standard deviation, in images of [0, 1]; 0 is off."),
    "cutout": (1, "It is the box's side as a share of the image's; 0 is off."),
}
_SMALLEST_SCALE, _LARGEST_SCALE = 0.1, 10
# Of 16-bit masks, the deepest that files hold; -1 is Keras's usual choice.
_SMALLEST_ID, _LARGEST_ID = -1, 65535


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Varies images at random, and their masks alike.

    Every image of a batch gets its own draw, the same for image and mask. All geometry is
    one affine transform, so images are interpolated once, bilinearly; ids are never mixed.
    Then come light (brightness, contrast, saturation), lens (blur), sensor (noise) and the
    cut-out box, and images are clipped to [0, 1].

    What comes in from outside the image is its mirror image. Its ids are ``ignore_class``
    where there is one, mirrored like the image otherwise.

    The result follows from the arguments and the seed alone, and an image's from its
    position in the batch: not from earlier calls, threads, or the rest of the batch. A
    strength changes nothing but its own effect.

    Args:
        horizontal_flip: float in [0, 1]. Probability of swapping left and right; 0 is off.
        vertical_flip: float in [0, 1]. Probability of swapping top and bottom; 0 is off.
        scale: Two floats in [0.1, 10], smallest and largest zoom factor, equally likely on
            a logarithmic scale. Above 1 a part of the image fills the frame, anywhere in
            it; below 1 the whole lies anywhere in the frame. (1, 1) is off.
        rotation: float in [0, 180]. Largest angle in degrees, both ways; 0 is off.
        translation: float in [0, 1]. Largest shift beyond what ``scale`` brings, as a share
            of height and width, both ways; 0 is off.
        brightness: float in [0, 1]. Images are multiplied by a factor in
            [1 - brightness, 1 + brightness]; 0 is off.
        contrast: float in [0, 1]. Differences from an image's mean are multiplied by a
            factor in [1 - contrast, 1 + contrast]; 0 is off.
        saturation: float in [0, 1]. Differences from gray (luminance of ITU-R BT.601) are
            multiplied by a factor in [1 - saturation, 1 + saturation]; 0 is off. Without
            effect unless images have three channels.
        blur: float in [0, 100]. Largest standard deviation of a Gaussian blur in pixels;
            0 is off.
        noise: float in [0, 1]. Largest standard deviation of normal noise, in units of
            images in [0, 1]; 0 is off.
        cutout: float in [0, 1]. Height and width of a box as a share of the image's,
            with its middle anywhere in it. It takes the image's mean color and
            ``ignore_class``; without one its ids stay, to be guessed from around it. 0 is
            off.
        ignore_class: int in [-1, 65535] or None. Id of pixels that have no label.

    Call arguments:
        images: float32 in [0, 1], ``(batch, height, width, channels)``, any number of
            channels. All but the rank may be unknown.
        masks: int32 ids, ``(batch, height, width, 1)``.
        seed: Integer or integer tensor, ``()`` or ``(2,)``; another one for every batch.
        first: Integer or integer tensor. Position of the first image, where these are a part
            of a batch: each gets what it would get in the whole.

    Returns:
        When called, ``(images, masks)`` with the shapes, dtypes and ranges they had. Inside
        ``Dataset.map`` or a ``tf.function`` as well as outside.

    Raises:
        TypeError: If a strength is no number, an image or the seed of another dtype.
        ValueError: If a strength is out of its range, an image or the seed of another shape.

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
            # Plain Python numbers, which any format can store.
            object.__setattr__(self, name, _require_number(name, getattr(self, name), high, advice))
        object.__setattr__(self, "scale", _require_scale(self.scale))
        object.__setattr__(self, "ignore_class", _require_id(self.ignore_class))

    def __repr__(self) -> str:
        """Returns the call that makes it, with what differs from its default: what is on."""
        on = [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"{type(self).__name__}({', '.join(on)})"

    def __call__(
        self, images: Any, masks: Any, seed: Any, first: Any = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Varies a batch; see the class."""
        images, masks = _require_batch(images, masks)
        seed = seed_pair(seed)
        shape = tf.shape(images)
        height, width = tf.unstack(tf.cast(shape[1:3], tf.float32))
        first = tf.cast(first, tf.int32)
        draws = draw(shape[0], seed, first)

        if self._moves:
            transform = random_transform(
                draws,
                (height, width),
                horizontal_flip=self.horizontal_flip,
                vertical_flip=self.vertical_flip,
                scale=self.scale,
                rotation=self.rotation,
                translation=self.translation,
            )
            images, masks = apply_transform(images, masks, transform, self.ignore_class)
        images = self._light(images, draws)
        if self.blur:
            images = blur(images, self.blur * draws.blur)
        if self.noise:
            deviation = self.noise * draws.noise[:, tf.newaxis, tf.newaxis, tf.newaxis]
            images += deviation * draw_noise(shape, seed, first)
        if self.cutout:
            middles = (draws.cutout_row, draws.cutout_column)
            box = boxes((height, width), self.cutout, middles)
            images, masks = cut_out(images, masks, box, self.ignore_class)
        return tf.clip_by_value(images, 0.0, 1.0), masks

    @property
    def _moves(self) -> bool:
        flips = self.horizontal_flip or self.vertical_flip
        return bool(flips or self.rotation or self.translation or self.scale != (1, 1))

    def _light(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        if self.brightness or self.contrast:
            images = adjust_exposure(
                images,
                _factor(self.brightness, draws.brightness),
                _factor(self.contrast, draws.contrast),
            )
        if self.saturation and images.shape[-1] == 3:
            images = adjust_saturation(images, _factor(self.saturation, draws.saturation))
        return images


def _factor(strength: float, drawn: tf.Tensor) -> tf.Tensor:
    """Takes [0, 1) to [1 - strength, 1 + strength)."""
    return 1 + strength * (2 * drawn - 1)


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
        f"`scale` must be two numbers in [{_SMALLEST_SCALE}, {_LARGEST_SCALE}], the smaller "
        f"one first. Received: scale={scale!r}. They are zoom factors; (1, 1) is off."
    )
    if not isinstance(scale, Sequence) or not all(map(_is_number, scale)):
        raise TypeError(message)
    if len(scale) != 2 or not _SMALLEST_SCALE <= scale[0] <= scale[1] <= _LARGEST_SCALE:
        raise ValueError(message)
    return float(scale[0]), float(scale[1])


def _require_id(ignore_class: Any) -> int | None:
    if ignore_class is None:
        return None
    message = (
        f"`ignore_class` must be an integer in [{_SMALLEST_ID}, {_LARGEST_ID}] or None. "
        f"Received: ignore_class={ignore_class!r}. It is the id of pixels without a label."
    )
    if isinstance(ignore_class, bool) or not isinstance(ignore_class, Integral):
        raise TypeError(message)
    if not _SMALLEST_ID <= int(ignore_class) <= _LARGEST_ID:
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
    """Returns an augmentation that suits most images.

    Left and right are swapped for half of them; they are zoomed by 0.9 to 1.2 and differ by
    a tenth in brightness and contrast. Override ``horizontal_flip`` where left and right
    mean something, as in writing.

    Args:
        ignore_class: int or None. Id of pixels that have no label.

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
    """Returns an augmentation for what a car's camera sees.

    Left and right are swapped for half of the images, never top and bottom; near and far
    vary by a zoom of 0.7 to 1.6, the horizon by 5 degrees, and light, lens and sensor as from
    one drive to the next.

    Args:
        ignore_class: int or None. Id of pixels that have no label.

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
    """Returns the augmentation that a name stands for.

    Args:
        augmentation: One of :data:`PRESETS`, an :class:`Augmentation`, or None for none.
        ignore_class: int or None. Id of pixels that have no label, for a name and for an
            augmentation without one.
        channels: int or None. Channels of the images. Other than 3 have no saturation: a
            name's is left out, an augmentation with one is an error. None does not ask.

    Returns:
        Augmentation or None.

    Raises:
        ValueError: If there is no such name, or the augmentation has another
            ``ignore_class`` or a saturation that the images cannot have.

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
