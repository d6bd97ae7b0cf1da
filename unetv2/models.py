"""The U-Net itself."""

from __future__ import annotations

import os
from typing import Any

import keras

from unetv2.architecture import Architecture
from unetv2.arguments import require_ignore_class, require_integer, require_n_classes
from unetv2.losses import CrossEntropy
from unetv2.metrics import MeanIoU, PixelAccuracy
from unetv2.segmentation_model import SegmentationModel


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
    """Builds and compiles a U-Net that takes pictures of any size.

    ``depth`` encoder blocks with pooling and one without, each with twice the filters of
    the one before; as many decoder blocks back up; a 3x3 convolution; a 1x1 convolution to
    the logits. With the defaults, and ``((96, 128, 3), 23)``, this is the reference network
    of 8,640,471 weights.

    With an ``encoder``, a network of ``keras.applications`` takes the encoder blocks' place:
    its features at half the pictures' size, a quarter, ... are the skips, and the picture
    itself is the skip of full resolution. Pictures are padded with zeros to a multiple of
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
        SegmentationModel, a ``keras.Model``. Compiled; maps pictures ``(batch, height, width,
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
    _require_pictures_fit_encoder(input_shape, encoder)
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
        "A colour picture of any size is (None, None, 3)."
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


def _require_pictures_fit_encoder(
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
