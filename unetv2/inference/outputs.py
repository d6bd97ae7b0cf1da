"""Whether a model can segment images, and whether it gives logits or probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Heights and widths that are tried where a model takes any; some take multiples only.
_SIDES = (32, 64, 96, 128, 160, 192, 224, 240, 256, 299, 320, 384, 448, 480, 512, 513, 640)
# How far interpolation may leave [0, 1]: cubic and Lanczos kernels have negative lobes.
_LOWEST, _HIGHEST = -0.25, 1.25
# How far from 1 probabilities may sum up: in float32, and rounded to two or three digits before.
_EXACT, _ROUNDED = 1e-4, 0.03
_RULE = (
    "map images (batch, height, width, channels) to logits (batch, height, width, n_classes) of "
    "the same size, one input to one output"
)
# Most channels that images have in practice, to recognize those that come first.
_FEW_CHANNELS = 4

# TensorFlow's operations that change where a value is, its dtype or its scale, not what it is.
_MOVING = {
    "BatchToSpaceND", "Cast", "CheckNumerics", "ClipByValue", "DepthToSpace", "EnsureShape",
    "ExpandDims", "Identity", "IdentityN", "MirrorPad", "Pad", "PadV2", "PreventGradient",
    "Reshape", "ResizeArea", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor",
    "ReverseV2", "ScaleAndTranslate", "Slice", "Snapshot", "Squeeze", "StopGradient",
    "StridedSlice", "Tile", "Transpose",
}  # fmt: skip
_SCALING = {"Add", "AddV2", "Maximum", "Minimum", "Mul", "RealDiv", "Sub"}
_CONSTANT = {"Const", "ReadVariableOp"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
# Those that give numbers in [0, 1] by what they are: softmax, sigmoid, hard sigmoid (ReLU6 over
# 6), sparse sigmoid (a selection), and sigmoids written out.
_BOUNDED = {"Reciprocal", "RealDiv", "Relu6", "Select", "SelectV2", "Sigmoid", "Softmax"}


def require_segmentation(model: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Checks that a model maps one batch of images to one of scores, by its shapes.

    Args:
        model: Anything.

    Returns:
        tuple of the shapes of its input ``(batch, height, width, channels)`` and its output
        ``(batch, height, width, n_classes)``, None where they are open.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If it is another kind of model; the message has code that makes one of it,
            where that is possible.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model or the path of a .keras file. "
            f"Received: {type(model).__name__}. `build_unetv2` builds a model."
        )
    given, found = (_shape(model, name) for name in ("input", "output"))
    advice = _advice(model, given, found)
    if advice:
        raise ValueError(
            f"`model` must {_RULE}. Received: the model '{model.name}' ({type(model).__name__}) "
            f"with input {given} and output {found}. {advice}"
        )
    return given, found


def gives_probabilities(model: keras.Model) -> bool:
    """Returns whether a model gives probabilities of its classes, or else logits.

    The model is run on random numbers. Outputs that sum to one over the classes at each pixel are
    probabilities, wherever the softmax is and however it was written; outputs beyond [0, 1] are
    logits. Numbers in [0, 1] that do not sum to one are those of an untrained network, or
    probabilities of another kind: where TensorFlow's operation behind them, seen through casts,
    resizes, crops and the like, is a sigmoid or similar, they are refused.

    Args:
        model: A Keras model that :func:`require_segmentation` accepts.

    Returns:
        bool.

    Raises:
        ValueError: If it gives something else, or cannot be run.
    """
    values = _outputs_for_noise(model)
    sane = bool(np.isfinite(values).all())
    if sane and not _LOWEST <= values.min() <= values.max() <= _HIGHEST:
        return False
    error = float(np.abs(values.sum(axis=-1) - 1).max())
    if error <= _EXACT:
        return True
    operation = _last_operation(model)
    # Where the outputs, and so the error, are NaN, only the structure is left to decide by.
    if (operation == "Softmax" and not sane) or (operation in _BOUNDED and error <= _ROUNDED):
        return True
    if operation in _BOUNDED:
        raise ValueError(
            "`model` must give logits, or probabilities that sum to 1 over its classes. "
            f"Received: the model '{model.name}', whose outputs are in [0, 1] and do not "
            f"(they come from the operation {operation}). Build it without its last activation, "
            "or with `keras.layers.Softmax()` in its place."
        )
    return False


def require_logits(model: Any) -> int:
    """Checks that a model gives logits, as losses and their gradients need.

    Args:
        model: Anything.

    Returns:
        int. Number of its classes.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If it gives probabilities or is no segmentation model.
    """
    _, shape = require_segmentation(model)
    if gives_probabilities(model):
        raise ValueError(
            "`model` must give logits to be trained: the losses take the softmax themselves. "
            f"Received: the model '{model.name}', which gives probabilities. Build it without "
            "its softmax, such as with `activation=None` in its last convolution. `predict`, "
            "`evaluate` and `export` take it either way."
        )
    return int(shape[-1])


def _advice(model: keras.Model, given: Any, found: Any) -> str:
    """Returns what to do about a model's shapes, empty where they fit."""
    if given is None or found is None:
        return (
            "Give it known shapes: `image = keras.Input((None, None, 3))` and "
            "`keras.Model(image, model(image))`. `build_unetv2` builds such a model."
        )
    if len(model.inputs) > 1:
        return (
            "Make it a model of one input, with constants for the others: "
            "`keras.Model(image, model([image, ...]))`."
        )
    if not (isinstance(given, tuple) and isinstance(found, tuple)):
        return f"Pass `keras.Model({_one(model, 'input')}, {_one(model, 'output')})`."
    if _has_channels_first(model, given):
        return (
            f"Put its channels last: `image = keras.Input(({given[2]}, {given[3]}, {given[1]}))` "
            "and `keras.Model(image, keras.layers.Permute((2, 3, 1))("
            "model(keras.layers.Permute((3, 1, 2))(image))))`."
        )
    if len(given) != 4 or not isinstance(given[-1], int):
        return "`build_unetv2` builds such a model."
    sides = None if None in given[1:3] else given[1] * given[2]
    if len(found) == 3 and sides is not None and found[1] == sides:
        return (
            "Pass `keras.Model(model.input, keras.layers.Reshape("
            f"{(*given[1:3], found[-1])})(model.output))`."
        )
    if (len(found) == 4 and found[-1] == 1) or (len(found) == 3 and found[1:3] == given[1:3]):
        return _two_classes("model.output" if len(found) == 4 else "model.output[..., None]")
    if len(found) != 4 or not isinstance(found[-1], int):
        return "`build_unetv2` builds such a model."
    for own, other in zip(given[1:3], found[1:3], strict=True):
        if None not in (own, other) and own != other:
            return (
                "Bring its outputs to the images' size: `keras.Model(model.input, "
                f"keras.layers.Resizing({given[1]}, {given[2]})(model.output))`."
            )
    return ""


