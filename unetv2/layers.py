"""The blocks of a U-Net as Keras layers."""

from __future__ import annotations

from typing import Any

import keras

from unetv2.arguments import require_fraction, require_integer
from unetv2.convolution import (
    DATA_FORMAT,
    FILTERS_ADVICE,
    ConvolutionBlock,
    Shape,
    require_features,
    shared_config,
)


@keras.saving.register_keras_serializable(package="unetv2")
class EncoderBlock(keras.layers.Layer):
    """Convolves twice and halves the resolution.

    Two :class:`ConvolutionBlock` s, optional dropout; the result is ``skip``, and
    ``skip`` max-pooled by 2 is ``output``.

    Args:
        filters: int. Number of output channels.
        dropout: float in [0, 1). Share of features dropped in training.
        pool: bool. Whether ``output`` is pooled. Without, it is ``skip`` itself: the
            deepest block of a U-Net.
        normalization: ``None``, ``"batch"`` or ``"group"``, after each convolution.
        activation: str or callable. Any Keras activation.
        kernel_initializer: str or ``keras.Initializer``. Each convolution draws its own
            values, also from an initializer with a seed.
        seed: int or None. Seed of the dropout.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Features, ``(batch, height, width, channels)``.

    Input shape:
        ``(batch, height, width, channels)``, any height and width.

    Output shape:
        A pair ``(output, skip)`` of ``(batch, ceil(height / 2), ceil(width / 2), filters)``
        and ``(batch, height, width, filters)``.

    Raises:
        ValueError: If an argument is out of its range or the input is not of rank 4.

    Example:
        >>> output, skip = unetv2.EncoderBlock(8, dropout=0.3)(np.zeros((2, 7, 6, 3)))
        >>> output.shape, skip.shape
        (TensorShape([2, 4, 3, 8]), TensorShape([2, 7, 6, 8]))

    References:
        - `Ronneberger et al., 2015 <https://arxiv.org/abs/1505.04597>`_
    """

    def __init__(
        self,
        filters: int,
        *,
        dropout: float = 0.0,
        pool: bool = True,
        normalization: str | None = None,
        activation: Any = "relu",
        kernel_initializer: Any = "he_normal",
        seed: int | None = None,
        **layer: Any,
    ) -> None:
        super().__init__(**layer)
        self.filters = require_integer("filters", filters, 1, FILTERS_ADVICE)
        self.dropout = require_fraction(
            "dropout", dropout, "It is the share of features dropped in training."
        )
        self.pool = pool
        self.normalization = normalization
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self.convolution_1 = _convolution_block(self, 1)
        self.convolution_2 = _convolution_block(self, 2)
        self.dropout_layer = keras.layers.Dropout(
            self.dropout, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        self.pooling = keras.layers.MaxPooling2D(
            2, padding="same", data_format=DATA_FORMAT, dtype=self.dtype_policy, name="pooling"
        )

    def build(self, inputs_shape: Shape) -> None:
        """Creates the weights for inputs of this shape."""
        _, skip_shape = self.compute_output_shape(inputs_shape)
        self.convolution_1.build(inputs_shape)
        self.convolution_2.build(skip_shape)
        self.dropout_layer.build(skip_shape)
        self.pooling.build(skip_shape)

    def call(self, inputs: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Returns ``(output, skip)``."""
        skip = self.convolution_1(inputs, training=training)
        skip = self.convolution_2(skip, training=training)
        skip = self.dropout_layer(skip, training=training)
        return (self.pooling(skip) if self.pool else skip), skip

    def compute_output_shape(self, inputs_shape: Shape) -> tuple[Shape, Shape]:
        """Returns the shapes of ``(output, skip)``."""
        batch, height, width, _ = require_features("inputs", inputs_shape)
        skip = (batch, height, width, self.filters)
        if not self.pool:
            return skip, skip
        return (batch, _half(height), _half(width), self.filters), skip

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {
            **super().get_config(),
            **shared_config(self),
            "dropout": self.dropout,
            "pool": self.pool,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="unetv2")
class DecoderBlock(keras.layers.Layer):
    """Doubles a feature map's resolution and merges it with a skip.

    A 3x3 transposed convolution with stride 2 and no activation, cropped to the skip's
    height and width, concatenated as ``[upsampled, skip]``, then two
    :class:`ConvolutionBlock` s.

    Args:
        filters: int. Number of output channels, also of the transposed convolution.
        normalization: ``None``, ``"batch"`` or ``"group"``, after each convolution but
            the transposed one.
        activation: str or callable. Any Keras activation.
        kernel_initializer: str or ``keras.Initializer``. Each convolution draws its own
            values, also from an initializer with a seed.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Coarse features, ``(batch, height, width, channels)``.
        skip: Fine features, ``(batch, 2 * height or 2 * height - 1,
            2 * width or 2 * width - 1, skip_channels)``.

    Input shape:
        Those two shapes.

    Output shape:
        ``skip``'s, with ``filters`` channels.

    Raises:
        ValueError: If an argument is out of its range or ``skip`` is not twice as large
            as ``inputs``, or one less, in each direction.

    Example:
        >>> coarse, skip = np.zeros((2, 4, 3, 16)), np.zeros((2, 7, 6, 8))
        >>> unetv2.DecoderBlock(8)(coarse, skip).shape
        TensorShape([2, 7, 6, 8])

    References:
        - `Ronneberger et al., 2015 <https://arxiv.org/abs/1505.04597>`_
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
        self.normalization = normalization
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.upsampling = keras.layers.Conv2DTranspose(
            self.filters,
            3,
            strides=2,
            padding="same",
            data_format=DATA_FORMAT,
            kernel_initializer=_independent(self.kernel_initializer, 0),
            dtype=self.dtype_policy,
            name="upsampling",
        )
        self.merging = keras.layers.Concatenate(axis=-1, dtype=self.dtype_policy, name="merging")
        self.convolution_1 = _convolution_block(self, 1)
        self.convolution_2 = _convolution_block(self, 2)

    def build(self, inputs_shape: Shape, skip_shape: Shape) -> None:
        """Creates the weights for inputs of these shapes."""
        shape = self.compute_output_shape(inputs_shape, skip_shape)
        self.upsampling.build(inputs_shape)
        self.merging.build([shape, skip_shape])
        skip_channels = require_features("skip", skip_shape)[3]
        self.convolution_1.build((*shape[:3], self.filters + skip_channels))
        self.convolution_2.build(shape)

    def call(self, inputs: Any, skip: Any, training: bool | None = None) -> Any:
        """Returns features, ``(batch, skip's height, skip's width, filters)``."""
        # Once more than in `build`: eager calls come with other sizes than the first one.
        self.compute_output_shape(inputs.shape, skip.shape)
        upsampled = _crop(self.upsampling(inputs), skip)
        outputs = self.merging([upsampled, skip])
        outputs = self.convolution_1(outputs, training=training)
        return self.convolution_2(outputs, training=training)

    def compute_output_shape(self, inputs_shape: Shape, skip_shape: Shape) -> Shape:
        """Returns ``(batch, skip's height, skip's width, filters)``."""
        coarse = require_features("inputs", inputs_shape)
        fine = require_features("skip", skip_shape)
        for low, high in zip(coarse[1:3], fine[1:3], strict=True):
            if low is not None and high is not None and _half(high) != low:
                raise ValueError(
                    "`skip` must be twice as high and wide as `inputs`, or one less. "
                    f"Received: inputs of shape {coarse} and skip of shape {fine}. "
                    "Pass the skip of the encoder block whose output has `inputs`' size."
                )
        return (*fine[:3], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {**super().get_config(), **shared_config(self)}


def _convolution_block(block: Any, position: int) -> ConvolutionBlock:
    return ConvolutionBlock(
        block.filters,
        normalization=block.normalization,
        activation=block.activation,
        kernel_initializer=_independent(block.kernel_initializer, position),
        dtype=block.dtype_policy,
        name=f"convolution_{position}",
    )


def _independent(initializer: Any, position: int) -> Any:
    """Copies an initializer so that its draws are its own.

    One Keras initializer gives two kernels of the same shape the same values.
    """
    if not isinstance(initializer, keras.Initializer):
        return initializer
    config = initializer.get_config()
    if isinstance(config.get("seed"), int):
        config["seed"] += position
    return type(initializer).from_config(config)


def _half(size: int | None) -> int | None:
    return None if size is None else (size + 1) // 2


def _crop(features: Any, like: Any) -> Any:
    height, width = like.shape[1:3]
    # Sizes known to be equal need no slice, which costs a copy and its gradient.
    if None not in (height, width) and tuple(features.shape[1:3]) == (height, width):
        return features
    _, height, width, _ = keras.ops.shape(like)
    return features[:, :height, :width, :]
