"""From logits or probabilities to a `Prediction`: classes, confidence and uncertainty."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.classes import ClassTable
from unetv2.data.io.open import decode_mask
from unetv2.files import atomic_path
from unetv2.inference.inputs import InputImage
from unetv2.inference.mask_file import RowWriter, encode, mask_writer, require_mask_path
from unetv2.visualization.masks import overlay

# Memory of the values that are resized together.
_BYTES_AT_ONCE = 2**26
_ANY = 2**62


@dataclass(frozen=True)
class OutputOptions:
    """What is computed for each pixel besides its class; see :meth:`ImagePredictor.predict`."""

    uncertainty: bool = True
    probabilities: bool = False


class PredictedBlock(NamedTuple):
    """The prediction of a part of an image that begins at a row and a column.

    The arrays are those of :class:`Prediction`.
    """

    row: int
    column: int
    mask: np.ndarray
    confidence: np.ndarray | None
    uncertainty: np.ndarray | None
    mutual_information: np.ndarray | None
    probabilities: np.ndarray | None


class Strip(NamedTuple):
    """Rows of an image at the network's scale, from ``row`` on.

    The values are float32 ``(rows, width, channels)``: logits, then the mean entropy of the
    samples if there are any.
    """

    row: int
    values: Any


def mask_dtype(n_classes: int) -> np.dtype[Any]:
    """Returns the smallest unsigned dtype that holds all ids."""
    return np.min_scalar_type(n_classes - 1)


def predicted_block(
    position: tuple[int, int], values: Any, n_classes: int, options: OutputOptions, *, logits: bool
) -> PredictedBlock:
    """Returns the prediction of the block at ``(row, column)``.

    The values are float32 ``(height, width, channels)``: logits or probabilities, then the mean
    entropy of the samples if there are any.
    """
    confidence = entropy = information = probabilities = None
    sampled = values.shape[-1] > n_classes
    scores = values[..., :n_classes] if sampled else values
    if options.uncertainty:
        mask, *tensors = _with_uncertainty(scores, logits)
        confidence, entropy = (tensor.numpy() for tensor in tensors)
        if sampled:
            # Entropy is concave, so this is negative only by rounding and interpolation.
            information = np.maximum(entropy - values[..., n_classes], 0)
    else:
        mask = _classes(scores)
    if options.probabilities:
        probabilities = np.asarray(tf.nn.softmax(scores) if logits else scores)
    ids = mask.numpy().astype(mask_dtype(n_classes))
    return PredictedBlock(*position, ids, confidence, entropy, information, probabilities)


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _classes(scores: tf.Tensor) -> tf.Tensor:
    # The same as `argmax` in half the time.
    return tf.math.top_k(scores, 1).indices[..., 0]


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _with_uncertainty(scores: tf.Tensor, logits: bool) -> tuple[tf.Tensor, ...]:
    """Returns classes, confidence and entropy."""
    highest, classes = tf.math.top_k(scores, 1)
    if not logits:
        entropy = -tf.reduce_sum(tf.math.xlogy(scores, scores), axis=-1)
        return classes[..., 0], highest[..., 0], tf.maximum(entropy, 0.0)
    # With z = scores - highest: p = exp(z) / sum(exp(z)), from which -sum(p log p) follows.
    lower = scores - highest
    exponentials = tf.exp(lower)
    total = tf.reduce_sum(exponentials, axis=-1)
    entropy = tf.math.log(total) - tf.reduce_sum(exponentials * lower, axis=-1) / total
    return classes[..., 0], 1 / total, tf.maximum(entropy, 0.0)


def resize_strips(
    strips: Iterable[Strip], source: tuple[int, int], size: tuple[int, int]
) -> Iterator[Strip]:
    """Resizes strips bilinearly with aligned pixel centers.

    Args:
        strips: All rows of an image of size ``source``, from the top.
        source: ``(height, width)``.
        size: ``(height, width)`` of the result.

    Yields:
        Strip. All rows of the result, from the top.
    """
    centers = np.clip((np.arange(size[0]) + 0.5) * source[0] / size[0] - 0.5, 0, source[0] - 1)
    upper = np.floor(centers).astype(np.int64)
    lower = np.minimum(upper + 1, source[0] - 1)
    fraction = (centers - upper).astype(np.float32)[:, np.newaxis, np.newaxis]
    width = tf.constant(size[1])
    done = first = 0
    buffer: Any = None
    for strip in strips:
        buffer = strip.values if buffer is None else tf.concat([buffer, strip.values], axis=0)
        end = strip.row + strip.values.shape[0]
        ready = int(np.searchsorted(lower, end - 1, side="right"))
        step = max(1, _BYTES_AT_ONCE // (4 * size[1] * buffer.shape[-1]))
        for start in range(done, ready, step):
            rows = slice(start, min(start + step, ready))
            values = _resized(
                buffer, upper[rows] - first, lower[rows] - first, fraction[rows], width
            )
            yield Strip(start, values)
        done = ready
        if done < size[0]:
            # Rows that the next output row needs; those of the next strip if the image shrinks.
            needed = min(int(upper[done]), end)
            buffer, first = buffer[needed - first :], needed


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _resized(
    values: tf.Tensor, upper: tf.Tensor, lower: tf.Tensor, fraction: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    above, below = tf.gather(values, upper), tf.gather(values, lower)
    rows = above + (below - above) * fraction
    return tf.image.resize(rows, (tf.shape(rows)[0], width))


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """The prediction of an image, at the image's own size.

    Attributes:
        ids: Class ids ``(height, width)``, the smallest of uint8, uint16 and uint32 that holds all
            classes; None if they were written to ``path``. See :attr:`mask`.
        confidence: float32 ``(height, width)`` in [0, 1]: the highest probability; None if it was
            not computed.
        uncertainty: float32 ``(height, width)``: predictive entropy in nats, from 0 to
            ``log(n_classes)``; None if it was not computed.
        mutual_information: float32 ``(height, width)`` in nats: the part of the uncertainty that
            comes from disagreement between the samples; None without ``mc_samples``.
        probabilities: float32 ``(height, width, n_classes)``; None if they were not requested.
        classes: ClassTable. Names and colors of the ids.
        image: The predicted image, with the attributes ``size``, which is ``(height, width)``, and
            ``path``, which is a str or None.
        path: pathlib.Path or None. The file to which the mask was written.

    Example:
        >>> model = unetv2.build_unetv2((16, 24, 3), 5, filters=2, depth=2)
        >>> prediction = unetv2.predict(model, np.zeros((30, 40, 3), np.uint8))
        >>> prediction.mask.shape, prediction.mask.dtype.name, prediction.confidence.dtype.name
        ((30, 40), 'uint8', 'float32')
        >>> prediction.overlay().shape
        (30, 40, 3)
        >>> prediction.save(tmp / "mask.png")
    """

    ids: np.ndarray | None = field(repr=False)
    confidence: np.ndarray | None = field(default=None, repr=False)
    uncertainty: np.ndarray | None = field(default=None, repr=False)
    mutual_information: np.ndarray | None = field(default=None, repr=False)
    probabilities: np.ndarray | None = field(default=None, repr=False)
    classes: ClassTable = field(repr=False)
    image: InputImage = field(repr=False)
    path: Path | None = None

    @property
    def mask(self) -> np.ndarray:
        """Class ids ``(height, width)``, with the dtype of ``ids``.

        A memory map of a ``.npy`` file; other files are read on each access.
        """
        if self.ids is not None:
            return self.ids
        assert self.path is not None
        if self.path.suffix.lower() == ".npy":
            return np.load(self.path, mmap_mode="r")
        return decode_mask(os.fspath(self.path), max_pixels=_ANY)

    def overlay(self, *, opacity: float = 0.5) -> np.ndarray:
        """Returns the image blended with the colors of the classes.

        Args:
            opacity: float in [0, 1]. 0 shows the image, 1 the colors.

        Returns:
            np.ndarray. uint8 ``(height, width, 3)``.

        Raises:
            ValueError: If ``opacity`` is out of its range.
        """
        image: Any = self.image.pixels()
        return overlay(np.asarray(image[:]), self.mask, self.classes, opacity=opacity)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the class ids to a file, atomically.

        Args:
            path: The file: ``.png``, of 16 bits if the ids need them, ``.tif`` or ``.npy``.

        Raises:
            ValueError: If it has another extension.
            FileNotFoundError: If the folder does not exist.
            OSError: If it cannot be written; an existing file is unchanged.
        """
        mask = self.mask
        target = require_mask_path("path", path, mask.dtype)
        with atomic_path(target, "predict it again") as temporary:
            encode(mask, temporary)


