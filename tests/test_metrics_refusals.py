"""Invalid inputs of metrics."""

from __future__ import annotations

import numpy as np
import pytest
from counted_pixels import COUNTING, batch, numbers

from unetv2.metrics import ConfusionMatrix, PixelAccuracy


@pytest.mark.parametrize(
    ("invalid", "listed"),
    [
        (-1, "negative ids"),
        (4, "id 4"),
        (200, "id 200"),
        (300, "ids from 259 up"),
        # Their lowest 32 bits are the id of a class.
        (2**32 + 1, "ids from 259 up"),
        (1 - 2**32, "negative ids"),
        # Interpolated masks.
        (1.5, "fractions"),
        (np.nan, "fractions"),
        (np.inf, "ids from 259 up"),
    ],
)
@pytest.mark.parametrize("kind", COUNTING)
def test_an_id_out_of_range_raises(kind, invalid, listed):
    y_true, scores = batch(0)
    y_true = np.where(np.arange(60).reshape(y_true.shape) < 2, invalid, y_true)
    metric = kind(4, ignore_class=255)
    metric.update_state(y_true, scores)
    message = (
        r"`y_true` must hold ids in \[0, 4\) or 255, which is ignored. "
        rf"Received: 2 other pixels: {listed} \(2\). Pass `ignore_class`"
    )
    for ask in (metric.result, metric.scores):
        with pytest.raises(ValueError, match=message):
            ask()
    metric.reset_state()
    assert not numbers(metric.result()).any()


def test_the_list_of_invalid_ids_is_short():
    confusion = ConfusionMatrix(2)
    confusion.update_state(np.arange(20), np.zeros((20, 2)))
    with pytest.raises(
        ValueError, match=r"in \[0, 2\). Received: 18 .*: id 2 \(1\), .*, id 9 \(1\), 10 more\."
    ):
        confusion.result()


@pytest.mark.parametrize("kind", COUNTING)
def test_predictions_that_are_nan_give_nan(kind):
    y_true, scores = batch(0)
    metric = kind(4)
    metric.update_state(y_true, scores)
    metric.update_state(y_true, np.full_like(scores, np.nan))
    assert np.isnan(numbers(metric.result())).all()
    with pytest.raises(ValueError, match="`y_pred` must hold numbers. Received: NaN for 60 pixels"):
        metric.scores()
    accuracy = PixelAccuracy()
    accuracy.update_state(y_true, np.full_like(scores, np.nan))
    assert float(accuracy.result()) == 0


def test_sample_weights_raise():
    with pytest.raises(ValueError, match="`sample_weight` must be None for a confusion matrix"):
        ConfusionMatrix(4).update_state(*batch(0), sample_weight=np.ones(2))


@pytest.mark.parametrize("kind", COUNTING)
def test_arguments_are_checked(kind):
    for n_classes in (1, 0):
        with pytest.raises(ValueError, match="`n_classes` must be an integer of at least 2"):
            kind(n_classes)
    with pytest.raises(TypeError, match="`ignore_class` must be an integer or None"):
        kind(3, ignore_class="void")


def test_shapes_are_checked():
    y_true, scores = batch(0)
    with pytest.raises(
        ValueError, match="`y_pred` must hold a score for each class, .* n_classes=5"
    ):
        ConfusionMatrix(5).update_state(y_true, scores)
    for wrong in (
        y_true[:, :1, :1],
        y_true.swapaxes(1, 2),
        np.eye(4)[y_true[..., 0]],
        y_true.ravel(),
    ):
        with pytest.raises(ValueError, match="`y_true` must hold an id for each pixel of `y_pred`"):
            ConfusionMatrix(4).update_state(wrong, scores)
