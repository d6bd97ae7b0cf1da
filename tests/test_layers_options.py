"""The blocks' options, and the layers that change sizes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import unetv2
from unetv2.models.resizing import CropToSize, Enlarge, PadToMultiple

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_bilinear_upsampling_is_a_convolution_of_the_enlarged_features():
    coarse, skip = features(2, 4, 3, 6), features(2, 7, 6, 2)
    block = unetv2.DecoderBlock(5, upsampling="bilinear")
    block(coarse, skip)
    enlarged = keras.layers.UpSampling2D(2, interpolation="bilinear")(coarse)
    kernel, bias = block.upsampling.get_weights()
    np.testing.assert_allclose(
        block.interpolation(block.upsampling(coarse)), enlarged @ kernel[0, 0] + bias, atol=1e-5
    )


@given(height=st.integers(1, 9), width=st.integers(1, 9))
def test_enlarging_is_the_same_in_graphs_of_unknown_sizes(height, width):
    layer = Enlarge()
    open_sizes = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])
    inputs = features(3, height, width, 2)
    np.testing.assert_allclose(open_sizes(inputs), layer(inputs), atol=1e-6)


def test_enlarging_interpolates_bilinearly():
    inputs = np.array([0.0, 4.0, 8.0], "float32").reshape(1, 1, 3, 1)
    expected = [0, 1, 3, 5, 7, 8]
    np.testing.assert_allclose(Enlarge()(inputs)[0, :, :, 0], [expected, expected])


def test_a_residual_block_without_weights_is_its_activation():
    inputs = features(2, 5, 4, 3)
    block = unetv2.EncoderBlock(3, residual=True, activation="relu")
    block.build(inputs.shape)
    assert block.projection is None
    block.set_weights([np.zeros_like(weight) for weight in block.get_weights()])
    np.testing.assert_array_equal(block(inputs)[1], np.maximum(inputs, 0))


def test_a_residual_block_adds_its_projected_input():
    inputs = features(2, 5, 4, 3)
    block = unetv2.EncoderBlock(6, residual=True, activation=None)
    _, with_shortcut = block(inputs)
    (kernel,) = block.projection.get_weights()
    without = block.convolution_2(block.convolution_1(inputs))
    np.testing.assert_allclose(with_shortcut, without + inputs @ kernel[0, 0], atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_option_computes_in_the_blocks_precision(policy):
    skip, coarse = features(1, 7, 6, 4), features(1, 4, 3, 8)
    block = unetv2.DecoderBlock(
        4,
        upsampling="bilinear",
        residual=True,
        dtype=policy,
    )
    assert block(coarse, skip).dtype == keras.DTypePolicy(policy).compute_dtype
    sublayers = block._flatten_layers(include_self=False)
    assert {layer.compute_dtype for layer in sublayers} == {block.compute_dtype}


def test_cropping_reverses_padding():
    inputs = 1 + np.arange(30, dtype="float32").reshape(1, 5, 3, 2)
    padded = np.asarray(PadToMultiple(4)(inputs))
    assert padded.shape == (1, 8, 4, 2)
    assert padded.sum() == inputs.sum()
    np.testing.assert_array_equal(CropToSize()(padded, inputs), inputs)
