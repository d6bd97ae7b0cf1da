"""Prediction: preprocessing as in training, and tiling."""

from __future__ import annotations

import itertools
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from small_networks import N_CLASSES, asked, network, random_image, softmax

import unetv2
from unetv2.data.preprocess import Geometry, pixels_needed
from unetv2.inference.inputs import InputImage, PreparedImage
from unetv2.preprocessing import INTERPOLATIONS

POINTWISE = network()
NEIGHBOURS = network(kernel=5, seed=1)
PROBABLY = {"probabilities": True}


def probabilities(model, image, **options):
    return unetv2.predict(model, image, probabilities=True, **options).probabilities


@pytest.mark.parametrize(
    ("interpolation", "resize", "size", "suffix"),
    [
        *((interpolation, "stretch", (17, 23), "png") for interpolation in INTERPOLATIONS),
        # Whole pixels, which Pillow adds up.
        ("area", "stretch", (24, 32), "png"),
        ("area", "pad", (24, 40), "png"),
        # Decoded at a half, as it shrinks to an eighth; or not, as that would be another image.
        ("area", "stretch", (15, 20), "jpg"),
        ("nearest", "pad", (24, 40), "jpg"),
    ],
)
def test_images_are_preprocessed_exactly_as_in_training(
    tmp_path, interpolation, resize, size, suffix
):
    path = save(random_image(120, 160), tmp_path / "images" / f"a.{suffix}")
    save(np.zeros((120, 160), np.uint8), tmp_path / "masks" / "a.png")
    options = {"resize": resize, "interpolation": interpolation}
    ((images, _),) = unetv2.make_dataset(
        path.parent, tmp_path / "masks", n_classes=2, ignore_class=255, image_size=size, **options
    )
    geometry = Geometry.plan((120, 160), size, resize)
    model = network((*size, 3), image_size=size, **options)
    needed = pixels_needed(geometry, interpolation)
    pixels = InputImage(path, channels=3, max_pixels=10**6).pixels(needed)
    prepared = PreparedImage(pixels, geometry, interpolation, (0.0, 1.0))
    np.testing.assert_array_equal(prepared.whole(), images[0])
    # And the mask is the one of the network's logits for that.
    rows, columns = (
        slice((whole - part) // 2, (whole - part) // 2 + part)
        for whole, part in zip(size, geometry.resized, strict=True)
    )
    logits = tf.image.resize(model(images)[:, rows, columns], (120, 160))[0]
    prediction = unetv2.predict(model, path, **PROBABLY)
    np.testing.assert_allclose(prediction.probabilities, softmax(logits), atol=1e-5)
    np.testing.assert_array_equal(prediction.mask, prediction.probabilities.argmax(-1))


def test_an_image_is_resized_and_its_logits_are_resized_back():
    small = random_image(96, 128)
    image = small.repeat(5, 0).repeat(5, 1)
    model = network((96, 128, 3), kernel=3, image_size=(96, 128))
    logits = tf.image.resize(model(small[np.newaxis] / np.float32(255)), (480, 640))[0].numpy()
    prediction = unetv2.predict(model, image)
    expected = softmax(logits)
    np.testing.assert_array_equal(prediction.mask, logits.argmax(-1))
    # TensorFlow finds places in float32.
    np.testing.assert_allclose(prediction.confidence, expected.max(-1), atol=1e-4)
    entropy = -(expected * np.log(expected)).sum(-1)
    np.testing.assert_allclose(prediction.uncertainty, entropy, atol=1e-4)
    assert prediction.mask.dtype == np.uint8
    assert prediction.confidence.dtype == prediction.uncertainty.dtype == np.float32
    assert prediction.probabilities is None
    assert prediction.mutual_information is None


@given(
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    window=st.sampled_from([(1, 1), (8, 8), (7, 12), (64, 5)]),
    overlap=st.sampled_from([0.0, 0.25, 0.7]), batch_size=st.integers(1, 9), tta=st.booleans(),
)  # fmt: skip
def test_tiling_does_not_change_a_pixelwise_model(size, window, overlap, batch_size, tta):
    # Windows of a single pixel share none.
    overlap = overlap if min(window) > 1 else 0.0
    image = random_image(*size)
    found = probabilities(
        POINTWISE, image, window=window, overlap=overlap, batch_size=batch_size, tta=tta
    )
    np.testing.assert_allclose(found, asked(POINTWISE, image), atol=1e-5)


def blended(model, image, window, overlap):
    """Averages all windows under squared sines, on canvases of the whole image."""
    total = np.zeros((*image.shape[:2], N_CLASSES))
    counts = np.zeros((*image.shape[:2], 1))
    starts, bumps = [], []
    for length, extent in zip(image.shape[:2], window, strict=True):
        assert length >= extent
        stride = extent - round(extent * overlap)
        n = 1
        while (n - 1) * stride < length - extent:
            n += 1
        starts.append([round((length - extent) * number / max(1, n - 1)) for number in range(n)])
        bumps.append(np.sin(np.pi * (np.arange(extent) + 0.5) / extent) ** 2)
    weight = bumps[0][:, None, None] * bumps[1][None, :, None]
    for top, left in itertools.product(*starts):
        place = np.s_[top : top + window[0], left : left + window[1]]
        total[place] += weight * asked(model, image[place])
        counts[place] += weight
    return total / counts


@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.75])
def test_tiles_are_blended_as_by_an_independent_implementation(overlap):
    # Whole numbers of strides: where windows start leaves nothing to choose.
    image = random_image(16 + 3 * round(16 * (1 - overlap)), 8 + 5 * round(8 * (1 - overlap)))
    found = probabilities(NEIGHBOURS, image, window=(16, 8), overlap=overlap)
    np.testing.assert_allclose(found, blended(NEIGHBOURS, image, (16, 8), overlap), atol=1e-5)


