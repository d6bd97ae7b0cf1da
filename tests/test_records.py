"""What is said and done where a model's record is missing or does not fit the model."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import network, random_image

import unetv2
from unetv2.models.segmentation_model import preprocessing_of

SIZE = (6, 8)
layers = keras.layers


def plain(*first):
    """A model without a record, which changes its mind at half of an image's range."""
    image = keras.Input((*SIZE, 3))
    features = image
    for layer in first:
        features = layer(features)
    return keras.Model(image, layers.Conv2D(2, 1)(features))


def normalization(mean):
    return layers.Normalization(mean=[mean] * 3, variance=[1.0] * 3)


@pytest.mark.parametrize(
    ("first", "value_range"),
    [
        ((), (0, 1)),
        ((layers.Rescaling(2.0, offset=-1),), (0, 1)),
        ((normalization(0.4),), (0, 1)),
        ((layers.Conv2D(2, 1), layers.Rescaling(1 / 255)), (0, 1)),
        ((layers.Rescaling(1 / 255),), (0, 255)),
        ((layers.Rescaling(1 / 127.5, offset=-1),), (0, 255)),
        ((layers.Rescaling([1 / 58, 1 / 57, 1 / 57], offset=[-2, -2, -1.8]),), (0, 255)),
        ((normalization(123.7),), (0, 255)),
        ((keras.Sequential([layers.Rescaling(1 / 255)]),), (0, 255)),
    ],
)
def test_the_range_is_what_the_first_layer_takes(caplog, first, value_range):
    model = plain(*first)
    with caplog.at_level(logging.WARNING, "unetv2"):
        assert preprocessing_of(model, 2).value_range == value_range
    assert f"in [0, {value_range[1]}]" in caplog.text
    assert "value_range" in caplog.text


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_an_assumed_range_is_said_by_all_and_gives_the_models_own_classes(tmp_path, caplog, scale):
    frame = random_image(*SIZE)
    values = frame[np.newaxis].astype(np.float32) * (1.0 if scale < 1 else 1 / 255)
    text = "in [0, 255]" if scale < 1 else "in [0, 1]"
    for use in (
        lambda model: unetv2.predict(model, frame).mask,
        lambda model: unetv2.export(
            model, tmp_path / "exported", format="saved_model", overwrite=True
        ).predict(frame).mask,
    ):  # fmt: skip
        caplog.clear()
        model = plain(layers.Rescaling(scale))
        with caplog.at_level(logging.WARNING, "unetv2"):
            found = use(model)
        np.testing.assert_array_equal(found, np.asarray(model(values))[0].argmax(axis=-1))
        assert text in caplog.text


def test_evaluate_takes_images_of_the_records_range_only(write_pairs, caplog):
    folders = write_pairs(2, size=SIZE, n_classes=2)
    data = unetv2.make_dataset(*folders, n_classes=2, image_size=SIZE, shuffle=False)
    model = plain(layers.Rescaling(1 / 255))
    with caplog.at_level(logging.WARNING, "unetv2"):
        unetv2.evaluate(model, data, progress=False)
    assert "Images in [0.0, 1.0] for the model" in caplog.text
    model.preprocessing = unetv2.Preprocessing(image_size=SIZE, value_range=(0, 255))
    with pytest.raises(ValueError, match=r"`value_range`.*Received: images in \[0.0, 1.0\]"):
        unetv2.evaluate(model, data, progress=False)
    scaled = data.map(lambda image, mask: (image * 255, mask))
    found = unetv2.evaluate(model, scaled, progress=False)
    np.testing.assert_array_equal(
        found.confusion, unetv2.evaluate(model, folders, progress=False).confusion
    )


def stale():
    """A model of four classes with the names of 23."""
    return network((*SIZE, 3), image_size=SIZE, classes=unetv2.CARLA, ignore_class=255)


def test_a_class_table_that_does_not_fit_is_left_out_by_all(tmp_path, caplog):
    frame = random_image(*SIZE)
    images = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    masks = np.zeros((2, *SIZE, 1), np.int32)
    data = tf.data.Dataset.from_tensor_slices((images, masks)).batch(2)
    numbered = unetv2.ClassTable.numbered(4, 255)

    def trained(model):
        unetv2.train(model, data, None, epochs=1, output_dir=tmp_path / "run", progress=False)
        assert model.preprocessing.classes is None
        saved = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
        assert saved.preprocessing.classes is None
        assert saved.preprocessing.ignore_class == 255

    def exported(model):
        made = unetv2.export(model, tmp_path / "made", format="saved_model")
        assert made.description.preprocessing.classes is None
        assert made.predict(frame).classes == made.classes == numbered

    def predicted(model):
        assert unetv2.predict(model, frame).classes == numbered

    def evaluated(model):
        assert unetv2.evaluate(model, data, progress=False).classes == numbered

    for use in (predicted, evaluated, exported, trained):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "unetv2"):
            use(stale())
        assert len([one for one in caplog.messages if "has 23 classes" in one]) == 1


def test_a_given_class_table_is_exported(tmp_path):
    table = unetv2.ClassTable.numbered(4)
    made = unetv2.export(stale(), tmp_path / "made", format="saved_model", classes=table)
    assert made.description.preprocessing.classes == table
    with pytest.raises(ValueError, match="`classes` must be a ClassTable .*Received: 23 classes"):
        unetv2.export(stale(), tmp_path / "other", format="saved_model", classes=unetv2.CARLA)