def _two_classes(output: str) -> str:
    return (
        "Make two classes of its one output, the background first. Of logits: "
        f"`keras.Model(model.input, keras.ops.concatenate([keras.ops.zeros_like({output}), "
        f"{output}], axis=-1))`; of probabilities, as after a sigmoid: `keras.Model(model.input, "
        f"keras.ops.concatenate([1 - {output}, {output}], axis=-1))`."
    )


def _shape(model: keras.Model, name: str) -> Any:
    """Returns the shape of a model's input or output, several in the structure that they have."""
    tensors = getattr(model, name, None)
    if isinstance(tensors, Mapping):
        return {key: tensor.shape for key, tensor in tensors.items()}
    if isinstance(tensors, list | tuple) and len(tensors) > 1:
        return [tensor.shape for tensor in tensors]
    return getattr(model, f"{name}_shape", None)


def _one(model: keras.Model, name: str) -> str:
    """Returns the expression of a model's first input or output."""
    tensors = getattr(model, name)
    if isinstance(tensors, Mapping):
        return f"model.{name}[{next(iter(tensors))!r}]"
    return f"model.{name}[0]" if isinstance(tensors, list | tuple) else f"model.{name}"


def _has_channels_first(model: keras.Model, shape: tuple[Any, ...]) -> bool:
    few = len(shape) == 4 and shape[1] is not None and shape[1] <= _FEW_CHANNELS
    if not few or (shape[3] is not None and shape[3] <= _FEW_CHANNELS):
        return False
    return any(getattr(one, "data_format", None) == "channels_first" for one in _layers(model))


