"""The interface of a network for inference, and its implementation for Keras models."""

from __future__ import annotations

import functools
import threading
import weakref
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from unetv2.inference.outputs import gives_probabilities, nested_layers, require_segmentation
from unetv2.models.convolution import Dropout, sampling

# Each size of images gets its own graph, which is fastest. A model that is called with more sizes
# gets one graph for all of them.
_MAX_GRAPHS = 4
# The smallest normal float32. Smaller numbers may be flushed to zero, whose logarithm is infinite.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)

_compiled_models: weakref.WeakKeyDictionary[Any, CompiledModel] = weakref.WeakKeyDictionary()
# Several threads may predict with a model, which is checked and compiled once.
_lock = threading.RLock()


class Network(Protocol):
    """Computes logits of prepared images.

    Images are float32 ``(batch, height, width, channels)``, logits float32 ``(batch, height,
    width, n_classes)``, sizes ``(height, width)``.

    Attributes:
        size: Size of the input, None where any is allowed.
        probabilities: bool. Whether the model itself returns probabilities instead of logits.
    """

    n_classes: int
    channels: int
    size: tuple[int | None, int | None]
    probabilities: bool

    @property
    def any_size(self) -> bool:
        """Whether the layers support other sizes than ``size``; :meth:`takes` checks one."""

    def takes(self, size: tuple[int, int]) -> bool:
        """Returns whether a size is supported, with logits of the same size."""

    def prepare(self, size: tuple[int, int], *, sampled: bool = False) -> None:
        """Compiles a size, with or without active dropout.

        Raises:
            ValueError: If the size is not supported, or there is no dropout.
        """

    def logits(self, images: Any) -> tf.Tensor:
        """Returns the logits in inference mode; raises a ValueError if they contain NaN."""

    def sampled(self, images: Any, seeds: Any) -> tf.Tensor:
        """Returns the logits with active dropout, by seeds int32 ``(batch, 2)`` of the images."""


def network_of(model: Any) -> Network:
    """Returns the ``network`` of an exported model, or that of a Keras model, compiled once.

    Raises:
        TypeError: If it is neither.
        ValueError: If the Keras model is not a segmentation model.
    """
    network: Network | None = getattr(model, "network", None)
    if network is not None and not isinstance(model, keras.Model):
        return network
    with _lock:
        try:
            return _compiled_models[model]
        # Other objects may not be hashable.
        except (KeyError, TypeError):
            compiled = CompiledModel(model)
        _compiled_models[model] = compiled
        return compiled


class SeededDropout:
    """Drops features of each image by a seed of its own, int32 ``(batch, 2)``.

    Attributes:
        calls: int. Number of dropout layers that were called.
    """

    def __init__(self, seeds: tf.Tensor) -> None:
        self._seeds = seeds
        self.calls = 0

    def __call__(self, inputs: tf.Tensor, rate: float, shape: Any) -> tf.Tensor:
        """Applies dropout; see :func:`unetv2.models.convolution.sampling`."""
        layer = self.calls
        self.calls += 1
        noise_shape = tf.shape(inputs)[1:]
        if shape is not None:
            noise_shape = tf.stack(
                [side or noise_shape[axis] for axis, side in enumerate(shape[1:])]
            )

        def draw(seed: tf.Tensor) -> tf.Tensor:
            seed = tf.random.experimental.stateless_fold_in(seed, layer)
            return tf.random.stateless_uniform(noise_shape, seed)

        kept = tf.map_fn(draw, self._seeds, fn_output_signature=tf.float32) >= rate
        return inputs * tf.cast(kept, inputs.dtype) / tf.cast(1 - rate, inputs.dtype)


def for_any_size(model: keras.Model) -> keras.Model | None:
    """Returns a model with the same layers for images of any size, or None."""
    image = keras.Input((None, None, model.input_shape[-1]), dtype=model.inputs[0].dtype)
    try:
        variant = keras.models.clone_model(
            keras.Model(model.inputs[0], model.outputs[0]),
            input_tensors=image,
            clone_function=lambda layer: layer,
        )
    # Keras and TensorFlow raise errors of any type for unknown sizes.
    except Exception:
        return None
    return variant if variant.output_shape[1:3] == (None, None) else None


