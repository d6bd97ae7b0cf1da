"""How strongly pictures are varied, and the function that does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import tensorflow as tf

from unetv2.augmentation import appearance
from unetv2.augmentation.draws import Draws, draw, draw_noise, seed_pair
from unetv2.augmentation.geometry import apply_transform, random_transform

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
    "cutout": (1, "It is the box's side as a share of the picture's; 0 is off."),
}
_SMALLEST_SCALE, _LARGEST_SCALE = 0.1, 10
# Of 16-bit masks, the deepest that files hold; -1 is Keras's usual choice.
_SMALLEST_ID, _LARGEST_ID = -1, 65535


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Varies pictures at random, and their masks alike.

    Every picture of a batch gets its own draw, the same for image and mask. All geometry is
    one affine transform, so images are interpolated once, bilinearly; ids are never mixed.
    Then come light (brightness, contrast, saturation), lens (blur), sensor (noise) and the
    cut-out box, and images are clipped to [0, 1].

    What comes in from outside the picture is its mirror image. Its ids are ``ignore_class``
    where there is one, mirrored like the image otherwise.

    The result follows from the arguments and the seed alone, and a picture's from its
    position in the batch: not from earlier calls, threads, or the rest of the batch. A
    strength changes nothing but its own effect.

    Args:
        horizontal_flip: float in [0, 1]. Probability of swapping left and right; 0 is off.
        vertical_flip: float in [0, 1]. Probability of swapping top and bottom; 0 is off.
        scale: Two floats in [0.1, 10], smallest and largest zoom factor, equally likely on
            a logarithmic scale. Above 1 a part of the picture fills the frame, anywhere in
            it; below 1 the whole lies anywhere in the frame. (1, 1) is off.
        rotation: float in [0, 180]. Largest angle in degrees, both ways; 0 is off.
        translation: float in [0, 1]. Largest shift beyond what ``scale`` brings, as a share
            of height and width, both ways; 0 is off.
        brightness: float in [0, 1]. Images are multiplied by a factor in
            [1 - brightness, 1 + brightness]; 0 is off.
        contrast: float in [0, 1]. Differences from a picture's mean are multiplied by a
            factor in [1 - contrast, 1 + contrast]; 0 is off.
        saturation: float in [0, 1]. Differences from grey (luminance of ITU-R BT.601) are
            multiplied by a factor in [1 - saturation, 1 + saturation]; 0 is off. Without
            effect unless images have three channels.
        blur: float in [0, 100]. Largest standard deviation of a Gaussian blur in pixels;
            0 is off.
        noise: float in [0, 1]. Largest standard deviation of normal noise, in units of
            images in [0, 1]; 0 is off.
        cutout: float in [0, 1]. Height and width of a box as a share of the picture's,
            with its middle anywhere in it. It takes the picture's mean colour and
            ``ignore_class``; without one its ids stay, to be guessed from around it. 0 is
            off.
        ignore_class: int in [-1, 65535] or None. Id of pixels that have no label.

    Call arguments:
        images: float32 in [0, 1], ``(batch, height, width, channels)``, any number of
            channels. All but the rank may be unknown.
        masks: int32 ids, ``(batch, height, width, 1)``.
        seed: Integer or integer tensor, ``()`` or ``(2,)``; another one for every batch.
        first: Integer or integer tensor. Position of the first picture, where these are a part
            of a batch: each gets what it would get in the whole.

    Returns:
        When called, ``(images, masks)`` with the shapes, dtypes and ranges they had. Inside
        ``Dataset.map`` or a ``tf.function`` as well as outside.

    Raises:
        TypeError: If a strength is no number, a picture or the seed of another dtype.
        ValueError: If a strength is out of its range, a picture or the seed of another shape.

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
            images = appearance.blur(images, self.blur * draws.blur)
        if self.noise:
            deviation = self.noise * draws.noise[:, tf.newaxis, tf.newaxis, tf.newaxis]
            images += deviation * draw_noise(shape, seed, first)
        if self.cutout:
            middles = (draws.cutout_row, draws.cutout_column)
            box = appearance.boxes((height, width), self.cutout, middles)
            images, masks = appearance.cut_out(images, masks, box, self.ignore_class)
        return tf.clip_by_value(images, 0.0, 1.0), masks

    @property
    def _moves(self) -> bool:
        flips = self.horizontal_flip or self.vertical_flip
        return bool(flips or self.rotation or self.translation or self.scale != (1, 1))

    def _light(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        if self.brightness or self.contrast:
            images = appearance.adjust_exposure(
                images,
                _factor(self.brightness, draws.brightness),
                _factor(self.contrast, draws.contrast),
            )
        if self.saturation and images.shape[-1] == 3:
            images = appearance.adjust_saturation(
                images, _factor(self.saturation, draws.saturation)
            )
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
            f"{masks.shape}. Add an axis in front of a single picture."
        )
    return images, masks
