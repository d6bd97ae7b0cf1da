"""Losses for masks of class ids and logits: cross-entropy, region and boundary losses.

All of them take masks of integer ids ``(batch, height, width, 1)`` or ``(batch, height, width)``
and logits ``(batch, height, width, n_classes)`` of any precision. They compute and return float32,
or float64 with ``dtype="float64"``. ``reduction`` applies to one value per image, whose mean is the
loss of the batch. A batch without labeled pixels has the loss 0. An id that is neither a class nor
``ignore_class`` makes the loss NaN, so that invalid masks are noticed.
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