def with_sampled_dropout(model: keras.Model) -> keras.Model:
    """Returns a model whose dropout ``sampling`` controls; the model itself if nothing changes."""
    if all(_replaced(layer) is layer for layer in nested_layers(model)):
        return model
    return keras.models.clone_model(
        # `clone_model` handles compiled and Sequential models differently.
        keras.Model(model.inputs[0], model.outputs[0]),
        clone_function=_replaced,
        recursive=True,
    )


def _replaced(layer: Any) -> Any:
    if isinstance(layer, Dropout) or not isinstance(layer, keras.layers.Dropout):
        return layer
    # Without a seed, Keras would draw one from Python's global state.
    config = {"rate": layer.rate, "seed": 0, "name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, keras.layers.SpatialDropout2D):
        last = layer.data_format == "channels_last"
        return Dropout(noise_shape=(None, 1, 1, None) if last else (None, None, 1, 1), **config)
    return Dropout(noise_shape=layer.noise_shape, **config)


class CompiledModel:
    """The :class:`Network` of a Keras model, compiled for each input size.

    Use :func:`network_of`. The current weights of the model are used. The model is referenced
    weakly, so that it can be freed.
    """

    def __init__(self, model: keras.Model) -> None:
        input_shape, output_shape = require_segmentation(model)
        self.size: tuple[int | None, int | None] = (input_shape[1], input_shape[2])
        self.channels: int = input_shape[3]
        self.n_classes: int = output_shape[3]
        self.probabilities = gives_probabilities(model)
        self._name = model.name
        self._model = weakref.ref(model)
        # By whether it supports any size; None is the model itself.
        self._sampled_models: dict[bool, keras.Model | None] = {}
        self._unsupported: dict[tuple[int, int], str] = {}
        self._functions: dict[tuple[tuple[int | None, ...], bool], Any] = {}
        # Whether one graph supports all sizes, with and without seeded dropout.
        self._one_graph: dict[bool, bool] = {}

    @property
    def any_size(self) -> bool:
        """See :class:`Network`."""
        with _lock:
            return self.size == (None, None) or self._open_model is not None

    @property
    def graphs(self) -> int:
        """Number of compiled graphs."""
        return len(self._functions)

    def takes(self, size: tuple[int, int]) -> bool:
        """See :class:`Network`."""
        return not self._why_unsupported(size)

    def prepare(self, size: tuple[int, int], *, sampled: bool = False) -> None:
        """See :class:`Network`."""
        reason = self._why_unsupported(size)
        if reason:
            advice = "another `window`"
            if None not in self.size:
                advice = (
                    f"`window={self.size}`, or a model built for (None, None, {self.channels}) "
                    "that has its weights and `preprocessing`"
                )
            raise ValueError(
                f"`model` must take images of {size[0]}x{size[1]}. Received: the model "
                f"'{self._name}', which {reason}. Pass {advice}, or set "
                "`model.preprocessing` to what the model was trained with."
            )
        try:
            self._function(size, sampled)
        except _NoDropout:
            raise ValueError(
                "`mc_samples` must be 0 for a model without dropout. "
                f"Received: the model '{self._name}'. Train one with dropout."
            ) from None

    def logits(self, images: Any) -> tf.Tensor:
        """See :class:`Network`."""
        function = self._function(images.shape[1:3], False)
        return self._checked(function(tf.convert_to_tensor(images)))

    def sampled(self, images: Any, seeds: Any) -> tf.Tensor:
        """See :class:`Network`."""
        function = self._function(images.shape[1:3], True)
        return self._checked(function(*map(tf.convert_to_tensor, (images, seeds))))

    @functools.cached_property
    def _open_model(self) -> keras.Model | None:
        return for_any_size(self._model_for(self.size))

    def _fits(self, size: tuple[int | None, ...]) -> bool:
        """Returns whether the model itself supports a size."""
        return all(own in (None, side) for own, side in zip(self.size, size, strict=True))

    def _model_for(self, size: tuple[int | None, ...], sampled: bool = False) -> keras.Model:
        """Returns a model of the same layers for a size, with or without seeded dropout."""
        model = self._model()
        assert model is not None
        open_size = not self._fits(size) and self.any_size
        if open_size:
            model = self._open_model
        if not sampled:
            return model
        if open_size not in self._sampled_models:
            variant = with_sampled_dropout(model)
            # A reference to the model itself would keep it alive.
            self._sampled_models[open_size] = None if variant is model else variant
        variant = self._sampled_models[open_size]
        return model if variant is None else variant

    @property
    def _graph_size(self) -> tuple[int | None, int | None]:
        return (None, None) if self.any_size else self.size

    def _why_unsupported(self, size: tuple[int, int]) -> str:
        """Returns why an input size is not supported, or an empty string."""
        with _lock:
            if size not in self._unsupported:
                self._unsupported[size] = self._check_size(size)
            return self._unsupported[size]

    def _check_size(self, size: tuple[int, int]) -> str:
        if not self._fits(size):
            if not self.any_size:
                return f"accepts only {self.size}"
        elif None not in self.size:
            return ""
        try:
            shape = self._model_for(size).compute_output_shape((1, *size, self.channels))
        # Keras and TensorFlow raise errors of any type for sizes that do not fit.
        except Exception as error:
            return f"fails with {' '.join(str(error).split())[:200]}"
        output_size = tuple(shape[1:3])
        return "" if output_size == size else f"returns logits of {output_size[0]}x{output_size[1]}"

    def _checked(self, outputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        logits, has_nan = outputs
        if has_nan:
            raise ValueError(
                "`model` must not return NaN. Received: NaN from the model "
                f"'{self._name}', whose training diverged or whose file is damaged. Train it "
                "again, or load an earlier file."
            )
        return logits

    def _function(self, size: Any, sampled: bool) -> Any:
        key = (tuple(size), sampled)
        with _lock:
            if key not in self._functions and len(self._functions) >= _MAX_GRAPHS:
                if self._has_one_graph(sampled):
                    key = (self._graph_size, sampled)
                else:
                    self._functions.pop(next(iter(self._functions)))
            if key not in self._functions:
                self._functions[key] = self._compiled(*key)
            return self._functions[key]

    def _has_one_graph(self, sampled: bool) -> bool:
        """Compiles one graph for all sizes; returns False if layers do not support that."""
        if sampled not in self._one_graph:
            try:
                function = self._compiled(self._graph_size, sampled)
            # Keras and TensorFlow raise errors of any type for unknown sizes.
            except Exception:
                self._one_graph[sampled] = False
            else:
                self._one_graph[sampled] = True
                self._functions[self._graph_size, sampled] = function
        return self._one_graph[sampled]

    def _compiled(self, size: tuple[int | None, ...], sampled: bool) -> Any:
        # A concrete function: finding it in a `tf.function` costs half a millisecond per call.
        images = tf.TensorSpec((None, *size, self.channels), tf.float32)

        def postprocess(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = tf.cast(outputs, tf.float32)
            has_nan = tf.reduce_any(tf.math.is_nan(outputs))
            if self.probabilities:
                outputs = tf.math.log(tf.maximum(outputs, SMALLEST_PROBABILITY))
            return outputs, has_nan

        def forward(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return postprocess(self._model_for(size)(images, training=False))

        if not sampled:
            return tf.function(forward, jit_compile=False).get_concrete_function(images)

        def forward_sampled(images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dropout = SeededDropout(seeds)
            with sampling(dropout):
                outputs = self._model_for(size, sampled=True)(images, training=False)
            if not dropout.calls:
                raise _NoDropout
            return postprocess(outputs)

        seeds = tf.TensorSpec((None, 2), tf.int32)
        return tf.function(forward_sampled, jit_compile=False).get_concrete_function(images, seeds)


class _NoDropout(Exception):  # noqa: N818 - internal signal
    """A model has no dropout layer."""
