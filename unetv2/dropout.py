"""Dropout that can be kept on at prediction, with noise from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

# Gets the features, the share to drop and the shape of the noise, and returns what is left.
Noise = Callable[[Any, float, Any], Any]

_noise: ContextVar[Noise | None] = ContextVar("noise", default=None)


@contextmanager
def sampling(noise: Noise) -> Iterator[None]:
    """Has every :class:`Dropout` drop by ``noise``, whatever ``training`` says.

    The rest of a network can so be in inference mode, and the layers' own random state stays as it
    was.

    Args:
        noise: Gets features, the share of them to drop in (0, 1), and the noise's shape or None
            for the features'; returns what is left, scaled to keep the mean.
    """
    token = _noise.set(noise)
    try:
        yield
    finally:
        _noise.reset(token)


@keras.saving.register_keras_serializable(package="unetv2")
class Dropout(keras.layers.Dropout):
    """``keras.layers.Dropout`` that obeys :func:`sampling`.

    Args:
        rate: float in [0, 1). Share of the features dropped in training.
        noise_shape: tuple or None. Shape of the noise, None in it for the features'.
        seed: int or None.
        **layer: ``name``, ``dtype``, ``trainable`` of ``keras.layers.Layer``.

    Call arguments:
        inputs: Features of any shape.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns what is left of the features, scaled to keep their mean."""
        noise = _noise.get()
        if noise is None:
            return super().call(inputs, training=training)
        return noise(inputs, self.rate, self.noise_shape) if self.rate else inputs
