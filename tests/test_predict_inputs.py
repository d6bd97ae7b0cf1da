"""Prediction: kinds of images and models, and errors."""

from __future__ import annotations

import gc
import inspect
import logging
import re
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from small_networks import N_CLASSES, asked, network, random_image

import unetv2
from unetv2.data.io.open import decode_mask
from unetv2.inference.network import network_of
from unetv2.inference.predictor import PredictorOptions
from unetv2.models.resizing import CropToSize

MODEL = network()


def probabilities(model, image, **options):
    return unetv2.predict(model, image, probabilities=True, **options).probabilities


def test_dtypes_and_files_of_an_image_give_the_same_prediction(tmp_path):
    image = random_image(9, 11)
    expected = asked(MODEL, image)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(image))
    np.save(tmp_path / "swapped.npy", (image.astype(np.uint16) * 257).astype(">u2"))
    for same in (
        image, image.astype(np.uint16) * 257, image / 255, (image / 255).astype(np.float32),
        tf.constant(image), save(image, tmp_path / "image.png"), str(tmp_path / "image.png"),
        tmp_path / "image.npy", tmp_path / "fortran.npy", tmp_path / "swapped.npy",
    ):  # fmt: skip
        np.testing.assert_allclose(probabilities(MODEL, same), expected, atol=1e-5)


def test_floats_are_resized_without_rounding():
    model = network((4, 4, 3), image_size=(4, 4), interpolation="bicubic")
    image = random_image(8, 8)
    np.testing.assert_allclose(
        probabilities(model, image / 255), probabilities(model, image), atol=0.02
    )


def test_gray_arrays_need_no_channel_axis():
    model = network((None, None, 1))
    image = random_image(5, 6, 1)
    np.testing.assert_array_equal(probabilities(model, image[..., 0]), probabilities(model, image))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_slices_of_memory_maps_are_read_correctly(tmp_path, mode):
    image = random_image(20, 24)
    np.save(tmp_path / "image.npy", image)
    stored = np.load(tmp_path / "image.npy", mmap_mode=mode)
    if mode != "r":
        stored[3, 4] = image[3, 4] = 7
    parts = [
        np.s_[:], np.s_[5:], np.s_[:7], np.s_[::-1], np.s_[:, ::-1], np.s_[2:9, 3:20],
        np.s_[..., ::-1],
    ]  # fmt: skip
    for part in parts:
        found = probabilities(MODEL, stored[part], window=(8, 8))
        np.testing.assert_allclose(found, asked(MODEL, image[part]), atol=1e-5)
    turned = probabilities(MODEL, stored.swapaxes(0, 1), window=(8, 8))
    np.testing.assert_allclose(turned, asked(MODEL, image.swapaxes(0, 1)), atol=1e-5)


def test_a_list_of_images_gives_a_list(tmp_path):
    images = [random_image(5, 6), save(random_image(8, 4), tmp_path / "image.png")]
    predictions = unetv2.predict(MODEL, images)
    assert [prediction.mask.shape for prediction in predictions] == [(5, 6), (8, 4)]
    assert unetv2.predict(MODEL, []) == []


def test_a_model_may_be_a_path(tmp_path):
    model = network((8, 8, 3), image_size=(8, 8), resize="pad")
    model.save(tmp_path / "model.keras")
    image = random_image(16, 9)
    np.testing.assert_array_equal(
        probabilities(tmp_path / "model.keras", image), probabilities(model, image)
    )


def test_defaults_for_models_without_preprocessing_are_logged(caplog):
    shrunk = network((6, 8, 3), image_size=(6, 8))
    free = network()
    image = random_image(12, 16)
    with caplog.at_level(logging.WARNING, "unetv2"):
        for known in (shrunk, free):
            plain = keras.Sequential(known.layers)
            for _ in range(2):
                np.testing.assert_array_equal(
                    probabilities(plain, image), probabilities(known, image)
                )
    assert len(caplog.messages) == 2
    assert "Assumed: whole images stretched to 6x8, as by `make_dataset`" in caplog.messages[0]
    assert "Assumed: images at their own size" in caplog.messages[1]


