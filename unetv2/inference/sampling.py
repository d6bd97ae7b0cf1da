"""Models of the same layers and weights: for any size, and with dropout that stays on."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from unetv2.dropout import Dropout


class Noise:
    """Drops features, those of each picture by a seed of its own.

    Args:
        seeds: int32 ``(batch, 2)``.

    Attributes:
        draws: int. How often features were dropped.
    """

    def __init__(self, seeds: tf.Tensor) -> None:
        self._seeds = seeds
        self.draws = 0

    def __call__(self, inputs: tf.Tensor, rate: float, shape: Any) -> tf.Tensor:
        """Returns what is left, scaled to keep the mean; see :func:`unetv2.dropout.sampling`."""
        number = self.draws
        self.draws += 1
        extent = tf.shape(inputs)[1:]
        if shape is not None:
            extent = tf.stack([own or extent[axis] for axis, own in enumerate(shape[1:])])

        def draw(seed: tf.Tensor) -> tf.Tensor:
            seed = tf.random.experimental.stateless_fold_in(seed, number)
            return tf.random.stateless_uniform(extent, seed)

        kept = tf.map_fn(draw, self._seeds, fn_output_signature=tf.float32) >= rate
        return inputs * tf.cast(kept, inputs.dtype) / tf.cast(1 - rate, inputs.dtype)


def for_any_size(model: keras.Model) -> keras.Model | None:
    """Returns a model of the same layers and weights for pictures of any size.

    Args:
        model: A functional model of one input and one output.

    Returns:
        keras.Model. None where a layer needs the size that the model was built for.
    """
    image = keras.Input((None, None, model.input_shape[-1]), dtype=model.inputs[0].dtype)
    try:
        opened = keras.models.clone_model(
            keras.Model(model.inputs[0], model.outputs[0]),
            input_tensors=image,
            clone_function=lambda layer: layer,
        )
    # Keras and TensorFlow raise whatever comes to them of sizes that are not known.
    except Exception:
        return None
    return opened if opened.output_shape[1:3] == (None, None) else None


def with_sampled_dropout(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers and weights whose dropout obeys ``sampling``.

    Args:
        model: A functional model of one input and one output.

    Returns:
        keras.Model. The model itself where nothing had to be replaced.
    """
    layers = list(_layers(model))
    if all(_replaced(layer) is layer for layer in layers):
        return model
    return keras.models.clone_model(
        # Neither compiled nor Sequential, which are copied otherwise.
        keras.Model(model.inputs[0], model.outputs[0]),
        clone_function=_replaced,
        recursive=True,
    )


def _layers(model: keras.Model) -> Any:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _replaced(layer: Any) -> Any:
    if isinstance(layer, Dropout) or not isinstance(layer, keras.layers.Dropout):
        return layer
    # A seed, as Keras would draw one from Python's global state.
    config = {"rate": layer.rate, "seed": 0, "name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, keras.layers.SpatialDropout2D):
        last = layer.data_format == "channels_last"
        return Dropout(noise_shape=(None, 1, 1, None) if last else (None, None, 1, 1), **config)
    return Dropout(noise_shape=layer.noise_shape, **config)