def test_an_image_smaller_than_a_tile_is_padded_by_reflection():
    image = random_image(9, 6)
    around = np.pad(image, ((3, 4), (5, 5), (0, 0)), mode="reflect")
    found = probabilities(NEIGHBOURS, image, window=(16, 16))
    expected = asked(NEIGHBOURS, around)[3:12, 5:11]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("window", [None, (16, 16)])
def test_order_and_batch_size_do_not_change_predictions(window):
    images = [random_image(20 + 5 * (number % 2), 30, seed=number) for number in range(5)]
    alone = [probabilities(NEIGHBOURS, image, window=window) for image in images]
    for batch_size in (1, 2, 8):
        turned = unetv2.predict(
            NEIGHBOURS, images[::-1], window=window, batch_size=batch_size, **PROBABLY
        )
        for prediction, expected in zip(turned, alone[::-1], strict=True):
            np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)


def test_images_are_tiled_at_the_scale_of_the_training_crops():
    image = random_image(40, 50)
    native = network(kernel=5, seed=1, crop_size=(16, 16))
    np.testing.assert_array_equal(
        probabilities(native, image), probabilities(NEIGHBOURS, image, window=(16, 16))
    )
    # Crops of images that were resized before.
    resized = network(kernel=5, seed=1, image_size=(40, 50), crop_size=(16, 16))
    twice = image.repeat(2, 0).repeat(2, 1)
    small = np.log(probabilities(native, image))
    np.testing.assert_allclose(
        probabilities(resized, twice), softmax(tf.image.resize(small, (80, 100))), atol=1e-5
    )


def test_parts_outside_of_center_crops_are_predicted():
    image = random_image(20, 60)
    model = network((20, 30, 3), kernel=5, image_size=(20, 30), resize="crop")
    found = probabilities(model, image)
    assert np.isfinite(found).all()
    # The first window sees the left third as an image of its own.
    np.testing.assert_allclose(found[:, 0], asked(model, image[:, :30])[:, 0], atol=1e-5)
    middle = random_image(20, 30)
    np.testing.assert_allclose(probabilities(model, middle), asked(model, middle), atol=1e-5)


def test_scale_equals_resizing_the_image():
    half = random_image(20, 30)
    image = half.repeat(2, 0).repeat(2, 1)
    for window in (None, (8, 8)):
        small = np.log(probabilities(NEIGHBOURS, half, window=window))
        expected = softmax(tf.image.resize(small, (40, 60)))
        found = probabilities(NEIGHBOURS, image, window=window, scale=0.5)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_values_are_scaled_to_the_training_range():
    image = random_image(6, 7)
    model = network(value_range=(-1, 1))
    expected = softmax(model(image[np.newaxis] / np.float32(127.5) - 1))[0]
    np.testing.assert_allclose(probabilities(model, image), expected, atol=1e-4)


def test_a_model_that_needs_multiples_predicts_any_size():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.MaxPooling2D(4)(keras.layers.Conv2D(4, 3, padding="same")(image))
    merged = keras.layers.Concatenate()([keras.layers.UpSampling2D(4)(pooled), image])
    model = unetv2.SegmentationModel(
        image, keras.layers.Conv2D(N_CLASSES, 1)(merged), preprocessing=unetv2.Preprocessing()
    )
    fits = random_image(32, 64)
    np.testing.assert_allclose(probabilities(model, fits), asked(model, fits), atol=1e-5)
    odd = random_image(31, 45)
    around = np.pad(odd, ((0, 1), (9, 10), (0, 0)), mode="reflect")
    expected = asked(model, around)[:31, 9:54]
    np.testing.assert_allclose(probabilities(model, odd), expected, atol=1e-5)
    with pytest.raises(ValueError, match="`model` must take images of 30x30. Received: the mo"):
        unetv2.predict(model, odd, window=(30, 30))


def test_large_images_are_tiled_by_default():
    model = network((None, None, 1), n_classes=2)
    image = random_image(1100, 2000, 1)
    np.testing.assert_array_equal(
        unetv2.predict(model, image, uncertainty=False).mask, asked(model, image).argmax(-1)
    )


def test_softmax_outputs_are_not_normalized_again():
    logits = network()
    soft = unetv2.SegmentationModel(
        logits.input, keras.layers.Softmax()(logits.output), preprocessing=logits.preprocessing
    )
    image = random_image(9, 9)
    np.testing.assert_allclose(probabilities(soft, image), probabilities(logits, image), atol=1e-6)


def test_another_scale_than_in_training_warns_once(caplog):
    model = network((None, None, 3), image_size=(8, 8))
    with caplog.at_level(logging.WARNING, "unetv2"):
        unetv2.predict(model, random_image(8, 8), window=(4, 4))
        assert not caplog.messages
        for _ in range(2):
            unetv2.predict(model, random_image(16, 24), window=(4, 4))
    assert len(caplog.messages) == 1
    assert "trained on such images at 8x8, but predicts this one at 16x24" in caplog.text
