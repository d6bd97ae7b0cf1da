"""A model as a compiled function: images in, logits out."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.inference.outputs import gives_probabilities, require_segmentation
from unetv2.models.convolution import Dropout, sampling


class Noise:
    """Drops features, those of each image by a seed of its own.

    Args:
        seeds: int32 ``(batch, 2)``.

    Attributes:
        draws: int. How often features were dropped.
    """

    def __init__(self, seeds: tf.Tensor) -> None:
        self._seeds = seeds
        self.draws = 0

    def __call__(self, inputs: tf.Tensor, rate: float, shape: Any) -> tf.Tensor:
        """Drops values and scales the others; see :func:`unetv2.models.convolution.sampling`."""
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
        """Whether the layers take images of other sizes than the model was built for.

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
            sampled: bool. Whether dropout obeys :func:`unetv2.models.convolution.sampling`.
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
    """Returns a model of the same layers and weights for images of any size.

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


# A graph for each size is fastest; who comes with ever new sizes gets one for all of them.
_MOST_SIZES = 4
# The smallest normal number: what is smaller may be computed as zero, whose logarithm is none.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)

_networks: weakref.WeakKeyDictionary[Any, Network] = weakref.WeakKeyDictionary()
# Held while a model is examined or compiled, which threads that predict with it must not do twice.
_lock = threading.RLock()


class Network:
    """The forward pass of a model, compiled once for each size of images.

    Use :meth:`of`, which keeps it for as long as the model lives. Weights that change later are
    the ones used.

    Args:
        model: A Keras model of one input ``(batch, height, width, channels)`` and one output of
            logits, or of the softmax of them, ``(batch, height, width, n_classes)``.

    Attributes:
        n_classes: int.
        channels: int.
        size: ``(height, width)`` that the model was built for, None for any. Where its layers take
            others, so does this.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If it is no segmentation model.
    """

    def __init__(self, model: keras.Model) -> None:
        given, found = require_segmentation(model)
        self.size: tuple[int | None, int | None] = (given[1], given[2])
        self.channels: int = given[3]
        self.n_classes: int = found[3]
        self._name = model.name
        self._refusals: dict[tuple[int, int], str] = {}
        self._functions: dict[tuple[tuple[int | None, ...], bool], Any] = {}
        # By whether dropout is on.
        self._open: dict[bool, bool] = {}
        self._variants = Variants(model)
        self._probabilities: bool | None = None

    @classmethod
    def of(cls, model: keras.Model) -> Network:
        """Returns the network of a model, the same one in each call.

        An exported model brings its own.
        """
        own = getattr(model, "network", None)
        if own is not None and not isinstance(model, keras.Model):
            return own
        with _lock:
            try:
                return _networks[model]
            # What is no model may have no place in a dictionary.
            except (KeyError, TypeError):
                network = cls(model)
            _networks[model] = network
            return network

    def prepare(self, size: tuple[int, int], *, sampled: bool = False) -> None:
        """Compiles what a size of images needs.

        Args:
            size: ``(height, width)``.
            sampled: bool. Whether dropout is to be on.

        Raises:
            ValueError: If the model does not take that size, or has no dropout.
        """
        reason = self._refusal(size)
        if reason:
            raise ValueError(
                f"`model` must take images of {size[0]}x{size[1]}. Received: the model "
                f"'{self._name}', which {reason}. Pass {self._advice()}, or set "
                "`model.preprocessing` to what the model was trained with."
            )
        try:
            self._function(size, sampled)
        except _NoDropout:
            raise ValueError(
                "`mc_samples` must be 0 for a model without dropout. "
                f"Received: the model '{self._name}'. Train one with dropout."
            ) from None

    def takes(self, size: tuple[int, int]) -> bool:
        """Returns whether the model takes images of a size, and gives logits of the same."""
        return not self._refusal(size)

    def _refusal(self, size: tuple[int, int]) -> str:
        """Returns why a size is not taken, empty if it is."""
        with _lock:
            if size not in self._refusals:
                self._refusals[size] = self._ask(size)
            return self._refusals[size]

    def _ask(self, size: tuple[int, int]) -> str:
        if not self._variants.built_for(size):
            if not self.any_size:
                return f"takes {self.size} only"
        elif None not in self.size:
            return ""
        try:
            shape = self._variants.of(size, False).compute_output_shape((1, *size, self.channels))
        # Keras and TensorFlow raise whatever comes to them of sizes that do not fit.
        except Exception as error:
            return f"fails with {' '.join(str(error).split())[:200]}"
        given = tuple(shape[1:3])
        return "" if given == size else f"gives logits of {given[0]}x{given[1]}"

    def _advice(self) -> str:
        if None in self.size:
            return "another `window`"
        return (
            f"`window={self.size}`, or a model built for (None, None, {self.channels}) that has "
            "its weights and `preprocessing`"
        )

    @property
    def any_size(self) -> bool:
        """Whether the model's layers take images of other sizes than it was built for.

        Which ones shows :meth:`takes`.
        """
        with _lock:
            return self._variants.any_size

    @property
    def probabilities(self) -> bool:
        """Whether the model gives probabilities, and not logits; found out by running it once.

        Raises:
            ValueError: If it gives neither; see
                :func:`unetv2.inference.outputs.gives_probabilities`.
        """
        with _lock:
            if self._probabilities is None:
                self._probabilities = gives_probabilities(self._variants.model)
            return self._probabilities

    @property
    def graphs(self) -> int:
        """Number of graphs that are compiled."""
        return len(self._functions)

    def logits(self, images: Any) -> tf.Tensor:
        """Returns what the ``softmax`` of is the probabilities of the classes.

        Args:
            images: Prepared images, float32 ``(batch, height, width, channels)``.

        Returns:
            tf.Tensor. float32 ``(batch, height, width, n_classes)``.

        Raises:
            ValueError: If the model's outputs are not all numbers.
        """
        compiled = self._function(images.shape[1:3], False)
        return self._checked(compiled(tf.convert_to_tensor(images)))

    def sampled(self, images: Any, seeds: Any) -> tf.Tensor:
        """Returns the same with dropout on, and all else in inference mode.

        Args:
            images: Prepared images, float32 ``(batch, height, width, channels)``.
            seeds: int32 ``(batch, 2)``. What is dropped of an image depends on its seed alone.

        Returns:
            tf.Tensor. float32 ``(batch, height, width, n_classes)``.

        Raises:
            ValueError: If the model's outputs are not all numbers.
        """
        compiled = self._function(images.shape[1:3], True)
        return self._checked(compiled(*map(tf.convert_to_tensor, (images, seeds))))

    def _checked(self, outputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        values, broken = outputs
        if broken:
            raise ValueError(
                "`model` must give numbers. Received: outputs of the model "
                f"'{self._name}' that are NaN. Its weights are broken: train it again, or load "
                "an earlier file."
            )
        return values

    def _function(self, size: Any, sampled: bool) -> Any:
        with _lock:
            return self._kept_or_compiled((tuple(size), sampled), sampled)

    def _kept_or_compiled(self, key: tuple[tuple[int | None, ...], bool], sampled: bool) -> Any:
        if key not in self._functions and len(self._functions) >= _MOST_SIZES:
            if self._compiles_open(sampled):
                key = (self._variants.loosest, sampled)
            else:
                self._functions.pop(next(iter(self._functions)))
        if key not in self._functions:
            self._functions[key] = self._compiled(*key)
        return self._functions[key]

    def _compiles_open(self, sampled: bool) -> bool:
        """Returns whether one graph does for all sizes; some layers cannot do that."""
        if sampled not in self._open:
            try:
                function = self._compiled(self._variants.loosest, sampled)
            # Keras and TensorFlow raise whatever comes to them of sizes that are not known.
            except Exception:
                self._open[sampled] = False
            else:
                self._open[sampled] = True
                self._functions[self._variants.loosest, sampled] = function
        return self._open[sampled]

    def _compiled(self, size: tuple[int | None, ...], sampled: bool) -> Any:
        # Concrete, as to look for it anew costs each call half a millisecond.
        images = tf.TensorSpec((None, *size, self.channels), tf.float32)
        probabilities = self.probabilities

        def finished(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            outputs = tf.cast(outputs, tf.float32)
            broken = tf.reduce_any(tf.math.is_nan(outputs))
            if probabilities:
                outputs = tf.math.log(tf.maximum(outputs, SMALLEST_PROBABILITY))
            return outputs, broken

        def forward(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return finished(self._variants.of(size, False)(images, training=False))

        if not sampled:
            return tf.function(forward, jit_compile=False).get_concrete_function(images)

        def forward_sampled(images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            noise = Noise(seeds)
            with sampling(noise):
                outputs = self._variants.of(size, True)(images, training=False)
            if not noise.draws:
                raise _NoDropout
            return finished(outputs)

        seeds = tf.TensorSpec((None, 2), tf.int32)
        return tf.function(forward_sampled, jit_compile=False).get_concrete_function(images, seeds)


class _NoDropout(Exception):  # noqa: N818 - raised and caught here.
    """A model has no dropout to keep on."""
