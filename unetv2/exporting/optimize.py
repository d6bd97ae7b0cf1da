"""Batch-norm folding and cross-layer equalization: models that are exported without loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np

from unetv2.models.blocks import Block, DecoderBlock, EncoderBlock
from unetv2.models.convolution import ConvolutionBlock

_NORMALIZATION_WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")


def deployable(model: keras.Model, dtype: str) -> keras.Model:
    """Returns an equivalent model without batch normalization, which computes in a dtype.

    After training, a batch normalization is a factor and an offset per channel, which are merged
    into the kernel and the bias of the convolution before it. Converters do this for separate
    layers, but not within the blocks of this library.

    Args:
        model: A functional model.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"``, for all layers but the last one,
            which computes in float32.

    Returns:
        keras.Model. The model itself if nothing changes.

    Raises:
        ValueError: If a layer cannot be rebuilt from its configuration.
    """
    last = model.layers[-1]
    pairs: list[tuple[Any, Any]] = []

    def convert(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            return layer
        wanted = "float32" if layer is last else dtype
        normalized = isinstance(layer, Block | ConvolutionBlock) and layer.normalization == "batch"
        if not normalized and layer.dtype_policy.name == wanted:
            return layer
        new = _rebuild(layer, wanted, normalized)
        pairs.append((layer, new))
        return new

    clone = keras.models.clone_model(
        # `clone_model` handles compiled and Sequential models differently.
        keras.Model(model.inputs[0], model.outputs[0]),
        clone_function=convert,
        recursive=True,
    )
    if not pairs:
        return model
    for old, new in pairs:
        _copy_weights(old, new)
    return clone


def _rebuild(layer: Any, dtype: str, normalized: bool) -> Any:
    try:
        config = {**layer.get_config(), "dtype": dtype}
        if normalized:
            config["normalization"] = None
        return type(layer).from_config(config)
    # Custom layers may raise any error.
    except Exception as error:
        raise ValueError(
            f"Layers must be rebuilt from their configurations to compute in {dtype}. "
            f"Received: '{layer.name}' ({type(layer).__name__}), which fails with {error} "
            "Give it a `get_config` with all arguments of its `__init__`, `dtype` among them."
        ) from error


def _copy_weights(old: Any, new: Any) -> None:
    """Copies the weights of a layer into its rebuilt one, folding batch normalizations."""
    values = {_weight_name(old, weight): np.asarray(weight) for weight in old.weights}
    if not new.built and old.weights:
        new.build(old.input.shape)
    for weight in new.weights:
        name = _weight_name(new, weight)
        block, is_kernel, _ = name.rpartition("convolution/kernel")
        folded = _scale_and_offset(
            values, block if is_kernel else name.removesuffix("convolution/bias")
        )
        if name not in values:
            if folded is None:
                raise ValueError(f"No weight is called {name!r}.")
            weight.assign(folded[1])
        elif is_kernel and folded is not None:
            weight.assign(values[name] * folded[0])
        else:
            weight.assign(values[name])


def _weight_name(layer: Any, weight: Any) -> str:
    return str(weight.path).removeprefix(f"{layer.name}/")


def _scale_and_offset(
    values: dict[str, np.ndarray], block: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the factor and the offset of a block's batch normalization; None if it has none."""
    names = [f"{block}normalization/{name}" for name in _NORMALIZATION_WEIGHTS]
    if any(name not in values for name in names):
        return None
    gamma, beta, mean, variance = (values[name].astype(np.float64) for name in names)
    scale = gamma / np.sqrt(variance + keras.layers.BatchNormalization().epsilon)
    return scale, beta - mean * scale


# Activations f with f(s x) = s f(x) for positive s.
_HOMOGENEOUS = (keras.activations.linear, keras.activations.relu, keras.activations.leaky_relu)
# Exponent of the activations' ranges. Of 0.5, 0.75 and 1, this kept the highest mean IoU of four
# networks with 8 filters on CamVid; with 1, one of them became useless.
_EXPONENT = 0.75
# Largest relative difference of logits by rounding.
_TOLERANCE = 1e-3


