from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetv2.data.preprocess import Geometry, resize_image, resize_mask
from unetv2.preprocessing import INTERPOLATIONS, RESIZES

SIDES = st.integers(1, 30)
SIZES = st.tuples(SIDES, SIDES)


@given(
    source=SIZES, size=SIZES, resize=st.sampled_from(RESIZES), channels=st.integers(1, 9),
    interpolation=st.sampled_from(INTERPOLATIONS), dtype=st.sampled_from(["uint8", "uint16"]),
)  # fmt: skip
def test_resizing_has_the_requested_size_and_keeps_the_dtype(
    source, size, resize, channels, interpolation, dtype
):
    rng = np.random.default_rng(0)
    geometry = Geometry.plan(source, size, resize)
    image = rng.integers(0, np.iinfo(dtype).max, (*source, channels), dtype=dtype, endpoint=True)
    resized = resize_image(image, geometry, interpolation)
    assert resized.shape == (*size, channels)
    assert resized.dtype == dtype
    ids = rng.choice(np.array([0, 7, 200], np.uint8), source)
    mask = resize_mask(ids, geometry, padding=255)
    assert mask.shape == size
    assert set(np.unique(mask)) <= {*np.unique(ids), 255}


@given(value=st.integers(0, 255), source=SIZES, size=SIZES, method=st.sampled_from(INTERPOLATIONS))
def test_a_uniform_image_stays_uniform(value, source, size, method):
    image = np.full((*source, 3), value, np.uint8)
    resized = resize_image(image, Geometry.plan(source, size, "stretch"), method)
    assert (resized == value).all()


def mean_weights(source, target):
    """Fraction of each input pixel in each output pixel's area, ``(target, source)``."""
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(overlap, 0, None) * target / source


def linear_weights(source, target):
    """Bilinear interpolation between the centers of pixels, ``(target, source)``."""
    places = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    return np.clip(1 - np.abs(places[:, None] - np.arange(source)), 0, None)


def exactly(image, size):
    """The documented "area": for each side, the mean or bilinear interpolation."""
    rows, columns = (
        mean_weights(have, want) if want <= have else linear_weights(have, want)
        for have, want in zip(image.shape, size, strict=False)
    )
    return np.einsum("hy,yxc,wx->hwc", rows, image.astype(float), columns)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (3, 6)])
@pytest.mark.parametrize("channels", [2, 7])
def test_areas_are_averaged_exactly(dtype, size, channels):
    image = np.random.default_rng(0).integers(0, 255, (12, 24, channels), dtype=dtype)
    resized = resize_image(image, Geometry(size, size))
    assert np.abs(resized - exactly(image, size)).max() <= 0.51


@given(source=SIZES, size=SIZES, channels=st.sampled_from([1, 2, 3]))
def test_a_shrinking_side_is_averaged_independently_of_the_other(source, size, channels):
    image = np.random.default_rng(1).random((*source, channels), np.float32)
    resized = resize_image(image, Geometry(size, size))
    np.testing.assert_allclose(resized, exactly(image, size), atol=1e-5)
    stored = np.rint(255 * image).astype(np.uint8)
    # Pillow, which averages whole blocks, may round a half and a little more down.
    assert np.abs(resize_image(stored, Geometry(size, size)) - exactly(stored, size)).max() < 0.77


def test_shrinking_one_side_and_growing_the_other_matches_hand_computed_values():
    # Columns by threes: means 100 and 40, where a triangle would reach over to the neighbors. The
    # row is repeated, as there is nothing to interpolate it with.
    image = np.array([[0, 100, 200, 40, 40, 40]], np.uint8)[..., np.newaxis]
    assert resize_image(image, Geometry((2, 2), (2, 2)))[..., 0].tolist() == [[100, 40], [100, 40]]


@given(source=SIZES, size=SIZES, interpolation=st.sampled_from(INTERPOLATIONS))
def test_a_transposed_image_is_resized_to_the_transposed_one(source, size, interpolation):
    image = np.random.default_rng(2).random((*source, 3), np.float32)
    resized = resize_image(image, Geometry(size, size), interpolation)
    other = resize_image(image.swapaxes(0, 1), Geometry(size[::-1], size[::-1]), interpolation)
    np.testing.assert_allclose(resized, other.swapaxes(0, 1), atol=2e-6)


@given(size=SIZES, factors=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_whole_ratios_keep_the_mean(size, factors):
    source = size[0] * factors[0], size[1] * factors[1]
    image = np.random.default_rng(3).random((*source, 3), np.float32)
    resized = resize_image(image, Geometry(size, size))
    np.testing.assert_allclose(resized.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=1e-5)


@given(source=SIZES, size=SIZES, interpolation=st.sampled_from(INTERPOLATIONS))
def test_channels_are_resized_independently(source, size, interpolation):
    image = np.random.default_rng(0).integers(0, 256, (*source, 6), dtype=np.uint8)
    geometry = Geometry(size, size)
    alone = [resize_image(image[..., [n]], geometry, interpolation) for n in range(6)]
    together = resize_image(image, geometry, interpolation)
    # Single channels may take Pillow's way, where halves are rounded up.
    assert np.abs(together - np.concatenate(alone, axis=2).astype(int)).max() <= 1


@given(source=SIZES, size=SIZES, resize=st.sampled_from(["pad", "crop"]))
def test_sides_are_rounded_to_the_nearest_pixel_and_halves_up(source, size, resize):
    choose = min if resize == "pad" else max
    ratio = choose(Fraction(want, have) for want, have in zip(size, source, strict=True))
    expected = tuple(max(1, math.floor(side * ratio + Fraction(1, 2))) for side in source)
    geometry = Geometry.plan(source, size, resize)
    assert geometry == (expected, size)
    inside = [have <= want for have, want in zip(geometry.resized, size, strict=True)]
    assert all(inside) or resize == "crop"


def test_padding_keeps_the_aspect_ratio_and_is_marked():
    geometry = Geometry.plan((10, 20), (8, 8), "pad")
    assert geometry.resized == (4, 8)
    mask = resize_mask(np.ones((10, 20), np.uint8), geometry, padding=255)
    assert (mask[2:6] == 1).all()
    assert (mask[:2] == 255).all()
    assert (mask[6:] == 255).all()
    image = resize_image(np.full((10, 20, 3), 9, np.uint8), geometry)
    np.testing.assert_array_equal(image[..., 0] == 9, mask == 1)


def test_cropping_keeps_the_aspect_ratio_and_the_middle():
    geometry = Geometry.plan((10, 20), (5, 5), "crop")
    assert geometry.resized == (5, 10)
    columns = np.tile(np.arange(20, dtype=np.uint8), (10, 1))
    mask = resize_mask(columns, geometry)
    # Half of 20 columns is 10, of which the middle five start at the third.
    assert mask[0].tolist() == [5, 7, 9, 11, 13]


@pytest.mark.parametrize(("padding", "dtype"), [(255, "uint8"), (300, "uint16"), (-1, "int32")])
def test_padding_supports_any_id(padding, dtype):
    mask = resize_mask(np.ones((2, 4), np.uint8), Geometry((2, 4), (4, 4)), padding)
    assert mask.dtype == dtype
    assert mask[0, 0] == padding
    assert mask[1, 1] == 1