def test_half_precision_models_give_float32():
    model = unetv2.build_unetv2((16, 16, 3), N_CLASSES, filters=2, depth=1, dtype="mixed_bfloat16")
    model.preprocessing = unetv2.Preprocessing(image_size=(16, 16))
    found = probabilities(model, random_image(16, 16))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_current_weights_are_used():
    model = network()
    image = random_image(4, 4)
    probabilities(model, image)
    model.set_weights([weight * 0.5 for weight in model.get_weights()])
    np.testing.assert_allclose(probabilities(model, image), asked(model, image), atol=1e-6)


def test_compiled_functions_are_freed_with_the_model():
    model = network((None, None, 3), keras.layers.Dropout(0.5))
    unetv2.predict(model, random_image(4, 4), mc_samples=1)
    kept = weakref.ref(network_of(model))
    assert network_of(model) is kept()
    del model
    # What was compiled goes after the model.
    gc.collect()
    gc.collect()
    assert kept() is None


def enlarged(x):
    # Keras's own bilinear enlargement needs to know its size.
    small = keras.layers.AveragePooling2D(2, padding="same")(x)
    large = keras.layers.UpSampling2D(2, interpolation="bilinear")(small)
    return keras.layers.Concatenate()([x, CropToSize()(large, x)])


@pytest.mark.parametrize("layers", [(), (enlarged,)])
def test_many_sizes_compile_few_graphs(layers):
    model = network((None, None, 3), *layers, kernel=3)
    network_ = network_of(model)
    for side in range(2, 14):
        image = random_image(side, 20)
        np.testing.assert_allclose(probabilities(model, image), asked(model, image), atol=1e-5)
    assert network_.graphs <= 5


GREY = np.zeros((4, 4), np.uint8)
NAN = np.full((4, 4, 3), np.nan)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((0, 4, 3), np.uint8), ValueError, "`image` must be .* no side of 0. Receiv"),
        (np.zeros((1, 4, 4, 3), np.uint8), ValueError, "Pass several images as a list"),
        (GREY, ValueError, "number of channels, 3. Received: an array of shape \\(4, 4\\). Pass"),
        (np.zeros((3, 8, 8), np.uint8), ValueError, "Channels come last: pass `np.moveaxis(image"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, "Pass `image[..., :3]` to use the first"),
        (np.zeros((4, 4, 3), np.int64), TypeError, "`image` must be uint8, uint16 or float in [0"),
        (np.zeros((4, 4, 3), bool), TypeError, "`image` must be uint8, uint16 or float in [0, 1]"),
        (np.full((4, 4, 3), 255.0), ValueError, "must hold numbers in [0, 1]. Received: values f"),
        (np.full((4, 4, 3), -0.1), ValueError, "must hold numbers in [0, 1]. Received: values fr"),
        (NAN, ValueError, "must hold numbers in [0, 1]. Received: values from nan to nan in rows"),
        (None, TypeError, "`image` must be a path, an array or a list"),
        ("nowhere.png", FileNotFoundError, "nowhere.png"),
        ("nowhere.npy", FileNotFoundError, "nowhere.npy"),
    ],
)  # fmt: skip
def test_invalid_images_raise(image, error, message):
    with pytest.raises(error, match=message.replace("[", "\\[").replace("(image", "\\(image")):
        unetv2.predict(MODEL, image)


