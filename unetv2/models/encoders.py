"""Networks of `keras.applications` as the encoder of a U-Net."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from unetv2.arguments import require_choice
from unetv2.keras_files import load_weights
from unetv2.models.convolution import DATA_FORMAT, Shape, require_features
from unetv2.models.resizing import PadToMultiple

# Each family with the module of its `preprocess_input`. Left out: those whose strides do not all
# halve (ConvNeXt, Inception, NASNet, Xception), VGG with its convolutions at full resolution, and
# the first EfficientNet, which scales its input twice with Keras's own weights only, so that the
# same file passed as a path would meet another network.
_FAMILIES = {
    "mobilenet": ("MobileNet",),
    "mobilenet_v2": ("MobileNetV2",),
    "mobilenet_v3": ("MobileNetV3Small", "MobileNetV3Large"),
    "efficientnet_v2": tuple(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3"))
    + tuple(f"EfficientNetV2{size}" for size in "SML"),
    "resnet": ("ResNet50", "ResNet101", "ResNet152"),
    "resnet_v2": ("ResNet50V2", "ResNet101V2", "ResNet152V2"),
    "densenet": ("DenseNet121", "DenseNet169", "DenseNet201"),
}
ENCODERS = {name: family for family, names in _FAMILIES.items() for name in names}
# All of them halve the resolution five times.
MAX_DEPTH = 5
# The size that all of them were trained with, which none warns about. Its halves are whole
# numbers down to 7, and no padding or gate inside has one of these sizes by accident.
_SIZE = 224
# Far from the seeds of the blocks.
_FIRST_SEED = 1000


@keras.saving.register_keras_serializable(package="unetv2")
class ImageNetScaling(keras.layers.Layer):
    """Turns colors in [0, 1] into what a network of `keras.applications` expects.

    Args:
        family: str. Name of the module in ``keras.applications`` whose ``preprocess_input``
            says what that is.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: RGB images, ``(batch, height, width, 3)``, float in [0, 1].

    Input shape:
        ``(batch, height, width, 3)``.

    Output shape:
        The same.

    Raises:
        ValueError: If ``family`` is unknown or the input has other than three channels.
    """

    def __init__(self, family: str, **layer: Any) -> None:
        super().__init__(**layer)
        require_choice("family", family, tuple(_FAMILIES))
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
    inputs: Any,
    name: str,
    *,
    weights: str | os.PathLike[str] | None,
    depth: int,
    trainable: bool,
    seed: int | None,
    dtype: Any,
) -> list[Any]:
    """Returns an image and what an encoder makes of it at half the size, a quarter, ...

    Args:
        inputs: Keras tensor. RGB images in [0, 1], ``(batch, height, width, 3)``.
        name: str. One of ``ENCODERS``.
        weights: str, path or None. As ``encoder_weights`` of ``build_unetv2``.
        depth: int, 1 to 5. How often the resolution is halved.
        trainable: bool. Whether training changes the encoder.
        seed: int or None. Seed of the initial weights and the dropout.
        dtype: ``keras.DTypePolicy``. Precision of the encoder.

    Returns:
        list of ``depth + 1`` Keras tensors: the image, padded at the bottom and at the right to
        a multiple of ``2**depth``, and the encoder's features, from fine to coarse.

    Raises:
        ValueError: If ``weights`` do not fit the encoder.
        TypeError: If ``weights`` are no path.
        FileNotFoundError: If there is no such file.
        ConnectionError: If the weights could not be downloaded.
    """
    network = _network(name, weights)
    stages = _stages(network)[:depth]
    clone = keras.models.clone_model(
        network,
        input_tensors=keras.Input((None, None, 3), name="scaled_image"),
        clone_function=_Clone(dtype, seed),
    )
    if weights is not None:
        clone.set_weights(network.get_weights())
    features = [clone.get_layer(stage).output for stage in stages]
    # A list of one tensor comes out of a model as a list or as a tensor, depending on the call.
    encoder = keras.Model(clone.input, features if depth > 1 else features[0], name="encoder")
    encoder.trainable = trainable

    multiple = 2**depth
    if any(size is None or size % multiple for size in inputs.shape[1:3]):
        inputs = PadToMultiple(multiple, dtype="float32", name="padding")(inputs)
    scaled = ImageNetScaling(ENCODERS[name], dtype="float32", name="scaling")(inputs)
    return [inputs, *keras.tree.flatten(encoder(scaled))]


def _network(name: str, weights: str | os.PathLike[str] | None) -> keras.Model:
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
            f"Received: encoder_weights='{path}', where there is no file. Check the path."
        )
    network = factory(weights=None, **arguments)
    try:
        load_weights(network, path, "encoder_weights")
    # Keras and h5py raise whatever comes to them from a file of another kind.
    except Exception as error:
        raise ValueError(
            f"`encoder_weights` must be a .weights.h5 or .h5 file of {name} without its "
            f"classifier. Received: encoder_weights='{path}', and: {error} "
            f"Save one with keras.applications.{name}(include_top=False).save_weights()."
        ) from error
    return network


def _stages(network: keras.Model) -> list[str]:
    """Returns the names of the last layers before the resolution halves, from fine to coarse.

    Layers come in the order of the graph, and every layer of it leads to its end. So these are
    where all that happens at a resolution has happened.
    """
    last: dict[int, str] = {}
    for layer in network.layers:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] == shape[2]:
            last[shape[1]] = layer.name
    return [last[_SIZE // 2**level] for level in range(1, MAX_DEPTH + 1)]


class _Clone:
    """Copies layers in another precision and with seeds of their own."""

    def __init__(self, dtype: Any, seed: int | None) -> None:
        self.dtype = keras.dtype_policies.serialize(dtype)
        self.seed = None if seed is None else seed + _FIRST_SEED

    def __call__(self, layer: Any) -> Any:
        # Bare operations, such as a sum, have the precision of what they are given.
        if not isinstance(layer, keras.layers.Layer):
            return type(layer).from_config(layer.get_config())
        # Pixels lose their last bits in half precision.
        scales = isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)
        config = self._with_seeds(layer.get_config())
        config["dtype"] = "float32" if scales else self.dtype
        return type(layer).from_config(config)

    def _with_seeds(self, config: dict[str, Any]) -> dict[str, Any]:
        """Gives every initializer and dropout of a layer the next seed."""
        config = dict(config)
        for key, value in config.items():
            if isinstance(value, dict):
                config[key] = self._with_seeds(value)
            elif key == "seed" and self.seed is not None:
                config[key] = self.seed
                self.seed += 1
        return config
