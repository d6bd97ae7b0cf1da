"""Metrics for semantic segmentation, computed from a streamed confusion matrix."""

from unetv2.metrics.keras_metrics import (
    ConfusionMatrix,
    FrequencyWeightedIoU,
    MeanDice,
    MeanIoU,
    PixelAccuracy,
    SegmentationMetrics,
)
from unetv2.metrics.scores import Scores

__all__ = [
    "ConfusionMatrix",
    "FrequencyWeightedIoU",
    "MeanDice",
    "MeanIoU",
    "PixelAccuracy",
    "Scores",
    "SegmentationMetrics",
]
