"""Channels of like range, so that one scale of eight bits serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from unetv2.models.blocks import Block, DecoderBlock, EncoderBlock
from unetv2.models.convolution import ConvolutionBlock

# Those for which f(s x) = s f(x) where s is positive.
_HOMOGENEOUS = (keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu)
# How much of the activations' differences goes into the kernels: of 0.5, 0.75 and 1 the one that
# kept most on CamVid, of four networks of 8 filters. With 1 one of them fell to pieces.
_SHARE = 0.75
# How far logits may differ by rounding, as a share of the largest one.
_SAME = 1e-3


@dataclass
class _Link:
    """Channels between the convolutions that make them and those that take them.

    ``makers`` add up to the channels; ``takers`` are convolutions with the channel of their input
    at which these begin; ``read`` gives the channels from the values of the graph's tensors.
    """

    makers: list[Any]
    takers: list[tuple[Any, int]]
    read: Callable[[dict[int, Any]], Any]
    highest: Any = field(default=0.0)


def equalized(model: keras.Model, images: Iterable[Any]) -> keras.Model:
    """Returns a model that gives the same, with activations of like range in all channels.

    In eight bits a tensor of activations has one scale, that of its largest channel; a channel of a
    hundredth of that has two or three steps left. Where ReLU or nothing lies between two
    convolutions, a channel may be divided by a factor in the first and multiplied by it in the
    second. The factor is ``a**0.75 / w**0.25``, ``a`` being the channel's largest activation and
    ``w`` its largest weight in the second convolution, as a share of the largest of the same
    output.

    Channels are left as they are where something else takes or makes them.

    Args:
        model: A functional model, without batch normalization in its blocks.
        images: Batches of prepared images, ``(batch, height, width, channels)``.

    Returns:
        keras.Model. The model itself where nothing is to be changed.

    References:
        - `Nagel et al., 2019 <https://arxiv.org/abs/1906.04721>`_
        - `Xiao et al., 2022 <https://arxiv.org/abs/2211.10438>`_
    """
    clone = keras.models.clone_model(keras.Model(model.inputs[0], model.outputs[0]))
    clone.set_weights(model.get_weights())
    links = list(_links(clone))
    some = list(images)
    if not links or not some:
        return model
    _measure(clone, links, some)
    # All of them first: each changes the kernels that others are of.
    for link, factor in [(link, _factor(link)) for link in links]:
        for convolution in link.makers:
            _put(convolution, _kernel(convolution) / factor)
            if convolution.bias is not None:
                convolution.bias.assign(keras.ops.convert_to_numpy(convolution.bias) / factor)
        for convolution, start in link.takers:
            kernel = _kernel(convolution)
            kernel[:, :, start : start + len(factor)] *= factor[:, np.newaxis]
            _put(convolution, kernel)
    expected, found = (np.asarray(one(some[0], training=False)) for one in (model, clone))
    # A model within a model takes channels unseen.
    return clone if np.abs(found - expected).max() <= _SAME * np.abs(expected).max() else model


def _links(model: keras.Model) -> Iterator[_Link]:
    try:
        inputs = {layer: _tensors(layer.input) for layer in model.layers}
    # A layer that is called twice has no one input.
    except (AttributeError, ValueError):
        return
    ends = {id(tensor) for tensor in model.outputs}
    for layer in model.layers:
        if isinstance(layer, Block) and _is_homogeneous(layer):
            yield from _within(layer)
        makers = _makers(layer)
        made = {id(tensor) for tensor in _tensors(layer.output)}
        takers: list[tuple[Any, int]] | None = []
        for other, taken in inputs.items():
            for position, tensor in enumerate(taken):
                if other is not layer and id(tensor) in made and takers is not None:
                    found = _takers(other, position)
                    takers = None if found is None else takers + found
        if makers and takers and not made & ends:
            # An encoder's skip is the last one: its other output is the largest of it.
            yield _Link(makers, takers, partial(_value, tensor=_tensors(layer.output)[-1]))


def _within(block: Any) -> Iterator[_Link]:
    """Yields the links within a block."""

    def merged(values: dict[int, Any]) -> Any:
        taken = [values[id(tensor)] for tensor in _tensors(block.input)]
        return block.merged(*taken) if isinstance(block, DecoderBlock) else taken[0]

    yield _Link(
        [block.convolution_1.convolution],
        [(block.convolution_2.convolution, 0)],
        lambda values: block.convolution_1(merged(values)),
    )
    if isinstance(block, DecoderBlock):
        yield _Link(
            [block.upsampling],
            _of_merged(block, 0),
            lambda values: merged(values)[..., : block.filters],
        )


def _of_merged(block: Any, start: int) -> list[tuple[Any, int]]:
    found = [(block.convolution_1.convolution, start)]
    return found if block.projection is None else [*found, (block.projection, start)]


def _is_homogeneous(layer: Any) -> bool:
    return layer.activation in _HOMOGENEOUS and getattr(layer, "normalization", None) is None


def _makers(layer: Any) -> list[Any]:
    """Returns the convolutions whose sum a layer gives, none if it gives something else."""
    if not (_is_convolution(layer) or isinstance(layer, Block | ConvolutionBlock)):
        return []
    if not _is_homogeneous(layer):
        return []
    if _is_convolution(layer):
        return [layer]
    if isinstance(layer, ConvolutionBlock):
        return [layer.convolution]
    if layer.residual and layer.projection is None:
        return []
    last = layer.convolution_2.convolution
    return [last] if layer.projection is None else [last, layer.projection]


def _takers(layer: Any, position: int) -> list[tuple[Any, int]] | None:
    """Returns the convolutions that take a layer's input, None if something else does."""
    if _is_convolution(layer):
        return [(layer, 0)]
    if isinstance(layer, ConvolutionBlock):
        return [(layer.convolution, 0)]
    if not isinstance(layer, EncoderBlock | DecoderBlock):
        return None
    if isinstance(layer, DecoderBlock) and position == 0:
        return [(layer.upsampling, 0)]
    if layer.residual and layer.projection is None:
        return None
    return _of_merged(layer, layer.filters if isinstance(layer, DecoderBlock) else 0)


