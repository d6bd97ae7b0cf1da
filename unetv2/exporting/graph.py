"""The graph that is exported: from camera frames to masks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.artefacts.running import Outputs
from unetv2.exporting.plan import Plan
from unetv2.exporting.resampling import Place, enlarge, shrink
from unetv2.inference.network import SMALLEST_PROBABILITY

INPUT = "frames"
NETWORK = "network"
_BYTES = 256


class Graph(tf.Module):
    """Camera frames to masks, weights as constants.

    Without variables a graph is one file's content, and a converter sees all there is to fold.

    Args:
        model: As it is deployed.
        plan: What it takes.
        batch: int or None. Frames at once, None for any number.

    Attributes:
        model: keras.Model.
        plan: Plan.
        function: tf.function. ``frames``, uint8, to the :class:`Outputs` as a dict.
    """

    def __init__(self, model: keras.Model, plan: Plan, batch: int | None) -> None:
        super().__init__()
        # In tuples, and not as attributes of their own, which would be saved.
        self._held = _Held(model, plan)
        shape = (batch, *plan.frame_size, plan.preprocessing.channels)
        self.function = tf.function(
            self._held.answer,
            input_signature=[tf.TensorSpec(shape, tf.uint8, name=INPUT)],
            autograph=False,
            jit_compile=False,
        )

    @property
    def plan(self) -> Plan:
        """What it takes."""
        return self._held.plan

    @property
    def model(self) -> keras.Model:
        """The model in it."""
        return self._held.model

    def images(self, frame: np.ndarray) -> tf.Tensor:
        """Returns what the network is fed with of a frame, ``(1, height, width, channels)``."""
        return self._held.images(tf.constant(frame[np.newaxis]))[0]

    def concrete(self) -> Any:
        """Returns the graph itself."""
        return self.function.get_concrete_function()


class _Held:
    """Hides the model from ``tf.Module``, which would save its variables."""

    def __init__(self, model: keras.Model, plan: Plan) -> None:
        self.model, self.plan = model, plan
        self._trainable = [variable.numpy() for variable in model.trainable_variables]
        self._others = [variable.numpy() for variable in model.non_trainable_variables]

    def images(self, frames: tf.Tensor) -> tuple[tf.Tensor, Place, tuple[Any, Any]]:
        """Returns what the network is fed with, where the frames lie in it, and their size."""
        known = self.plan.preprocessing
        height, width = self.plan.network_size
        sizes = tf.shape(frames)
        size = tuple(frames.shape[axis] or sizes[axis] for axis in (1, 2))
        with tf.name_scope("prepare"):
            if self.plan.resizes:
                assert height is not None
                assert width is not None
                pixels, place = shrink(frames, (height, width), known.resize, known.interpolation)
            else:
                pixels, place = tf.cast(frames, tf.float32), Place(0, 0, *size)
            low, high = known.value_range
            images = pixels / 255.0
            if (low, high) != (0.0, 1.0):
                images = images * (high - low) + low
        return images, place, size

    def answer(self, frames: tf.Tensor) -> dict[str, tf.Tensor]:
        images, place, size = self.images(frames)
        with tf.name_scope(NETWORK):
            logits, _ = self.model.stateless_call(
                self._trainable, self._others, images, training=False
            )
        with tf.name_scope("answer"):
            logits = tf.cast(logits, tf.float32)
            if self.plan.probabilities:
                logits = tf.math.log(tf.maximum(logits, SMALLEST_PROBABILITY))
            values = enlarge(logits, place, size) if self.plan.resizes else logits
            mask = tf.argmax(values, axis=-1, output_type=tf.int32)
            if values.shape[-1] <= _BYTES:
                mask = tf.cast(mask, tf.uint8)
            confidence = tf.reduce_max(tf.nn.softmax(values), axis=-1)
            return Outputs(
                tf.identity(mask, "mask"),
                tf.identity(confidence, "confidence"),
                tf.identity(logits, "logits"),
            )._asdict()
