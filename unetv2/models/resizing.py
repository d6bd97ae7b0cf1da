"""Cropping, padding and enlarging of feature maps, so that images may have any size."""

from __future__ import annotations

from typing import Any

import keras

from unetv2.arguments import require_integer
from unetv2.models.convolution import DATA_FORMAT, Shape, require_features


def half(size: int | None) -> int | None:
    """Returns a size after a stride of 2."""
    return None if size is None else (size + 1) // 2


def require_skip(inputs_shape: Any, skip_shape: Any) -> None:
    """Raises unless ``skip`` is twice as high and wide as ``inputs``, or one less."""
    coarse = require_features("inputs", inputs_shape)
    fine = require_features("skip", skip_shape)
    for low, high in zip(coarse[1:3], fine[1:3], strict=True):
        if low is not None and high is not None and half(high) != low:
            raise ValueError(
                "`skip` must be twice as high and wide as `inputs`, or one less. "
                f"Received: inputs of shape {coarse} and skip of shape {fine}. "
                "Pass the skip of the encoder block whose output has `inputs`' size."
            )


def crop(features: Any, like: Any) -> Any:
    """Crops features at the bottom and at the right to the size of ``like``."""
    height, width = like.shape[1:3]
    # No slice for equal sizes: it costs a copy, and its gradient another one.
    if None not in (height, width) and tuple(features.shape[1:3]) == (height, width):
        return features
    _, height, width, _ = keras.ops.shape(like)
    return features[:, :height, :width, :]


@keras.saving.register_keras_serializable(package="unetv2")
class CropToSize(keras.layers.Layer):
    """Crops features at the bottom and at the right to the size of others, ``like``."""

    def build(self, inputs_shape: Shape, like_shape: Shape) -> None:
        """Checks the shapes."""
        self.compute_output_shape(inputs_shape, like_shape)

    def call(self, inputs: Any, like: Any) -> Any:
        """Returns features of ``like``'s size."""
        return crop(inputs, like)

    def compute_output_shape(self, inputs_shape: Shape, like_shape: Shape) -> Shape:
        """Returns ``(batch, new height, new width, channels)``."""
        batch, _, _, channels = require_features("inputs", inputs_shape)
        return (batch, *require_features("like", like_shape)[1:3], channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        # Without this method, Keras refuses to save a layer whose `dtype` is a policy.
        return {**super().get_config()}


@keras.saving.register_keras_serializable(package="unetv2")
class PadToMultiple(keras.layers.Layer):
    """Adds zeros at the bottom and at the right until height and width are multiples."""

    def __init__(self, multiple: int, **layer: Any) -> None:
        super().__init__(**layer)
        self.multiple = require_integer("multiple", multiple, 1, "1 adds nothing.")

    def build(self, inputs_shape: Shape) -> None:
        """Checks the shape."""
        self.compute_output_shape(inputs_shape)

    def call(self, inputs: Any) -> Any:
        """Returns padded features."""
        _, height, width, _ = keras.ops.shape(inputs)
        below, right = -height % self.multiple, -width % self.multiple
        return keras.ops.pad(inputs, [[0, 0], [0, below], [0, right], [0, 0]])

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        """Returns the shape with height and width rounded up."""
        batch, height, width, channels = require_features("inputs", inputs_shape)
        height, width = (
            None if size is None else size + -size % self.multiple for size in (height, width)
        )
        return (batch, height, width, channels)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable(package="unetv2")
class Enlarge(keras.layers.Layer):
    """Doubles height and width by bilinear interpolation."""

    def __init__(self, **layer: Any) -> None:
        super().__init__(**layer)
        self.upsampling = keras.layers.UpSampling2D(
            2,
            data_format=DATA_FORMAT,
            interpolation="bilinear",
            dtype=self.dtype_policy,
            name="upsampling",
        )

    def build(self, inputs_shape: Shape) -> None:
        """Checks the shape."""
        self.compute_output_shape(inputs_shape)
        self.upsampling.build(inputs_shape)

    def call(self, inputs: Any) -> Any:
        """Returns features of twice the size."""
        # Keras's layer is several times faster, but fails in graphs with unknown sizes.
        if None not in inputs.shape[1:3]:
            return self.upsampling(inputs)
        return _doubled(_doubled(inputs, 1), 2)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        """Returns the shape with height and width doubled."""
        batch, height, width, channels = require_features("inputs", inputs_shape)
        height, width = (None if size is None else 2 * size for size in (height, width))
        return (batch, height, width, channels)


def _doubled(inputs: Any, axis: int) -> Any:
    """Doubles one axis: new samples are a quarter before and a quarter after each old one."""

    def part(start: int | None, stop: int | None) -> Any:
        return inputs[:, start:stop] if axis == 1 else inputs[:, :, start:stop]

    before = keras.ops.concatenate([part(None, 1), part(None, -1)], axis)
    after = keras.ops.concatenate([part(1, None), part(-1, None)], axis)
    pairs = keras.ops.stack([0.75 * inputs + 0.25 * before, 0.75 * inputs + 0.25 * after], axis + 1)
    _, height, width, channels = keras.ops.shape(inputs)
    height, width = (2 * height, width) if axis == 1 else (height, 2 * width)
    return keras.ops.reshape(pairs, (-1, height, width, channels))
