"""The blocks: shapes, precision, dropout and initial values."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unetv2
from unetv2.models.convolution import sampling
from unetv2.models.resizing import CropToSize, Enlarge, PadToMultiple

SIZES = st.integers(1, 40)
CHANNELS = st.integers(1, 5)
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
NORMALIZATIONS = (None, "batch", "group")


@given(
    height=SIZES,
    width=SIZES,
    channels=CHANNELS,
    filters=CHANNELS,
    batch=st.integers(1, 3),
    pool=st.booleans(),
)
def test_an_encoder_block_keeps_the_skips_size_and_halves_the_output_rounding_up(
    height, width, channels, filters, batch, pool
):
    block = unetv2.EncoderBlock(filters, pool=pool)
    output, skip = block(np.zeros((batch, height, width, channels), "float32"))
    half = (-(-height // 2), -(-width // 2)) if pool else (height, width)
    assert skip.shape == (batch, height, width, filters)
    assert output.shape == (batch, *half, filters)
    shapes = block.compute_output_shape((batch, height, width, channels))
    assert shapes == (tuple(output.shape), tuple(skip.shape))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"upsampling": "bilinear"},
        {"residual": True},
    ],
    ids=str,
)
@given(height=SIZES, width=SIZES, channels=CHANNELS, skip_channels=CHANNELS, filters=CHANNELS)
def test_a_decoder_block_has_the_skips_size(
    options, height, width, channels, skip_channels, filters
):
    coarse = np.zeros((2, -(-height // 2), -(-width // 2), channels), "float32")
    skip = np.zeros((2, height, width, skip_channels), "float32")
    block = unetv2.DecoderBlock(filters, **options)
    assert block(coarse, skip).shape == (2, height, width, filters)
    assert block.compute_output_shape(coarse.shape, skip.shape) == (2, height, width, filters)


def test_unknown_sizes_are_propagated():
    inputs = keras.Input((None, None, 3))
    output, skip = unetv2.EncoderBlock(4)(inputs)
    merged = unetv2.DecoderBlock(4)(output, skip)
    assert output.shape == skip.shape == merged.shape == (None, None, None, 4)
    model = keras.Model(inputs, merged)
    assert model(np.zeros((3, 7, 10, 3))).shape == (3, 7, 10, 4)
    assert model(np.zeros((1, 1, 1, 3))).shape == (1, 1, 1, 4)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_both_blocks_train_in_every_precision(policy, normalization):
    inputs = keras.Input((6, 9, 3))
    output, skip = unetv2.EncoderBlock(
        4, dropout=0.1, normalization=normalization, dtype=policy, seed=0
    )(inputs)
    merged = unetv2.DecoderBlock(4, normalization=normalization, dtype=policy)(output, skip)
    assert merged.dtype == keras.DTypePolicy(policy).compute_dtype
    model = keras.Model(inputs, merged)
    model.compile("adam", "mse")
    before = model.get_weights()
    rng = np.random.default_rng(0)
    history = model.fit(rng.random((4, 6, 9, 3)), rng.random((4, 6, 9, 4)), batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    changed = [
        not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True)
    ]
    assert sum(changed) >= len(model.trainable_weights) - 2
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_the_output_is_the_pooled_skip():
    output, skip = unetv2.EncoderBlock(3)(np.random.default_rng(0).random((1, 5, 4, 2)))
    skip = np.pad(skip, ((0, 0), (0, 1), (0, 0), (0, 0)), constant_values=-np.inf)
    expected = skip.reshape(1, 3, 2, 2, 2, 3).max(axis=(2, 4))
    np.testing.assert_array_equal(output, expected)


def test_dropout_acts_in_training_only_and_reaches_output_and_skip():
    block = unetv2.EncoderBlock(64, dropout=0.5, pool=False, activation=None, seed=3)
    inputs = np.ones((1, 4, 4, 3), "float32")
    output, skip = block(inputs, training=True)
    assert 0.3 < np.mean(np.asarray(skip) == 0) < 0.7
    np.testing.assert_array_equal(output, skip)
    assert not np.any(np.asarray(block(inputs, training=False)[1]) == 0)


def test_sampling_controls_dropout_in_inference_mode():
    inputs = np.random.default_rng(0).random((2, 7, 6, 3), np.float32)
    block = unetv2.EncoderBlock(4, dropout=0.3, normalization="batch", seed=0)
    output, skip = block(inputs)
    seen = []

    def noise(features, rate, shape):
        seen.append((features.shape, rate, shape))
        return features * 2

    before = [np.asarray(variable) for variable in block.variables]
    with sampling(noise):
        doubled = block(inputs)
    np.testing.assert_allclose(doubled[0], output * 2)
    np.testing.assert_allclose(doubled[1], skip * 2)
    assert seen == [((2, 7, 6, 4), 0.3, None)]
    for value, variable in zip(before, block.variables, strict=True):
        np.testing.assert_array_equal(value, variable)
    with sampling(noise):
        unetv2.EncoderBlock(4)(inputs)
    block(inputs)
    assert len(seen) == 1


def test_a_seeded_initializer_gives_different_values_to_each_convolution():
    initializer = keras.initializers.HeNormal(seed=5)
    block = unetv2.EncoderBlock(4, kernel_initializer=initializer)
    block.build((None, 8, 8, 4))
    first, second = (weight.numpy() for weight in block.weights if weight.ndim == 4)
    assert first.shape == second.shape
    assert not np.allclose(first, second)
    again = unetv2.EncoderBlock(4, kernel_initializer=initializer)
    again.build((None, 8, 8, 4))
    np.testing.assert_array_equal(again.weights[0].numpy(), first)


def test_an_initializer_without_a_seed_gives_different_values_to_each_block():
    initializer = keras.initializers.get("he_normal")
    kernels = []
    for _ in range(2):
        block = unetv2.EncoderBlock(4, kernel_initializer=initializer)
        block.build((None, 8, 8, 4))
        kernels.append(block.weights[0].numpy())
    assert not np.allclose(*kernels)


@pytest.mark.parametrize(
    "block",
    [
        unetv2.ConvolutionBlock(3, normalization="group", activation="silu"),
        unetv2.EncoderBlock(3, dropout=0.2, pool=False, normalization="batch", seed=4),
        unetv2.DecoderBlock(3, activation="elu", kernel_initializer="glorot_normal"),
        unetv2.EncoderBlock(3, residual=True),
        unetv2.DecoderBlock(3, upsampling="bilinear", residual=True),
        PadToMultiple(8),
        CropToSize(dtype="float32"),
        Enlarge(),
    ],
)
def test_a_block_is_restored_from_its_config(block):
    again = type(block).from_config(block.get_config())
    assert again.get_config() == block.get_config()


def test_a_global_channels_first_changes_nothing():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        output, skip = unetv2.EncoderBlock(4)(np.zeros((1, 6, 9, 2), "float32"))
    finally:
        keras.config.set_image_data_format(before)
    assert output.shape == (1, 3, 5, 4)
    assert skip.shape == (1, 6, 9, 4)
