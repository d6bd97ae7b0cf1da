"""Scores of a confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest
from counted_pixels import COUNTS
from hypothesis import given
from hypothesis import strategies as st

from unetv2.metrics import Scores


def test_the_table_names_the_classes_and_the_absent_ones():
    text = Scores([[1, 1, 0], [0, 2, 0], [0, 0, 0]]).table(("road", "car", "sky"))
    assert "0 road       2  0.500  0.667      1.000   0.500" in text
    assert "Excluded from the means (absent from ground truth and prediction): 2 sky." in text
    scores = Scores([[1, 0], [0, 1]])
    assert str(scores) == scores.table()
    assert "Excluded" not in str(scores)
    with pytest.raises(ValueError, match="`names` must hold one name .* 1 names for 2 classes"):
        scores.table(["road"])


@given(counts=COUNTS, data=st.data())
def test_permuted_classes_have_the_same_scores(counts, data):
    order = data.draw(st.permutations(range(len(counts))))
    scores, renamed = Scores(counts), Scores(np.array(counts)[order][:, order])
    for name in ("iou", "dice", "precision", "recall"):
        values, others = (getattr(one, f"{name}_per_class") for one in (scores, renamed))
        np.testing.assert_array_equal(others, values[order])
    assert [order[number] for number in renamed.absent] == sorted(
        scores.absent, key=list(order).index
    )
    for name in ("pixel_accuracy", "mean_iou", "mean_dice", "frequency_weighted_iou"):
        np.testing.assert_allclose(getattr(renamed, name), getattr(scores, name), rtol=1e-12)


def test_zero_counts_give_nan_means_and_absent_classes():
    scores = Scores(np.zeros((3, 3)))
    assert scores.absent == (0, 1, 2)
    for name in ("pixel_accuracy", "mean_iou", "mean_dice", "mean_accuracy"):
        assert np.isnan(getattr(scores, name))
    assert np.isnan(scores.frequency_weighted_iou)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros((2, 3)), r"must be \(n_classes, n_classes\), .* Received: shape \(2, 3\)"),
        (np.zeros(4), r"must be \(n_classes, n_classes\)"),
        ([[1]], r"must be \(n_classes, n_classes\), 2 classes or more"),
        ([[1, -1], [0, 0]], "must be whole numbers from 0 up. Received: -1 among int64"),
        ([[1, np.nan], [0, 0]], "must be whole numbers from 0 up. Received: nan among float64"),
        ([[1, np.inf], [0, 0]], "must be whole numbers from 0 up. Received: inf"),
        ([[1, 0.5], [0, 0]], "must be whole numbers from 0 up. Received: 0.5"),
        ([["1", "2"], ["3", "4"]], "must be whole numbers from 0 up. Received: 1 among <U1"),
    ],
)
def test_invalid_counts_raise(counts, message):
    with pytest.raises(ValueError, match=f"`counts` {message}"):
        Scores(counts)


def test_scores_copy_their_counts():
    counts = np.array([[1, 0], [0, 1]])
    scores = Scores(counts)
    counts[:] = 0
    assert scores.pixel_accuracy == 1
    with pytest.raises(ValueError, match="read-only"):
        scores.counts[0, 0] = 5
