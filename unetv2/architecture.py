"""The graph of a U-Net from its options."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import keras

from unetv2.arguments import require_choice, require_fraction, require_integer
from unetv2.convolution import DATA_FORMAT, ConvolutionBlock
from unetv2.dropout import Dropout
from unetv2.encoders import ENCODERS, MAX_DEPTH, encode
from unetv2.layers import DecoderBlock, EncoderBlock
from unetv2.sizes import CropToSize

# Seeds given to one block lie this far from the next one's, as each block uses several.
_SEEDS_PER_BLOCK = 10


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A U-Net's options, as :func:`unetv2.build_unetv2` documents them.

    Raises:
        ValueError: If an option is out of its range or does not go with another.
        TypeError: If an option is of the wrong type.
    """

    filters: int
    depth: int
    dropout: float
    normalization: str | None
    normalization_start: int
    activation: Any
    upsampling: str
    residual: bool
    stem: str | None
    encoder: str | None
    encoder_weights: str | os.PathLike[str] | None
    encoder_trainable: bool
    seed: int | None
    policy: Any

    def __post_init__(self) -> None:
        """Checks what the blocks do not check themselves."""
        require_integer("filters", self.filters, 1, "The reference network has 32.")
        require_integer("depth", self.depth, 1, "The reference network has 4 poolings.")
        require_fraction(
            "dropout", self.dropout, "It is the share of features dropped in training."
        )
        require_integer(
            "normalization_start", self.normalization_start, 0, "0 is the finest level."
        )
        require_choice("stem", self.stem, (None, "strided"))
        require_choice("encoder", self.encoder, (None, *ENCODERS))
        require_choice("encoder_trainable", self.encoder_trainable, (False, True))
        if self.seed is not None:
            require_integer("seed", self.seed, 0, "Pass None for another draw each time.")
        self._require_that_options_act()

    def _require_that_options_act(self) -> None:
        """Raises where an option would be ignored in silence."""
        # An encoder's deepest level has no block of ours.
        deepest = self.depth if self.encoder is None else self.depth - 1
        for name, unwanted, rule, advice in (
            (
                "normalization_start",
                self.normalization is None and self.normalization_start,
                "0 without a normalization",
                "Pass `normalization` too.",
            ),
            (
                "normalization_start",
                self.normalization_start > deepest,
                f"at most {deepest}, the deepest level with blocks",
                "Leave `normalization` out to normalize nothing.",
            ),
            (
                "stem",
                self.encoder and self.stem,
                "None with an `encoder`",
                "It has a stem of its own.",
            ),
            (
                "depth",
                self.encoder and self.depth > MAX_DEPTH,
                f"at most {MAX_DEPTH} with an `encoder`",
                "It halves the resolution no more often.",
            ),
            (
                "encoder_weights",
                not self.encoder and self.encoder_weights is not None,
                "None without an `encoder`",
                "Say which one has these weights.",
            ),
            (
                "encoder_trainable",
                not self.encoder and not self.encoder_trainable,
                "True without an `encoder`",
                "Name one, or set `trainable` of the layers.",
            ),
        ):
            if unwanted:
                value = getattr(self, name)
                raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}. {advice}")

    def logits(self, inputs: Any, n_classes: int) -> Any:
        """Returns the logits of pictures.

        Args:
            inputs: Keras tensor. Pictures, ``(batch, height, width, channels)``.
            n_classes: int. Number of classes.

        Returns:
            Keras tensor ``(batch, height, width, n_classes)``, float32.
        """
        *skips, outputs = self._features(inputs)
        for level in reversed(range(self.depth)):
            outputs = DecoderBlock(
                self.filters * 2**level,
                upsampling=self.upsampling,
                name=f"decoder_{level}",
                **self._block(level, 2 * self.depth - level),
            )(outputs, skips[level])
        outputs = ConvolutionBlock(
            self.filters, name="refinement", **self._convolution(0, 2 * self.depth + 1)
        )(outputs)
        outputs = self._head(n_classes)(outputs)
        if outputs.shape[1:3] == inputs.shape[1:3] and None not in inputs.shape[1:3]:
            return outputs
        if self.stem is None and self.encoder is None:
            return outputs
        return CropToSize(dtype="float32", name="cropping")(outputs, inputs)

    def _features(self, inputs: Any) -> list[Any]:
        """Returns the skips, from fine to coarse, and the deepest features."""
        if self.encoder is not None:
            return self._encoder_features(inputs, self.encoder)
        if self.stem is not None:
            inputs = keras.layers.Conv2D(
                self.filters,
                4,
                strides=2,
                padding="same",
                data_format=DATA_FORMAT,
                activation=self.activation,
                kernel_initializer=self._initializer(2 * self.depth + 3),
                dtype=self.policy,
                name="stem",
            )(inputs)
        skips = []
        for level in range(self.depth + 1):
            inputs, skip = EncoderBlock(
                self.filters * 2**level,
                dropout=self._dropout(level),
                pool=level < self.depth,
                seed=self._dropout_seed(level),
                name=f"encoder_{level}",
                **self._block(level, level),
            )(inputs)
            skips.append(skip)
        return skips

    def _encoder_features(self, inputs: Any, name: str) -> list[Any]:
        features = encode(
            inputs,
            name,
            weights=self.encoder_weights,
            depth=self.depth,
            trainable=self.encoder_trainable,
            seed=self.seed,
            dtype=self.policy,
        )
        return [
            Dropout(
                self._dropout(level),
                seed=self._dropout_seed(level),
                dtype=self.policy,
                name=f"dropout_{level}",
            )(feature)
            if self._dropout(level) and level > 0
            else feature
            for level, feature in enumerate(features)
        ]

    def _head(self, n_classes: int) -> keras.layers.Layer:
        arguments: dict[str, Any] = {
            "data_format": DATA_FORMAT,
            "kernel_initializer": keras.initializers.GlorotUniform(
                seed=self._seed(2 * self.depth + 2)
            ),
            # Under every policy: half precision leaves too few digits to the softmax.
            "dtype": "float32",
            "name": "logits",
        }
        if self.stem is None:
            return keras.layers.Conv2D(n_classes, 1, **arguments)
        # The stride divides the kernel's size, so that every pixel is made of equally many terms.
        return keras.layers.Conv2DTranspose(n_classes, 4, strides=2, padding="same", **arguments)

    def _block(self, level: int, position: int) -> dict[str, Any]:
        return {
            "residual": self.residual,
            **self._convolution(level, position),
        }

    def _convolution(self, level: int, position: int) -> dict[str, Any]:
        return {
            "normalization": self.normalization if level >= self.normalization_start else None,
            "activation": self.activation,
            "kernel_initializer": self._initializer(position),
            "dtype": self.policy,
        }

    def _initializer(self, position: int) -> keras.Initializer:
        return keras.initializers.HeNormal(seed=self._seed(position))

    def _seed(self, position: int) -> int | None:
        return None if self.seed is None else self.seed + position * _SEEDS_PER_BLOCK

    def _dropout(self, level: int) -> float:
        return self.dropout if level >= self.depth - 1 else 0.0

    def _dropout_seed(self, level: int) -> int | None:
        return None if self.seed is None else self.seed + level
