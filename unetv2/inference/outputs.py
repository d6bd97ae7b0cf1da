"""Checks of a model: whether it is a segmentation model, with logits or probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Heights and widths to try for a model of any size, which may support only multiples.
_SIDES = (32, 64, 96, 128, 160, 192, 224, 240, 256, 299, 320, 384, 448, 480, 512, 513, 640)
# Probabilities may leave [0, 1] by interpolation: cubic and Lanczos kernels have negative lobes.
_LOWEST, _HIGHEST = -0.25, 1.25
# Maximum error of a sum of probabilities: in float32, and in half precision.
_EXACT, _ROUNDED = 1e-4, 0.03
_RULE = (
    "map images (batch, height, width, channels) to logits (batch, height, width, n_classes) of "
    "the same size, one input to one output"
)
# Images rarely have more channels, which distinguishes channels-first from channels-last.
_FEW_CHANNELS = 4

# Operations of TensorFlow that move, cast or interpolate values.
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
# Operations with outputs in [0, 1]: softmax, sigmoid, hard sigmoid (ReLU6 / 6), sparse sigmoid (a
# selection), and a sigmoid written as a quotient.
_BOUNDED = {"Reciprocal", "RealDiv", "Relu6", "Select", "SelectV2", "Sigmoid", "Softmax"}


def require_segmentation(model: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Returns the shapes ``(batch, height, width, channels)`` of a model's input and output.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If the shapes are not those of a segmentation model; the message contains code
            that converts the model if possible.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model or the path of a .keras file. "
            f"Received: {type(model).__name__}. `build_unetv2` builds a model."
        )
    input_shape, output_shape = (_shape(model, name) for name in ("input", "output"))
    advice = _advice(model, input_shape, output_shape)
    if advice:
        raise ValueError(
            f"`model` must {_RULE}. Received: the model '{model.name}' ({type(model).__name__}) "
            f"with input {input_shape} and output {output_shape}. {advice}"
        )
    return input_shape, output_shape


def gives_probabilities(model: keras.Model) -> bool:
    """Returns whether a segmentation model returns probabilities, not logits.

    The model is run on random numbers. Outputs that sum to one over the classes at each pixel are
    probabilities; outputs outside of [0, 1] are logits. Other outputs in [0, 1] are logits of an
    untrained network, or other probabilities: these are recognized by the TensorFlow operation
    that computes them, such as a sigmoid, before casts, resizing, crops and the like.

    Raises:
        ValueError: If they are other probabilities, or the model cannot be run.
    """
    values = _outputs_for_noise(model)
    finite = bool(np.isfinite(values).all())
    if finite and not _LOWEST <= values.min() <= values.max() <= _HIGHEST:
        return False
    error = float(np.abs(values.sum(axis=-1) - 1).max())
    if error <= _EXACT:
        return True
    operation = _last_operation(model)
    # With NaN in the weights, only the operation is known.
    if (operation == "Softmax" and not finite) or (operation in _BOUNDED and error <= _ROUNDED):
        return True
    if operation in _BOUNDED:
        raise ValueError(
            "`model` must return logits, or probabilities that sum to 1 over its classes. "
            f"Received: the model '{model.name}', whose outputs are in [0, 1] but do not "
            f"sum to 1 (the operation {operation} computes them). Build it without its last "
            "activation, or with `keras.layers.Softmax()` in its place."
        )
    return False


def require_logits(model: Any) -> int:
    """Returns the number of classes of a model that returns logits, as the losses need.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it returns probabilities or is not a segmentation model.
    """
    _, shape = require_segmentation(model)
    if gives_probabilities(model):
        raise ValueError(
            "`model` must return logits to be trained: the losses take the softmax themselves. "
            f"Received: the model '{model.name}', which returns probabilities. Build it without "
            "its softmax, such as with `activation=None` in its last convolution. `predict`, "
            "`evaluate` and `export` accept both."
        )
    return int(shape[-1])


def _advice(model: keras.Model, source: Any, output: Any) -> str:
    """Returns how to correct the input and output shapes of a model, or an empty string."""
    if source is None or output is None:
        return (
            "Give it known shapes: `image = keras.Input((None, None, 3))` and "
            "`keras.Model(image, model(image))`. `build_unetv2` builds such a model."
        )
    if len(model.inputs) > 1:
        return (
            "Make it a model of one input, with constants for the others: "
            "`keras.Model(image, model([image, ...]))`."
        )
    if not (isinstance(source, tuple) and isinstance(output, tuple)):
        first = _first_tensor(model, "input"), _first_tensor(model, "output")
        return f"Pass `keras.Model({first[0]}, {first[1]})`."
    if _has_channels_first(model, source):
        _, channels, height, width = source
        return (
            f"Put its channels last: `image = keras.Input(({height}, {width}, {channels}))` "
            "and `keras.Model(image, keras.layers.Permute((2, 3, 1))("
            "model(keras.layers.Permute((3, 1, 2))(image))))`."
        )
    if len(source) != 4 or not isinstance(source[-1], int):
        return "`build_unetv2` builds such a model."
    n_pixels = None if None in source[1:3] else source[1] * source[2]
    if len(output) == 3 and n_pixels is not None and output[1] == n_pixels:
        return (
            "Pass `keras.Model(model.input, keras.layers.Reshape("
            f"{(*source[1:3], output[-1])})(model.output))`."
        )
    if (len(output) == 4 and output[-1] == 1) or (len(output) == 3 and output[1:3] == source[1:3]):
        return _two_classes("model.output" if len(output) == 4 else "model.output[..., None]")
    if len(output) != 4 or not isinstance(output[-1], int):
        return "`build_unetv2` builds such a model."
    for expected, side in zip(source[1:3], output[1:3], strict=True):
        if None not in (expected, side) and expected != side:
            return (
                "Bring its outputs to the images' size: `keras.Model(model.input, "
                f"keras.layers.Resizing({source[1]}, {source[2]})(model.output))`."
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
    """Returns the shape of a model's input or output, or a structure of several shapes."""
    tensors = getattr(model, name, None)
    if isinstance(tensors, Mapping):
        return {key: tensor.shape for key, tensor in tensors.items()}
    if isinstance(tensors, list | tuple) and len(tensors) > 1:
        return [tensor.shape for tensor in tensors]
    return getattr(model, f"{name}_shape", None)


