"""Counts of one image: boundaries, confidences, pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from unetv2.evaluation.counts import (
    BINS,
    CONFIDENCE_UNIT,
    boundary,
    boundary_counts,
    count_image,
    require_tolerance,
)


def blocky(rng, size, n_classes):
    """A mask of areas, not of noise, so that boundaries are not everywhere."""
    coarse = rng.integers(0, n_classes, (size[0] // 3 + 1, size[1] // 3 + 1))
    return coarse.repeat(3, axis=0).repeat(3, axis=1)[: size[0], : size[1]]


def slow_boundary(ids, counted):
    """The pixels with one of another class among the eight around them, one by one."""
    found = set()
    for y, x in np.ndindex(ids.shape):
        for other_y in range(max(0, y - 1), min(ids.shape[0], y + 2)):
            for other_x in range(max(0, x - 1), min(ids.shape[1], x + 2)):
                both = counted[y, x] and counted[other_y, other_x]
                if both and ids[y, x] != ids[other_y, other_x]:
                    found.add((y, x))
    return found


def slow_counts(mask, predicted, counted, n_classes, limit):
    """Boundary counts by the distance from every pixel to every other one."""
    counts = np.zeros((4, n_classes), int)
    ends = [slow_boundary(ids, counted) for ids in (mask, predicted)]
    for number in range(n_classes):
        true, guessed = (
            [place for place in edge if ids[place] == number]
            for edge, ids in zip(ends, (mask, predicted), strict=True)
        )
        for row, these, others in ((0, guessed, true), (2, true, guessed)):
            counts[row, number] = sum(
                any(math.dist(one, other) <= limit for other in others) for one in these
            )
            counts[row + 1, number] = len(these)
    return counts


@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    n_classes=st.sampled_from([2, 3, 33, 70]),
    tolerance=st.sampled_from([0, 1, 2, 3, 25, 0.0075, 0.1, 0.21]),
)
def test_boundary_counts_equal_a_brute_force_count(seed, height, width, n_classes, tolerance):
    rng = np.random.default_rng(seed)
    size = (height, width)
    mask, predicted = blocky(rng, size, n_classes), blocky(rng, size, n_classes)
    counted = rng.random(size) < 0.9
    limit = tolerance if isinstance(tolerance, int) else tolerance * math.hypot(*size)
    np.testing.assert_array_equal(
        boundary_counts(mask, predicted, counted, n_classes, tolerance),
        slow_counts(mask, predicted, counted, n_classes, limit),
    )


def test_a_boundary_is_on_both_sides_of_an_edge_and_not_at_the_border():
    ids = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    # (2, 2) touches 1 at a corner, and so does (2, 4) from below.
    expected = np.array([[0, 0, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]], bool)
    np.testing.assert_array_equal(boundary(ids, np.ones(ids.shape, bool)), expected)


def test_an_edge_shifted_by_two_pixels_matches_with_a_tolerance_of_two():
    mask = np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 5, axis=0)
    moved = np.repeat([[0, 0, 0, 0, 0, 0, 1, 1]], 5, axis=0)
    counted = np.ones(mask.shape, bool)
    # Each class has a boundary of one column of 5 pixels.
    missed = boundary_counts(mask, moved, counted, 2, 1)
    np.testing.assert_array_equal(missed, [[0, 0], [5, 5], [0, 0], [5, 5]])
    found = boundary_counts(mask, moved, counted, 2, 2)
    np.testing.assert_array_equal(found, np.full((4, 2), 5))


@pytest.mark.parametrize("tolerance", [0, 3, np.int64(3), 0.0, 0.5])
def test_a_tolerance_is_pixels_or_a_share(tolerance):
    assert require_tolerance(tolerance) == tolerance


@pytest.mark.parametrize(
    ("tolerance", "error", "message"),
    [
        (-1, ValueError, "`boundary_tolerance` must be a non-negative integer"),
        (1.5, ValueError, "`boundary_tolerance` must be a share below 1, or an integer"),
        (float("nan"), ValueError, "`boundary_tolerance` must be a non-negative finite number"),
        ("2", TypeError, "`boundary_tolerance` must be a non-negative integer"),
    ],
)
def test_an_invalid_tolerance_raises(tolerance, error, message):
    with pytest.raises(error, match=message):
        require_tolerance(tolerance)


def count(mask, predicted, confidence, n_classes=3, ignore_class=None):
    confusion, counts = count_image(
        "image",
        np.asarray(mask),
        np.asarray(predicted),
        np.asarray(confidence),
        n_classes=n_classes,
        ignore_class=ignore_class,
        tolerance=1,
    )
    return confusion, counts


def test_pixel_counts_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    mask, predicted = rng.integers(0, 5, (2, 9, 11))
    mask[rng.random(mask.shape) < 0.2] = 255
    matrix, counts = count(mask, predicted, np.ones(mask.shape), 5, 255)
    kept = mask != 255
    np.testing.assert_array_equal(
        matrix,
        confusion_matrix(mask[kept], predicted[kept], labels=range(5)),
    )
    np.testing.assert_array_equal(counts.pixels[0], [np.diag(matrix), matrix.sum(1), matrix.sum(0)])


def test_confidence_bins_are_closed_above():
    # 3/15 is the upper end of the third bin; 1 lies in the last one, and 0 in the first.
    confidence = [[0.0, 3 / 15, 0.5, 0.5, 1.0]]
    _, counts = count([[0, 0, 1, 1, 2]], [[1, 0, 1, 0, 2]], confidence)
    pixels, correct, units = counts.calibration[0]
    expected = np.zeros((2, BINS), int)
    expected[:, [0, 2, 7, 14]] = [[1, 1, 2, 1], [0, 1, 1, 1]]
    np.testing.assert_array_equal([pixels, correct], expected)
    # Exact to half a unit a pixel.
    np.testing.assert_allclose(units.sum() * CONFIDENCE_UNIT, 0.2 + 1 + 1, atol=2**-24)


@pytest.mark.parametrize("share", [1 / 3, 1 / 5, 2 / 3])
def test_the_last_bit_of_a_confidence_does_not_change_its_bin(share):
    around = np.float32(share) + np.float32([[-6e-8, 0, 6e-8]])
    _, counts = count([[0, 0, 0]], [[0, 0, 0]], around)
    pixels = counts.calibration[0, 0]
    assert pixels[round(share * BINS) - 1] == 3


@given(seed=st.integers(0, 10**6))
def test_predictions_for_ignored_pixels_change_nothing(seed):
    rng = np.random.default_rng(seed)
    mask, predicted = blocky(rng, (10, 12), 3).copy(), blocky(rng, (10, 12), 3).copy()
    confidence = rng.uniform(0.3, 1, mask.shape)
    ignored = rng.random(mask.shape) < 0.3
    mask[ignored] = 7
    before, counts = count(mask, predicted, confidence, ignore_class=7)
    predicted[ignored] = rng.integers(0, 3, ignored.sum())
    confidence[ignored] = rng.uniform(0, 1, ignored.sum())
    after, others = count(mask, predicted, confidence, ignore_class=7)
    np.testing.assert_array_equal(before, after)
    for name in ("pixels", "boundaries", "calibration"):
        np.testing.assert_array_equal(getattr(counts, name), getattr(others, name))


def test_a_class_can_be_ignored():
    confusion, _ = count([[0, 1, 2]], [[2, 2, 2]], np.ones((1, 3)), ignore_class=2)
    np.testing.assert_array_equal(confusion, [[0, 0, 1], [0, 0, 1], [0, 0, 0]])


def test_invalid_ids_raise():
    message = (
        r"Mask ids must be in \[0, 3\) or `ignore_class` \(9\). Received: -1, 3 in 3 of 4 pixels"
    )
    with pytest.raises(ValueError, match=message):
        count([[0, 3, 3, -1, 9]], [[0, 0, 0, 0, 0]], np.ones((1, 5)), ignore_class=9)


def test_outputs_that_are_not_finite_raise():
    with pytest.raises(ValueError, match="must be finite. Received: NaN or infinity for 1 pix"):
        count([[0, 1]], [[0, 2**31 - 1]], [[0.5, np.nan]])
