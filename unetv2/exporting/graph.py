"""The graph that is exported: from camera frames to masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from unetv2.data.io.pillow import PILLOW_CHANNELS
from unetv2.data.preprocess import ROUND_UP, Geometry, resize_image
from unetv2.inference.network import SMALLEST_PROBABILITY
from unetv2.preprocessing import Preprocessing

# Height and width, None where any is accepted.
Size = tuple[int | None, int | None]

INPUT = "frames"
# Name scope of the network in the graph.
NETWORK = "network"
# With at most this number of classes, masks are uint8.
_MAX_UINT8_CLASSES = 256

# All ops that an exported graph may contain. TensorFlow's other ops may read and write files or
# call Python, and so may ops that a later version adds.
_OPS = """
Abs Acos Acosh Add AddN AddV2 All Any ArgMax ArgMin Asin Asinh Atan Atan2 Atanh AvgPool AvgPool3D
BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchNormWithGlobalNormalization BatchToSpaceND BiasAdd
BiasAddV1 Bitcast BroadcastArgs BroadcastTo Bucketize Cast Ceil ClipByValue Concat ConcatV2 Const
Conv2D Conv2DBackpropInput Conv3D Cos Cosh CropAndResize Cross Cumprod Cumsum DepthToSpace
DepthwiseConv2dNative Digamma Dilation2D Div DivNoNan Einsum Elu EnsureShape Equal Erf Erfc Erfinv
Exp ExpandDims Expm1 ExtractImagePatches Fill Floor FloorDiv FloorMod FusedBatchNorm
FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual Identity IdentityN
Inv InvertPermutation IsFinite IsInf IsNan L2Loss LRN LeakyRelu Less LessEqual Lgamma LinSpace Log
Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul MatrixBandPart MatrixDiag MatrixDiagPart
Max MaxPool MaxPool3D MaxPoolV2 Maximum Mean Min Minimum MirrorPad Mul MulNoNan Neg NoOp NotEqual
OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow
PreventGradient Prod Range Rank RealDiv Reciprocal Relu Relu6 Reshape ResizeArea ResizeBicubic
ResizeBilinear ResizeNearestNeighbor Reverse ReverseV2 Rint Roll Round Rsqrt ScaleAndTranslate
Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign
SpaceToBatchND SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
StatefulPartitionedCall StatelessIf StopGradient StridedSlice Sub Sum Svd Tan Tanh Tile TopK TopKV2
Transpose TruncateDiv TruncateMod Unpack UnsortedSegmentSum Where Xdivy Xlogy ZerosLike
"""
COMPUTE_OPS = frozenset(_OPS.split())


class Outputs(NamedTuple):
    """Outputs of an exported model.

    Attributes:
        mask: Class ids ``(batch, height, width)``, of the size of the frames.
        confidence: float32 ``(batch, height, width)``, the probability of the class.
        logits: float32 ``(batch, height, width, n_classes)``, of the size of the network.
    """

    mask: Any
    confidence: Any
    logits: Any


@dataclass(frozen=True)
class Plan:
    """Inputs and preprocessing of an exported model.

    Args:
        frame_size: ``(height, width)`` of the frames, None for any.
        network_size: ``(height, width)`` of the input of the network, None for any.
        resizes: bool. Whether the graph resizes frames to that size, and logits back.
        preprocessing: Preprocessing of the network's images.
        probabilities: bool. Whether the network returns probabilities instead of logits.
    """

    frame_size: Size
    network_size: Size
    resizes: bool
    preprocessing: Preprocessing
    probabilities: bool

    @property
    def takes_whole_images(self) -> bool:
        """See :attr:`unetv2.Preprocessing.takes_whole_images`."""
        return self.preprocessing.takes_whole_images

    def fit(self, image: np.ndarray) -> np.ndarray:
        """Resizes or crops an image to the size of the frames, if that is fixed."""
        height, width = self.frame_size
        size = height or image.shape[0], width or image.shape[1]
        if image.shape[:2] == size:
            return image
        if self.resizes:
            return resize_image(image, Geometry(size, size))
        if self.takes_whole_images:
            preprocessing = self.preprocessing
            geometry = Geometry.plan(image.shape[:2], size, preprocessing.resize)
            return resize_image(image, geometry, preprocessing.interpolation)
        # A window in the middle; the smaller side of a smaller image is enlarged.
        return resize_image(image, Geometry.plan(image.shape[:2], size, "crop"))


class Graph(tf.Module):
    """A graph from camera frames to masks, with weights as constants.

    Without variables, converters can fold all that is constant.

    Args:
        model: The model, in the precision of the graph.
        plan: Its inputs and preprocessing.
        batch: int or None. Frames per batch, None for any number.

    Attributes:
        function: tf.function. Maps ``frames``, uint8, to the :class:`Outputs` as a dict.
    """

    def __init__(self, model: keras.Model, plan: Plan, batch: int | None) -> None:
        super().__init__()
        # Wrapped, as `tf.Module` would save the variables of a model in an attribute.
        self._contents = _Contents(model, plan)
        shape = (batch, *plan.frame_size, plan.preprocessing.channels)
        self.function = tf.function(
            self._contents.run,
            input_signature=[tf.TensorSpec(shape, tf.uint8, name=INPUT)],
            autograph=False,
            jit_compile=False,
        )

    @property
    def model(self) -> keras.Model:
        """The model."""
        return self._contents.model

    def images(self, frame: np.ndarray) -> tf.Tensor:
        """Returns the input of the network for a frame, ``(1, height, width, channels)``."""
        return self._contents.images(tf.constant(frame[np.newaxis]))[0]

    def concrete(self) -> Any:
        """Returns the concrete function."""
        return self.function.get_concrete_function()

    def ops(self) -> Iterator[tuple[str, str]]:
        """Yields the type and the name of all ops, also those in functions that are called."""
        definition: Any = self.concrete().graph.as_graph_def()
        for nodes in (definition.node, *(part.node_def for part in definition.library.function)):
            yield from ((node.op, node.name) for node in nodes)


class _Contents:
    def __init__(self, model: keras.Model, plan: Plan) -> None:
        self.model, self.plan = model, plan
        self._trainable = [variable.numpy() for variable in model.trainable_variables]
        self._non_trainable = [variable.numpy() for variable in model.non_trainable_variables]

    def images(self, frames: tf.Tensor) -> tuple[tf.Tensor, Placement, tuple[Any, Any]]:
        """Returns the input of the network, the frames' placement in it, and the frames' size."""
        preprocessing = self.plan.preprocessing
        height, width = self.plan.network_size
        sizes = tf.shape(frames)
        size = tuple(frames.shape[axis] or sizes[axis] for axis in (1, 2))
        with tf.name_scope("preprocess"):
            if self.plan.resizes:
                assert height is not None
                assert width is not None
                pixels, placement = shrink(
                    frames, (height, width), preprocessing.resize, preprocessing.interpolation
                )
            else:
                pixels, placement = tf.cast(frames, tf.float32), Placement(0, 0, *size)
            low, high = preprocessing.value_range
            images = pixels / 255.0
            if (low, high) != (0.0, 1.0):
                images = images * (high - low) + low
        return images, placement, size

    def run(self, frames: tf.Tensor) -> dict[str, tf.Tensor]:
        images, placement, size = self.images(frames)
        with tf.name_scope(NETWORK):
            logits, _ = self.model.stateless_call(
                self._trainable, self._non_trainable, images, training=False
            )
        with tf.name_scope("postprocess"):
            logits = tf.cast(logits, tf.float32)
            if self.plan.probabilities:
                logits = tf.math.log(tf.maximum(logits, SMALLEST_PROBABILITY))
            values = enlarge(logits, placement, size) if self.plan.resizes else logits
            mask = tf.argmax(values, axis=-1, output_type=tf.int32)
            if values.shape[-1] <= _MAX_UINT8_CLASSES:
                mask = tf.cast(mask, tf.uint8)
            confidence = tf.reduce_max(tf.nn.softmax(values), axis=-1)
            return Outputs(
                tf.identity(mask, "mask"),
                tf.identity(confidence, "confidence"),
                tf.identity(logits, "logits"),
            )._asdict()


# Every interpolation of `resize_image` is linear along rows and along columns. The graph computes a
# matrix for each from the sizes, with ops that all formats support.

_POWERS_OF_TWO = [2**power for power in range(25)]


class Placement(NamedTuple):
    """The part of the network's input that the image covers; ints or scalar tensors."""

    top: Any
    left: Any
    height: Any
    width: Any


