"""The blocks of a U-Net as Keras layers, and the factory that creates them for a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from unetv2.arguments import require_choice, require_fraction, require_integer
from unetv2.models.convolution import (
    DATA_FORMAT,
    FILTERS_ADVICE,
    ConvolutionBlock,
    Dropout,
    Shape,
    require_features,
    shared_config,
    with_own_seed,
)
from unetv2.models.resizing import Enlarge, crop, half, require_skip

UPSAMPLINGS = ("transpose", "bilinear")
# Distance between the seeds of two blocks of a network, as each block uses several.
_SEEDS_PER_BLOCK = 10


class Block(keras.layers.Layer):
    """Base class of blocks with two :class:`ConvolutionBlock` s.

    Subclasses call :meth:`_create_convolutions` after the sublayers whose weights come first.
    """

    def __init__(
        self,
        filters: int,
        *,
        normalization: str | None,
        activation: Any,
        kernel_initializer: Any,
        residual: bool,
        **layer: Any,
    ) -> None:
        super().__init__(**layer)
        self.filters = require_integer("filters", filters, 1, FILTERS_ADVICE)
        self.normalization = normalization
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        require_choice("residual", residual, (False, True))
        self.residual = residual

    def _create_convolutions(self) -> None:
        self.convolution_1 = self._convolution(1, self.activation)
        self.convolution_2 = self._convolution(2, None if self.residual else self.activation)
        self.projection: keras.layers.Layer | None = None

    def _convolution(self, position: int, activation: Any) -> ConvolutionBlock:
        return ConvolutionBlock(
            self.filters,
            normalization=self.normalization,
            activation=activation,
            kernel_initializer=with_own_seed(self.kernel_initializer, position),
            dtype=self.dtype_policy,
            name=f"convolution_{position}",
        )

    def _build_convolutions(self, inputs_shape: Shape) -> None:
        self.convolution_1.build(inputs_shape)
        self.convolution_2.build((*inputs_shape[:3], self.filters))
        if self.residual and inputs_shape[3] != self.filters:
            self.projection = keras.layers.Conv2D(
                self.filters,
                1,
                data_format=DATA_FORMAT,
                # The second convolution has a bias, or its normalization an offset.
                use_bias=False,
                kernel_initializer=with_own_seed(self.kernel_initializer, 3),
                dtype=self.dtype_policy,
                name="projection",
            )
            self.projection.build(inputs_shape)

    def _convolve(self, inputs: Any, training: bool | None) -> Any:
        outputs = self.convolution_1(inputs, training=training)
        outputs = self.convolution_2(outputs, training=training)
        if not self.residual:
            return outputs
        shortcut = inputs if self.projection is None else self.projection(inputs)
        return self.activation(outputs + shortcut)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {**super().get_config(), **shared_config(self), "residual": self.residual}


@keras.saving.register_keras_serializable(package="unetv2")
class EncoderBlock(Block):
    """Convolves twice and halves the resolution.

    Two :class:`ConvolutionBlock` s and optional dropout give ``skip``; max pooling of ``skip`` by 2
    gives ``output``.

    Args:
        filters: int, at least 1. Number of output channels.
        dropout: float in [0, 1). Fraction of the features that is dropped in training.
        pool: bool. Whether ``output`` is pooled. If not, it is ``skip`` itself, as in the deepest
            block of a U-Net.
        normalization: ``None``, ``"batch"`` or ``"group"``, after each convolution.
        activation: str or callable. Any Keras activation.
        kernel_initializer: str or ``keras.Initializer``. Each convolution draws its own
            values, also from an initializer with a seed.
        residual: bool. Whether the input is added to the output of the two convolutions, through a
            1x1 convolution if the numbers of channels differ; the second activation follows the
            sum.
        seed: int or None. Seed of the dropout; None draws one.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Features, ``(batch, height, width, channels)``, any floating-point type.
        training: bool or None. Whether dropout and batch normalization run in training mode; None
            is True in ``fit`` and False elsewhere.

    Input shape:
        ``(batch, height, width, channels)``, any height and width.

    Output shape:
        A pair ``(output, skip)`` of ``(batch, ceil(height / 2), ceil(width / 2), filters)``
        and ``(batch, height, width, filters)``.

    Raises:
        ValueError: If an argument is out of its range or the input is not of rank 4.
        TypeError: If ``filters`` or ``dropout`` is of the wrong type.

    Example:
        >>> output, skip = unetv2.EncoderBlock(8, dropout=0.3)(np.zeros((2, 7, 6, 3)))
        >>> output.shape, skip.shape
        (TensorShape([2, 4, 3, 8]), TensorShape([2, 7, 6, 8]))

    References:
        - `Ronneberger et al., 2015 <https://arxiv.org/abs/1505.04597>`_
        - Residual: `He et al., 2016 <https://arxiv.org/abs/1512.03385>`_
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
        residual: bool = False,
        seed: int | None = None,
        **layer: Any,
    ) -> None:
        super().__init__(
            filters,
            normalization=normalization,
            activation=activation,
            kernel_initializer=kernel_initializer,
            residual=residual,
            **layer,
        )
        self.dropout = require_fraction(
            "dropout", dropout, "It is the fraction of features that training drops."
        )
        self.pool = pool
        self.seed = seed
        self._create_convolutions()
        self.dropout_layer = Dropout(
            self.dropout, seed=seed, dtype=self.dtype_policy, name="dropout"
        )
        self.pooling = keras.layers.MaxPooling2D(
            2, padding="same", data_format=DATA_FORMAT, dtype=self.dtype_policy, name="pooling"
        )

    def build(self, inputs_shape: Shape) -> None:
        """Creates the weights."""
        _, skip_shape = self.compute_output_shape(inputs_shape)
        self._build_convolutions(inputs_shape)
        self.dropout_layer.build(skip_shape)
        self.pooling.build(skip_shape)

    def call(self, inputs: Any, training: bool | None = None) -> tuple[Any, Any]:
        """Returns ``(output, skip)``."""
        skip = self.dropout_layer(self._convolve(inputs, training), training=training)
        return (self.pooling(skip) if self.pool else skip), skip

    def compute_output_shape(self, inputs_shape: Shape) -> tuple[Shape, Shape]:
        """Returns the shapes of ``(output, skip)``."""
        batch, height, width, _ = require_features("inputs", inputs_shape)
        skip = (batch, height, width, self.filters)
        if not self.pool:
            return skip, skip
        return (batch, half(height), half(width), self.filters), skip

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        own = {"dropout": self.dropout, "pool": self.pool, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="unetv2")
class DecoderBlock(Block):
    """Doubles a feature map's resolution and merges it with a skip.

    A 3x3 transposed convolution with stride 2 and no activation, cropped to the skip's
    height and width, concatenated as ``[upsampled, skip]``, then two
    :class:`ConvolutionBlock` s.

    Args:
        filters: int, at least 1. Number of output channels, also of the upsampled features.
        normalization: ``None``, ``"batch"`` or ``"group"``, after each convolution but
            the transposed one.
        activation: str or callable. Any Keras activation.
        kernel_initializer: str or ``keras.Initializer``, as of :class:`EncoderBlock`.
        upsampling: ``"transpose"``, or ``"bilinear"``: a 1x1 convolution, then interpolation,
            instead of the transposed convolution. Needs a ninth of the operations.
        residual: bool, as of :class:`EncoderBlock`.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Coarse features, ``(batch, height, width, channels)``, any floating-point type.
        skip: Fine features, ``(batch, 2 * height or 2 * height - 1,
            2 * width or 2 * width - 1, skip_channels)``.
        training: bool or None. Whether batch normalization runs in training mode; None is True in
            ``fit`` and False elsewhere.

    Input shape:
        Those two shapes.

    Output shape:
        ``skip``'s, with ``filters`` channels.

    Raises:
        ValueError: If an argument is out of its range or ``skip`` is not twice as large
            as ``inputs``, or one less, in each direction.
        TypeError: If ``filters`` is no integer.

    Example:
        >>> coarse, skip = np.zeros((2, 4, 3, 16)), np.zeros((2, 7, 6, 8))
        >>> unetv2.DecoderBlock(8)(coarse, skip).shape
        TensorShape([2, 7, 6, 8])

    References:
        - `Ronneberger et al., 2015 <https://arxiv.org/abs/1505.04597>`_
        - Residual: `He et al., 2016 <https://arxiv.org/abs/1512.03385>`_
    """

    def __init__(
        self,
        filters: int,
        *,
        normalization: str | None = None,
        activation: Any = "relu",
        kernel_initializer: Any = "he_normal",
        upsampling: str = "transpose",
        residual: bool = False,
        **layer: Any,
    ) -> None:
        super().__init__(
            filters,
            normalization=normalization,
            activation=activation,
            kernel_initializer=kernel_initializer,
            residual=residual,
            **layer,
        )
        require_choice("upsampling", upsampling, UPSAMPLINGS)
        # The attribute `upsampling` is the sublayer, as its name is part of the weights' paths.
        self.upsampling_method = upsampling
        arguments: dict[str, Any] = {
            "padding": "same",
            "data_format": DATA_FORMAT,
            "kernel_initializer": with_own_seed(self.kernel_initializer, 0),
            "dtype": self.dtype_policy,
            "name": "upsampling",
        }
        self.interpolation: keras.layers.Layer | None = None
        if upsampling == "transpose":
            self.upsampling = keras.layers.Conv2DTranspose(self.filters, 3, strides=2, **arguments)
        else:
            # Both are linear, so the order changes nothing but the cost: 1x1 at the coarse
            # resolution has a fourth of the pixels to convolve, and a 3x3 follows anyway.
            self.upsampling = keras.layers.Conv2D(self.filters, 1, **arguments)
            self.interpolation = Enlarge(dtype=self.dtype_policy, name="interpolation")
        self.merging = keras.layers.Concatenate(axis=-1, dtype=self.dtype_policy, name="merging")
        self._create_convolutions()

    def build(self, inputs_shape: Shape, skip_shape: Shape) -> None:
        """Creates the weights."""
        shape = self.compute_output_shape(inputs_shape, skip_shape)
        self.upsampling.build(inputs_shape)
        if self.interpolation is not None:
            self.interpolation.build((*inputs_shape[:3], self.filters))
        self.merging.build([shape, skip_shape])
        skip_channels = require_features("skip", skip_shape)[3]
        self._build_convolutions((*shape[:3], self.filters + skip_channels))

    def call(self, inputs: Any, skip: Any, training: bool | None = None) -> Any:
        """Returns features, ``(batch, skip's height, skip's width, filters)``."""
        # `build` checks the first call's shapes only.
        self.compute_output_shape(inputs.shape, skip.shape)
        return self._convolve(self.merged(inputs, skip), training)

    def merged(self, inputs: Any, skip: Any) -> Any:
        """Returns the upsampled features and the skip, concatenated.

        Args:
            inputs: Coarse features, ``(batch, height, width, channels)``.
            skip: Fine features, ``(batch, skip's height, skip's width, skip_channels)``.

        Returns:
            ``(batch, skip's height, skip's width, filters + skip_channels)``.
        """
        upsampled = self.upsampling(inputs)
        if self.interpolation is not None:
            upsampled = self.interpolation(upsampled)
        return self.merging([crop(upsampled, skip), skip])

    def compute_output_shape(self, inputs_shape: Shape, skip_shape: Shape) -> Shape:
        """Returns ``(batch, skip's height, skip's width, filters)``."""
        require_skip(inputs_shape, skip_shape)
        return (*skip_shape[:3], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {**super().get_config(), "upsampling": self.upsampling_method}


@dataclass(frozen=True, kw_only=True)
class BlockFactory:
    """Creates the blocks of a network, by their level, with the options of ``build_unetv2``.

    Blocks of one network have different positions, integers from which their seeds are derived.
    """

    filters: int
    depth: int
    dropout: float
    normalization: str | None
    normalization_start: int
    activation: Any
    upsampling: str
    residual: bool
    seed: int | None
    dtype: Any

    def encoder_block(self, level: int) -> EncoderBlock:
        """Returns the encoder block of a level, which pools unless it is the deepest one."""
        return EncoderBlock(
            self.filters * 2**level,
            dropout=self.dropout_rate(level),
            pool=level < self.depth,
            seed=self.dropout_seed(level),
            residual=self.residual,
            name=f"encoder_{level}",
            **self._shared(level, level),
        )

    def decoder_block(
        self, level: int, *, name: str | None = None, position: int | None = None
    ) -> DecoderBlock:
        """Returns a decoder block whose output has a level's resolution."""
        return DecoderBlock(
            self.filters * 2**level,
            upsampling=self.upsampling,
            residual=self.residual,
            name=name or f"decoder_{level}",
            **self._shared(level, 2 * self.depth - level if position is None else position),
        )

    def convolution_block(self, level: int, *, name: str, position: int) -> ConvolutionBlock:
        """Returns a convolution with a level's number of filters."""
        return ConvolutionBlock(self.filters * 2**level, name=name, **self._shared(level, position))

    def dropout_rate(self, level: int) -> float:
        """Returns the dropout at the end of a level's encoder: the two deepest have one."""
        return self.dropout if level >= self.depth - 1 else 0.0

    def dropout_seed(self, level: int) -> int | None:
        """Returns the seed of a level's dropout."""
        return None if self.seed is None else self.seed + level

    def kernel_seed(self, position: int) -> int | None:
        """Returns the seed for the kernels of the block at a position."""
        return None if self.seed is None else self.seed + position * _SEEDS_PER_BLOCK

    def _shared(self, level: int, position: int) -> dict[str, Any]:
        return {
            "normalization": self.normalization if level >= self.normalization_start else None,
            "activation": self.activation,
            "kernel_initializer": keras.initializers.HeNormal(seed=self.kernel_seed(position)),
            "dtype": self.dtype,
        }
