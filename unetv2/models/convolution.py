"""Convolution and dropout, and helpers of all blocks.

All features are ``channels_last``, ``(batch, height, width, channels)``, whatever
``keras.config.image_data_format()`` is, since masks have one layout only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

from unetv2.arguments import require_choice, require_integer

Shape = tuple[int | None, ...]
FeatureShape = tuple[int | None, int | None, int | None, int]

DATA_FORMAT = "channels_last"
FILTERS_ADVICE = "It is the number of output channels."

_NORMALIZATIONS = (None, "batch", "group")
# Eight groups are common in 3D U-Nets: fewer are cheaper, more are noisier. Narrow layers use the
# largest number of groups that divides their channels.
# Keras's default, 0.99, needs several hundred steps, which short trainings do not have.
_MOMENTUM = 0.95
_GROUPS = 8


@keras.saving.register_keras_serializable(package="unetv2")
class ConvolutionBlock(keras.layers.Layer):
    """Applies a 3x3 convolution, an optional normalization, and an activation.

    Args:
        filters: int, at least 1. Number of output channels.
        normalization: ``None``, ``"batch"`` or ``"group"``. With a normalization the
            convolution has no bias, as the normalization has an offset.
        activation: str or callable. Any Keras activation.
        kernel_initializer: str or ``keras.Initializer``. He et al., 2015, by default.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Features, ``(batch, height, width, channels)``, any floating-point type.
        training: bool or None. Whether batch normalization runs in training mode; None is True in
            ``fit`` and False elsewhere.

    Input shape:
        ``(batch, height, width, channels)``, any height and width.

    Output shape:
        ``(batch, height, width, filters)``.

    Raises:
        ValueError: If an argument is out of its range or the input is not of rank 4.
        TypeError: If ``filters`` is no integer.

    Example:
        >>> block = unetv2.ConvolutionBlock(8, normalization="batch")
        >>> block(np.zeros((2, 6, 5, 3))).shape
        TensorShape([2, 6, 5, 8])

    References:
        - `He et al., 2015 <https://arxiv.org/abs/1502.01852>`_
    """

    def __init__(
        self,
        filters: int,
        *,
        normalization: str | None = None,
        activation: Any = "relu",
        kernel_initializer: Any = "he_normal",
        **layer: Any,
    ) -> None:
        super().__init__(**layer)
        self.filters = require_integer("filters", filters, 1, FILTERS_ADVICE)
        require_choice("normalization", normalization, _NORMALIZATIONS)
        self.normalization = normalization
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.convolution = keras.layers.Conv2D(
            self.filters,
            3,
            padding="same",
            data_format=DATA_FORMAT,
            # Fused into the convolution if there is no layer between the two.
            activation=None if normalization else self.activation,
            use_bias=not normalization,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.normalizer: keras.layers.Layer | None = None
        if normalization == "batch":
            self.normalizer = keras.layers.BatchNormalization(
                momentum=_MOMENTUM, dtype=self.dtype_policy, name="normalization"
            )
        elif normalization == "group":
            self.normalizer = keras.layers.GroupNormalization(
                groups=math.gcd(self.filters, _GROUPS),
                dtype=self.dtype_policy,
                name="normalization",
            )

    def build(self, inputs_shape: Shape) -> None:
        """Creates the weights."""
        shape = self.compute_output_shape(inputs_shape)
        self.convolution.build(inputs_shape)
        if self.normalizer is not None:
            self.normalizer.build(shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns features, ``(batch, height, width, filters)``."""
        outputs = self.convolution(inputs)
        if self.normalizer is None:
            return outputs
        return self.activation(self.normalizer(outputs, training=training))

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        """Returns ``(batch, height, width, filters)``."""
        return (*require_features("inputs", inputs_shape)[:3], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {**super().get_config(), **shared_config(self)}


def shared_config(block: Any) -> dict[str, Any]:
    """Returns the arguments that all blocks have, serialized."""
    return {
        "filters": block.filters,
        "normalization": block.normalization,
        "activation": keras.activations.serialize(block.activation),
        "kernel_initializer": keras.initializers.serialize(block.kernel_initializer),
    }


def require_features(name: str, shape: Any) -> FeatureShape:
    """Returns ``shape`` as a tuple if it has rank 4 and a known number of channels."""
    shape = tuple(shape)
    if len(shape) != 4 or shape[3] is None:
        raise ValueError(
            f"`{name}` must have the shape (batch, height, width, channels) with a known "
            f"number of channels. Received: {name} of shape {shape}. "
            "Add the missing dimension."
        )
    return shape


def with_own_seed(initializer: Any, position: int) -> Any:
    """Copies an initializer with another seed, as equal seeds give equal kernels."""
    if not isinstance(initializer, keras.Initializer):
        return initializer
    config = initializer.get_config()
    if isinstance(config.get("seed"), int):
        config["seed"] += position
    return type(initializer).from_config(config)


# A function of the features, the fraction to drop, and the shape of the noise or None for that of
# the features. It returns the features that are left, scaled to keep their mean.
Noise = Callable[[Any, float, Any], Any]

_noise: ContextVar[Noise | None] = ContextVar("noise", default=None)


@contextmanager
def sampling(noise: Noise) -> Iterator[None]:
    """Makes every :class:`Dropout` apply ``noise``, also in inference mode.

    So batch normalization stays in inference mode, and the layers' random state is unchanged.
    """
    token = _noise.set(noise)
    try:
        yield
    finally:
        _noise.reset(token)


@keras.saving.register_keras_serializable(package="unetv2")
class Dropout(keras.layers.Dropout):
    """``keras.layers.Dropout`` that :func:`sampling` controls."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the remaining features, scaled to keep their mean."""
        noise = _noise.get()
        if noise is None:
            return super().call(inputs, training=training)
        return noise(inputs, self.rate, self.noise_shape) if self.rate else inputs
