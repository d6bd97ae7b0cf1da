"""Tiling: positions, weights and sums, against an independent implementation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from unetv2.inference.tiling import Axis, Grid, join, reflected, stitch

LENGTHS = st.integers(1, 60)
WINDOWS = st.integers(1, 24)
OVERLAPS = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.8]) | st.floats(0, 1, exclude_max=True)


def possible(window, overlap):
    """Skips overlaps that are refused because they leave no pixel between two tiles."""
    assume(overlap <= (window - 1) / window)
    return overlap


@given(length=LENGTHS, window=WINDOWS, overlap=OVERLAPS, symmetric=st.booleans())
@example(length=11, window=3, overlap=0.0, symmetric=True)
@example(length=2, window=7, overlap=0.25, symmetric=True)
def test_tiles_cover_every_pixel_and_weights_sum_to_one(length, window, overlap, symmetric):
    axis = Axis.plan(length, window, possible(window, overlap), symmetric=symmetric)
    total = np.zeros(length)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        for pixel, weight in enumerate(weights, start):
            if 0 <= pixel < length:
                assert weight > 0
                total[pixel] += weight
            else:
                assert weight == 0
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(length=LENGTHS, window=WINDOWS, overlap=OVERLAPS, symmetric=st.booleans())
def test_the_fewest_tiles_with_the_minimum_overlap_are_used(length, window, overlap, symmetric):
    axis = Axis.plan(length, window, possible(window, overlap), symmetric=symmetric)
    if length < window:
        assert len(axis) <= 1 + symmetric
        return
    assert (axis.starts[0], axis.starts[-1]) == (0, length - window)
    for before, after in itertools.pairwise(axis.starts):
        assert before < after
        assert (before + window - after) / window >= overlap
    if len(axis) > 1:
        # One window less would have to take a longer step somewhere than the overlap allows.
        steps = len(axis) - 2 - (symmetric and len(axis) % 2 == 0)
        longest = max(step for step in range(1, window + 1) if (window - step) / window >= overlap)
        assert steps * longest < length - window


@pytest.mark.parametrize(
    ("window", "overlap", "shared"),
    [(10, 0.25, 3), (10, 0.24, 3), (30, 0.1, 3), (64, 0.25, 16), (7, 0.5, 4), (9, 0.0, 0)],
)
def test_the_overlap_is_rounded_up_to_whole_pixels(window, overlap, shared):
    # Sides on which windows fit with exactly that overlap, and no other.
    axis = Axis.plan(window + 5 * (window - shared), window, overlap)
    assert np.diff(axis.starts).tolist() == [window - shared] * 5


def test_a_complete_overlap_raises():
    with pytest.raises(ValueError, match=r"`overlap` must .*overlap=0.99 .*32 pixels.*0.96"):
        Axis.plan(33, 32, 0.99)
    assert len(Axis.plan(33, 32, 0.96)) == 2
    assert len(Axis.plan(32, 32, 0.99)) == 1


@given(length=LENGTHS, window=WINDOWS)
def test_tiles_without_overlap_are_adjacent(length, window):
    axis = Axis.plan(length * window, window, 0.0)
    assert axis.starts == tuple(range(0, length * window, window))


@given(length=LENGTHS, window=WINDOWS, overlap=OVERLAPS)
def test_symmetric_tiles_equal_their_mirror_image(length, window, overlap):
    axis = Axis.plan(length, window, possible(window, overlap), symmetric=True)
    assert tuple(length - window - start for start in reversed(axis.starts)) == axis.starts
    np.testing.assert_allclose(axis.weights()[::-1, ::-1], axis.weights(), atol=1e-7)


def test_weights_match_values_derived_by_hand():
    # Windows of 4 from 0 and 2: their squared sines are 0.146, 0.854, 0.854, 0.146, so where both
    # count, 0.854 and 0.146 add up to one already.
    axis = Axis.plan(6, 4, 0.5)
    assert axis.starts == (0, 2)
    low, high = np.sin(np.pi / 8) ** 2, np.cos(np.pi / 8) ** 2
    np.testing.assert_allclose(axis.weights(), [[1, 1, high, low], [low, high, 1, 1]], atol=1e-7)


@given(start=st.integers(-50, 50), count=st.integers(1, 40), length=st.integers(2, 9))
def test_reflection_equals_numpys(start, count, length):
    side = np.pad(np.arange(length), (60, 100), mode="reflect")
    np.testing.assert_array_equal(
        reflected(start, count, length), side[60 + start : 60 + start + count]
    )


def test_a_single_pixel_is_repeated():
    assert reflected(-3, 6, 1).tolist() == [0] * 6


def stitched(grid, tiles):
    """Sums weighted tiles in an array that is larger than the image."""
    rows, columns = grid.rows, grid.columns
    margin = max(grid.window)
    total = np.zeros((rows.length + 2 * margin, columns.length + 2 * margin, tiles[0].shape[2]))
    starts = itertools.product(rows.starts, columns.starts)
    for (row, column), values in zip(starts, tiles, strict=True):
        top, left = margin + row, margin + column
        total[top : top + grid.window[0], left : left + grid.window[1]] += values
    return total[margin : margin + rows.length, margin : margin + columns.length]


@given(
    size=st.tuples(LENGTHS, LENGTHS), window=st.tuples(WINDOWS, WINDOWS), overlap=OVERLAPS,
    symmetric=st.tuples(st.booleans(), st.booleans()), seed=st.integers(0, 99),
)  # fmt: skip
def test_blocks_are_sums_of_tiles_and_cover_the_image_once(size, window, overlap, symmetric, seed):
    grid = Grid.plan(size, window, possible(min(window), overlap), symmetric=symmetric)
    rng = np.random.default_rng(seed)
    tiles = [rng.random((*window, 2), np.float32) for _ in grid]
    found = np.full((*size, 2), np.nan)
    before = (-1, -1)
    for row, column, values in stitch(grid, (tile.copy() for tile in tiles)):
        assert (row, column) > before
        before = (row, column)
        part = found[row : row + values.shape[0], column : column + values.shape[1]]
        assert part.shape == values.shape
        assert np.isnan(part).all()
        part[:] = values
    np.testing.assert_allclose(found, stitched(grid, tiles), rtol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_only_overlapping_rows_are_kept(overlap, monkeypatch):
    shapes = []
    zeros = np.zeros
    monkeypatch.setattr(
        np, "zeros", lambda shape, *rest: shapes.append(shape) or zeros(shape, *rest)
    )
    grid = Grid.plan((400, 300), (40, 30), overlap)
    tiles = (np.ones((40, 30, 2), np.float32) for _ in grid)
    for _ in stitch(grid, tiles):
        pass
    assert shapes == ([(round(40 * overlap), 300, 2)] if overlap else [])


@pytest.mark.parametrize("most", [1, 40, 10**6])
def test_joined_blocks_give_the_same_image(most):
    grid = Grid.plan((23, 40), (8, 7), 0.25)
    rng = np.random.default_rng(0)
    tiles = [rng.random((8, 7, 2), np.float32) for _ in grid]
    found = np.full((23, 40, 2), np.nan)
    sizes = []
    for row, column, values in join(stitch(grid, (tile.copy() for tile in tiles)), most):
        part = found[row : row + values.shape[0], column : column + values.shape[1]]
        assert np.isnan(part).all()
        part[:] = values
        sizes.append(values.shape[:2])
    np.testing.assert_allclose(found, stitched(grid, tiles), rtol=1e-5)
    if most == 1:
        assert len(sizes) == len(grid)
    elif most == 40:
        assert len(sizes) < len(grid)
        assert all(height * width <= 40 for height, width in sizes if width > 7)
    else:
        assert [width for _, width in sizes] == [40] * len(grid.rows)