class PredictionBuilder:
    """Collects the blocks of an image, in memory or with the mask in a file."""

    def __init__(
        self,
        image: InputImage,
        classes: ClassTable,
        path: Path | None = None,
        note: str | None = None,
    ) -> None:
        self._image, self._classes, self._path, self._note = image, classes, path, note
        self._write_mask: RowWriter | None = None
        self._arrays: dict[str, np.ndarray] = {}

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Opens the file, which appears at the end of the context."""
        if self._path is None:
            yield
            return
        dtype = mask_dtype(len(self._classes))
        with mask_writer(self._path, self._image.size, dtype, self._note) as self._write_mask:
            yield

    def add(self, block: PredictedBlock) -> None:
        """Adds the next block."""
        height, width = block.mask.shape
        region = np.s_[block.row : block.row + height, block.column : block.column + width]
        for name, values in block._asdict().items():
            if not isinstance(values, np.ndarray):
                continue
            if name == "mask" and self._write_mask is not None:
                self._write_mask(block.column, values)
                continue
            if name not in self._arrays:
                self._arrays[name] = np.empty((*self._image.size, *values.shape[2:]), values.dtype)
            self._arrays[name][region] = values

    def prediction(self) -> Prediction:
        """Returns the prediction."""
        return Prediction(
            ids=self._arrays.pop("mask", None), **self._arrays, classes=self._classes,
            image=self._image, path=self._path,
        )  # fmt: skip
