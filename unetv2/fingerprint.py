"""What makes a model the one it is, however Keras has numbered its layers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


def unnumbered(config: Any) -> Any:
    """Returns a configuration without what a second, equal model has otherwise.

    That is the seeds, and the numbers that Keras gives to layers without a name.
    """
    if isinstance(config, str):
        return re.sub(r"_\d+(?=/|$)", "", config)
    if isinstance(config, Mapping):
        return {name: unnumbered(value) for name, value in config.items() if name != "seed"}
    if isinstance(config, list | tuple):
        return [unnumbered(value) for value in config]
    return config


def layers_of(model: keras.Model) -> list[Any]:
    """Returns name, type and configuration of a model's layers."""
    return [
        unnumbered([layer.name, type(layer).__name__, layer.get_config()]) for layer in model.layers
    ]


def fingerprint(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's layers and weights.

    Layers whose configuration Keras cannot tell count by names, types and weights alone.
    """
    try:
        layers = layers_of(model)
    except NotImplementedError:
        layers = [unnumbered([layer.name, type(layer).__name__]) for layer in model.layers]
    digest = hashlib.sha256(json.dumps(layers, default=str, sort_keys=True).encode())
    for weight in model.weights:
        values = np.ascontiguousarray(weight)
        digest.update(f"{values.dtype.name} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