def _layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _outputs_for_noise(model: keras.Model) -> np.ndarray:
    """Returns what a model gives for random numbers in [0, 1]; NaN where it cannot be run."""
    batch, *size, channels = model.input_shape
    rng = np.random.default_rng(0)
    for side in _SIDES if None in size else _SIDES[:1]:
        shape = (batch or 1, *(own or side for own in size), channels)
        try:
            outputs = model(rng.random(shape, np.float32), training=False)
            return np.asarray(tf.cast(outputs, tf.float32))
        # Keras and TensorFlow raise whatever comes to them of sizes that do not fit.
        except Exception:
            continue
    return np.full((1, 1, 1, 1), np.nan)


def _last_operation(model: keras.Model) -> str:
    """Returns the TensorFlow operation that a model's outputs come from, moved and scaled since."""
    spec = tf.TensorSpec(model.input_shape, tf.float32)
    function = tf.function(lambda images: model(images, training=False), autograph=False)
    try:
        concrete: Any = function.get_concrete_function(spec)
    # Keras and TensorFlow raise whatever comes to them of layers that cannot be traced.
    except Exception as error:
        raise ValueError(
            f"`model` must {_RULE}. Received: the model '{model.name}', which fails with "
            f"{' '.join(str(error).split())[:200]}. Call it on a batch of images to see where."
        ) from error
    graph = concrete.graph.as_graph_def()
    library = {one.signature.name: one for one in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    return _origin(concrete.outputs[0].name, nodes, library, lambda _: "Placeholder")


def _origin(
    reference: str, nodes: Mapping[str, Any], library: Mapping[str, Any],
    argument: Callable[[str], str],
) -> str:  # fmt: skip
    """Returns the type of the operation that a tensor comes from.

    Args:
        reference: str. ``name``, ``name:index`` or, within a function, ``name:output:index``.
        nodes: Nodes of the graph or the function by name.
        library: Functions by name.
        argument: Returns the same for a function's argument, by its name.
    """
    while True:
        name, *rest = reference.split(":")
        if name not in nodes:
            return argument(name)
        node = nodes[name]
        inputs = [one for one in node.input if not one.startswith("^")]
        if node.op in _CALLS:
            function = library[node.attr["f"].func.name]
            output = function.signature.output_arg[int(rest[-1]) if rest else 0].name
            names = [one.name for one in function.signature.input_arg]
            outer = dict(zip(names, inputs, strict=True))

            def given(name: str, outer: Mapping[str, str] = outer) -> str:
                return _origin(outer[name], nodes, library, argument)

            inner = {one.name: one for one in function.node_def}
            return _origin(function.ret[output], inner, library, given)
        if node.op in _SCALING:
            moving = [one for one in inputs if not _is_constant(one, nodes)]
            if len(moving) != 1 or (node.op == "RealDiv" and moving[0] != inputs[0]):
                return node.op
            reference = moving[0]
        elif node.op in _MOVING:
            # `IdentityN` and functions have several outputs, one for each input.
            index = int(rest[-1]) if node.op == "IdentityN" and rest else 0
            reference = inputs[index]
        else:
            return node.op


def _is_constant(reference: str, nodes: Mapping[str, Any]) -> bool:
    node = nodes.get(reference.split(":")[0])
    while node is not None and node.op in ("Identity", "Cast", "Reshape"):
        node = nodes.get(node.input[0].split(":")[0])
    return node is not None and node.op in _CONSTANT
