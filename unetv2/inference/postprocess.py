"""From what is known of each pixel to its class, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# Of the values that are enlarged at once.
_BYTES_AT_ONCE = 2**26


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
    """A part of an image, predicted.

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
    """Rows of an image at the network's scale, over all of its width.

    Attributes:
        row: int. The first one.
        values: float32 ``(rows, width, channels)``: logits, and the mean entropy of the passes if
            there is one.
    """

    row: int
    values: Any


def mask_dtype(n_classes: int) -> np.dtype[Any]:
    """Returns the smallest unsigned dtype that holds all ids."""
    return np.min_scalar_type(n_classes - 1)


def part_of(
    row: int, column: int, values: Any, n_classes: int, wanted: Wanted, *, logarithms: bool
) -> Part:
    """Returns what is wanted of a part.

    Args:
        row: int. The part's first row.
        column: int. Its first column.
        values: float32 ``(height, width, channels)``: probabilities or logits, and the mean
            entropy of the passes if there is one.
        n_classes: int.
        wanted: What is.
        logarithms: bool. Whether these are logits.

    Returns:
        Part.
    """
    kept = confidence = entropy = information = None
    sampled = values.shape[-1] > n_classes
    scores = values[..., :n_classes] if sampled else values
    if wanted.uncertainty:
        mask, *figures = _figures(scores, logarithms)
        if sampled:
            # By the concavity of the entropy it is no less than the mean one, up to rounding and
            # interpolation.
            information = np.maximum(figures[1] - values[..., n_classes], 0)
        confidence, entropy = (figure.numpy() for figure in figures)
    else:
        mask = _most_probable(scores)
    if wanted.probabilities:
        kept = np.asarray(tf.nn.softmax(scores) if logarithms else scores)
    ids = mask.numpy().astype(mask_dtype(n_classes))
    return Part(row, column, ids, confidence, entropy, information, kept)


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _most_probable(scores: tf.Tensor) -> tf.Tensor:
    # The first among equals, as `argmax`, in half its time.
    return tf.math.top_k(scores, 1).indices[..., 0]


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _figures(scores: tf.Tensor, logarithms: bool) -> tuple[tf.Tensor, ...]:
    """Returns classes, confidence and entropy."""
    highest, classes = tf.math.top_k(scores, 1)
    if not logarithms:
        entropy = -tf.reduce_sum(tf.math.xlogy(scores, scores), axis=-1)
        return classes[..., 0], highest[..., 0], tf.maximum(entropy, 0.0)
    # With z the scores less the highest: p = exp(z) / sum, and -sum(p log p) by that.
    lower = scores - highest
    exponentials = tf.exp(lower)
    total = tf.reduce_sum(exponentials, axis=-1)
    entropy = tf.math.log(total) - tf.reduce_sum(exponentials * lower, axis=-1) / total
    return classes[..., 0], 1 / total, tf.maximum(entropy, 0.0)


def enlarge(
    bands: Iterable[Band], source: tuple[int, int], size: tuple[int, int]
) -> Iterator[Band]:
    """Brings bands to an image's size, bilinearly, pixel middles on pixel middles.

    What is interpolated is logits. A number added to all of a pixel, which makes logarithms of
    probabilities of them, would change nothing.

    Args:
        bands: From the top, together all rows.
        source: ``(height, width)`` that the bands make up.
        size: ``(height, width)`` of the image.

    Yields:
        Band. As those given, float32 ``(rows, size[1], channels)``, from the top.
    """
    places = np.clip((np.arange(size[0]) + 0.5) * source[0] / size[0] - 0.5, 0, source[0] - 1)
    upper = np.floor(places).astype(np.int64)
    lower = np.minimum(upper + 1, source[0] - 1)
    share = (places - upper).astype(np.float32)[:, np.newaxis, np.newaxis]
    done = first = 0
    held: Any = None
    for band in bands:
        held = band.values if held is None else tf.concat([held, band.values], axis=0)
        end = band.row + band.values.shape[0]
        ready = int(np.searchsorted(lower, end - 1, side="right"))
        most = max(1, _BYTES_AT_ONCE // (4 * size[1] * held.shape[-1]))
        for start in range(done, ready, most):
            rows = slice(start, min(start + most, ready))
            values = _enlarged(
                held, upper[rows] - first, lower[rows] - first, share[rows], tf.constant(size[1])
            )
            yield Band(start, values)
        done = ready
        if done < size[0]:
            # The next rows lie between this one and those to come; where it shrinks, beyond.
            needed = min(int(upper[done]), end)
            held, first = held[needed - first :], needed


@tf.function(autograph=False, jit_compile=False, reduce_retracing=True)
def _enlarged(
    values: tf.Tensor, upper: tf.Tensor, lower: tf.Tensor, share: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    above, below = tf.gather(values, upper), tf.gather(values, lower)
    rows = above + (below - above) * share
    return tf.image.resize(rows, (tf.shape(rows)[0], width))
