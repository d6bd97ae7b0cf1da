"""Invalid arguments of the blocks."""

from __future__ import annotations

import numpy as np
import pytest

import unetv2


@pytest.mark.parametrize(
    "block",
    [unetv2.ConvolutionBlock, unetv2.EncoderBlock, unetv2.DecoderBlock],
)
@pytest.mark.parametrize("filters", [0, -3])
def test_filters_must_be_positive(block, filters):
    with pytest.raises(
        ValueError, match=rf"`filters` must be a positive integer. Received: filters={filters}"
    ):
        block(filters)


@pytest.mark.parametrize("filters", [2.5, "8", True, None])
def test_filters_must_be_an_integer(filters):
    with pytest.raises(TypeError, match="`filters` must be a positive integer. Received: filters="):
        unetv2.EncoderBlock(filters)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_must_be_a_fraction(dropout):
    with pytest.raises(ValueError, match=r"`dropout` must be a number in \[0, 1\). Received"):
        unetv2.EncoderBlock(4, dropout=dropout)


@pytest.mark.parametrize("block", [unetv2.EncoderBlock, unetv2.DecoderBlock])
def test_an_unknown_normalization_raises_with_the_valid_ones(block):
    message = "`normalization` must be one of None, 'batch', 'group'. Received: normalization='x'"
    with pytest.raises(ValueError, match=message):
        block(4, normalization="x")


@pytest.mark.parametrize("shape", [(8, 8, 3), (2, 8, 8, 3, 1), (2, 8, 8, None)])
def test_inputs_must_have_four_dimensions_and_known_channels(shape):
    message = r"`inputs` must have the shape \(batch, height, width, channels\)"
    with pytest.raises(ValueError, match=message):
        unetv2.EncoderBlock(4).build(shape)
    with pytest.raises(ValueError, match=message):
        unetv2.DecoderBlock(4).build(shape, (2, 8, 8, 3))


@pytest.mark.parametrize("size", [(6, 8), (9, 8), (7, 5), (8, 9)])
def test_a_skip_of_another_size_raises(size):
    coarse = np.zeros((2, 4, 4, 3), "float32")
    message = "`skip` must be twice as high and wide as `inputs`, or one less. Received: inputs"
    with pytest.raises(ValueError, match=message):
        unetv2.DecoderBlock(4)(coarse, np.zeros((2, *size, 3), "float32"))
    block = unetv2.DecoderBlock(4)
    block(coarse, np.zeros((2, 8, 7, 3), "float32"))
    with pytest.raises(ValueError, match="`skip` must be twice as high"):
        block(coarse, np.zeros((2, *size, 3), "float32"))
    with pytest.raises(ValueError, match="`skip` must have the shape"):
        unetv2.DecoderBlock(4)(coarse, np.zeros((2, 8, 8), "float32"))


@pytest.mark.parametrize(
    ("block", "options", "message"),
    [
        (unetv2.DecoderBlock, {"upsampling": "nearest"}, "'transpose', 'bilinear'. Received"),
        (unetv2.EncoderBlock, {"residual": None}, "`residual` must be one of False, True."),
    ],
)
def test_unknown_options_raise_with_the_valid_ones(block, options, message):
    with pytest.raises(ValueError, match=message):
        block(4, **options)