def shrink(
    frames: tf.Tensor, size: tuple[int, int], resize: str, interpolation: str
) -> tuple[tf.Tensor, Placement]:
    """Resizes frames as `resize_image` does.

    Args:
        frames: uint8 ``(batch, height, width, channels)``, height and width known or not.
        size: The new ``(height, width)``.
        resize: ``"stretch"`` or ``"pad"``.
        interpolation: str. As of :func:`unetv2.make_dataset`.

    Returns:
        tuple ``(resized, placement)``: whole numbers from 0 to 255, float32 ``(batch, *size,
        channels)``.
    """
    shape = frames.shape.as_list()
    sizes = tf.shape(frames)
    source = [shape[axis] or sizes[axis] for axis in (1, 2)]
    channels = shape[3]
    placement = _placement(source, size, resize)
    values = tf.cast(frames, tf.float32)
    if list(size) == shape[1:3]:
        return values, placement
    rows, columns = (
        _resize_matrix(
            source[axis], placement[2 + axis], placement[axis], size[axis], interpolation
        )
        for axis in (0, 1)
    )
    batch = shape[0] or sizes[0]
    values = tf.matmul(rows, tf.reshape(values, (batch, source[0], source[1] * channels)))
    values = tf.matmul(columns, tf.reshape(values, (batch, size[0], source[1], channels)))
    if interpolation == "area" and channels in PILLOW_CHANNELS:
        tiles = _all(source[axis] % side == 0 for axis, side in enumerate(placement[2:]))
        count = (source[0] // placement.height) * (source[1] // placement.width)
        rounded = _select(tiles, _round_like_pillow(values, count), tf.floor(values + ROUND_UP))
    else:
        rounded = tf.floor(values + ROUND_UP)
    return tf.clip_by_value(rounded, 0.0, 255.0), placement


def enlarge(values: tf.Tensor, placement: Placement, size: tuple[Any, Any]) -> tf.Tensor:
    """Resizes logits to the size of the frames, bilinearly, without those of the padding.

    Args:
        values: float32 ``(batch, height, width, channels)``.
        placement: The part that the image covers.
        size: ``(height, width)`` of the frames, ints or scalar tensors.
    """
    if not _same((placement.height, placement.width), values.shape[1:3]):
        top, left, height, width = placement
        values = values[:, top : top + height, left : left + width]
    if _same(size, values.shape[1:3]):
        return values
    return tf.image.resize(values, size)


def _placement(source: list[Any], size: tuple[int, int], resize: str) -> Placement:
    if resize == "stretch":
        return Placement(0, 0, *size)
    if all(isinstance(side, int) for side in source):
        resized = Geometry.plan((source[0], source[1]), size, resize).resized
        height, width = resized
    else:
        # As `Geometry.plan`, for sizes that are not known yet.
        tall = source[0] * size[1] >= source[1] * size[0]
        height, width = (
            tf.where(
                filled,
                size[axis],
                tf.maximum(1, _rounded(source[axis] * size[1 - axis], source[1 - axis])),
            )
            for axis, filled in enumerate((tall, tf.logical_not(tall)))
        )
    return Placement((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def _same(size: Any, other: Any) -> bool:
    """Returns whether two sizes are known and equal."""
    return all(isinstance(side, int) for side in size) and tuple(size) == tuple(other)


def _round_like_pillow(means: tf.Tensor, count: Any) -> tf.Tensor:
    """Rounds means of tiles as Pillow does, which averages them where sides are divisible.

    Pillow adds half the count of pixels to the sum and multiplies by the reciprocal of the count,
    rounded down. So where that gives a whole number, it becomes the one below, unless the count is
    a power of two.
    """
    number = _float(count)
    sums = tf.round(means * number) + _float(count // 2)
    exact = tf.reduce_any(tf.equal(count, tf.constant(_POWERS_OF_TWO)))
    return tf.floor((sums - tf.where(exact, 0.0, 0.5)) / number)


def _rounded(dividend: Any, divisor: Any) -> Any:
    return (2 * dividend + divisor) // (2 * divisor)


def _resize_matrix(
    source: Any, resized: Any, start: Any, size: int, interpolation: str
) -> tf.Tensor:
    """Returns the matrix that resizes one side, float32 ``(size, source)``.

    Args:
        source: Pixels of the side.
        resized: Pixels after resizing.
        start: Row of the first of these; rows before and after are zero, for padding.
        size: int. Rows of the matrix.
        interpolation: str. As of :func:`unetv2.make_dataset`.
    """
    new = (tf.range(size) - start)[:, tf.newaxis]
    old = tf.range(source)[tf.newaxis, :]
    if interpolation == "nearest":
        weights = tf.cast(tf.equal(old, (2 * new + 1) * source // (2 * resized)), tf.float32)
    else:
        # Distance between the centers of the pixels, from integers as far as possible.
        halves = (2 * old + 1) * resized - (2 * new + 1) * source
        ratio = _float(source) / _float(resized)
        distance = tf.abs(_float(halves) / _float(2 * resized)) / tf.maximum(ratio, 1.0)
        kernel = _KERNELS["bilinear" if interpolation == "area" else interpolation](distance)
        weights = kernel / tf.reduce_sum(kernel, axis=1, keepdims=True)
        if interpolation == "area":
            first = tf.maximum(new * source, old * resized)
            last = tf.minimum((new + 1) * source, (old + 1) * resized)
            area = _float(tf.maximum(last - first, 0)) / _float(source)
            weights = _select(source >= resized, area, weights)
    if isinstance(resized, int) and resized == size:
        return weights
    inside = tf.logical_and(new >= 0, new < resized)
    return tf.where(inside, weights, tf.zeros_like(weights))


def _float(value: Any) -> tf.Tensor:
    return tf.cast(value, tf.float32)


def _all(conditions: Any) -> Any:
    """Returns the conjunction of Python booleans and boolean tensors."""
    result: Any = True
    for condition in conditions:
        if isinstance(condition, bool):
            result = result if condition else False
        elif result is not False:
            result = condition if result is True else tf.logical_and(result, condition)
    return result


def _select(condition: Any, if_true: tf.Tensor, if_false: tf.Tensor) -> tf.Tensor:
    if isinstance(condition, bool):
        return if_true if condition else if_false
    return tf.where(condition, if_true, if_false)


# The kernels of `tf.image.resize`: triangle, Keys's cubic with -1/2, Lanczos with three lobes.
def _triangle(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1.0 - x, 0.0)


def _cubic(x: tf.Tensor) -> tf.Tensor:
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return tf.where(x < 1.0, near, tf.where(x < 2.0, far, tf.zeros_like(x)))


def _lanczos3(x: tf.Tensor) -> tf.Tensor:
    angle = math.pi * tf.maximum(x, 1e-3)
    values = 3.0 * tf.sin(angle) * tf.sin(angle / 3.0) / (angle * angle)
    return tf.where(x <= 1e-3, tf.ones_like(x), tf.where(x < 3.0, values, tf.zeros_like(x)))


_KERNELS = {"bilinear": _triangle, "bicubic": _cubic, "lanczos3": _lanczos3}
