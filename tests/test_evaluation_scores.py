"""Metrics of counts, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import evaluated, images
from hypothesis import given
from hypothesis import strategies as st
from report_pages import interval_text as percent_interval
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from unetv2.evaluation.counts import ImageCounts
from unetv2.evaluation.evaluation import interval_text
from unetv2.evaluation.scores import (
    PER_CLASS,
    SCALARS,
    bootstrap,
    bound_error,
    calibration_error,
    decimals,
    percentile_intervals,
    weighted_metrics,
)


@given(seed=st.integers(0, 10**6), ignore_class=st.sampled_from([None, 255]))
def test_metrics_equal_those_of_scikit_learn(seed, ignore_class):
    shown = list(images(3, seed=seed, ignore_class=ignore_class))
    evaluation = evaluated(shown, ignore_class=ignore_class)
    mask = np.concatenate([image.mask.ravel() for image in shown])
    predicted = np.concatenate([image.predicted.ravel() for image in shown])
    kept = mask != 255
    pair = mask[kept], predicted[kept]
    options = {"labels": range(4), "average": None, "zero_division": np.nan}
    for name, score in (
        ("iou_per_class", jaccard_score(*pair, **options | {"zero_division": 0})),
        ("dice_per_class", f1_score(*pair, **options)),
        ("precision_per_class", precision_score(*pair, **options)),
        ("recall_per_class", recall_score(*pair, **options)),
    ):
        np.testing.assert_allclose(evaluation.metrics[name], score, rtol=1e-12)
    assert evaluation.pixel_accuracy == pytest.approx(accuracy_score(*pair))
    assert evaluation.mean_accuracy == pytest.approx(balanced_accuracy_score(*pair))
    iou = jaccard_score(*pair, labels=range(4), average=None)
    assert evaluation.mean_iou == pytest.approx(iou.mean())
    weighted = jaccard_score(*pair, average="weighted")
    assert evaluation.frequency_weighted_iou == pytest.approx(weighted)


def test_metrics_of_the_counts_equal_those_of_the_matrix():
    evaluation = evaluated(images(5))
    for name in ("mean_iou", "pixel_accuracy", "mean_dice", "mean_accuracy"):
        assert evaluation.metrics[name] == getattr(evaluation.scores, name)
    np.testing.assert_array_equal(evaluation.scores.counts, evaluation.confusion)


def image_counts(tallies, boundaries, calibration):
    counts = [np.asarray(part, np.int64) for part in (tallies, boundaries, calibration)]
    return ImageCounts(tuple(f"{number}" for number in range(len(counts[0]))), *counts)


def test_boundary_f1_is_a_mean_over_images_with_a_boundary():
    boundaries = [
        # Class 0: precision 1/2, recall 1/4, so F1 1/3. Class 1: nowhere. Class 2: made up.
        [[1, 0, 0], [2, 0, 5], [1, 0, 0], [4, 0, 0]],
        # Class 0: all found. Class 1: missed. Class 2: nowhere.
        [[3, 0, 0], [3, 0, 0], [3, 0, 0], [3, 4, 0]],
    ]
    found = image_counts(np.zeros((2, 3, 3)), boundaries, np.zeros((2, 3, 15)))
    expected = [[1 / 3, np.nan, 0], [1, 0, np.nan]]
    np.testing.assert_allclose(found.boundary_f1, expected)
    metrics = weighted_metrics(found, np.ones((1, 2)))
    np.testing.assert_allclose(metrics["boundary_f1_per_class"], [[2 / 3, 0, 0]])
    np.testing.assert_allclose(metrics["mean_boundary_f1"], [2 / 9])
    # The first image thrice: (3/3 + 1) / 4.
    metrics = weighted_metrics(found, np.array([[3.0, 1.0]]))
    np.testing.assert_allclose(metrics["boundary_f1_per_class"][0, 0], 0.5)


def test_calibration_error_of_a_small_example():
    counts = np.zeros((3, 15))
    # 4 pixels of confidence 0.5, 3 of them right; 12 of confidence 1, 6 of them right.
    counts[:, 7] = 4, 3, 4 * 0.5 * 2**24
    counts[:, 14] = 12, 6, 12 * 2**24
    # 4/16 of |3/4 - 1/2| and 12/16 of |1/2 - 1|.
    assert calibration_error(counts) == pytest.approx(1 / 16 + 6 / 16)
    assert np.isnan(calibration_error(np.zeros((3, 15))))


def test_calibration_error_equals_that_of_all_pixels():
    shown = list(images(4))
    evaluation = evaluated(shown)
    confidence = np.concatenate([image.confidence.ravel() for image in shown]).astype(float)
    right = np.concatenate([(p.mask == p.predicted).ravel() for p in shown])
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert evaluation.calibration_error == pytest.approx(expected, abs=1e-7)
    curve = evaluation.reliability
    assert curve["pixels"].sum() == right.size
    assert (curve["confidence"][5:] > curve["low"][5:]).all()
    assert (curve["confidence"][5:] <= curve["high"][5:]).all()


def test_the_order_of_the_images_changes_nothing():
    shown = list(images(9, error=0.5))
    one, other = evaluated(shown), evaluated(shown[::-1])
    for name in (*SCALARS, *PER_CLASS):
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name])
        np.testing.assert_array_equal(one.intervals[name], other.intervals[name])
    assert one.worst == other.worst
    assert str(one) == str(other)
    # By number instead of by name, the rows come in another order.
    renamed = [image._replace(name=f"#{number}") for number, image in enumerate(reversed(shown))]
    np.testing.assert_array_equal(
        evaluated(renamed).intervals["mean_iou"], one.intervals["mean_iou"]
    )


def test_intervals_contain_the_metric_and_depend_on_the_seed():
    evaluation = evaluated(images(20))
    again = evaluated(images(20))
    other = evaluated(images(20), seed=1)
    for name in SCALARS:
        low, high = evaluation.intervals[name]
        np.testing.assert_array_equal(evaluation.intervals[name], again.intervals[name])
        if name != "calibration_error":  # A mean of absolute values moves upwards.
            assert low <= evaluation.metrics[name] <= high
    assert (evaluation.intervals["mean_iou"] != other.intervals["mean_iou"]).any()


def test_one_image_has_no_interval():
    assert np.isnan(evaluated(images(1)).intervals["mean_iou"]).all()


def test_a_resample_has_the_metrics_of_its_images():
    evaluation = evaluated(images(5))
    (metrics,) = bootstrap([evaluation.counts], seed=3, resamples=4)
    order = evaluation.counts.canonical_order()
    drawn = np.random.default_rng(3).integers(0, 5, (4, 5))
    for number, choice in enumerate(drawn):
        chosen = evaluation.counts.take([order[place] for place in choice])
        expected = weighted_metrics(chosen, np.ones((1, 5)))
        for name, values in metrics.items():
            np.testing.assert_allclose(values[number], expected[name][0], rtol=1e-12)


def test_resamples_without_a_class_are_excluded_from_its_interval():
    values = np.array([[0.0, np.nan, np.nan], [1.0, 0.5, np.nan]])
    np.testing.assert_allclose(
        percentile_intervals(values, 0.5), [[0.25, 0.75], [0.5, 0.5], [np.nan] * 2]
    )


def test_intervals_contain_the_true_accuracy_at_their_level():
    # Images of 100 pixels, whose share of right ones differs from image to image around
    # 0.7; pixels alone would give intervals that are far too narrow.
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        right = rng.binomial(100, rng.beta(7, 3, 40))
        tallies = np.zeros((40, 3, 2))
        tallies[:, 0, 0] = right
        tallies[:, 1, 0] = 100
        tallies[:, 2] = np.stack([right, 100 - right], axis=1)
        found = image_counts(tallies, np.zeros((40, 4, 2)), np.zeros((40, 3, 15)))
        (metrics,) = bootstrap([found], seed=seed, resamples=400)
        low, high = percentile_intervals(metrics["pixel_accuracy"])
        held += low <= 0.7 <= high
    # 95 % in the limit; of 200 that is 190, give or take 3, and somewhat less with 40 images.
    assert 180 <= held <= 199


def bounds_by_seed(evaluation, seeds=12):
    """Returns the intervals of all metrics by seed, ``(seeds, metrics, 2)``."""
    found = []
    for seed in range(seeds):
        (metrics,) = bootstrap([evaluation.counts], seed)
        bounds = {name: percentile_intervals(values) for name, values in metrics.items()}
        found.append(np.concatenate([one.reshape(-1, 2) for one in bounds.values()]))
    return np.array(found)


@pytest.mark.parametrize(("n", "size", "error"), [(60, (12, 16), 0.3), (15, (8, 8), 0.5)])
def test_the_seed_changes_bounds_by_less_than_the_last_printed_digit(n, size, error):
    found = bounds_by_seed(evaluated(images(n, size=size, error=error)))
    shown = [decimals(bounds) for bounds in found.mean(axis=0)]
    units = 10.0 ** -np.array(shown)
    assert (found.std(axis=0) < units[:, None]).all()
    # Of most bounds by less than half of it, which is why most runs print the same.
    assert np.mean(found.std(axis=0) < units[:, None] / 2) > 0.9
    assert {2, 3} >= set(shown)


def test_the_error_of_a_bound_is_its_deviation_between_seeds():
    found = bounds_by_seed(evaluated(images(40)), seeds=16)
    expected = bound_error(found.mean(axis=0))
    measured = np.sqrt((found.var(axis=0, ddof=1)).mean(axis=1))
    # A standard deviation of 2 * 16 numbers is known to about an eighth.
    assert np.median(measured / expected) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    ("bounds", "text", "percent"),
    [
        # 0.7 % of 0.07 is just below half a thousandth, of 0.08 it is above.
        ((0.51, 0.58), "0.510-0.580", "51.0 to 58.0"),
        ((0.51, 0.59), "0.51-0.59", "51 to 59"),
        ((0.0, 1.0), "0.00-1.00", "0 to 100"),
        ((0.9981, 0.9989), "0.998-0.999", "99.8 to 99.9"),
        ((np.nan, np.nan), "-", "\u2013"),
    ],
)
def test_wide_intervals_are_printed_with_fewer_digits(bounds, text, percent):
    assert interval_text(np.array(bounds)) == text
    assert percent_interval(*bounds) == percent


def test_differences_have_a_sign_unless_rounded_to_zero():
    assert percent_interval(-0.004, 0.0202, sign=True) == "\u22120.4 to +2.0"
    assert percent_interval(-0.004, 0.12, sign=True) == "0 to +12"
    assert percent_interval(-0.0004, 0.0, sign=True) == "0.0 to 0.0"