def test_invalid_image_files_raise(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    np.save(tmp_path / "floats.npy", np.zeros((4, 4, 3)))
    np.save(tmp_path / "gray.npy", GREY)
    for name, message in (
        ("text.png", "text.png' must be a readable image"),
        ("floats.npy", "An image's array must be uint8 or uint16. Received: float64"),
        ("gray.npy", "must have `channels` channels. Received: channels=3"),
    ):
        with pytest.raises(ValueError, match=message):
            unetv2.predict(MODEL, tmp_path / name)
    large = save(random_image(20, 20), tmp_path / "large.png")
    with pytest.raises(ValueError, match="must have at most `max_pixels`=399 pixels"):
        unetv2.predict(MODEL, large, max_pixels=399)


def flat(x):
    return keras.layers.Flatten()(x)


def sigmoid(x):
    return keras.layers.Conv2D(1, 1, activation="sigmoid")(x)


def smaller(x):
    return keras.layers.Conv2D(4, 1, strides=2)(x)


class Subclass(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("layers", [flat, sigmoid, smaller])
def test_models_with_other_outputs_raise(layers):
    image = keras.Input((8, 8, 3))
    with pytest.raises(
        ValueError, match="`model` must .*logits \\(batch, height, width, n_classes"
    ):
        unetv2.predict(keras.Model(image, layers(image)), random_image(8, 8))


def test_models_with_smaller_logits_raise():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, smaller(image))
    message = "must take images of 32x32. Received: the model .*, which returns logits of 16x16"
    with pytest.raises(ValueError, match=message):
        unetv2.predict(model, random_image(8, 8))


def test_invalid_models_raise(tmp_path):
    with pytest.raises(ValueError, match="`model` must map images .*Received: .*Subclass"):
        unetv2.predict(Subclass(), random_image(8, 8))
    message = "`model` must be a keras.Model, the path of a .keras file, or an exported model"
    with pytest.raises(TypeError, match=message):
        unetv2.predict(3, random_image(8, 8))
    with pytest.raises(FileNotFoundError, match="`model` must be a file. Received: .*none.keras"):
        unetv2.predict(tmp_path / "none.keras", random_image(8, 8))
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError, match="Received: .*run', a folder. Pass the .keras"):
        unetv2.predict(tmp_path / "run", random_image(8, 8))
    with pytest.raises(
        FileNotFoundError, match="`image` must be a file. Received: .*none.png', wh"
    ):
        unetv2.predict(MODEL, tmp_path / "none.png")
    (tmp_path / "broken.keras").write_bytes(b"no model")
    with pytest.raises(
        ValueError, match="saved. Received: .*broken.keras', which is not a ZIP archive"
    ):
        unetv2.predict(tmp_path / "broken.keras", random_image(8, 8))


def test_nan_weights_raise():
    model = network()
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    with pytest.raises(
        ValueError, match="`model` must not return NaN. Received: NaN from the model"
    ):
        unetv2.predict(model, random_image(4, 4))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": (0, 4)}, ValueError, "`window` must be two positive integers"),
        ({"window": 4}, ValueError, "`window` must be two positive integers"),
        ({"overlap": 1}, ValueError, "`overlap` must be a number in [0, 1)"),
        ({"overlap": "half"}, TypeError, "`overlap` must be a number in [0, 1)"),
        ({"scale": 0}, ValueError, "`scale` must be a positive number"),
        ({"scale": "2"}, ValueError, "`scale` must be a positive number"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be a positive integer"),
    ],
)
def test_arguments_out_of_range_raise(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        unetv2.predict(MODEL, random_image(4, 4), **options)


def test_preprocessing_that_does_not_fit_the_model_raises():
    model = network((8, 8, 3), image_size=(16, 16))
    message = r"of images that the model takes. Received: images of \(16, 16\) and a model"
    with pytest.raises(ValueError, match=message):
        unetv2.predict(model, random_image(8, 8))
    model.preprocessing = unetv2.Preprocessing(channels=1)
    with pytest.raises(ValueError, match="`model.preprocessing` must be of images that the mode"):
        unetv2.predict(model, random_image(8, 8))


def test_a_model_of_one_size_predicts_images_of_any_size():
    model = network((8, 8, 3))
    for image in (random_image(3, 5), random_image(8, 8), random_image(17, 30)):
        np.testing.assert_allclose(probabilities(model, image), asked(network(), image), atol=1e-5)


def test_functions_pass_on_the_options_of_the_constructor():
    constructor = inspect.signature(unetv2.Predictor).parameters
    assert set(PredictorOptions.__annotations__) == set(constructor) - {"model"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'windows'"):
        unetv2.predict(MODEL, random_image(4, 4), windows=(4, 4))


def test_a_predictor_predicts_arrays_paths_and_lists_with_its_options(tmp_path):
    model = network(kernel=3)
    model.save(tmp_path / "model.keras")
    image = random_image(20, 24)
    path = save(image, tmp_path / "image.png")
    options = {"window": (8, 12), "overlap": 0.5, "tta": True}
    expected = unetv2.predict(model, image, **options).mask
    predictor = unetv2.Predictor(tmp_path / "model.keras", **options)
    several = predictor.predict([image, path])
    for prediction in (predictor.predict(image), predictor.predict(path), *several):
        np.testing.assert_array_equal(prediction.mask, expected)
    result = predictor.predict_directory([path], tmp_path / "masks", progress=False)
    np.testing.assert_array_equal(decode_mask(str(result.written[0])), expected)