def _value(values: dict[int, Any], tensor: Any) -> Any:
    return values[id(tensor)]


def _tensors(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else [found]


def _measure(model: keras.Model, links: list[_Link], images: Iterable[Any]) -> None:
    """Sets the largest activation of each channel."""
    tensors = {
        id(tensor): tensor
        for layer in model.layers
        # A model within a model has tensors of its own.
        if not isinstance(layer, keras.Model)
        for tensor in (*_tensors(layer.input), *_tensors(layer.output))
    }
    probe = keras.Model(model.inputs[0], list(tensors.values()))
    for batch in images:
        values = dict(zip(tensors, probe(batch, training=False), strict=True))
        for link in links:
            channels = np.abs(np.asarray(link.read(values)))
            link.highest = np.maximum(link.highest, channels.max(axis=(0, 1, 2)))


def _factor(link: _Link) -> np.ndarray:
    """Returns what each channel is divided by where it is made."""
    weights = np.zeros(len(link.highest))
    for convolution, start in link.takers:
        # (input channels, output channels)
        largest = np.abs(_kernel(convolution)).max(axis=(0, 1))
        share = largest / np.maximum(largest.max(axis=0), np.finfo(np.float32).tiny)
        weights = np.maximum(weights, share[start : start + len(weights)].max(axis=1))
    # A channel that is always 0, or that nobody takes, has no range.
    alive = (link.highest > 0) & (weights > 0)
    factor = np.ones(len(weights))
    factor[alive] = link.highest[alive] ** _SHARE / weights[alive] ** (1 - _SHARE)
    return factor


def _kernel(convolution: Any) -> np.ndarray:
    """Returns ``(height, width, input channels, output channels)``."""
    kernel = keras.ops.convert_to_numpy(convolution.kernel).astype(np.float64)
    return kernel.swapaxes(2, 3) if _is_transposed(convolution) else kernel


def _put(convolution: Any, kernel: np.ndarray) -> None:
    convolution.kernel.assign(kernel.swapaxes(2, 3) if _is_transposed(convolution) else kernel)


def _is_convolution(layer: Any) -> bool:
    """Returns whether a layer is a convolution of all channels, which are the last axis."""
    kinds = keras.layers.Conv2D | keras.layers.Conv2DTranspose
    if not isinstance(layer, kinds) or layer.data_format != "channels_last":
        return False
    return bool(getattr(layer, "groups", 1) == 1)


def _is_transposed(convolution: Any) -> bool:
    return isinstance(convolution, keras.layers.Conv2DTranspose)


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
    values = {_within_folding(old, weight): np.asarray(weight) for weight in old.weights}
    if not new.built and old.weights:
        new.build(old.input.shape)
    for weight in new.weights:
        name = _within_folding(new, weight)
        if name not in values:
            weight.assign(_folded(values, name))
            continue
        scale = _scale(values, name)
        weight.assign(values[name] if scale is None else values[name] * scale)


def _within_folding(layer: Any, weight: Any) -> str:
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
