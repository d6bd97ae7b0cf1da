"""From what is known of each pixel to its class, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# Of the values that are enlarged at once.
_BYTES_AT_ONCE = 2**26
_SMALLEST = 1e-38


@dataclass(frozen=True)
class Wanted:
    """What is made of each pixel, beside its class.

    Args:
        uncertainty: bool. Whether confidence and uncertainty are.
        probabilities: bool. Whether the probabilities are kept.
    """

    uncertainty: bool = True
    probabilities: bool = False


class Part(NamedTuple):
    """A part of a picture, predicted.

    Attributes:
        row: int. Its first row.
        column: int. Its first column.
        mask: Class ids ``(height, width)``, the smallest of uint8, uint16 and uint32.
        confidence: float32 ``(height, width)``: the highest probability; None if not wanted.
        uncertainty: float32 ``(height, width)``: entropy of the probabilities, in nats; None
            if not wanted.
        mutual_information: float32 ``(height, width)``: how far that entropy exceeds the mean one
            of the single passes, in nats; None if not wanted or without samples.
        probabilities: float32 ``(height, width, n_classes)``; None if not wanted.
    """

    row: int
    column: int
    mask: np.ndarray
    confidence: np.ndarray | None
    uncertainty: np.ndarray | None
    mutual_information: np.ndarray | None
    probabilities: np.ndarray | None


class Band(NamedTuple):
    """Rows of a picture at the network's scale, over all of its width.

    Attributes:
        row: int. The first one.
        values: float32 ``(rows, width, channels)``: logarithms of probabilities, and the mean
            entropy of the passes if there is one.
    """

    row: int
    values: Any


def mask_dtype(n_classes: int) -> np.dtype[Any]:
    """Returns the smallest unsigned dtype that holds all ids."""
    return np.min_scalar_type(n_classes - 1)


def part_of(row: int, column: int, values: Any, n_classes: int, wanted: Wanted) -> Part:
    """Returns what is wanted of a part.

    Args:
        row: int. The part's first row.
        column: int. Its first column.
        values: float32 ``(height, width, channels)``: probabilities, and the mean entropy of the
            passes if there is one.
        n_classes: int.
        wanted: What is.

    Returns:
        Part.
    """
    sampled = values.shape[-1] > n_classes
    kept = np.asarray(values)[..., :n_classes] if wanted.probabilities else None
    if not wanted.uncertainty:
        mask = _classes(values, n_classes)
        return Part(row, column, _ids(mask, n_classes), None, None, None, kept)
    mask, confidence, entropy, information = _figures(values, n_classes, sampled)
    return Part(
        row, column, _ids(mask, n_classes), confidence.numpy(), entropy.numpy(),
        information.numpy() if sampled else None, kept,
    )  # fmt: skip


def _ids(mask: tf.Tensor, n_classes: int) -> np.ndarray:
    return mask.numpy().astype(mask_dtype(n_classes))


_PIXELS = tf.TensorSpec((None, None, None), tf.float32)


@tf.function(jit_compile=False, reduce_retracing=True)
def _classes(values: tf.Tensor, n_classes: int) -> tf.Tensor:
    return tf.argmax(values[..., :n_classes], axis=-1, output_type=tf.int32)


@tf.function(jit_compile=False, reduce_retracing=True)
def _figures(values: tf.Tensor, n_classes: int, sampled: bool) -> tuple[tf.Tensor, ...]:
    probabilities = values[..., :n_classes]
    logarithms = tf.math.log(tf.maximum(probabilities, _SMALLEST))
    entropy = tf.maximum(-tf.reduce_sum(probabilities * logarithms, axis=-1), 0.0)
    # By the concavity of the entropy it is no less than the mean one, up to rounding and
    # interpolation.
    information = tf.maximum(entropy - values[..., n_classes], 0.0) if sampled else entropy
    mask = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    return mask, tf.reduce_max(probabilities, axis=-1), entropy, information


def enlarge(
    bands: Iterable[Band], n_classes: int, source: tuple[int, int], size: tuple[int, int]
) -> Iterator[Band]:
    """Brings bands to a picture's size, bilinearly, pixel middles on pixel middles.

    What is interpolated is logarithms of probabilities: these are the logits up to a number for
    each pixel, which takes part in no comparison.

    Args:
        bands: From the top, together all rows.
        n_classes: int.
        source: ``(height, width)`` that the bands make up.
        size: ``(height, width)`` of the picture.

    Yields:
        Band. Probabilities, float32 ``(rows, size[1], channels)``, from the top.
    """
    places = np.clip((np.arange(size[0]) + 0.5) * source[0] / size[0] - 0.5, 0, source[0] - 1)
    upper = np.floor(places).astype(np.int64)
    lower = np.minimum(upper + 1, source[0] - 1)
    share = (places - upper).astype(np.float32)[:, np.newaxis, np.newaxis]
    done = first = 0
    held: Any = None
    for band in bands:
        held = band.values if held is None else tf.concat([held, band.values], axis=0)
        ready = int(np.searchsorted(lower, band.row + band.values.shape[0] - 1, side="right"))
        most = max(1, _BYTES_AT_ONCE // (4 * size[1] * held.shape[-1]))
        for start in range(done, ready, most):
            rows = slice(start, min(start + most, ready))
            values = _enlarged(
                held, upper[rows] - first, lower[rows] - first, share[rows], size[1], n_classes
            )
            yield Band(start, values)
        done = ready
        if done < size[0]:
            # The next rows lie between this one and those to come.
            held, first = held[upper[done] - first :], int(upper[done])


@tf.function(jit_compile=False, reduce_retracing=True)
def _enlarged(
    values: tf.Tensor,
    upper: tf.Tensor,
    lower: tf.Tensor,
    share: tf.Tensor,
    width: tf.Tensor,
    n_classes: int,
) -> tf.Tensor:
    above, below = tf.gather(values, upper), tf.gather(values, lower)
    rows = above + (below - above) * share
    wide = tf.image.resize(rows, (tf.shape(rows)[0], width))
    probabilities = tf.nn.softmax(wide[..., :n_classes])
    return tf.concat([probabilities, wide[..., n_classes:]], axis=-1)
