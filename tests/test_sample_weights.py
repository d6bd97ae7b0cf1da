"""``sample_weight`` of losses: weights of images, and of pixels for cross-entropies."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from loss_cases import N_CLASSES, VOID, batch

import unetv2
from unetv2.losses import Boundary, CrossEntropy, Dice, FocalCrossEntropy, LovaszSoftmax, Sum

WEIGHTS = np.array([2.0, 0.5])


def pixel_costs(truth, logits):
    """Negative log-likelihood of the true class, 0 for ignored pixels."""
    powers = np.exp(logits.astype(np.float64))
    shares = powers / powers.sum(axis=-1, keepdims=True)
    classes = np.where(truth == VOID, 0, truth)
    costs = -np.log(np.take_along_axis(shares, classes[..., np.newaxis], axis=-1)[..., 0])
    return np.where(truth == VOID, 0, costs)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_the_weight_of_an_image_multiplies_the_loss_of_its_pixels(axes):
    truth, logits = batch(0)
    costs, counted = pixel_costs(truth, logits), (truth != VOID).sum()
    # The divisor does not contain the weights: a weight of 2 doubles the loss of a batch of one.
    expected = (WEIGHTS[:, np.newaxis, np.newaxis] * costs).sum() / counted
    weights = WEIGHTS.reshape(-1, *(axes - 1) * [1])
    loss = CrossEntropy(ignore_class=VOID)
    assert float(loss(truth, logits, weights)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(truth[..., None], logits, weights)) == pytest.approx(expected, rel=1e-5)


def test_the_weight_of_a_pixel_multiplies_its_loss_as_in_keras():
    truth, logits = batch(0)
    weights = np.random.default_rng(1).random(truth.shape)
    expected = (weights * pixel_costs(truth, logits)).sum() / (truth != VOID).sum()
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
    for shape in (truth.shape, (*truth.shape, 1)):
        for loss in (CrossEntropy(ignore_class=VOID), FocalCrossEntropy(0, ignore_class=VOID)):
            found = float(loss(truth, logits, weights.reshape(shape)))
            assert found == pytest.approx(expected, rel=1e-5)
            assert found == pytest.approx(float(theirs(truth, logits, weights)), rel=1e-5)


def test_reductions_treat_weights_of_pixels_as_keras_does():
    truth, logits = batch(0, ignored=0.0)
    weights = np.random.default_rng(1).random(truth.shape)
    costs = weights * pixel_costs(truth, logits)
    pixels = truth[0].size
    # An image's value is the mean of its pixels.
    for reduction, expected in {
        None: costs.mean(axis=(1, 2)), "sum": costs.sum() / pixels,
        "mean_with_sample_weight": costs.sum() / weights.sum(),
    }.items():  # fmt: skip
        found = np.asarray(CrossEntropy(reduction=reduction)(truth, logits, weights))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss", [CrossEntropy(), FocalCrossEntropy(), Dice(average="image"), Boundary(average="image"),
             LovaszSoftmax(average="image"), Sum([CrossEntropy(), Dice(average="image")])],
    ids=lambda loss: loss.name,
)  # fmt: skip
def test_the_loss_of_a_batch_is_the_weighted_mean_of_its_images(loss):
    truth, logits = batch(0, ignored=0.0)
    alone = [float(loss(truth[at : at + 1], logits[at : at + 1])) for at in range(2)]
    expected = np.mean(WEIGHTS * alone)
    for weights in (WEIGHTS, WEIGHTS[:, None, None]):
        assert float(loss(truth, logits, weights)) == pytest.approx(expected, rel=1e-5)


# As many images as columns: then Keras's own loss applies weights of images to columns.
def test_fit_and_evaluate_apply_weights_of_images():
    count = 6
    rng = np.random.default_rng(0)
    images = rng.random((count, 4, 6, 3)).astype(np.float32)
    masks = rng.integers(0, N_CLASSES, (count, 4, 6, 1))
    weights = rng.random(count).astype(np.float32)
    model = unetv2.build_unetv2((4, 6, 3), N_CLASSES, filters=2, depth=1, dropout=0.0, seed=0)
    costs = pixel_costs(masks[..., 0], np.asarray(model(images)))
    expected = (weights * costs.mean(axis=(1, 2))).mean()
    options = {"sample_weight": weights, "batch_size": count, "verbose": 0}
    loss = model.evaluate(images, masks, return_dict=True, **options)["loss"]
    assert loss == pytest.approx(expected, rel=1e-4)
    # The loss of the first step is the one before it.
    history = model.fit(images, masks, **options).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)
