"""What encoder and decoder blocks share: two convolutions, and what may come around them."""

from __future__ import annotations

from typing import Any

import keras

from unetv2.arguments import require_choice, require_integer
from unetv2.convolution import (
    DATA_FORMAT,
    FILTERS_ADVICE,
    ConvolutionBlock,
    Shape,
    independent,
    shared_config,
)


class Block(keras.layers.Layer):
    """Two :class:`ConvolutionBlock` s, with a shortcut around them if asked for.

    Its heirs call :meth:`_create_convolutions` where these stand among their sublayers, as
    that is the order of the weights.

    Args:
        filters: int. Number of output channels.
        normalization: ``None``, ``"batch"`` or ``"group"``, after each convolution.
        activation: str or callable. Any Keras activation.
        kernel_initializer: str or ``keras.Initializer``.
        residual: bool. Whether the two convolutions' input is added to their output, through a
            1x1 convolution where the numbers of channels differ; the second activation
            comes after the sum.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.
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
            kernel_initializer=self._initializer(position),
            dtype=self.dtype_policy,
            name=f"convolution_{position}",
        )

    def _initializer(self, position: int) -> Any:
        return independent(self.kernel_initializer, position)

    def _build_convolutions(self, inputs_shape: Shape) -> None:
        shape = (*inputs_shape[:3], self.filters)
        self.convolution_1.build(inputs_shape)
        self.convolution_2.build(shape)
        if self.residual and inputs_shape[3] != self.filters:
            self.projection = keras.layers.Conv2D(
                self.filters,
                1,
                data_format=DATA_FORMAT,
                # The second convolution has one, or its normalization an offset.
                use_bias=False,
                kernel_initializer=self._initializer(3),
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
        return {
            **super().get_config(),
            **shared_config(self),
            "residual": self.residual,
        }
