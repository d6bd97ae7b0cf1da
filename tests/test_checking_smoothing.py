"""Masks that were resized with interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from checked_folders import SIZE, check, regions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from unetv2.data.validation.masks import Runs, is_antialiased


def disc(size=(48, 64)):
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - 24) ** 2 + (columns - 30) ** 2 < 200


@pytest.mark.parametrize("values", [(0, 255), (2, 9), ((0, 0, 200), (128, 64, 128))])
@pytest.mark.parametrize("factor", [0.6, 2.5])
@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_interpolated_masks_are_antialiased_and_nearest_ones_are_not(write, values, factor, how):
    mask = Image.fromarray(np.array(values, np.uint8)[disc().astype(int)])
    size = (int(64 * factor), int(48 * factor))
    smoothed, clean = mask.resize(size, how), mask.resize(size, Image.Resampling.NEAREST)
    folders = write(smoothed, clean, images=[np.zeros((*size[::-1], 3), np.uint8)] * 2)
    found = [problem for problem in check(folders).problems if problem.kind == "antialiased"]
    assert [problem.path for problem in found] == [str(folders[1] / "0.png")]


def is_antialiased_by_definition(mask):
    """The rule of ``is_antialiased``, triple by triple."""
    edges = different = between = 0
    for lines in (mask, mask.T):
        for line in lines.astype(int).tolist():
            for first, middle, last in zip(line, line[1:], line[2:], strict=False):
                edges += first != last
                different += len({first, middle, last}) == 3
                between += first < middle < last or first > middle > last
    return between >= max(8, 0.17 * edges, 0.5 * different)


@given(
    small=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
                     elements=st.integers(0, 5)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    how=st.sampled_from([Image.Resampling.NEAREST, Image.Resampling.BILINEAR]),
    dtype=st.sampled_from([np.uint8, np.int32]),
)  # fmt: skip
@settings(max_examples=150)
def test_runs_and_pixels_give_the_same_result(small, size, how, dtype):
    mask = np.asarray(Image.fromarray(small * 40).resize(size, how)).astype(dtype)
    runs = Runs.of(mask)
    np.testing.assert_array_equal(np.repeat(runs.distinct[runs.values], runs.lengths), mask.ravel())
    np.testing.assert_array_equal(runs.counts(), np.unique(mask, return_counts=True)[1])
    assert is_antialiased(runs, runs.distinct[:, np.newaxis]) == is_antialiased_by_definition(mask)


def test_noise_and_thin_objects_are_not_antialiased(write):
    noise = np.random.default_rng(0).integers(0, 20, SIZE, dtype=np.uint8)
    posts = regions(1, 1, 7, 7)
    posts[4:, [5, 9, 20]], posts[2:5, 3] = 5, 12
    assert check(write(noise, posts)).problems == ()
