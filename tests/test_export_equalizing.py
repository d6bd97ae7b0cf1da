from __future__ import annotations

import keras
import numpy as np
import pytest
from exporting import lively

from unetv2.exporting.optimize import deployable, equalized

# How much larger one channel is than the others.
UNEVEN = 1000.0


def images(model, count=2):
    return np.random.default_rng(1).random((count, *model.input_shape[1:]), np.float32)


def ranges(model, block):
    """Returns the largest activation of each channel that a block gives."""
    probe = keras.Model(model.inputs[0], model.get_layer(block).output)
    *_, values = keras.tree.flatten(probe(images(model)))
    return np.abs(values).max(axis=(0, 1, 2))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalization": "batch"},
        {"residual": True},
        {"upsampling": "bilinear", "residual": True, "normalization": "batch"},
        {"stem": "strided"},
        {"activation": "leaky_relu"},
        {"normalization": "group", "normalization_start": 1},
        {"encoder": "MobileNetV3Small", "shape": (32, 32, 3)},
    ],
)
def test_equalizing_changes_no_logits(options):
    model = deployable(lively(**options), "float32")
    before = model.get_weights()
    inputs = images(model)
    even = equalized(model, [inputs[:1], inputs[1:]])
    assert even is not model
    np.testing.assert_allclose(even(inputs), model(inputs), atol=1e-3, rtol=1e-3)
    changed = [not np.array_equal(*pair) for pair in zip(before, even.get_weights(), strict=True)]
    assert any(changed)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_channels_get_similar_ranges():
    model = lively()
    expected = np.asarray(model(images(model)))
    made = model.get_layer("encoder_0").convolution_2.convolution
    factor = np.ones(made.filters)
    factor[0] = UNEVEN
    made.kernel.assign(made.kernel * factor)
    made.bias.assign(made.bias * factor)
    # An encoder's channels go down, and across to the decoder behind those that come up.
    down = model.get_layer("encoder_1").convolution_1.convolution.kernel
    down.assign(down / factor[:, np.newaxis])
    across = model.get_layer("decoder_0").convolution_1.convolution.kernel
    across.assign(across / np.r_[np.ones(made.filters), factor][:, np.newaxis])
    np.testing.assert_allclose(model(images(model)), expected, atol=1e-3, rtol=1e-3)
    even = equalized(model, [images(model)])
    np.testing.assert_allclose(even(images(model)), expected, atol=1e-3, rtol=1e-3)
    before, after = ranges(model, "encoder_0"), ranges(even, "encoder_0")
    assert before[0] / np.median(before[1:]) > 100
    assert after[0] / np.median(after[1:]) < 10


@pytest.mark.parametrize("options", [{"activation": "elu"}, {"normalization": "group"}])
def test_layers_that_factors_do_not_pass_are_unchanged(options):
    model = lively(**options)
    even = equalized(model, [images(model)])
    np.testing.assert_allclose(even(images(model)), model(images(model)), atol=1e-4, rtol=1e-4)


def test_a_network_whose_layers_are_called_twice_is_returned_unchanged():
    image = keras.Input((8, 8, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", activation="relu")
    model = keras.Model(image, keras.layers.Conv2D(4, 1)(twice(twice(image))))
    assert equalized(model, [images(model)]) is model


def test_a_channel_of_zeros_is_unchanged():
    model = lively()
    convolution = model.get_layer("encoder_0").convolution_1.convolution
    convolution.bias.assign(convolution.bias - [1e6, *[0.0] * (convolution.filters - 1)])
    even = equalized(model, [images(model)])
    np.testing.assert_allclose(even(images(model)), model(images(model)), atol=1e-3, rtol=1e-3)


def test_plain_convolutions_are_equalized_too():
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    enlarged = keras.layers.Conv2DTranspose(5, 2, strides=2, activation="relu")(features)
    model = keras.Model(image, keras.layers.Conv2D(4, 1)(enlarged))
    even = equalized(model, [images(model)])
    assert even is not model
    np.testing.assert_allclose(even(images(model)), model(images(model)), atol=1e-4)


def test_channels_of_a_nested_model_are_unchanged():
    inner = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(4, 3, padding="same")])
    image = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    both = keras.layers.Add()([keras.layers.Conv2D(4, 1)(features), inner(features)])
    model = keras.Model(image, keras.layers.Conv2D(4, 1)(both))
    assert equalized(model, [images(model)]) is model