@dataclass
class _Link:
    """Channels between two groups of convolutions.

    Args:
        producers: Convolutions whose sum the channels are.
        consumers: Convolutions with the channels as inputs, each with the index of the first one
            among its input channels.
        read: Returns the channels, given the values of the model's tensors by their ids.
        max_activation: Largest absolute activation of each channel.
    """

    producers: list[Any]
    consumers: list[tuple[Any, int]]
    read: Callable[[dict[int, Any]], Any]
    max_activation: Any = field(default=0.0)


def equalized(model: keras.Model, images: Iterable[Any]) -> keras.Model:
    """Returns an equivalent model whose channels have similar ranges, for int8.

    An int8 tensor of activations has one scale, set by its largest channel: a channel with a
    hundredth of that range has two or three steps. If there is at most a ReLU between two
    convolutions, a channel is divided by a factor in the first one and multiplied by it in the
    second one (cross-layer equalization). The factor is ``a**0.75 / w**0.25``, where ``a`` is the
    largest activation of the channel and ``w`` its largest weight in the second convolution,
    relative to the largest weight of the same output.

    Channels with other layers as producers or consumers do not change.

    Args:
        model: A functional model, without batch normalization in its blocks.
        images: Batches of prepared images, ``(batch, height, width, channels)``.

    Returns:
        keras.Model. The model itself if nothing changes.

    References:
        - `Nagel et al., 2019 <https://arxiv.org/abs/1906.04721>`_
        - `Xiao et al., 2022 <https://arxiv.org/abs/2211.10438>`_
    """
    clone = keras.models.clone_model(keras.Model(model.inputs[0], model.outputs[0]))
    clone.set_weights(model.get_weights())
    links = list(_links(clone))
    batches = list(images)
    if not links or not batches:
        return model
    _set_max_activations(clone, links, batches)
    # All factors are computed first, as each changes the kernels that others depend on.
    for link, factor in [(link, _factor(link)) for link in links]:
        for convolution in link.producers:
            _set_kernel(convolution, _kernel(convolution) / factor)
            if convolution.bias is not None:
                convolution.bias.assign(keras.ops.convert_to_numpy(convolution.bias) / factor)
        for convolution, start in link.consumers:
            kernel = _kernel(convolution)
            kernel[:, :, start : start + len(factor)] *= factor[:, np.newaxis]
            _set_kernel(convolution, kernel)
    expected, actual = (np.asarray(part(batches[0], training=False)) for part in (model, clone))
    # A nested model may have consumed channels unnoticed.
    error = np.abs(actual - expected).max()
    return clone if error <= _TOLERANCE * np.abs(expected).max() else model


def _links(model: keras.Model) -> Iterator[_Link]:
    try:
        inputs = {layer: _tensors(layer.input) for layer in model.layers}
    # A layer that is called twice has no `input`.
    except (AttributeError, ValueError):
        return
    ends = {id(tensor) for tensor in model.outputs}
    for layer in model.layers:
        if isinstance(layer, Block) and _is_homogeneous(layer):
            yield from _links_within(layer)
        producers = _producers(layer)
        outputs = {id(tensor) for tensor in _tensors(layer.output)}
        consumers: list[tuple[Any, int]] | None = []
        for other, tensors in inputs.items():
            for position, tensor in enumerate(tensors):
                if other is not layer and id(tensor) in outputs and consumers is not None:
                    added = _consumers(other, position)
                    consumers = None if added is None else consumers + added
        if producers and consumers and not outputs & ends:
            # The last output of an encoder is its skip; the other one is its maximum over pixels.
            yield _Link(producers, consumers, partial(_value, tensor=_tensors(layer.output)[-1]))


