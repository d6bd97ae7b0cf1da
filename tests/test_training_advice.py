"""Warnings about trainings."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from small_training import N_CLASSES, PLAIN, batches, network, train, unet

import unetv2
from unetv2.training.advice import (
    end_warnings,
    more_time_advice,
    one_class_warnings,
    start_warnings,
    trivial_score,
)
from unetv2.training.checkpoint import TrainingState
from unetv2.training.data import inspect_data

ONE = np.array([[0, 5, 0], [0, 3, 0], [0, 2, 0]])
ALL = np.diag([5, 3, 2])
MODEL = network()
GOOD = np.linspace(0.1, 0.6, 20)


def warnings_at_start(model=None, epochs=1, data=None):
    model = network() if model is None else model
    model.preprocessing = unetv2.Preprocessing()
    model.optimizer = keras.optimizers.SGD()
    return start_warnings(
        model, inspect_data(model, data or batches(batch_size=6), None, PLAIN), epochs=epochs
    )


def warnings_at_end(validation, training=None, on_training=None, trivial=0.05, model=None):
    training = validation if training is None else training
    rows = [
        {"epoch": epoch, "mean_iou": high, "val_mean_iou": low}
        for epoch, (low, high) in enumerate(zip(validation, training, strict=True))
    ]
    best = int(np.argmax(validation))
    state = TrainingState(
        best=validation[best], best_epoch=best, history=rows, trivial_score=trivial
    )
    model = unet(normalization="batch") if model is None else model
    return end_warnings(
        state, model, lambda: training[best] if on_training is None else on_training
    )


def test_too_few_steps_are_warned_about():
    (warning,) = warnings_at_start(epochs=199)
    assert "199 steps (199 epochs of 1). Pass epochs=500" in warning
    assert not warnings_at_start(epochs=200)


def test_few_more_steps_of_a_trained_model_are_not_warned_about(tmp_path):
    model = network()
    assert len(train(tmp_path / "a", model, epochs=1, validation=None).warnings) == 2
    again = train(tmp_path / "b", model, epochs=1, validation=None)
    assert [warning for warning in again.warnings if "steps" in warning] == []
    image = keras.Input((16, 24, 3))
    layer = keras.layers.Conv2D(N_CLASSES, 1)
    model = unetv2.SegmentationModel(
        image, layer(image), preprocessing=unetv2.Preprocessing(crop_size=(16, 24))
    )
    assert not start_warnings(model, inspect_data(model, batches(), None, PLAIN), epochs=1)


@pytest.mark.parametrize(
    ("normalization", "batch_size", "warned"),
    [("batch", 1, True), ("batch", 3, True), ("batch", 4, False), ("group", 1, False)],
)
def test_batch_normalization_of_tiny_batches_is_warned_about(normalization, batch_size, warned):
    model = unet(normalization=normalization)
    found = warnings_at_start(model, epochs=200, data=batches(batch_size=batch_size))
    assert len(found) == warned
    assert all("normalization='group'" in warning for warning in found)


def test_frozen_batch_normalization_is_not_warned_about():
    model = unet(normalization="batch")
    model.trainable = False
    assert not warnings_at_start(model, epochs=200, data=batches(batch_size=1))


def test_unknown_preprocessing_is_warned_about(tmp_path, caplog):
    training = train(tmp_path, epochs=1, validation=None)
    told = [warning for warning in training.warnings if "`model.preprocessing" in warning]
    assert len(told) == 1
    assert caplog.text.count(told[0]) == 1


def epochs_warned_of(*confusions):
    state, last = TrainingState(), len(confusions) - 1
    epochs = []
    for epoch, counts in enumerate(confusions):
        found = one_class_warnings(state, MODEL, counts, epoch, is_last=epoch == last)
        state.warnings += found
        epochs += [epoch] * len(found)
    return epochs


@pytest.mark.parametrize(
    ("confusions", "epochs"),
    [
        # An untrained model needs a few epochs.
        ([ONE, ONE, ALL, ALL], []),
        ([ONE, ONE, ONE, ONE, ONE, ONE, ONE], [4, 6]),
        ([ONE, ONE, ONE, ONE, ONE, ONE, ALL], [4]),
        ([ONE, ONE], [1]),
        # A collapse is one at once, and is said once.
        ([ALL, ONE, ONE, ALL, ONE], [1, 4]),
        ([ALL, ONE, ALL, ONE, ALL], [1]),
        ([ALL, ALL], []),
    ],
)
def test_one_class_warnings_come_after_the_warm_up_or_at_the_end(confusions, epochs):
    assert epochs_warned_of(*confusions) == epochs


def test_masks_of_one_class_are_not_warned_about():
    assert epochs_warned_of(np.diag([0, 5, 0])) == []


def test_a_good_training_has_no_warnings():
    assert warnings_at_end(GOOD) == []
    # As trainings of few images are, without being wrong.
    assert warnings_at_end(GOOD * 0.6, GOOD) == []
    noisy = GOOD + np.where(np.arange(20) % 2, 0.02, 0)
    assert warnings_at_end(noisy) == []


def test_a_model_that_predicts_differently_in_training_is_warned_about():
    (warning,) = warnings_at_end(GOOD * 0.4, GOOD, on_training=0.3)
    assert "normalization='group'" in warning
    assert "0.240 in validation and 0.600 in training, but 0.300" in warning
    # Without batch normalization nothing does.
    assert warnings_at_end(GOOD * 0.6, GOOD, on_training=0.3, model=unet()) == []


def test_validation_far_below_training_is_warned_about():
    (warning,) = warnings_at_end(GOOD * 0.4, GOOD)
    assert "0.240 in validation and 0.600 in training" in warning


def test_an_early_best_epoch_is_warned_about():
    falling = np.concatenate([GOOD[:10], GOOD[:10][::-1]])
    (warning,) = warnings_at_end(falling)
    assert "The best epoch was 10 of 20" in warning
    assert warnings_at_end(falling[:9]) == []


def test_a_trivial_score_is_warned_about():
    (warning,) = warnings_at_end(np.full(12, 0.46), trivial=0.459)
    assert "0.460 in validation, compared with 0.459" in warning


def test_the_trivial_score_is_that_of_the_most_frequent_class():
    # Half of the pixels, and nothing of two more classes.
    assert trivial_score(ALL) == pytest.approx(0.5 / 3)


def test_a_training_without_validation_has_no_warnings_at_its_end():
    assert end_warnings(TrainingState(best_epoch=3), network(), lambda: 0.0) == []


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.45], "rose by 0.100 .* would probably improve the model."),
        ([0.1, 0.2, 0.3, 0.4, 0.4, 0.403], "rose by 0.003 .* would probably .* little."),
        ([0.1, 0.5, 0.3, 0.4, 0.4, 0.4], "rose by 0.000 .* would probably .* little."),
    ],
)
def test_a_longer_training_is_advised_if_the_score_still_rises(scores, words):
    history = [{"epoch": epoch, "val_mean_iou": score} for epoch, score in enumerate(scores)]
    (advice,) = more_time_advice(history, epochs=None, minutes=2.5)
    assert re.search(words, advice)
    assert "Twice the time (minutes=5)" in advice
    (advice,) = more_time_advice(history, epochs=6, minutes=None)
    assert "Twice the epochs (epochs=12)" in advice


def test_no_longer_training_is_advised_without_a_trend():
    between = [0.1, 0.2, 0.3, 0.4, 0.41, 0.41]
    for scores in ([], [0.1, 0.5], between):
        history = [{"epoch": epoch, "val_mean_iou": score} for epoch, score in enumerate(scores)]
        assert not more_time_advice(history, epochs=6, minutes=None)
    assert not more_time_advice([{"epoch": 0, "loss": 1.0}] * 9, epochs=9, minutes=None)
