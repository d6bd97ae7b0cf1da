"""Arguments of losses."""

from __future__ import annotations

import re

import numpy as np
import pytest
from loss_cases import VOID, batch

from unetv2.losses import (
    Boundary,
    CrossEntropy,
    CrossEntropyDice,
    Dice,
    FocalCrossEntropy,
    LovaszSoftmax,
    Sum,
    Tversky,
)


def test_arguments_of_the_caller_are_not_modified():
    weights, parts = np.array([1, 2]), [CrossEntropy()]
    loss, total = CrossEntropy(class_weights=weights), Sum(parts)
    loss.class_weights.append(3.0)
    total.losses.append(Dice())
    assert len(weights) == 2
    assert len(parts) == 1


WEIGHTS_RULE = (
    "`class_weights` must be non-negative finite numbers, at least one of them positive. "
)
LOSSES_RULE = "`losses` must be a sequence of one or more keras.losses.Loss. Received: losses="
NUMBER = "must be a non-negative finite number. Received: "


@pytest.mark.parametrize(
    ("make_loss", "error", "message"),
    [
        (
            lambda: CrossEntropy(class_weights=[1, -1]),
            ValueError,
            WEIGHTS_RULE + "Received: class_weights=[1, -1]. Pass one number for each class",
        ),
        (lambda: CrossEntropy(class_weights=[0, 0]), ValueError, WEIGHTS_RULE),
        (lambda: Dice(class_weights=[1, np.inf]), ValueError, WEIGHTS_RULE),
        (lambda: Dice(class_weights=[]), ValueError, WEIGHTS_RULE),
        (lambda: CrossEntropy(class_weights={0: 1.0}), TypeError, WEIGHTS_RULE),
        (lambda: CrossEntropy(class_weights=["1", "2"]), TypeError, WEIGHTS_RULE),
        (lambda: CrossEntropy(class_weights=3), TypeError, WEIGHTS_RULE),
        (
            lambda: CrossEntropy(label_smoothing=1.0),
            ValueError,
            "`label_smoothing` must be a number in [0, 1). Received: label_smoothing=1.0.",
        ),
        (lambda: Dice(ignore_class="void"), TypeError, "`ignore_class` must be an integer or None"),
        (
            lambda: CrossEntropy(dtype="float16"),
            ValueError,
            "`dtype` must be 'float32' or 'float64'. Received: dtype='float16'.",
        ),
        (lambda: FocalCrossEntropy(-1), ValueError, f"`gamma` {NUMBER}gamma=-1. "),
        (lambda: FocalCrossEntropy("2"), TypeError, f"`gamma` {NUMBER}gamma='2'. "),
        (lambda: Tversky(alpha=np.nan), ValueError, f"`alpha` {NUMBER}alpha=nan. "),
        (
            lambda: Tversky(beta=0),
            ValueError,
            "`beta` must be a positive finite number. Received: beta=0. It is the weight of false",
        ),
        (lambda: Dice(average="all"), ValueError, "`average` must be one of 'batch', 'image'."),
        (lambda: Boundary(-1), ValueError, "`distance` must be a non-negative integer. Received"),
        (lambda: Boundary(1.5), TypeError, "`distance` must be a non-negative integer. Received"),
        (lambda: Sum([]), ValueError, LOSSES_RULE + "[]. Pass instances"),
        (lambda: Sum(["mse"]), TypeError, LOSSES_RULE + "['mse']. Pass instances"),
        (
            lambda: Sum([Dice()], [1, 2]),
            ValueError,
            "`weights` must be one number for each loss. Received: weights=[1, 2]. Pass 1 of them",
        ),
        (lambda: Sum([Dice()], [-1]), ValueError, f"`weights` {NUMBER}weights=-1. Pass 1 of them"),
        (lambda: CrossEntropyDice(dice_weight=-1), ValueError, f"`dice_weight` {NUMBER}"),
        (
            lambda: Dice(squared=0.5),
            ValueError,
            "`squared` must be one of True, False. Received: squared=0.5.",
        ),
    ],
)
def test_arguments_are_checked(make_loss, error, message):
    with pytest.raises(error) as caught:
        make_loss()
    assert message in str(caught.value)


MASKS_RULE = (
    "`y_true` must be masks of the logits' size, (batch, height, width, 1) or "
    "(batch, height, width). Received: y_true of shape "
)
LOGITS_RULE = "`y_pred` must be logits (batch, height, width, n_classes) of at least 2 classes. "


@pytest.mark.parametrize(
    ("mask", "logits", "message"),
    [
        ((2, 5, 6, 3), (2, 5, 6, 3), MASKS_RULE + "(2, 5, 6, 3) for y_pred of shape (2, 5, 6, 3)."),
        ((2, 6, 5, 1), (2, 5, 6, 3), MASKS_RULE + "(2, 6, 5, 1) for y_pred of shape (2, 5, 6, 3)."),
        ((1, 5, 6), (2, 5, 6, 3), MASKS_RULE),
        ((5, 6), (2, 5, 6, 3), MASKS_RULE),
        ((2, 5), (2, 5, 3), LOGITS_RULE + "Received: y_true of shape (2, 5) for y_pred of shape"),
        ((2, 5, 6), (2, 5, 6, 1), LOGITS_RULE),
        (
            (2, 5, 6),
            (2, 5, 6, 4),
            "`class_weights` must be one number for each class. Received: 3 class_weights for "
            "y_pred of shape (2, 5, 6, 4). Pass 4 of them",
        ),
    ],
)
def test_shapes_are_checked(mask, logits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CrossEntropy(class_weights=[1, 2, 3])(np.zeros(mask, int), np.zeros(logits))


# Only cross-entropies have a loss for each pixel, and thus weights of pixels.
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        *((CrossEntropy, shape) for shape in [(2, 6, 8), (3,), (2, 2), (), (2, 6, 7, 3)]),
        *((Dice, shape) for shape in [(2, 6, 7), (2, 6, 7, 1), (3, 1), ()]),
    ],
)
def test_sample_weights_of_other_shapes_raise(kind, shape):
    with pytest.raises(
        ValueError, match=r"`sample_weight` must be .* Received: sample_weight of shape"
    ):
        kind(ignore_class=VOID)(*batch(0), np.ones(shape))


def test_a_sum_of_different_shapes_raises():
    total = Sum([CrossEntropy(ignore_class=VOID), Dice(ignore_class=VOID, reduction=None)])
    with pytest.raises(
        ValueError, match=r"`losses` must return values of one shape. .* \(\), \(2,\)"
    ):
        total(*batch(0))


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (CrossEntropy, "average"),
        (CrossEntropyDice, "alpha"),
        (Dice, "alpha"),
        (Boundary, "class_weights"),
        (LovaszSoftmax, "class_weights"),
    ],
)
def test_options_of_other_losses_raise(kind, option):
    with pytest.raises(TypeError, match=option):
        kind(**{option: [1.0, 2.0]})
