"""Writes TensorFlow's SavedModel."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from unetv2.exporting.artifact import FORMATS, BrokenArtifactError, Description
from unetv2.exporting.formats.base import Outputs
from unetv2.exporting.graph import Graph


def write(graph: Graph, folder: Path, _: str, __: Sequence[np.ndarray]) -> None:
    """Writes the files; see :mod:`unetv2.exporting.export`."""
    tf.saved_model.save(graph, str(folder), signatures=graph.function)


# TensorFlow runs whatever a graph says, and that may read and write files or call Python. The list
# is of what is allowed, so that what a later TensorFlow adds is not.
_NAMES = """
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
HARMLESS = frozenset(_NAMES.split())
# TensorFlow's own, which write and read variables, also of models without.
_OWN = ("__inference__traced_save_", "__inference__traced_restore_")
# Functions, and what holds them.
_OBJECTS = ("user_object", "function", "bare_concrete_function", "constant")


def others(operations: Iterable[str]) -> set[str]:
    """Returns the operations that do more than compute."""
    return set(operations) - HARMLESS


def require_harmless(path: Path) -> None:
    """Reads a ``saved_model.pb`` and refuses it where it does more than compute.

    Args:
        path: The file.

    Raises:
        BrokenArtifactError: If it does, or is none.
    """
    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise BrokenArtifactError(path, f"it is no SavedModel ({error})") from error
    for graph in message.meta_graphs:
        # Without it TensorFlow loads by other ways, from the days of its first version.
        if not graph.HasField("object_graph_def"):
            raise BrokenArtifactError(path, "it holds no objects")
        found = others(_operations(graph))
        if found:
            listed = ", ".join(sorted(found))
            raise BrokenArtifactError(path, f"it holds what does more than compute: {listed}")
        for node in graph.object_graph_def.nodes:
            kind = node.WhichOneof("kind")
            if kind not in _OBJECTS:
                raise BrokenArtifactError(path, f"it holds an object of the kind '{kind}'")


def _operations(graph: Any) -> Iterator[str]:
    """Yields what may be run: not how variables are written and read, if nobody can call that."""
    library = {one.signature.name: one for one in graph.graph_def.library.function}
    own = {name for name in library if name.startswith(_OWN)}
    callers = [one.node_def for name, one in library.items() if name not in own]
    for node in itertools.chain(*callers):
        yield node.op
        for value in node.attr.values():
            called = {value.func.name, *(one.name for one in value.list.func)}
            yield from called & own
    yield from (node.op for node in graph.graph_def.node)
    yield from own & set(graph.object_graph_def.concrete_functions)


class Runner:
    """Runs a SavedModel, after a look at what it would do.

    Args:
        files: Of the artifact.
        description: Of it.
        threads: None. TensorFlow has one number of them for the whole process.
    """

    def __init__(
        self, files: Mapping[str, Path], description: Description, threads: int | None
    ) -> None:
        if threads is not None:
            raise ValueError(
                "`threads` must be None for a SavedModel. "
                f"Received: threads={threads}. TensorFlow's are set for the whole process, by "
                "`tf.config.threading.set_intra_op_parallelism_threads` before it computes."
            )
        path = files[FORMATS["saved_model"].main]
        require_harmless(path)
        self._loaded = tf.saved_model.load(str(path.parent))
        self._function: Any = self._loaded.signatures["serving_default"]

    def __call__(self, frames: np.ndarray) -> Outputs:
        """Runs it; see :class:`unetv2.exporting.formats.base.Runner`."""
        results = self._function(frames=tf.constant(frames))
        return Outputs(*(results[name].numpy() for name in Outputs._fields))
