"""The U-Net itself."""

from __future__ import annotations

from typing import Any

import keras

from unetv2.arguments import require_ignore_class, require_integer
from unetv2.convolution import ConvolutionBlock
from unetv2.layers import DecoderBlock, EncoderBlock
from unetv2.metrics import MeanIoU, PixelAccuracy

# Seeds given to one block lie this far from the next one's, as each block uses several.
_SEEDS_PER_BLOCK = 10


def build_unetv2(
    input_shape: tuple[int | None, int | None, int],
    n_classes: int,
    *,
    filters: int = 32,
    depth: int = 4,
    dropout: float = 0.3,
    normalization: str | None = None,
    activation: Any = "relu",
    ignore_class: int | None = None,
    seed: int | None = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds and compiles a U-Net that takes pictures of any size.

    ``depth`` encoder blocks with pooling and one without, each with twice the filters of
    the one before; as many decoder blocks back up; a 3x3 convolution; a 1x1 convolution to
    the logits. With the defaults, and ``((96, 128, 3), 23)``, this is the reference network
    of 8,640,471 weights.

    The model is compiled with Adam (learning rate 1e-3, gradients clipped to the global norm
    1), sparse categorical cross-entropy from logits, pixel accuracy and mean IoU. Compile it
    again for anything else, as every Keras model; in ``"mixed_float16"`` with an explicit
    ``keras.optimizers.LossScaleOptimizer``, as Keras does not save that it added one itself.

    Args:
        input_shape: ``(height, width, channels)``. Height and width are any size from 1 up,
            or ``None`` for a model that takes all sizes.
        n_classes: int, at least 2. Number of classes; mask ids are ``0 .. n_classes - 1``.
        filters: int. Filters of the first block.
        depth: int. Number of poolings.
        dropout: float in [0, 1). Dropout in the two deepest encoder blocks.
        normalization: ``None``, ``"batch"`` or ``"group"``, in every block.
        activation: str or callable. Any Keras activation, in every block.
        ignore_class: int or None. Mask id that counts neither in the loss nor in a metric.
        seed: int or None. Seed of the initial weights and the dropout.
        dtype: str, ``keras.DTypePolicy`` or None. ``"float32"``, ``"mixed_bfloat16"``,
            ``"mixed_float16"``; ``None`` is Keras's global policy. See
            :func:`unetv2.automatic_precision`.

    Returns:
        keras.Model. Compiled; maps pictures ``(batch, height, width, channels)``, float in
        [0, 1], to logits ``(batch, height, width, n_classes)``, float32.

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> model = unetv2.build_unetv2((96, 128, 3), 23)
        >>> model.count_params()
        8640471
        >>> model.output_shape
        (None, 96, 128, 23)

    References:
        - `Ronneberger et al., 2015 <https://arxiv.org/abs/1505.04597>`_
    """
    input_shape = _require_input_shape(input_shape)
    n_classes = require_integer(
        "n_classes", n_classes, 2, "The background counts: a binary mask has 2 classes."
    )
    filters = require_integer("filters", filters, 1, "The reference network has 32.")
    depth = require_integer("depth", depth, 1, "The reference network has 4 poolings.")
    require_ignore_class(ignore_class)
    if seed is not None:
        seed = require_integer("seed", seed, 0, "Pass None for another draw each time.")
    policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)

    def block_arguments(position: int) -> dict[str, Any]:
        block_seed = None if seed is None else seed + position * _SEEDS_PER_BLOCK
        return {
            "normalization": normalization,
            "activation": activation,
            "kernel_initializer": keras.initializers.HeNormal(seed=block_seed),
            "dtype": policy,
        }

    inputs = keras.Input(input_shape, name="image")
    outputs = inputs
    skips = []
    for level in range(depth + 1):
        outputs, skip = EncoderBlock(
            filters * 2**level,
            dropout=dropout if level >= depth - 1 else 0.0,
            pool=level < depth,
            seed=None if seed is None else seed + level,
            name=f"encoder_{level}",
            **block_arguments(level),
        )(outputs)
        skips.append(skip)
    for level in reversed(range(depth)):
        outputs = DecoderBlock(
            filters * 2**level, name=f"decoder_{level}", **block_arguments(2 * depth - level)
        )(outputs, skips[level])
    outputs = ConvolutionBlock(filters, name="refinement", **block_arguments(2 * depth + 1))(
        outputs
    )
    head_seed = None if seed is None else seed + (2 * depth + 2) * _SEEDS_PER_BLOCK
    # In float32 under every policy: half precision leaves too few digits to the softmax.
    logits = keras.layers.Conv2D(
        n_classes,
        1,
        data_format="channels_last",
        kernel_initializer=keras.initializers.GlorotUniform(seed=head_seed),
        dtype="float32",
        name="logits",
    )(outputs)

    model = keras.Model(inputs, logits, name="unetv2")
    # `compile` looks here whether the loss must be scaled, as float16 needs it.
    model.dtype_policy = policy
    # Clipping bounds what a single odd batch does to the weights.
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    if policy.compute_dtype == "float16":
        # Explicitly, as a `.keras` file holds what was passed to `compile`, but no model's policy.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=ignore_class
        ),
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
