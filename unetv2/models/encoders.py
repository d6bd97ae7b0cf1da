"""Pretrained encoders by name, as ``build_unetv2(..., encoder=)`` takes them.

An encoder is a function of its weights, as ``encoder_weights`` of ``build_unetv2``. It returns a
Keras model without a classifier, a layer that scales RGB images in [0, 1] to its input, and the
names of the last layers before each of ``MAX_DEPTH`` halvings of the resolution. To add an encoder,
write such a function in a module of its own and register it in ``ENCODERS``.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from unetv2.arguments import require_choice
from unetv2.keras_files import load_weights
from unetv2.models.blocks import BlockFactory
from unetv2.models.convolution import DATA_FORMAT, Dropout, Shape, require_features
from unetv2.models.resizing import PadToMultiple

Weights = str | os.PathLike[str] | None
Encoder = Callable[[Weights], tuple[keras.Model, keras.layers.Layer, list[str]]]

# Networks of keras.applications by the module of their `preprocess_input`. Omitted are those whose
# strides do not all halve (ConvNeXt, Inception, NASNet, Xception), VGG with its convolutions at
# full resolution, and the first EfficientNet, which scales its input twice only with Keras's own
# weights, so that the same file passed as a path would belong to another network.
FAMILIES = {
    "mobilenet": ("MobileNet",),
    "mobilenet_v2": ("MobileNetV2",),
    "mobilenet_v3": ("MobileNetV3Small", "MobileNetV3Large"),
    "efficientnet_v2": tuple(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3"))
    + tuple(f"EfficientNetV2{size}" for size in "SML"),
    "resnet": ("ResNet50", "ResNet101", "ResNet152"),
    "resnet_v2": ("ResNet50V2", "ResNet101V2", "ResNet152V2"),
    "densenet": ("DenseNet121", "DenseNet169", "DenseNet201"),
}
# All of them halve the resolution five times.
MAX_DEPTH = 5
# The size that all of them were trained with, so that none warns. It is divisible by 2**5, and no
# other layer, such as a gate, has one of these sizes by accident.
_SIZE = 224
# Greater than the seeds of the blocks.
_FIRST_SEED = 1000


@keras.saving.register_keras_serializable(package="unetv2")
class ImageNetScaling(keras.layers.Layer):
    """Scales RGB images in [0, 1], ``(batch, height, width, 3)``, for `keras.applications`.

    Args:
        family: str. The module in ``keras.applications`` whose ``preprocess_input`` is applied.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Raises:
        ValueError: If ``family`` is unknown or the input does not have three channels.
    """

    def __init__(self, family: str, **layer: Any) -> None:
        super().__init__(**layer)
        require_choice("family", family, tuple(FAMILIES))
        self.family = family

    def build(self, inputs_shape: Shape) -> None:
        """Checks the shape."""
        self.compute_output_shape(inputs_shape)

    def call(self, inputs: Any) -> Any:
        """Returns scaled images."""
        preprocess_input = getattr(keras.applications, self.family).preprocess_input
        return preprocess_input(inputs * 255.0, data_format=DATA_FORMAT)

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        """Returns the inputs' shape."""
        shape = require_features("inputs", inputs_shape)
        if shape[3] != 3:
            raise ValueError(
                "`inputs` must have three channels, red, green and blue. "
                f"Received: inputs of shape {shape}. Convert the images."
            )
        return shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, serialized."""
        return {**super().get_config(), "family": self.family}


def encode(
    inputs: Any, name: str, blocks: BlockFactory, *, weights: Weights, trainable: bool
) -> list[Any]:
    """Returns an image and the features of an encoder at a half, a quarter, ... of its size.

    Args:
        inputs: Keras tensor. RGB images in [0, 1], ``(batch, height, width, 3)``.
        name: str. A key of ``ENCODERS``.
        blocks: Its depth, precision, dropout and seed apply to the encoder.
        weights: As ``encoder_weights`` of ``build_unetv2``.
        trainable: bool. Whether training changes the encoder.

    Returns:
        list of ``depth + 1`` Keras tensors: the image, padded at the bottom and at the right to
        a multiple of ``2**depth``, and the encoder's features, from fine to coarse.

    Raises:
        ValueError: If ``weights`` do not match the encoder.
        TypeError: If ``weights`` are no path.
        FileNotFoundError: If the file does not exist.
        ConnectionError: If the weights cannot be downloaded.
    """
    network, scaling, stages = ENCODERS[name](weights)
    clone = keras.models.clone_model(
        network,
        input_tensors=keras.Input((None, None, 3), name="scaled_image"),
        clone_function=_Clone(blocks.dtype, blocks.seed),
    )
    if weights is not None:
        clone.set_weights(network.get_weights())
    outputs = [clone.get_layer(stage).output for stage in stages[: blocks.depth]]
    # A model returns a list of one tensor as a list or as a tensor, depending on the call.
    encoder = keras.Model(clone.input, outputs if blocks.depth > 1 else outputs[0], name="encoder")
    encoder.trainable = trainable

    multiple = 2**blocks.depth
    if any(size is None or size % multiple for size in inputs.shape[1:3]):
        inputs = PadToMultiple(multiple, dtype="float32", name="padding")(inputs)
    features = [inputs, *keras.tree.flatten(encoder(scaling(inputs)))]
    for level in range(1, blocks.depth + 1):
        if rate := blocks.dropout_rate(level):
            features[level] = Dropout(
                rate,
                seed=blocks.dropout_seed(level),
                dtype=blocks.dtype,
                name=f"dropout_{level}",
            )(features[level])
    return features


def _keras_application(
    name: str, family: str, weights: Weights
) -> tuple[keras.Model, keras.layers.Layer, list[str]]:
    network = _network(name, weights)
    scaling = ImageNetScaling(family, dtype="float32", name="scaling")
    return network, scaling, _stages(network)


def _network(name: str, weights: Weights) -> keras.Model:
    factory = getattr(keras.applications, name)
    arguments = {"include_top": False, "input_shape": (_SIZE, _SIZE, 3)}
    if weights is None:
        return factory(weights=None, **arguments)
    if weights == "imagenet":
        try:
            return factory(weights="imagenet", **arguments)
        # Keras raises bare Exception.
        except Exception as error:
            raise ConnectionError(
                "`encoder_weights` must be a file or None where 'imagenet' cannot be downloaded. "
                f"Received: encoder='{name}', encoder_weights='imagenet', and: {error}. "
                "Download that file elsewhere and pass its path."
            ) from error
    if not isinstance(weights, str | os.PathLike):
        raise TypeError(
            "`encoder_weights` must be None, 'imagenet' or the path of a file. "
            f"Received: encoder_weights={weights!r}. Pass a string or a pathlib.Path."
        )
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(
            "`encoder_weights` must be None, 'imagenet' or the path of a file. "
            f"Received: encoder_weights='{path}', which does not exist. Check the path."
        )
    network = factory(weights=None, **arguments)
    try:
        load_weights(network, path, "encoder_weights")
    # The errors of Keras and h5py for other files have no common base.
    except Exception as error:
        raise ValueError(
            f"`encoder_weights` must be a .weights.h5 or .h5 file of {name} without its "
            f"classifier. Received: encoder_weights='{path}', and: {error} "
            f"Save one with keras.applications.{name}(include_top=False).save_weights()."
        ) from error
    return network


def _stages(network: keras.Model) -> list[str]:
    """Returns the names of the last layers before the resolution halves, from fine to coarse.

    Layers are in the order of the graph, and each of them leads to its output.
    """
    last: dict[int, str] = {}
    for layer in network.layers:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] == shape[2]:
            last[shape[1]] = layer.name
    return [last[_SIZE // 2**level] for level in range(1, MAX_DEPTH + 1)]


class _Clone:
    """Copies layers with another precision and other seeds."""

    def __init__(self, dtype: Any, seed: int | None) -> None:
        self.dtype = keras.dtype_policies.serialize(dtype)
        self.seed = None if seed is None else seed + _FIRST_SEED

    def __call__(self, layer: Any) -> Any:
        # Operations, such as a sum, have the precision of their inputs.
        if not isinstance(layer, keras.layers.Layer):
            return type(layer).from_config(layer.get_config())
        # Pixels lose their last bits in half precision.
        scales = isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)
        config = self._with_seeds(layer.get_config())
        config["dtype"] = "float32" if scales else self.dtype
        return type(layer).from_config(config)

    def _with_seeds(self, config: dict[str, Any]) -> dict[str, Any]:
        """Sets the next seed in every initializer and dropout of a layer."""
        config = dict(config)
        for key, value in config.items():
            if isinstance(value, dict):
                config[key] = self._with_seeds(value)
            elif key == "seed" and self.seed is not None:
                config[key] = self.seed
                self.seed += 1
        return config


ENCODERS: dict[str, Encoder] = {
    name: functools.partial(_keras_application, name, family)
    for family, names in FAMILIES.items()
    for name in names
}
