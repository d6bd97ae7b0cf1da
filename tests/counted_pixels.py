"""Metrics of pixel counts, and pixels for their tests."""

from __future__ import annotations

import keras
import numpy as np
from hypothesis import strategies as st

from unetv2.metrics import (
    ConfusionMatrix,
    FrequencyWeightedIoU,
    MeanDice,
    MeanIoU,
    SegmentationMetrics,
)

SHARES = [MeanIoU, MeanDice, FrequencyWeightedIoU, SegmentationMetrics]
COUNTING = [ConfusionMatrix, *SHARES]
SEEDS = st.integers(0, 99)
COUNTS = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 9) | st.just(0), min_size=n, max_size=n), min_size=n, max_size=n
    )
)


def batch(seed, n_classes=4, ignored=0.0, ignore_class=255):
    rng = np.random.default_rng(seed)
    y_true = rng.integers(0, n_classes, (2, 5, 6, 1))
    y_true[rng.random(y_true.shape) < ignored] = ignore_class
    return y_true, rng.random((2, 5, 6, n_classes)).astype("float32")


def counted(y_true, scores, n_classes, ignore_class=255):
    """Counts pixel by pixel."""
    counts = np.zeros((n_classes, n_classes))
    for true, predicted in zip(y_true.ravel(), scores.argmax(-1).ravel(), strict=True):
        if true != ignore_class:
            counts[true, predicted] += 1
    return counts


def pixels(counts):
    """Returns y_true and one-hot scores that have these counts."""
    y_true, predicted = np.indices(np.shape(counts)).reshape(2, -1).repeat(np.ravel(counts), axis=1)
    return y_true, np.eye(len(counts), dtype="float32")[predicted]


def numbers(result):
    """Returns the result of a metric as one array."""
    return np.hstack([np.ravel(part) for part in keras.tree.flatten(result)])
