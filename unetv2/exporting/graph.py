"""The graph that is exported: from camera frames to masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_image_size
from unetv2.classes import ClassTable
from unetv2.data.io.pixels import PILLOWS_CHANNELS
from unetv2.data.preprocess import Geometry
from unetv2.exporting.artifact import Format, Size
from unetv2.exporting.formats.base import Outputs
from unetv2.inference.network import SMALLEST_PROBABILITY, Network, network_of
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing


@dataclass(frozen=True)
class Plan:
    """What an artifact takes.

    Args:
        frame_size: ``(height, width)`` of the images, None where it is open.
        network_size: ``(height, width)`` of what the network is fed with.
        resizes: bool. Whether the artifact brings the one to the other, and the answer back.
        preprocessing: How the network's images are prepared.
        probabilities: bool. Whether the network gives probabilities, and not logits.
    """

    frame_size: Size
    network_size: Size
    resizes: bool
    preprocessing: Preprocessing
    probabilities: bool


def plan(
    model: keras.Model,
    format: Format,
    *,
    image_size: Sequence[int] | None,
    frame_size: Sequence[int] | None,
    classes: ClassTable | None,
) -> Plan:
    """Plans an artifact.

    Whole images are resized in it. Windows, and images at their own scale, are cut out by who
    feeds it.

    Args:
        model: The model.
        format: What becomes of it.
        image_size: ``(height, width)`` that images are brought to, or None for the model's.
        frame_size: ``(height, width)`` of the images, or None for any.
        classes: ClassTable or None for the model's.

    Returns:
        Plan.

    Raises:
        ValueError: If the sizes fit neither each other nor the model or the format.
    """
    network = network_of(model)
    known = _with_classes(preprocessing_of(model, network.n_classes), classes, network.n_classes)
    whole = known.crop_size is None and known.resize != "crop" and known.image_size is not None
    wanted = None if image_size is None else require_image_size(image_size)
    if whole and wanted is not None:
        known = replace(known, image_size=wanted)
    size = wanted or known.input_size or network.size
    _require_taken(model, network, size)
    if format.open_sizes is False and None in size:
        raise ValueError(
            f"`image_size` must be given for format='{format.name}', which takes one size only, "
            f"and a model that takes all. Received: image_size={image_size!r}. Pass the size of "
            "the windows or images that the network is to be fed with."
        )
    if frame_size is None:
        if whole and format.open_sizes:
            return Plan((None, None), size, True, known, network.probabilities)
        return Plan(size, size, False, known, network.probabilities)
    frames = require_image_size(frame_size, "frame_size")
    if not whole and frames != size:
        raise ValueError(
            "`frame_size` must be None for a model that is fed with images at their own scale. "
            f"Received: frame_size={frame_size!r}. Pass `image_size` in its place."
        )
    # Of the network's own size they come prepared, and images of other sizes can be too.
    return Plan(frames, size, whole and frames != size, known, network.probabilities)


def _with_classes(known: Preprocessing, classes: Any, n_classes: int) -> Preprocessing:
    if classes is None:
        return known
    if not isinstance(classes, ClassTable) or len(classes) != n_classes:
        found = f"{len(classes)} classes" if isinstance(classes, ClassTable) else repr(classes)
        raise ValueError(
            "`classes` must be a ClassTable with a class for each of the model's outputs, "
            f"{n_classes}. Received: {found}."
        )
    ignored = known.ignore_class if classes.ignore_class is None else classes.ignore_class
    return replace(known, classes=classes, ignore_class=ignored)


def _require_taken(model: keras.Model, network: Network, size: Size) -> None:
    fits = all(own in (None, side) for own, side in zip(network.size, size, strict=True))
    if None not in size:
        fits = fits and network.takes((size[0] or 1, size[1] or 1))
    if not fits:
        raise ValueError(
            "`image_size` must be one that the model takes. "
            f"Received: {size} and the model '{model.name}' for {network.size}. "
            "Leave it out, or build the model for any size."
        )


# Resizing in a graph: the library's arithmetic as two products with matrices.
#
# Preprocessing is linear along rows and along columns, whatever the interpolation. So each
# becomes a matrix, computed from the sizes by operations that every format has, also where the
# image size is open.

_POWERS_OF_TWO = [2**power for power in range(25)]


class Place(NamedTuple):
    """Where the image lies on what the network is fed with, each an int or a scalar tensor."""

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
        place: Where the image lies on it.
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


INPUT = "frames"
NETWORK = "network"
_BYTES = 256


class Graph(tf.Module):
    """Camera frames to masks, weights as constants.

    Without variables a graph is one file's content, and a converter sees all there is to fold.

    Args:
        model: As it is deployed.
        plan: What it takes.
        batch: int or None. Frames at once, None for any number.

    Attributes:
        model: keras.Model.
        plan: Plan.
        function: tf.function. ``frames``, uint8, to the :class:`Outputs` as a dict.
    """

    def __init__(self, model: keras.Model, plan: Plan, batch: int | None) -> None:
        super().__init__()
        # In tuples, and not as attributes of their own, which would be saved.
        self._held = _Held(model, plan)
        shape = (batch, *plan.frame_size, plan.preprocessing.channels)
        self.function = tf.function(
            self._held.answer,
            input_signature=[tf.TensorSpec(shape, tf.uint8, name=INPUT)],
            autograph=False,
            jit_compile=False,
        )

    @property
    def plan(self) -> Plan:
        """What it takes."""
        return self._held.plan

    @property
    def model(self) -> keras.Model:
        """The model in it."""
        return self._held.model

    def images(self, frame: np.ndarray) -> tf.Tensor:
        """Returns what the network is fed with of a frame, ``(1, height, width, channels)``."""
        return self._held.images(tf.constant(frame[np.newaxis]))[0]

    def concrete(self) -> Any:
        """Returns the graph itself."""
        return self.function.get_concrete_function()


class _Held:
    """Hides the model from ``tf.Module``, which would save its variables."""

    def __init__(self, model: keras.Model, plan: Plan) -> None:
        self.model, self.plan = model, plan
        self._trainable = [variable.numpy() for variable in model.trainable_variables]
        self._others = [variable.numpy() for variable in model.non_trainable_variables]

    def images(self, frames: tf.Tensor) -> tuple[tf.Tensor, Place, tuple[Any, Any]]:
        """Returns what the network is fed with, where the frames lie in it, and their size."""
        known = self.plan.preprocessing
        height, width = self.plan.network_size
        sizes = tf.shape(frames)
        size = tuple(frames.shape[axis] or sizes[axis] for axis in (1, 2))
        with tf.name_scope("prepare"):
            if self.plan.resizes:
                assert height is not None
                assert width is not None
                pixels, place = shrink(frames, (height, width), known.resize, known.interpolation)
            else:
                pixels, place = tf.cast(frames, tf.float32), Place(0, 0, *size)
            low, high = known.value_range
            images = pixels / 255.0
            if (low, high) != (0.0, 1.0):
                images = images * (high - low) + low
        return images, place, size

    def answer(self, frames: tf.Tensor) -> dict[str, tf.Tensor]:
        images, place, size = self.images(frames)
        with tf.name_scope(NETWORK):
            logits, _ = self.model.stateless_call(
                self._trainable, self._others, images, training=False
            )
        with tf.name_scope("answer"):
            logits = tf.cast(logits, tf.float32)
            if self.plan.probabilities:
                logits = tf.math.log(tf.maximum(logits, SMALLEST_PROBABILITY))
            values = enlarge(logits, place, size) if self.plan.resizes else logits
            mask = tf.argmax(values, axis=-1, output_type=tf.int32)
            if values.shape[-1] <= _BYTES:
                mask = tf.cast(mask, tf.uint8)
            confidence = tf.reduce_max(tf.nn.softmax(values), axis=-1)
            return Outputs(
                tf.identity(mask, "mask"),
                tf.identity(confidence, "confidence"),
                tf.identity(logits, "logits"),
            )._asdict()
