"""Counts and scores of the Keras metrics."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from counted_pixels import COUNTING, COUNTS, SEEDS, batch, counted, numbers, pixels
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from unetv2.metrics import (
    ConfusionMatrix,
    FrequencyWeightedIoU,
    MeanDice,
    MeanIoU,
    PixelAccuracy,
    Scores,
    SegmentationMetrics,
)
from unetv2.metrics.keras_metrics import NO_CLASS, most_probable


def test_a_golden_example():
    # Labels 0 0 1 1, predicted 0 1 1 1: class 0 has 1 of {0, 1}, class 1 has 2 of {1, 2, 3};
    # class 2 is absent. IoU 1/2, 2/3, NaN; their mean is 7/12, and so is the mean weighted by
    # 2/4, 2/4. Dice 2/3, 4/5; mean 11/15. Precision 1/1, 2/3. Recall 1/2, 2/2; mean 3/4.
    y_true, scores = np.array([0, 0, 1, 1]), np.eye(3, dtype="float32")[[0, 1, 1, 1]]
    confusion = ConfusionMatrix(3)
    confusion.update_state(y_true, scores)
    np.testing.assert_array_equal(confusion.result(), [[1, 1, 0], [0, 2, 0], [0, 0, 0]])
    found = confusion.scores()
    np.testing.assert_allclose(found.iou_per_class, [1 / 2, 2 / 3, np.nan])
    np.testing.assert_allclose(found.dice_per_class, [2 / 3, 4 / 5, np.nan])
    np.testing.assert_allclose(found.precision_per_class, [1, 2 / 3, np.nan])
    np.testing.assert_allclose(found.recall_per_class, [1 / 2, 1, np.nan])
    assert found.support.tolist() == [2, 2, 0]
    assert found.absent == (2,)
    values = {
        "pixel_accuracy": 3 / 4,
        "mean_iou": 7 / 12,
        "mean_dice": 11 / 15,
        "mean_accuracy": 3 / 4,
        "frequency_weighted_iou": 7 / 12,
    }
    assert {name: getattr(found, name) for name in values} == pytest.approx(values)
    for metric, score in ((MeanIoU, 7 / 12), (MeanDice, 11 / 15), (FrequencyWeightedIoU, 7 / 12)):
        streamed = metric(3)
        streamed.update_state(y_true, scores)
        assert float(streamed.result()) == pytest.approx(score)


@given(seed=SEEDS, n_classes=st.integers(2, 6), ignored=st.sampled_from([0.0, 0.3, 0.97]))
def test_scores_equal_those_of_scikit_learn(seed, n_classes, ignored):
    y_true, scores = batch(seed, n_classes, ignored)
    kept = y_true[..., 0] != 255
    true, predicted = pair = y_true[kept][:, 0], scores[kept].argmax(-1)
    present = np.union1d(true, predicted)
    assume(present.size)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(*pair),
        "mean_iou": sklearn_metrics.jaccard_score(*pair, labels=present, average="macro"),
        "mean_dice": sklearn_metrics.f1_score(*pair, labels=present, average="macro"),
        "frequency_weighted_iou": sklearn_metrics.jaccard_score(
            *pair, labels=present, average="weighted"
        ),
    }
    streamed = SegmentationMetrics(n_classes, ignore_class=255)
    streamed.update_state(y_true, scores)
    values = {name: float(score) for name, score in streamed.result().items()}
    assert values == pytest.approx(expected, rel=1e-6)

    exact = streamed.scores()
    every = range(n_classes)
    np.testing.assert_array_equal(
        exact.counts, sklearn_metrics.confusion_matrix(*pair, labels=every)
    )
    assert exact.absent == tuple(sorted(set(every) - set(present)))
    recall = sklearn_metrics.recall_score(*pair, labels=np.unique(true), average="macro")
    expected |= {"pixel_accuracy": expected.pop("accuracy"), "mean_accuracy": recall}
    found = {name: getattr(exact, name) for name in expected}
    assert found == pytest.approx(expected, rel=1e-12)
    for name, function, labels in (
        ("iou", sklearn_metrics.jaccard_score, present),
        ("dice", sklearn_metrics.f1_score, present),
        ("precision", sklearn_metrics.precision_score, np.unique(predicted)),
        ("recall", sklearn_metrics.recall_score, np.unique(true)),
    ):
        values = getattr(exact, f"{name}_per_class")
        by_class = function(*pair, labels=labels, average=None)
        np.testing.assert_allclose(values[labels], by_class, rtol=1e-12)
        assert np.isnan(np.delete(values, labels)).all()


@given(seed=SEEDS, ignored=st.sampled_from([0.0, 0.3, 1.0]))
def test_mean_iou_equals_that_of_keras(seed, ignored):
    y_true, scores = batch(seed, ignored=ignored)
    ours = MeanIoU(4, ignore_class=255)
    theirs = keras.metrics.MeanIoU(4, ignore_class=255, sparse_y_pred=False)
    for metric in (ours, theirs):
        metric.update_state(y_true, scores)
    assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-6)


@given(counts=COUNTS)
def test_segmentation_metrics_equal_the_single_metrics(counts):
    together = SegmentationMetrics(len(counts), per_class=True)
    together.update_state(*pixels(counts))
    values = together.result()
    for metric in (MeanIoU, MeanDice, FrequencyWeightedIoU):
        alone = metric(len(counts))
        alone.update_state(*pixels(counts))
        assert float(values[alone.name]) == float(alone.result())
    by_class = [values[f"iou_{number}"] for number in range(len(counts))]
    np.testing.assert_allclose(by_class, Scores(counts).iou_per_class, rtol=1e-6)


@given(seed=SEEDS, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_batches_do_not_change_the_result(seed, cuts):
    y_true, scores = (part.reshape(60, -1) for part in batch(seed, ignored=0.2))
    for metric in COUNTING:
        whole, streamed = metric(4, 255), metric(4, 255)
        whole.update_state(y_true, scores)
        bounds = [0, *sorted(cuts), 60]
        for start, stop in itertools.pairwise(bounds):
            streamed.update_state(y_true[start:stop], scores[start:stop])
        np.testing.assert_array_equal(numbers(streamed.result()), numbers(whole.result()))


def test_ignored_pixels_change_nothing():
    y_true, scores = batch(1, ignored=0.4)
    kept = y_true[..., 0] != 255
    for metric in (PixelAccuracy(255), *(kind(4, 255) for kind in COUNTING)):
        metric.update_state(y_true, scores)
        other = type(metric).from_config(metric.get_config())
        other.update_state(y_true[kept], scores[kept])
        np.testing.assert_array_equal(numbers(metric.result()), numbers(other.result()))


def test_a_class_can_be_ignored():
    y_true, scores = batch(1)
    confusion = ConfusionMatrix(4, ignore_class=0)
    confusion.update_state(y_true, scores)
    np.testing.assert_array_equal(confusion.result(), counted(y_true, scores, 4, ignore_class=0))


def test_counts_are_exact_where_float32_is_not():
    metric = MeanIoU(2)
    metric.counts.assign([[2**24, 0], [0, 2**40]])
    metric.update_state(*pixels([[1, 0], [0, 1]]))
    assert metric.scores().counts.tolist() == [[2**24 + 1, 0], [0, 2**40 + 1]]
    assert np.asarray(ConfusionMatrix.result(metric)).tolist() == [[2**24 + 1, 0], [0, 2**40 + 1]]
    assert Scores([[2**53 + 1, 1], [0, 2**60 + 1]]).support.tolist() == [2**53 + 2, 2**60 + 1]
    # The sums are too large for float16, but not the ratio.
    half = MeanIoU(2, dtype="float16")
    half.counts.assign([[2**20, 2**20], [0, 2**20]])
    assert half.result().dtype == "float16"
    assert float(half.result()) == 0.5


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint32", "int64", "uint64", "float32"])
def test_the_dtype_of_masks_does_not_matter(kind):
    y_true, scores = batch(2, ignored=0.3)
    confusion = ConfusionMatrix(4, ignore_class=255)
    confusion.update_state(y_true.astype(kind), scores)
    np.testing.assert_array_equal(confusion.result(), counted(y_true, scores, 4))


@given(seed=SEEDS, n_classes=st.integers(1, 9))
def test_equal_scores_predict_the_first_class(seed, n_classes):
    scores = np.random.default_rng(seed).choice([-np.inf, -1, -0.0, 0.0, 2], (30, n_classes))
    np.testing.assert_array_equal(most_probable(scores), scores.argmax(-1))
    quantized = np.clip(scores, -9, 9).astype("int8")
    np.testing.assert_array_equal(most_probable(quantized), quantized.argmax(-1))
    assert most_probable([[np.nan] * n_classes]) == NO_CLASS


def test_the_result_is_zero_without_pixels_and_after_a_reset():
    for metric in (PixelAccuracy(), *(kind(4) for kind in COUNTING)):
        assert not numbers(metric.result()).any()
        metric.update_state(*batch(0))
        assert numbers(metric.result()).any()
        metric.reset_state()
        assert not numbers(metric.result()).any()


@given(seed=SEEDS)
def test_pixel_accuracy_equals_that_of_keras_without_ignored_pixels(seed):
    y_true, scores = batch(seed)
    weights = np.random.default_rng(seed).random(y_true.shape[:-1])
    for sample_weight in (None, weights, weights[:, 0, 0]):
        ours, theirs = PixelAccuracy(), keras.metrics.SparseCategoricalAccuracy()
        ours.update_state(y_true, scores, sample_weight=sample_weight)
        if sample_weight is not None and sample_weight.ndim == 1:
            sample_weight = np.broadcast_to(sample_weight[:, None, None], y_true.shape[:-1])
        theirs.update_state(y_true, scores, sample_weight=sample_weight)
        assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-5)
