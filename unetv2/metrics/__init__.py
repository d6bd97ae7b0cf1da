"""Metrics that Keras lacks: one streamed confusion matrix, and the figures that follow."""

from unetv2.metrics.accuracy import PixelAccuracy
from unetv2.metrics.confusion import ConfusionMatrix
from unetv2.metrics.scores import Scores
from unetv2.metrics.streaming import (
    FrequencyWeightedIoU,
    MeanDice,
    MeanIoU,
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