def _links_within(block: Any) -> Iterator[_Link]:
    def merged(values: dict[int, Any]) -> Any:
        inputs = [values[id(tensor)] for tensor in _tensors(block.input)]
        return block.merged(*inputs) if isinstance(block, DecoderBlock) else inputs[0]

    yield _Link(
        [block.convolution_1.convolution],
        [(block.convolution_2.convolution, 0)],
        lambda values: block.convolution_1(merged(values)),
    )
    if isinstance(block, DecoderBlock):
        yield _Link(
            [block.upsampling],
            _consumers_of_merged(block, 0),
            lambda values: merged(values)[..., : block.filters],
        )


def _consumers_of_merged(block: Any, start: int) -> list[tuple[Any, int]]:
    first = (block.convolution_1.convolution, start)
    return [first] if block.projection is None else [first, (block.projection, start)]


def _is_homogeneous(layer: Any) -> bool:
    return layer.activation in _HOMOGENEOUS and getattr(layer, "normalization", None) is None


def _producers(layer: Any) -> list[Any]:
    """Returns the convolutions whose sum a layer returns; none if it returns other values."""
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


def _consumers(layer: Any, position: int) -> list[tuple[Any, int]] | None:
    """Returns the convolutions of a layer's input, None if other operations use it."""
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
    return _consumers_of_merged(layer, layer.filters if isinstance(layer, DecoderBlock) else 0)


def _value(values: dict[int, Any], tensor: Any) -> Any:
    return values[id(tensor)]


def _tensors(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _set_max_activations(model: keras.Model, links: list[_Link], images: Iterable[Any]) -> None:
    tensors = {
        id(tensor): tensor
        for layer in model.layers
        # A nested model has its own tensors.
        if not isinstance(layer, keras.Model)
        for tensor in (*_tensors(layer.input), *_tensors(layer.output))
    }
    probe = keras.Model(model.inputs[0], list(tensors.values()))
    for batch in images:
        values = dict(zip(tensors, probe(batch, training=False), strict=True))
        for link in links:
            channels = np.abs(np.asarray(link.read(values)))
            link.max_activation = np.maximum(link.max_activation, channels.max(axis=(0, 1, 2)))


def _factor(link: _Link) -> np.ndarray:
    """Returns the divisor of each channel in the producers."""
    weights = np.zeros(len(link.max_activation))
    for convolution, start in link.consumers:
        # (input channels, output channels)
        largest = np.abs(_kernel(convolution)).max(axis=(0, 1))
        relative = largest / np.maximum(largest.max(axis=0), np.finfo(np.float32).tiny)
        weights = np.maximum(weights, relative[start : start + len(weights)].max(axis=1))
    # A channel that is always 0, or that has no weight, has no range.
    active = (link.max_activation > 0) & (weights > 0)
    factor = np.ones(len(weights))
    factor[active] = link.max_activation[active] ** _EXPONENT / weights[active] ** (1 - _EXPONENT)
    return factor


def _kernel(convolution: Any) -> np.ndarray:
    """Returns ``(height, width, input channels, output channels)``."""
    kernel = keras.ops.convert_to_numpy(convolution.kernel).astype(np.float64)
    return kernel.swapaxes(2, 3) if _is_transposed(convolution) else kernel


def _set_kernel(convolution: Any, kernel: np.ndarray) -> None:
    convolution.kernel.assign(kernel.swapaxes(2, 3) if _is_transposed(convolution) else kernel)


def _is_convolution(layer: Any) -> bool:
    """Returns whether a layer is an ungrouped convolution with the channels last."""
    kinds = keras.layers.Conv2D | keras.layers.Conv2DTranspose
    if not isinstance(layer, kinds) or layer.data_format != "channels_last":
        return False
    return bool(getattr(layer, "groups", 1) == 1)


def _is_transposed(convolution: Any) -> bool:
    return isinstance(convolution, keras.layers.Conv2DTranspose)
