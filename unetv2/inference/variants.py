"""Models of a model's layers and weights: for any size, and with dropout that stays on."""

from __future__ import annotations

import weakref
from typing import Any

import keras

from unetv2.dropout import Dropout


class Variants:
    """What a model's layers make up, made when first asked for. The model itself is not kept.

    Args:
        model: A functional model of one input and one output.

    Attributes:
        size: ``(height, width)`` that the model was built for, None for any.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = weakref.ref(model)
        height, width = model.input_shape[1:3]
        self.size: tuple[int | None, int | None] = (height, width)
        # By whether it is for any size, and whether dropout is on; None is the model itself.
        self._made: dict[tuple[bool, bool], keras.Model | None] = {}

    @property
    def any_size(self) -> bool:
        """Whether the layers take pictures of other sizes than the model was built for.

        Not of all: some take multiples only.
        """
        if self.size == (None, None):
            return True
        if (True, False) not in self._made:
            self._made[True, False] = for_any_size(self.model)
        return self._made[True, False] is not None

    @property
    def loosest(self) -> tuple[int | None, int | None]:
        """``(None, None)`` if the layers take other sizes, or else the model's own."""
        return (None, None) if self.any_size else self.size

    def built_for(self, size: tuple[int | None, ...]) -> bool:
        """Returns whether the model itself takes a size."""
        return all(own in (None, wanted) for own, wanted in zip(self.size, size, strict=True))

    def of(self, size: tuple[int | None, ...], sampled: bool) -> keras.Model:
        """Returns the model for a size, with dropout off or on.

        Args:
            size: ``(height, width)`` that the model or its layers take, None for any.
            sampled: bool. Whether dropout obeys :func:`unetv2.dropout.sampling`.
        """
        model = self.model
        key = (not self.built_for(size) and self.any_size, sampled)
        if key not in self._made:
            plain = self._made[True, False] if key[0] else model
            other = with_sampled_dropout(plain) if sampled else plain
            self._made[key] = None if other is model else other
        found = self._made[key]
        return model if found is None else found

    @property
    def model(self) -> keras.Model:
        """The model that they are made of, which must be alive."""
        model = self._model()
        assert model is not None
        return model


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
