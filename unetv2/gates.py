"""Gates: factors in [0, 1] that let features through or hold them back."""

from __future__ import annotations

from typing import Any

import keras

from unetv2.arguments import require_integer
from unetv2.convolution import DATA_FORMAT, FILTERS_ADVICE, Shape, independent, require_features
from unetv2.sizes import Enlarge, crop, require_skip

# Narrower bottlenecks leave a gate nothing to decide with.
_MIN_UNITS = 4


@keras.saving.register_keras_serializable(package="unetv2")
class SqueezeExcitation(keras.layers.Layer):
    """Weighs each channel by what the whole picture shows.

    The mean of each channel over the picture, a dense layer with ReLU to ``channels / ratio``
    units (4 at least), a dense layer with a sigmoid back to the channels: the factors that the
    channels are multiplied by.

    Args:
        ratio: int. How many channels share a unit of the bottleneck.
        kernel_initializer: str or ``keras.Initializer``. Each dense layer draws its own
            values, also from an initializer with a seed.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Features, ``(batch, height, width, channels)``.

    Input shape:
        ``(batch, height, width, channels)``, any height and width.

    Output shape:
        The same.

    Raises:
        ValueError: If ``ratio`` is below 1 or the input is not of rank 4.

    Example:
        >>> gate = unetv2.SqueezeExcitation()
        >>> gate(np.ones((2, 6, 5, 16))).shape
        TensorShape([2, 6, 5, 16])
        >>> gate.coefficients(np.ones((2, 6, 5, 16))).shape
        TensorShape([2, 1, 1, 16])

    References:
        - `Hu et al., 2018 <https://arxiv.org/abs/1709.01507>`_
    """

    def __init__(
        self, *, ratio: int = 8, kernel_initializer: Any = "he_normal", **layer: Any
    ) -> None:
        super().__init__(**layer)
        self.ratio = require_integer("ratio", ratio, 1, "It is the number of channels a unit.")
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, inputs_shape: Shape) -> None:
        """Creates the weights for inputs of this shape."""
        batch, _, _, channels = require_features("inputs", inputs_shape)
        units = max(_MIN_UNITS, channels // self.ratio)
        self.squeeze = self._dense(0, units, "relu", "squeeze")
        self.excite = self._dense(1, channels, "sigmoid", "excite")
        self.squeeze.build((batch, 1, 1, channels))
        self.excite.build((batch, 1, 1, units))

    def _dense(self, position: int, units: int, activation: str, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=independent(self.kernel_initializer, position),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, inputs: Any) -> Any:
        """Returns the weighted features."""
        return inputs * self.coefficients(inputs)

    def coefficients(self, inputs: Any) -> Any:
        """Returns each channel's factor in [0, 1], ``(batch, 1, 1, channels)``."""
        return self.excite(self.squeeze(keras.ops.mean(inputs, axis=(1, 2), keepdims=True)))

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        """Returns the inputs' shape."""
        return require_features("inputs", inputs_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable(package="unetv2")
class AttentionGate(keras.layers.Layer):
    """Weighs each place of a skip by what the coarser features found there.

    At the coarse resolution: a 2x2 convolution with stride 2 of the skip and a 1x1 convolution
    of the coarse features are added, ReLU, a 1x1 convolution to one channel, sigmoid. That,
    enlarged bilinearly, is what the skip is multiplied by.

    Args:
        filters: int. Channels in which skip and coarse features are added.
        kernel_initializer: str or ``keras.Initializer``. Each convolution draws its own
            values, also from an initializer with a seed.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        skip: Fine features, ``(batch, 2 * height or 2 * height - 1,
            2 * width or 2 * width - 1, skip_channels)``.
        inputs: Coarse features, ``(batch, height, width, channels)``.

    Input shape:
        Those two shapes.

    Output shape:
        ``skip``'s.

    Raises:
        ValueError: If an argument is out of its range or ``skip`` is not twice as large
            as ``inputs``, or one less, in each direction.

    Example:
        >>> skip, coarse = np.ones((2, 7, 6, 8)), np.ones((2, 4, 3, 16))
        >>> gate = unetv2.AttentionGate(4)
        >>> gate(skip, coarse).shape
        TensorShape([2, 7, 6, 8])
        >>> gate.coefficients(skip, coarse).shape
        TensorShape([2, 7, 6, 1])

    References:
        - `Oktay et al., 2018 <https://arxiv.org/abs/1804.03999>`_
    """

    def __init__(
        self, filters: int, *, kernel_initializer: Any = "he_normal", **layer: Any
    ) -> None:
        super().__init__(**layer)
        self.filters = require_integer("filters", filters, 1, FILTERS_ADVICE)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        # One bias is enough for a sum.
        self.from_skip = self._convolution(0, filters, 2, "from_skip", strides=2, use_bias=False)
        self.from_coarse = self._convolution(1, filters, 1, "from_coarse")
        self.to_coefficient = self._convolution(2, 1, 1, "to_coefficient", activation="sigmoid")
        self.enlarge = Enlarge(dtype=self.dtype_policy, name="enlarge")

    def _convolution(
        self, position: int, filters: int, size: int, name: str, **convolution: Any
    ) -> keras.layers.Conv2D:
        return keras.layers.Conv2D(
            filters,
            size,
            padding="same",
            data_format=DATA_FORMAT,
            kernel_initializer=independent(self.kernel_initializer, position),
            dtype=self.dtype_policy,
            name=name,
            **convolution,
        )

    def build(self, skip_shape: Shape, inputs_shape: Shape) -> None:
        """Creates the weights for inputs of these shapes."""
        self.compute_output_shape(skip_shape, inputs_shape)
        self.from_skip.build(skip_shape)
        self.from_coarse.build(inputs_shape)
        self.to_coefficient.build((*inputs_shape[:3], self.filters))
        self.enlarge.build((*inputs_shape[:3], 1))

    def call(self, skip: Any, inputs: Any) -> Any:
        """Returns the weighted skip."""
        return skip * self.coefficients(skip, inputs)

    def coefficients(self, skip: Any, inputs: Any) -> Any:
        """Returns each place's factor in [0, 1], ``(batch, skip's height, skip's width, 1)``."""
        # Once more than in `build`: eager calls come with other sizes than the first one.
        self.compute_output_shape(skip.shape, inputs.shape)
        joint = keras.ops.relu(self.from_skip(skip) + self.from_coarse(inputs))
        return crop(self.enlarge(self.to_coefficient(joint)), skip)

    def compute_output_shape(self, skip_shape: Shape, inputs_shape: Shape) -> Shape:
        """Returns the skip's shape."""
        require_skip(inputs_shape, skip_shape)
        return tuple(skip_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
