from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from unetv2.metrics import ConfusionMatrix, PixelAccuracy


def batch(seed, n_classes=4, ignored=0.0, ignore_class=255):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_classes, (2, 5, 6, 1))
    truth[rng.random(truth.shape) < ignored] = ignore_class
    return truth, rng.random((2, 5, 6, n_classes)).astype("float32")


def counted(truth, scores, n_classes, ignore_class=255):
    """Counts pixel by pixel."""
    counts = np.zeros((n_classes, n_classes))
    for true, predicted in zip(truth.ravel(), scores.argmax(-1).ravel(), strict=True):
        if true != ignore_class:
            counts[true, predicted] += 1
    return counts


@given(seed=st.integers(0, 9), ignored=st.sampled_from([0.0, 0.3, 1.0]))
def test_the_confusion_matrix_counts_pixels(seed, ignored):
    confusion = ConfusionMatrix(4, ignore_class=255)
    batches = [batch(seed + number, ignored=ignored) for number in range(3)]
    for truth, scores in batches:
        confusion.update_state(truth, scores)
    expected = sum(counted(*one, 4) for one in batches)
    np.testing.assert_array_equal(confusion.result(), expected)
    right = np.trace(expected) / max(expected.sum(), 1)
    assert float(confusion.pixel_accuracy()) == pytest.approx(right)


@given(seed=st.integers(0, 9))
def test_mean_iou_is_kerass(seed):
    truth, scores = batch(seed, ignored=0.2)
    ours = ConfusionMatrix(4, ignore_class=255)
    theirs = keras.metrics.MeanIoU(4, ignore_class=255, sparse_y_pred=False)
    for metric in (ours, theirs):
        metric.update_state(truth, scores)
    assert float(ours.mean_iou()) == pytest.approx(float(theirs.result()), rel=1e-6)


def test_a_golden_example():
    # Truth 0 0 1 1, predicted 0 1 1 1: class 0 has 1 of {0, 1}, class 1 has 2 of {1, 2, 3};
    # class 2 is nowhere. IoU 1/2, 2/3, none; their mean is 7/12.
    scores = np.eye(3, dtype="float32")[[0, 1, 1, 1]]
    confusion = ConfusionMatrix(3)
    confusion.update_state(np.array([0, 0, 1, 1]), scores)
    np.testing.assert_allclose(confusion.iou_per_class(), [1 / 2, 2 / 3, np.nan], rtol=1e-6)
    assert float(confusion.mean_iou()) == pytest.approx(7 / 12)
    assert float(confusion.pixel_accuracy()) == pytest.approx(3 / 4)


@pytest.mark.parametrize("foreign", [-1, 4, 200])
def test_an_id_out_of_range_spoils_the_result_instead_of_vanishing(foreign):
    truth, scores = batch(0)
    truth[0, 0, 0] = foreign
    confusion = ConfusionMatrix(4, ignore_class=255)
    confusion.update_state(truth, scores)
    for figure in (confusion.result(), confusion.iou_per_class(), confusion.mean_iou()):
        assert np.isnan(figure).all()
    assert np.isnan(confusion.pixel_accuracy())


def test_ignored_pixels_change_nothing():
    truth, scores = batch(1, ignored=0.4)
    kept = truth[..., 0] != 255
    for metric in (PixelAccuracy(255), PixelAccuracy(255), ConfusionMatrix(4, 255)):
        metric.update_state(truth, scores)
        other = type(metric).from_config(metric.get_config())
        other.update_state(truth[kept], scores[kept])
        np.testing.assert_array_equal(metric.result(), other.result())


@given(seed=st.integers(0, 9))
def test_pixel_accuracy_is_kerass_where_nothing_is_ignored(seed):
    truth, scores = batch(seed)
    weights = np.random.default_rng(seed).random(truth.shape[:-1])
    for sample_weight in (None, weights, weights[:, 0, 0]):
        ours, theirs = PixelAccuracy(), keras.metrics.SparseCategoricalAccuracy()
        ours.update_state(truth, scores, sample_weight=sample_weight)
        if sample_weight is not None and sample_weight.ndim == 1:
            sample_weight = np.broadcast_to(sample_weight[:, None, None], truth.shape[:-1])
        theirs.update_state(truth, scores, sample_weight=sample_weight)
        assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-5)


def test_nothing_seen_is_zero_and_reset_forgets():
    for metric in (PixelAccuracy(), ConfusionMatrix(4)):
        assert not np.any(metric.result())
        metric.update_state(*batch(0))
        assert np.any(metric.result())
        metric.reset_state()
        assert not np.any(metric.result())


def test_sample_weights_are_no_counts():
    with pytest.raises(ValueError, match="`sample_weight` must be None for a confusion matrix"):
        ConfusionMatrix(4).update_state(*batch(0), sample_weight=np.ones(2))


@pytest.mark.parametrize("n_classes", [1, 0])
def test_n_classes_is_checked(n_classes):
    with pytest.raises(ValueError, match="`n_classes` must be an integer of at least 2"):
        ConfusionMatrix(n_classes)


def test_the_confusion_matrix_compiles_with_xla():
    confusion = ConfusionMatrix(4, ignore_class=255)
    truth, scores = batch(0, ignored=0.2)
    tf.function(confusion.update_state, jit_compile=True)(tf.constant(truth), tf.constant(scores))
    np.testing.assert_array_equal(confusion.result(), counted(truth, scores, 4))
