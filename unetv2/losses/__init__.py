"""Losses that Keras lacks: sparse masks against logits, with weights, overlap and boundaries.

All of them take masks of integer ids ``(batch, height, width, 1)`` or ``(batch, height, width)``
and logits ``(batch, height, width, n_classes)`` of any precision, and compute in float32.
"""

from unetv2.losses.compound import CrossEntropyDice, Sum
from unetv2.losses.cross_entropy import CrossEntropy, FocalCrossEntropy
from unetv2.losses.region import Boundary, Dice, LovaszSoftmax, Tversky

__all__ = [
    "Boundary",
    "CrossEntropy",
    "CrossEntropyDice",
    "Dice",
    "FocalCrossEntropy",
    "LovaszSoftmax",
    "Sum",
    "Tversky",
]