def _first_tensor(model: keras.Model, name: str) -> str:
    """Returns Python code for the first input or output of a model."""
    tensors = getattr(model, name)
    if isinstance(tensors, Mapping):
        return f"model.{name}[{next(iter(tensors))!r}]"
    return f"model.{name}[0]" if isinstance(tensors, list | tuple) else f"model.{name}"


def _has_channels_first(model: keras.Model, shape: tuple[Any, ...]) -> bool:
    few = len(shape) == 4 and shape[1] is not None and shape[1] <= _FEW_CHANNELS
    if not few or (shape[3] is not None and shape[3] <= _FEW_CHANNELS):
        return False
    return any(
        getattr(layer, "data_format", None) == "channels_first" for layer in nested_layers(model)
    )


def nested_layers(model: keras.Model) -> Iterator[Any]:
    """Yields the layers of a model and of the models in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from nested_layers(layer)


def _outputs_for_noise(model: keras.Model) -> np.ndarray:
    """Returns the outputs for random numbers in [0, 1], or NaN if the model cannot be run."""
    batch, *size, channels = model.input_shape
    rng = np.random.default_rng(0)
    for side in _SIDES if None in size else _SIDES[:1]:
        shape = (batch or 1, *(own or side for own in size), channels)
        try:
            outputs = model(rng.random(shape, np.float32), training=False)
            return np.asarray(tf.cast(outputs, tf.float32))
        # Keras and TensorFlow raise errors of any type for sizes that do not fit.
        except Exception:
            continue
    return np.full((1, 1, 1, 1), np.nan)


def _last_operation(model: keras.Model) -> str:
    """Returns the type of the TensorFlow operation that computes a model's outputs."""
    spec = tf.TensorSpec(model.input_shape, tf.float32)
    function = tf.function(lambda images: model(images, training=False), autograph=False)
    try:
        concrete: Any = function.get_concrete_function(spec)
    # Keras and TensorFlow raise errors of any type for layers that cannot be traced.
    except Exception as error:
        raise ValueError(
            f"`model` must {_RULE}. Received: the model '{model.name}', which fails with "
            f"{' '.join(str(error).split())[:200]}. Call it on a batch of images to see where."
        ) from error
    graph = concrete.graph.as_graph_def()
    library = {function.signature.name: function for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    return _computing_operation(concrete.outputs[0].name, nodes, library, lambda _: "Placeholder")


def _computing_operation(
    reference: str, nodes: Mapping[str, Any], library: Mapping[str, Any],
    argument: Callable[[str], str],
) -> str:  # fmt: skip
    """Returns the type of the operation that computes a tensor, apart from moves and scaling.

    Args:
        reference: str. ``name``, ``name:index`` or, within a function, ``name:output:index``.
        nodes: Nodes of the graph or the function by name.
        library: Functions by name.
        argument: Returns the type for an argument of the function, by its name.
    """
    while True:
        name, *rest = reference.split(":")
        if name not in nodes:
            return argument(name)
        node = nodes[name]
        inputs = [name for name in node.input if not name.startswith("^")]
        if node.op in _CALLS:
            function = library[node.attr["f"].func.name]
            output = function.signature.output_arg[int(rest[-1]) if rest else 0].name
            names = [parameter.name for parameter in function.signature.input_arg]
            outer = dict(zip(names, inputs, strict=True))

            def outer_argument(name: str, outer: Mapping[str, str] = outer) -> str:
                return _computing_operation(outer[name], nodes, library, argument)

            inner = {node.name: node for node in function.node_def}
            return _computing_operation(function.ret[output], inner, library, outer_argument)
        if node.op in _SCALING:
            moving = [tensor for tensor in inputs if not _is_constant(tensor, nodes)]
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
