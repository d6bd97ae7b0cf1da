"""Prediction with other window sizes than a model was built for."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest
from small_networks import N_CLASSES, network, random_image

import unetv2
from unetv2.inference.network import network_of


def probabilities(model, image, **options):
    return unetv2.predict(model, image, probabilities=True, **options).probabilities


@pytest.mark.parametrize("mc_samples", [0, 3])
def test_a_model_of_one_size_supports_other_windows(mc_samples):
    options = {"window": (12, 20), "mc_samples": mc_samples}
    size = {"filters": 4, "depth": 2, "normalization": "batch", "seed": 0}
    model = unetv2.build_unetv2((16, 24, 3), 3, **size)
    free = unetv2.build_unetv2((None, None, 3), 3, **size)
    free.preprocessing = unetv2.Preprocessing()
    model.preprocessing = unetv2.Preprocessing(image_size=(16, 24))
    image = random_image(31, 45)
    unetv2.predict(model, image, mc_samples=mc_samples)
    before = model.get_config()
    for _ in range(2):
        np.testing.assert_allclose(
            probabilities(model, image, **options), probabilities(free, image, **options), atol=1e-6
        )
        # Weights that change later are the ones used.
        weights = [0.5 * weight for weight in model.get_weights()]
        model.set_weights(weights)
        free.set_weights(weights)
    assert model.get_config() == before
    kept = weakref.ref(network_of(model)), weakref.ref(model)
    del model
    gc.collect()
    gc.collect()
    assert [one() for one in kept] == [None, None]


def test_many_windows_compile_few_graphs():
    model = network((8, 8, 3), image_size=(8, 8))
    free = network((None, None, 3))
    image = random_image(40, 40)
    for side in range(4, 16):
        np.testing.assert_allclose(
            probabilities(model, image, window=(side, side)),
            probabilities(free, image, window=(side, side)),
            atol=1e-6,
        )
    assert network_of(model).graphs <= 5


def test_layers_that_need_one_size_refuse_other_windows():
    image = keras.Input((8, 8, 3))
    flat = keras.layers.Dense(8 * 8 * N_CLASSES)(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Reshape((8, 8, N_CLASSES))(flat))
    message = r"`model` must take images of 4x4. Received: .*, which accepts only \(8, 8\)"
    with pytest.raises(ValueError, match=message):
        unetv2.predict(model, random_image(8, 8), window=(4, 4))
    with pytest.raises(ValueError, match=r"Pass `window=\(8, 8\)`, or a model built for \(None, N"):
        unetv2.predict(model, random_image(8, 8), window=(4, 4))
    unetv2.predict(model, random_image(8, 8), window=(8, 8))


@pytest.mark.parametrize("options", [{"stem": "strided"}, {"encoder": "MobileNetV3Small"}])
def test_downsampling_networks_need_divisible_windows(options):
    options |= {"depth": 2, "filters": 4} if "stem" in options else {}
    model = unetv2.build_unetv2((32, 64, 3), 3, **options)
    free = unetv2.build_unetv2((None, None, 3), 3, **options)
    free.set_weights(model.get_weights())
    model.preprocessing = unetv2.Preprocessing(image_size=(32, 64))
    free.preprocessing = unetv2.Preprocessing()
    image = random_image(50, 70)
    np.testing.assert_allclose(
        probabilities(model, image, window=(64, 64)),
        probabilities(free, image, window=(64, 64)),
        atol=1e-6,
    )
    message = r"must take images of 31x45.*Pass `window=\(32, 64\)`, or a model built for \(None, N"
    with pytest.raises(ValueError, match=message):
        unetv2.predict(model, image, window=(31, 45))
    unetv2.predict(free, image, window=(31, 45))
