"""Properties of single losses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from loss_cases import N_CLASSES, VOID, WEIGHTS, batch, make, value_and_gradient

from unetv2.losses import (
    Boundary,
    CrossEntropy,
    Dice,
    FocalCrossEntropy,
    LovaszSoftmax,
    Sum,
    Tversky,
)
from unetv2.metrics import MeanDice


@pytest.mark.parametrize("name", ["tversky", "dice", "dice, squared", "lovasz", "boundary"])
def test_an_image_of_weight_two_counts_as_two_copies(name):
    truth, logits = batch(11)
    twice = make(name)(truth[[0, 0, 1]], logits[[0, 0, 1]])
    weighted = make(name)(truth, logits, sample_weight=[2.0, 1.0])
    # Keras's reduction multiplies by the mean weight.
    assert float(weighted) == pytest.approx(1.5 * float(twice), rel=1e-5)


@pytest.mark.parametrize("gamma", [0, 0.1, 0.5, 1, 2])
def test_focal_cross_entropy_has_a_finite_gradient_for_certain_predictions(gamma):
    truth, logits = batch(0, ignored=0.0)
    certain = 100 * np.eye(N_CLASSES, dtype="float32")[truth]
    value, gradient = value_and_gradient(FocalCrossEntropy(gamma), truth, certain)
    assert value == 0
    assert not gradient.any()
    plain, focal = CrossEntropy(), FocalCrossEntropy(0)
    np.testing.assert_allclose(
        value_and_gradient(focal, truth, logits)[1], value_and_gradient(plain, truth, logits)[1]
    )


def test_a_common_scale_of_the_class_weights_cancels_out():
    truth, logits = batch(0)
    for kind in (CrossEntropy, FocalCrossEntropy, Tversky, Dice):
        one, other = (
            kind(class_weights=weights, ignore_class=VOID)
            for weights in (WEIGHTS, 10 * np.array(WEIGHTS))
        )
        assert float(one(truth, logits)) == pytest.approx(float(other(truth, logits)), rel=1e-6)


@pytest.mark.parametrize("average", ["batch", "image"])
def test_false_positives_of_an_absent_class_increase_the_loss(average):
    truth = np.array([[[0, 0, 0, 1, 1, 1]]])
    wrong = np.array([[[0, 2, 0, 1, 1, 1]]])
    for kind in (Tversky, Dice, LovaszSoftmax, Boundary):
        loss = kind(average=average, **({"distance": 0} if kind is Boundary else {}))
        assert float(loss(truth, 50 * np.eye(3)[wrong])) > 0.1


def test_lovasz_is_one_minus_the_mean_iou_of_certain_predictions():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, N_CLASSES, (2, 3, 9, 11))
    metric = keras.metrics.MeanIoU(N_CLASSES)
    metric.update_state(truth, predicted)
    loss = LovaszSoftmax()(truth, 1e3 * np.eye(N_CLASSES)[predicted])
    assert float(loss) == pytest.approx(1 - float(metric.result()), rel=1e-5)


def test_lovasz_is_precise_for_many_pixels():
    truth, logits = batch(0, shape=(1, 256, 256))
    gradients = [
        value_and_gradient(LovaszSoftmax(ignore_class=VOID, dtype=dtype), truth, logits)[1]
        for dtype in ("float32", "float64")
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-9)


def test_the_image_border_is_no_boundary():
    truth = np.zeros((1, 5, 5), int)
    truth[:, :, 3:] = 1
    certain = 50 * np.eye(2)[truth]
    # Uniform masks: no boundary in the labels, in the prediction, or in both.
    assert float(Boundary(0)(np.zeros((1, 5, 5), int), certain)) == 0
    assert float(Boundary(0)(truth, 50 * np.eye(2)[np.zeros((1, 5, 5), int)])) == 1
    assert float(Boundary(0)(truth, certain)) < 1e-6


def test_ignored_pixels_are_no_boundary():
    truth = np.array([[[0, 0, VOID, 1, 1]]])
    logits = np.random.default_rng(0).normal(size=(1, 1, 5, 2))
    assert float(Boundary(0, ignore_class=VOID)(truth, logits)) == 0


@pytest.mark.parametrize("distance", [0, 1, 2, 3])
def test_a_boundary_may_be_off_by_its_distance(distance):
    truth, predicted = np.zeros((2, 1, 9, 20), int)
    truth[:, :, 8:] = predicted[:, :, 10:] = 1
    loss = float(Boundary(distance)(truth, 50 * np.eye(2)[predicted]))
    # Shifted by two columns. If the border were part of the boundary, it would match.
    assert loss == pytest.approx({0: 1.0, 1: 1.0}.get(distance, 0.0), abs=1e-6)


def test_a_sum_is_the_weighted_sum():
    truth, logits = batch(0)
    parts = [
        CrossEntropy(ignore_class=VOID),
        Dice(ignore_class=VOID),
        LovaszSoftmax(ignore_class=VOID),
    ]
    values = [float(part(truth, logits, np.array([1.0, 2.0]))) for part in parts]
    total = Sum(parts, (1, 0.5, 2))(truth, logits, np.array([1.0, 2.0]))
    assert float(total) == pytest.approx(values[0] + 0.5 * values[1] + 2 * values[2])
    assert float(Sum(parts)(truth, logits)) == pytest.approx(
        sum(float(part(truth, logits)) for part in parts)
    )


def test_both_forms_of_dice_are_equal_for_certain_predictions():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, N_CLASSES, (2, 3, 9, 11))
    metric = MeanDice(N_CLASSES)
    logits = 1e3 * np.eye(N_CLASSES)[predicted]
    metric.update_state(truth, logits)
    for squared in (False, True):
        loss = float(Dice(squared=squared)(truth, logits))
        assert loss == pytest.approx(1 - float(metric.result()), rel=1e-5)


def test_linear_dice_equals_that_of_keras():
    # Keras's loss takes one-hot labels and probabilities, and adds a small number to both sums.
    truth, logits = batch(5, ignored=0.0)
    scores = np.asarray(keras.ops.softmax(logits))
    theirs = keras.losses.Dice(axis=(0, 1, 2))(np.eye(N_CLASSES)[truth], scores)
    assert float(Dice()(truth, logits)) == pytest.approx(float(theirs), rel=1e-5)


def test_class_weights_of_the_focal_loss_equal_alpha_of_the_paper():
    """Lin et al., 2017, equations 4 and 5, divided by the mean of alpha over the pixels."""
    rng = np.random.default_rng(0)
    truth, logits = rng.integers(0, 2, (2, 5, 6)), rng.normal(size=(2, 5, 6, 2))
    alpha, gamma = 0.25, 2.0
    # For two classes, the softmax is the sigmoid of the difference.
    foreground = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    p_t = np.where(truth == 1, foreground, 1 - foreground)
    alpha_t = np.where(truth == 1, alpha, 1 - alpha)
    paper = -alpha_t * (1 - p_t) ** gamma * np.log(p_t)
    loss = FocalCrossEntropy(gamma, class_weights=[1 - alpha, alpha])(truth, logits)
    assert float(loss) == pytest.approx(paper.mean() / alpha_t.mean(), rel=1e-5)
    theirs = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=alpha, gamma=gamma
    )
    kerass = float(theirs(truth[..., None], foreground[..., None]))
    assert float(loss) * alpha_t.mean() == pytest.approx(kerass, rel=1e-5)
