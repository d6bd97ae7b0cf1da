from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import unetv2
from unetv2.data.preprocess import ROUND_UP, Geometry, resize_image, resize_mask
from unetv2.exporting.graph import Placement, enlarge, shrink
from unetv2.inference.inputs import PreparedImage, unpadded
from unetv2.inference.prediction import Strip, resize_strips
from unetv2.preprocessing import INTERPOLATIONS
from unetv2.training.feed import shrink as shrink_batch

sides = st.integers(1, 40)
pairs = st.tuples(sides, sides)


def open_shrink(size, resize, interpolation, channels):
    """Resizes with unknown sizes, as for frames of any size."""
    signature = tf.TensorSpec((None, None, None, channels), tf.uint8)

    @tf.function(input_signature=[signature], autograph=False)
    def shrunk(frames):
        values, place = shrink(frames, size, resize, interpolation)
        return values, [tf.convert_to_tensor(one) for one in place]

    return shrunk


def require_rounded(found, frame, geometry, interpolation):
    """Checks that values are the exact ones, rounded with `ROUND_UP`."""
    exact = resize_image(frame.astype(np.float32) / 255, geometry, interpolation) * 255
    np.testing.assert_array_equal(found, np.rint(found))
    tiles = not any(one % other for one, other in zip(frame.shape, geometry.resized, strict=False))
    if interpolation == "area" and tiles and frame.shape[2] != 4:
        np.testing.assert_array_equal(found, resize_image(frame, geometry))
    else:
        assert np.abs(found - (exact + ROUND_UP - 0.5)).max() <= 0.502


def image(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@given(
    source=pairs,
    size=pairs,
    resize=st.sampled_from(["stretch", "pad"]),
    interpolation=st.sampled_from(INTERPOLATIONS),
    channels=st.sampled_from([1, 3, 4]),
)
@settings(max_examples=150)
def test_an_image_of_known_size_is_resized_as_in_training(
    source, size, resize, interpolation, channels
):
    frame = image(*source, channels)
    geometry = Geometry.plan(source, size, resize)
    values, place = shrink(tf.constant(frame[np.newaxis]), size, resize, interpolation)
    require_rounded(values[0].numpy(), frame, geometry, interpolation)
    rows, columns = unpadded(geometry)
    assert place == (rows.start, columns.start, *geometry.resized)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_an_image_of_any_size_is_resized_as_in_training(resize, interpolation):
    size = (12, 16)
    shrunk = open_shrink(size, resize, interpolation, 3)
    # 24x21 keeps its ratio at 12x10.5.
    sources = [
        (12, 16),
        (24, 32),
        (36, 48),
        (31, 44),
        (9, 50),
        (5, 7),
        (60, 20),
        (13, 16),
        (24, 21),
    ]
    for source in sources:
        frame = image(*source)
        geometry = Geometry.plan(source, size, resize)
        values, place = shrunk(frame[np.newaxis])
        require_rounded(values[0].numpy(), frame, geometry, interpolation)
        rows, columns = unpadded(geometry)
        assert [int(one) for one in place] == [rows.start, columns.start, *geometry.resized]


@given(frames=st.integers(1, 9), source=pairs)
@settings(max_examples=30)
def test_resizing_by_integer_ratios_and_no_resizing_are_exact(frames, source):
    size = (6, 8)
    frame = image(6 * frames, 8 * frames)
    wanted = resize_image(frame, Geometry(size, size))
    values, _ = shrink(tf.constant(frame[np.newaxis]), size, "stretch", "area")
    np.testing.assert_array_equal(values[0], wanted)
    same = image(*source)
    values, _ = shrink(tf.constant(same[np.newaxis]), source, "stretch", "lanczos3")
    np.testing.assert_array_equal(values[0], same)


@given(source=pairs, size=pairs)
def test_logits_are_enlarged_as_in_predict(source, size):
    values = np.random.default_rng(0).normal(size=(1, *source, 4)).astype(np.float32)
    found = enlarge(tf.constant(values), Placement(0, 0, *source), size)[0]
    bands = resize_strips([Strip(0, tf.constant(values[0]))], source, size)
    wanted = np.concatenate([band.values for band in bands])
    # TensorFlow computes the positions of pixels in float32.
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("interpolation", ["area", "bilinear"])
@pytest.mark.parametrize(
    ("source", "size"), [((64, 64), (48, 48)), ((96, 128), (224, 224)), ((480, 640), (360, 480))]
)
def test_halves_are_rounded_as_in_training(source, size, interpolation):
    # At these ratios 1 % to 5 % of the pixels are halves.
    frame = image(*source)
    found, _ = shrink(tf.constant(frame[np.newaxis]), size, "stretch", interpolation)
    wanted = resize_image(frame, Geometry(size, size), interpolation)
    assert np.mean(found[0] != wanted) < 1e-4


def test_padding_is_removed_before_logits_are_enlarged():
    values = np.arange(4 * 6, dtype=np.float32).reshape(1, 4, 6, 1)
    found = enlarge(tf.constant(values), Placement(1, 2, 2, 3), (2, 3))
    # Rows 1 and 2, columns 2 to 4.
    np.testing.assert_array_equal(found[0, ..., 0], [[8, 9, 10], [14, 15, 16]])


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_integer_ratios_are_averaged_exactly_for_any_channels(channels):
    # Pillow does not round these to the nearest integer, and supports up to four channels.
    frame = image(240, 320, channels)
    expected = resize_image(frame, Geometry.plan((240, 320), (48, 64), "stretch"), "area")
    found, _ = shrink(tf.constant(frame[np.newaxis]), (48, 64), "stretch", "area")
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("source", [(9, 50), (60, 7), (31, 44), (5, 7)])
def test_data_sets_prediction_and_exported_graphs_resize_alike(tmp_path, source, interpolation):
    """Also if one side shrinks and the other one grows."""
    size, frame = (12, 16), image(*source)
    for name, pixels in (("images", frame), ("masks", np.zeros(source, np.uint8))):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", pixels)
    data = unetv2.make_dataset(
        tmp_path / "images", tmp_path / "masks", n_classes=2,
        image_size=size, interpolation=interpolation,
    )  # fmt: skip
    images, _ = next(iter(data))
    prepared = PreparedImage(
        frame, Geometry.plan(source, size, "stretch"), interpolation, (0.0, 1.0)
    )
    np.testing.assert_array_equal(images[0], prepared.whole())
    exported, _ = shrink(tf.constant(frame[np.newaxis]), size, "stretch", interpolation)
    # A half may be rounded to either side.
    assert np.abs(exported[0] - 255 * images[0]).max() <= 1.001
    assert np.mean(np.abs(exported[0] - 255 * images[0]) > 0.5) < 0.02


@given(
    size=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    scale=st.sampled_from([0.25, 0.5, 0.7, 1.0]),
)
@settings(max_examples=30)
def test_stages_at_a_lower_size_resize_as_data_sets_do(size, scale):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    mask = np.random.default_rng(1).integers(0, 9, size).astype(np.int32)
    images, masks = shrink_batch(
        tf.constant(image[None]), tf.constant(mask[None, ..., None]), scale
    )
    smaller = tuple(max(1, round(side * scale)) for side in size)
    geometry = Geometry(smaller, smaller)
    np.testing.assert_allclose(images[0], resize_image(image, geometry), atol=1e-6)
    np.testing.assert_array_equal(masks[0, ..., 0], resize_mask(mask, geometry))
