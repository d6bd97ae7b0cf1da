"""Metrics that Keras lacks: one streamed confusion matrix, and the figures that follow."""

from unetv2.metrics.confusion_matrix import ConfusionMatrix, Scores
from unetv2.metrics.keras_metrics import (
    FrequencyWeightedIoU,
    MeanDice,
    MeanIoU,
    PixelAccuracy,
    SegmentationMetrics,
)

__all__ = [
    "ConfusionMatrix",
    "FrequencyWeightedIoU",
    "MeanDice",
    "MeanIoU",
    "PixelAccuracy",
    "Scores",
    "SegmentationMetrics",
]
