"""The U-Net itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import keras

from unetv2.arguments import (
    require_choice,
    require_fraction,
    require_ignore_class,
    require_integer,
    require_n_classes,
)
from unetv2.losses import CrossEntropy
from unetv2.metrics import MeanIoU, PixelAccuracy
from unetv2.models.blocks import DecoderBlock, EncoderBlock
from unetv2.models.convolution import DATA_FORMAT, ConvolutionBlock, Dropout
from unetv2.models.encoders import ENCODERS, MAX_DEPTH, encode
from unetv2.models.resizing import CropToSize
from unetv2.models.segmentation_model import SegmentationModel

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
        """Returns the logits of images.

        Args:
            inputs: Keras tensor. Images, ``(batch, height, width, channels)``.
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


def build_unetv2(
    input_shape: tuple[int | None, int | None, int],
    n_classes: int,
    *,
    filters: int = 32,
    depth: int = 4,
    dropout: float = 0.3,
    normalization: str | None = None,
    normalization_start: int = 0,
    activation: Any = "relu",
    upsampling: str = "transpose",
    residual: bool = False,
    stem: str | None = None,
    encoder: str | None = None,
    encoder_weights: str | os.PathLike[str] | None = None,
    encoder_trainable: bool = True,
    ignore_class: int | None = None,
    seed: int | None = None,
    dtype: Any = None,
) -> SegmentationModel:
    """Builds and compiles a U-Net that takes images of any size.

    ``depth`` encoder blocks with pooling and one without, each with twice the filters of
    the one before; as many decoder blocks back up; a 3x3 convolution; a 1x1 convolution to
    the logits. With the defaults, and ``((96, 128, 3), 23)``, this is the reference network
    of 8,640,471 weights.

    With an ``encoder``, a network of ``keras.applications`` takes the encoder blocks' place:
    its features at half the images' size, a quarter, ... are the skips, and the image
    itself is the skip of full resolution. Images are padded with zeros to a multiple of
    ``2**depth``, scaled as the network expects, and the logits cropped.

    The model is compiled with Adam (learning rate 1e-3, gradients clipped to the global norm
    1), :class:`unetv2.losses.CrossEntropy`, pixel accuracy and mean IoU. Compile it again for
    anything else, as every Keras model; in ``"mixed_float16"`` with an explicit
    ``keras.optimizers.LossScaleOptimizer``, as Keras does not save that it added one itself.

    Args:
        input_shape: ``(height, width, channels)``. Height and width are any size from 1 up,
            or ``None`` for a model that takes all sizes. Three channels with an ``encoder``.
        n_classes: int, 2 to 65,536. Number of classes; mask ids are ``0 .. n_classes - 1``.
        filters: int, at least 1. Filters of the finest level, 0. Each level below has twice as
            many.
        depth: int, at least 1. Number of poolings, so that the levels are ``0 .. depth``. At most
            5 with an ``encoder``, which is cut off there.
        dropout: float in [0, 1). Dropout at the end of the two deepest levels' encoders.
        normalization: ``None``, ``"batch"`` or ``"group"``, in every block.
        normalization_start: int in [0, depth], with an ``encoder`` below depth. The finest level
            with a normalization. 1 leaves out full resolution, where it costs most. 0 without a
            ``normalization``.
        activation: str or callable. Any Keras activation, in every block.
        upsampling: ``"transpose"``, or ``"bilinear"``: a 1x1 convolution and interpolation.
        residual: bool. Whether each block's input is added to its output.
        stem: ``None``, or ``"strided"``: a 4x4 convolution with stride 2 in front, so that
            the U-Net works at half resolution, and a 4x4 transposed one to the logits.
        encoder: str or None. ``"MobileNet"``, ``"MobileNetV2"``, ``"MobileNetV3Small"``,
            ``"MobileNetV3Large"``, ``"EfficientNetV2B0"`` to ``B3``, ``S``, ``M``, ``L``,
            ``"ResNet50"``, ``101``, ``152``, the same with ``V2``, ``"DenseNet121"``, ``169``,
            ``201``. ``normalization``, ``residual``, ... are then the decoder's.
        encoder_weights: ``None``, ``"imagenet"``, which Keras downloads on first use, or the
            path of a ``.weights.h5`` or ``.h5`` file of that network without its classifier.
        encoder_trainable: bool. Whether training changes the ``encoder``. If not, its batch
            normalizations use their stored figures.
        ignore_class: int or None. Mask id that counts neither in the loss nor in a metric.
        seed: int, at least 0, or None. Seed of the initial weights and the dropout; None takes
            another one each time.
        dtype: str, ``keras.DTypePolicy`` or None. ``"float32"``, ``"mixed_bfloat16"``,
            ``"mixed_float16"``; ``None`` is Keras's global policy. See
            :func:`unetv2.automatic_precision`.

    Returns:
        SegmentationModel, a ``keras.Model``. Compiled; maps images ``(batch, height, width,
        channels)``, float in [0, 1], to logits ``(batch, height, width, n_classes)``, float32.

    Raises:
        ValueError: If an argument is out of its range or does not go with another.
        TypeError: If an argument is of the wrong type.
        FileNotFoundError: If ``encoder_weights`` is no file.
        ConnectionError: If the weights of ``"imagenet"`` could not be downloaded.

    Example:
        >>> model = unetv2.build_unetv2((96, 128, 3), 23)
        >>> model.count_params()
        8640471
        >>> model.output_shape
        (None, 96, 128, 23)
        >>> model = unetv2.build_unetv2((None, None, 3), 23, encoder="MobileNetV3Small")
        >>> model.get_layer("encoder").trainable = False

    References:
        - `Ronneberger et al., 2015 <https://arxiv.org/abs/1505.04597>`_
        - Residual: `He et al., 2016 <https://arxiv.org/abs/1512.03385>`_
    """
    input_shape = _require_input_shape(input_shape)
    n_classes = require_n_classes(n_classes)
    require_ignore_class(ignore_class)
    policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)
    architecture = Architecture(
        filters=filters,
        depth=depth,
        dropout=dropout,
        normalization=normalization,
        normalization_start=normalization_start,
        activation=activation,
        upsampling=upsampling,
        residual=residual,
        stem=stem,
        encoder=encoder,
        encoder_weights=encoder_weights,
        encoder_trainable=encoder_trainable,
        seed=seed,
        policy=policy,
    )
    _require_images_fit_encoder(input_shape, encoder)
    inputs = keras.Input(input_shape, name="image")
    model = SegmentationModel(inputs, architecture.logits(inputs, n_classes), name="unetv2")
    # `compile` looks here whether the loss must be scaled, as float16 needs it.
    model.dtype_policy = policy
    # Clipping bounds what a single odd batch does to the weights.
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    if policy.compute_dtype == "float16":
        # Explicitly, as a `.keras` file holds what was passed to `compile`, but no model's policy.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        # Not Keras's, which multiplies `sample_weight`, one an image, along the images' width.
        loss=CrossEntropy(ignore_class=ignore_class),
        metrics=[
            PixelAccuracy(ignore_class=ignore_class, name="accuracy"),
            # Not Keras's, which drops ids that are no class in silence.
            MeanIoU(n_classes, ignore_class=ignore_class, name="mean_iou"),
        ],
    )
    return model


def _require_input_shape(
    input_shape: Any,
) -> tuple[int | None, int | None, int]:
    message = (
        "`input_shape` must be (height, width, channels), height and width positive or None, "
        f"channels positive. Received: input_shape={input_shape!r}. "
        "A color image of any size is (None, None, 3)."
    )
    try:
        height, width, channels = input_shape
    except (TypeError, ValueError):
        raise ValueError(message) from None
    for size in (height, width):
        if size is not None:
            require_integer("input_shape", size, 1, message)
    require_integer("input_shape", channels, 1, message)
    return height, width, channels


def _require_images_fit_encoder(
    input_shape: tuple[int | None, int | None, int], encoder: str | None
) -> None:
    if encoder is None:
        return
    if input_shape[2] != 3:
        raise ValueError(
            "`input_shape` must have three channels with an `encoder`, which was made for red, "
            f"green and blue. Received: input_shape={input_shape!r}. Leave `encoder` out."
        )
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "`encoder` must be None where Keras puts channels first. "
            f"Received: encoder='{encoder}'. "
            "Call keras.config.set_image_data_format('channels_last') before."
        )
