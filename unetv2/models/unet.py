"""The U-Net."""

from __future__ import annotations

import os
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
from unetv2.models.blocks import BlockFactory
from unetv2.models.convolution import DATA_FORMAT
from unetv2.models.decoders import DECODERS
from unetv2.models.encoders import ENCODERS, MAX_DEPTH, encode
from unetv2.models.resizing import CropToSize
from unetv2.models.segmentation_model import SegmentationModel


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
    decoder: str = "unet",
    ignore_class: int | None = None,
    seed: int | None = None,
    dtype: Any = None,
) -> SegmentationModel:
    """Builds and compiles a U-Net that takes images of any size.

    The network has ``depth`` encoder blocks with pooling and one without, each with twice as many
    filters as the previous one; ``depth`` decoder blocks; a 3x3 convolution; and a 1x1 convolution
    to the logits. With the defaults and ``((96, 128, 3), 23)`` it is the reference network with
    8,640,471 parameters.

    With ``encoder``, a network of ``keras.applications`` replaces the encoder blocks: its features
    at a half, a quarter, ... of the image size are the skips, and the image itself is the skip at
    full resolution. The model pads images with zeros to a multiple of ``2**depth``, scales them to
    the range that the encoder expects, and crops the logits.

    The model is compiled with Adam (learning rate 1e-3, gradients clipped to the global norm
    1), :class:`unetv2.losses.CrossEntropy`, pixel accuracy and mean IoU. Like any Keras model it
    can be compiled again; in ``"mixed_float16"`` pass a ``keras.optimizers.LossScaleOptimizer``
    explicitly, as Keras does not save one that it added itself.

    Args:
        input_shape: ``(height, width, channels)``. Height and width are at least 1, or ``None`` for
            a model that accepts all sizes. Three channels with an ``encoder``.
        n_classes: int, 2 to 65,536. Number of classes; mask ids are ``0 .. n_classes - 1``.
        filters: int, at least 1. Number of filters at level 0, the finest one. Each coarser level
            has twice as many.
        depth: int, at least 1. Number of poolings; the levels are ``0 .. depth``. At most 5
            with an ``encoder``, of which later layers are removed.
        dropout: float in [0, 1). Dropout at the end of the two deepest levels' encoders.
        normalization: ``None``, ``"batch"`` or ``"group"``, in every block.
        normalization_start: int in [0, depth], with an ``encoder`` below depth. The finest level
            with a normalization. 1 omits it at full resolution, where it costs most. 0 without
            ``normalization``.
        activation: str or callable. Any Keras activation, in every block.
        upsampling: ``"transpose"``, or ``"bilinear"``: a 1x1 convolution and interpolation.
        residual: bool. Whether each block's input is added to its output.
        stem: ``None``, or ``"strided"``: a 4x4 convolution with stride 2 first, so that the
            U-Net works at half resolution, and a 4x4 transposed one to the logits.
        encoder: str or None. ``"MobileNet"``, ``"MobileNetV2"``, ``"MobileNetV3Small"``,
            ``"MobileNetV3Large"``, ``"EfficientNetV2B0"`` to ``B3``, ``S``, ``M``, ``L``,
            ``"ResNet50"``, ``101``, ``152``, the same with ``V2``, ``"DenseNet121"``, ``169``,
            ``201``. ``normalization``, ``residual``, ... then apply to the decoder only.
        encoder_weights: ``None``, ``"imagenet"``, which Keras downloads on first use, or the
            path of a ``.weights.h5`` or ``.h5`` file of that network without its classifier.
        encoder_trainable: bool. Whether training changes the ``encoder``. If not, its batch
            normalizations use their moving averages.
        decoder: ``"unet"``, the only decoder so far.
        ignore_class: int or None. Mask id that the loss and the metrics ignore.
        seed: int, at least 0, or None. Seed of the initial weights and the dropout; None draws
            one.
        dtype: str, ``keras.DTypePolicy`` or None. ``"float32"``, ``"mixed_bfloat16"``,
            ``"mixed_float16"``; ``None`` is Keras's global policy. See
            :func:`unetv2.automatic_precision`.

    Returns:
        SegmentationModel, a ``keras.Model``. Compiled; maps images ``(batch, height, width,
        channels)``, float in [0, 1], to logits ``(batch, height, width, n_classes)``, float32.

    Raises:
        ValueError: If an argument is out of its range or conflicts with another.
        TypeError: If an argument is of the wrong type.
        FileNotFoundError: If ``encoder_weights`` does not exist.
        ConnectionError: If the weights of ``"imagenet"`` cannot be downloaded.

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
    require_choice("stem", stem, (None, "strided"))
    require_choice("encoder", encoder, (None, *ENCODERS))
    require_choice("encoder_trainable", encoder_trainable, (False, True))
    require_choice("decoder", decoder, DECODERS)
    policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)
    blocks = BlockFactory(
        filters=filters,
        depth=depth,
        dropout=dropout,
        normalization=normalization,
        normalization_start=normalization_start,
        activation=activation,
        upsampling=upsampling,
        residual=residual,
        seed=seed,
        dtype=policy,
    )
    _check_blocks(blocks, encoder)
    _check_encoder_options(encoder, stem, encoder_weights, encoder_trainable)
    _check_encoder_inputs(encoder, input_shape)

    image = keras.Input(input_shape, name="image")
    if encoder is None:
        features = _encode(image, blocks, stem)
    else:
        features = encode(
            image, encoder, blocks, weights=encoder_weights, trainable=encoder_trainable
        )
    outputs = DECODERS[decoder](features, blocks)
    outputs = blocks.convolution_block(0, name="refinement", position=2 * depth + 1)(outputs)
    outputs = _logits_layer(n_classes, stem, seed=blocks.kernel_seed(2 * depth + 2))(outputs)
    if (stem or encoder) and (None in input_shape[:2] or outputs.shape[1:3] != input_shape[:2]):
        outputs = CropToSize(dtype="float32", name="cropping")(outputs, image)
    model = SegmentationModel(image, outputs, name="unetv2")
    # `compile` uses it to decide whether the loss must be scaled, as float16 needs it.
    model.dtype_policy = policy
    # Clipping bounds the effect of a single unusual batch on the weights.
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    if policy.compute_dtype == "float16":
        # Explicitly, as a `.keras` file has the arguments of `compile`, but no model's policy.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        # Not Keras's, which multiplies `sample_weight`, one per image, along the width.
        loss=CrossEntropy(ignore_class=ignore_class),
        metrics=[
            PixelAccuracy(ignore_class=ignore_class, name="accuracy"),
            # Not Keras's, which silently drops ids that are no class.
            MeanIoU(n_classes, ignore_class=ignore_class, name="mean_iou"),
        ],
    )
    return model


def _encode(inputs: Any, blocks: BlockFactory, stem: str | None) -> list[Any]:
    """Returns the skips, from fine to coarse, and the deepest features."""
    if stem is not None:
        inputs = keras.layers.Conv2D(
            blocks.filters,
            4,
            strides=2,
            padding="same",
            data_format=DATA_FORMAT,
            activation=blocks.activation,
            kernel_initializer=keras.initializers.HeNormal(
                seed=blocks.kernel_seed(2 * blocks.depth + 3)
            ),
            dtype=blocks.dtype,
            name="stem",
        )(inputs)
    skips = []
    for level in range(blocks.depth + 1):
        inputs, skip = blocks.encoder_block(level)(inputs)
        skips.append(skip)
    return skips


def _logits_layer(n_classes: int, stem: str | None, *, seed: int | None) -> keras.layers.Layer:
    arguments: dict[str, Any] = {
        "data_format": DATA_FORMAT,
        "kernel_initializer": keras.initializers.GlorotUniform(seed=seed),
        # Under every policy: half precision leaves too few digits for the softmax.
        "dtype": "float32",
        "name": "logits",
    }
    if stem is None:
        return keras.layers.Conv2D(n_classes, 1, **arguments)
    # The stride divides the kernel's size, so that each pixel is a sum of equally many terms.
    return keras.layers.Conv2DTranspose(n_classes, 4, strides=2, padding="same", **arguments)


def _check_blocks(blocks: BlockFactory, encoder: str | None) -> None:
    """Checks the options that the blocks do not check themselves."""
    require_integer("filters", blocks.filters, 1, "The reference network has 32.")
    require_integer("depth", blocks.depth, 1, "The reference network has 4 poolings.")
    require_fraction(
        "dropout", blocks.dropout, "It is the fraction of features that training drops."
    )
    start = require_integer(
        "normalization_start", blocks.normalization_start, 0, "0 is the finest level."
    )
    if blocks.seed is not None:
        require_integer("seed", blocks.seed, 0, "None draws a seed.")
    if encoder is not None and blocks.depth > MAX_DEPTH:
        _raise("depth", blocks.depth, f"at most {MAX_DEPTH} with an `encoder`", "Lower it.")
    if blocks.normalization is None and start:
        _raise(
            "normalization_start", start, "0 without a normalization", "Pass `normalization` too."
        )
    # The deepest level of a pretrained encoder has no block.
    deepest = blocks.depth if encoder is None else blocks.depth - 1
    if start > deepest:
        rule = f"at most {deepest}, the deepest level with blocks"
        _raise("normalization_start", start, rule, "Omit `normalization` to normalize nothing.")


def _check_encoder_options(
    encoder: str | None, stem: str | None, weights: Any, trainable: bool
) -> None:
    """Raises where an option would be ignored silently."""
    if encoder is not None and stem is not None:
        _raise("stem", stem, "None with an `encoder`", "The encoder has its own stem.")
    if encoder is None and weights is not None:
        _raise("encoder_weights", weights, "None without an `encoder`", "Pass `encoder` too.")
    if encoder is None and not trainable:
        advice = "Pass `encoder` too, or set `trainable` of the layers."
        _raise("encoder_trainable", trainable, "True without an `encoder`", advice)


def _raise(name: str, value: Any, rule: str, advice: str) -> None:
    raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}. {advice}")


def _require_input_shape(input_shape: Any) -> tuple[int | None, int | None, int]:
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


def _check_encoder_inputs(
    encoder: str | None, input_shape: tuple[int | None, int | None, int]
) -> None:
    if encoder is None:
        return
    if input_shape[2] != 3:
        raise ValueError(
            "`input_shape` must have three channels, red, green and blue, with an `encoder`. "
            f"Received: input_shape={input_shape!r}. Omit `encoder`."
        )
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "`encoder` must be None where Keras puts channels first. "
            f"Received: encoder='{encoder}'. "
            "Call keras.config.set_image_data_format('channels_last') first."
        )
