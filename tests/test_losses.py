"""Losses: the formulas of the papers, gradients, and Keras's own losses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import LOSSES, N_CLASSES, VOID, batch, every_loss, make, value_and_gradient

from unetv2.losses import (
    Boundary,
    CrossEntropy,
    CrossEntropyDice,
    Dice,
    FocalCrossEntropy,
    LovaszSoftmax,
    Tversky,
)

# The formulas of the papers in float64, on the labeled pixels.


def probabilities(logits):
    exponentials = np.exp(logits.astype("float64") - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def expected_mean(truth, logits, gamma=0.0, class_weights=None, label_smoothing=0.0):
    counted = truth != VOID
    p, y = probabilities(logits)[counted], truth[counted]
    weights = np.ones(N_CLASSES) if class_weights is None else np.array(class_weights)
    true = p[np.arange(len(y)), y]
    costs = (1 - true) ** gamma * -np.log(true)
    costs = (1 - label_smoothing) * costs + label_smoothing * -np.log(p).mean(-1)
    return (weights[y] * costs).sum() / weights[y].sum()


def expected_average(cost, truth, logits, average="batch", class_weights=None):
    """Averages losses over classes and groups; NaN is excluded."""
    weights = np.ones(N_CLASSES) if class_weights is None else np.array(class_weights)
    p = probabilities(logits)
    groups = [slice(None)]
    if average == "image":
        groups = [slice(number, number + 1) for number in range(len(truth))]
    means = []
    for group in groups:
        costs = np.array([cost(truth[group], p[group], c) for c in range(N_CLASSES)])
        there = ~np.isnan(costs) & (weights > 0)
        if there.any():
            means.append((weights * costs)[there].sum() / weights[there].sum())
    return np.mean(means)


def tversky_cost(alpha, beta):
    def cost(truth, p, c):
        if not (truth == c).any():
            return np.nan
        inside = p[truth == c][:, c]
        outside = p[(truth != c) & (truth != VOID)][:, c]
        hits = inside.sum()
        return 1 - hits / (hits + alpha * outside.sum() + beta * (1 - inside).sum())

    return cost


def squared_dice_cost(truth, p, c):
    counted = truth != VOID
    true, score = (truth[counted] == c).astype("float64"), p[counted][:, c]
    if not true.any():
        return np.nan
    # Milletari et al., 2016, equation 5.1.
    return 1 - 2 * (score * true).sum() / ((score**2).sum() + (true**2).sum())


def lovasz_cost(truth, p, c):
    counted = truth != VOID
    true, score = truth[counted] == c, p[counted][:, c]
    if not true.any():
        return np.nan
    errors = np.abs(true - score)
    wrong = np.zeros(len(true), bool)
    cost, before = 0.0, 0.0
    for pixel in np.argsort(-errors):
        wrong[pixel] = True
        jaccard = 1 - (true & ~wrong).sum() / (true | wrong).sum()
        cost += errors[pixel] * (jaccard - before)
        before = jaccard
    return cost


def boundary_cost(distance):
    def window(values, image, row, column, reach):
        rows = slice(max(row - reach, 0), row + reach + 1)
        return values[image, rows, max(column - reach, 0) : column + reach + 1]

    def boundary(area, counted):
        result = np.zeros(area.shape)
        for pixel in zip(*np.nonzero(counted), strict=True):
            around = window(area, *pixel, 1)[window(counted, *pixel, 1)]
            result[pixel] = area[pixel] - around.min()
        return result

    def share(part, whole):
        """The share of ``part`` that is near ``whole``."""
        near = np.zeros(whole.shape)
        for pixel in np.ndindex(whole.shape):
            near[pixel] = window(whole, *pixel, distance).max()
        return (part * near).sum() / part.sum()

    def cost(truth, p, c):
        counted = truth != VOID
        true = boundary((truth == c).astype("float64"), counted)
        predicted = boundary(p[..., c], counted)
        if not true.any():
            return np.nan
        precision, recall = share(predicted, true), share(true, predicted)
        return 1 - 2 * precision * recall / (precision + recall)

    return cost


def expected(name, truth, logits):
    kind, arguments = LOSSES[name]
    arguments = dict(arguments)
    if kind is CrossEntropy:
        return expected_mean(truth, logits, **arguments)
    if kind is FocalCrossEntropy:
        return expected_mean(truth, logits, **{"gamma": 2.0, **arguments})
    if kind is CrossEntropyDice:
        entropy = expected_mean(truth, logits, class_weights=arguments.get("class_weights"))
        cost = squared_dice_cost if arguments.get("squared") else tversky_cost(0.5, 0.5)
        dice = expected_average(cost, truth, logits)
        return entropy + arguments.get("dice_weight", 1.0) * dice
    if kind is LovaszSoftmax:
        cost = lovasz_cost
    elif kind is Boundary:
        cost = boundary_cost(arguments.pop("distance", 2))
    elif arguments.pop("squared", False):
        cost = squared_dice_cost
    else:
        cost = tversky_cost(arguments.pop("alpha", 0.5), arguments.pop("beta", 0.5))
    return expected_average(cost, truth, logits, **arguments)


@every_loss
@settings(max_examples=8)
@given(seed=st.integers(0, 99), ignored=st.sampled_from([0.0, 0.2, 0.7]))
def test_losses_equal_the_formulas_of_the_papers(name, seed, ignored):
    truth, logits = batch(seed, ignored)
    loss = make(name)
    value = float(loss(truth, logits))
    assert value == pytest.approx(expected(name, truth, logits), rel=2e-6, abs=1e-6)
    assert value >= 0
    assert float(loss(truth[..., None], logits)) == value


@every_loss
def test_gradients_equal_finite_differences(name):
    truth, logits = batch(3)
    logits = logits.astype("float64")
    loss = make(name, dtype="float64")
    value, gradient = value_and_gradient(loss, truth, logits)
    assert value.dtype == "float64"
    rng = np.random.default_rng(0)
    for _ in range(4):
        step = 1e-6 * rng.normal(size=logits.shape)
        slope = float(loss(truth, logits + step) - loss(truth, logits - step)) / 2
        assert slope == pytest.approx((gradient * step).sum(), rel=1e-4)


@given(seed=st.integers(0, 99), ignored=st.sampled_from([0.0, 0.3, 0.9]))
def test_unweighted_cross_entropy_equals_that_of_keras(seed, ignored):
    truth, logits = batch(seed, ignored)
    ours = CrossEntropy(ignore_class=VOID)
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
    assert float(ours(truth, logits)) == pytest.approx(float(theirs(truth, logits)), rel=1e-5)
    weights = np.array([0.3, 2.0])
    by_pixel = np.broadcast_to(weights[:, None, None], truth.shape)
    assert float(ours(truth, logits, weights)) == pytest.approx(
        float(theirs(truth, logits, by_pixel)), rel=1e-5
    )


@given(seed=st.integers(0, 99))
def test_smoothed_cross_entropy_equals_that_of_keras(seed):
    truth, logits = batch(seed, ignored=0.0)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    one_hot = np.eye(N_CLASSES, dtype="float32")[truth]
    ours = CrossEntropy(label_smoothing=0.2)(truth, logits)
    assert float(ours) == pytest.approx(float(theirs(one_hot, logits)), rel=1e-5)


def test_overlap_losses_match_values_derived_by_hand():
    # Labels 0 0 1, probabilities of class 0: 0.8 0.4 0.3. Class 0: TP 1.2, FP 0.3, FN 0.8,
    # Dice 2.4 / 3.5; class 1: TP 0.7, FP 0.8, FN 0.3, Dice 1.4 / 2.5. Class 2 is absent.
    first = np.array([0.8, 0.4, 0.3])
    logits = np.log(np.stack([first, 1 - first, np.full(3, 1e-30)], -1))[None, None]
    loss = 1 - (2.4 / 3.5 + 1.4 / 2.5) / 2
    assert float(Dice()(np.array([[[0, 0, 1]]]), logits)) == pytest.approx(loss)
    # False positives only: 1.2 / 1.5 and 0.7 / 1.5, with beta close to 0.
    loss = 1 - (1.2 / 1.5 + 0.7 / 1.5) / 2
    tversky = Tversky(alpha=1, beta=1e-9)
    assert float(tversky(np.array([[[0, 0, 1]]]), logits)) == pytest.approx(loss)
