"""A model as it is deployed: batch normalization in the kernels, numbers of one precision."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from unetv2.block import Block
from unetv2.convolution import ConvolutionBlock

_SIBLINGS = ("gamma", "beta", "moving_mean", "moving_variance")


def deployable(model: keras.Model, precision: str) -> keras.Model:
    """Returns a model that gives the same and is made to be deployed.

    After training a batch normalization is a factor and an offset for each channel, which the
    convolution before it can have as its own. Converters find that between layers of a graph, but
    not within a block.

    Args:
        model: A functional model.
        precision: ``"float32"``, ``"float16"`` or ``"bfloat16"``: what all layers compute in but
            the last one, which keeps float32.

    Returns:
        keras.Model. The model itself where nothing had to be changed.

    Raises:
        ValueError: If a layer cannot be made again.
    """
    last = model.layers[-1]
    pairs: list[tuple[Any, Any]] = []

    def changed(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return layer
        wanted = "float32" if layer is last else precision
        normalized = _is_normalized(layer)
        if not normalized and layer.dtype_policy.name == wanted:
            return layer
        new = _again(layer, wanted, normalized)
        pairs.append((layer, new))
        return new

    clone = keras.models.clone_model(
        # Neither compiled nor Sequential, which are copied otherwise.
        keras.Model(model.inputs[0], model.outputs[0]),
        clone_function=changed,
        recursive=True,
    )
    if not pairs:
        return model
    for old, new in pairs:
        _fill(old, new)
    return clone


def _is_normalized(layer: Any) -> bool:
    return isinstance(layer, Block | ConvolutionBlock) and layer.normalization == "batch"


def _again(layer: Any, dtype: str, normalized: bool) -> Any:
    try:
        config = {**layer.get_config(), "dtype": dtype}
        if normalized:
            config["normalization"] = None
        return type(layer).from_config(config)
    # A layer of a user's may raise whatever it likes.
    except Exception as error:
        raise ValueError(
            f"Layers must be made again from their configurations to compute in {dtype}. "
            f"Received: '{layer.name}' ({type(layer).__name__}), which fails with {error} "
            "Give it a `get_config` with all arguments of its `__init__`, `dtype` among them."
        ) from error


def _fill(old: Any, new: Any) -> None:
    """Gives a layer the weights of the one that it was made from."""
    values = {_within(old, weight): np.asarray(weight) for weight in old.weights}
    if not new.built and old.weights:
        new.build(old.input.shape)
    for weight in new.weights:
        name = _within(new, weight)
        if name not in values:
            weight.assign(_folded(values, name))
            continue
        scale = _scale(values, name)
        weight.assign(values[name] if scale is None else values[name] * scale)


def _within(layer: Any, weight: Any) -> str:
    return str(weight.path).removeprefix(f"{layer.name}/")


def _scale(values: dict[str, np.ndarray], name: str) -> np.ndarray | None:
    """Returns what the kernel ``name`` is multiplied by, None if no normalization follows it."""
    if not name.endswith("convolution/kernel"):
        return None
    found = _normalization(values, name.removesuffix("convolution/kernel"))
    return None if found is None else found[0]


def _folded(values: dict[str, np.ndarray], name: str) -> np.ndarray:
    found = _normalization(values, name.removesuffix("convolution/bias"))
    if found is None:
        raise ValueError(f"No weight is called {name!r}.")
    return found[1]


def _normalization(
    values: dict[str, np.ndarray], block: str
) -> tuple[np.ndarray, np.ndarray] | None:
    names = [f"{block}normalization/{one}" for one in _SIBLINGS]
    if any(one not in values for one in names):
        return None
    gamma, beta, mean, variance = (values[one].astype(np.float64) for one in names)
    scale = gamma / np.sqrt(variance + keras.layers.BatchNormalization().epsilon)
    return scale, beta - mean * scale
