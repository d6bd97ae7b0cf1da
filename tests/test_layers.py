from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras.src import testing

import unetv2
from unetv2.dropout import sampling
from unetv2.sizes import CropToSize, Enlarge, PadToMultiple

SIZES = st.integers(1, 40)
CHANNELS = st.integers(1, 5)
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
NORMALIZATIONS = (None, "batch", "group")


# The harness feeds a generator without saying that it shall not be shuffled.
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
class TestTheBlocksPassKerassOwnHarness(testing.TestCase):
    def test_convolution_block(self) -> None:
        for normalization in NORMALIZATIONS:
            self.run_layer_test(
                unetv2.ConvolutionBlock,
                {"filters": 4, "normalization": normalization, "activation": "gelu"},
                input_shape=(2, 9, 6, 3),
                expected_output_shape=(2, 9, 6, 4),
                expected_num_seed_generators=0,
            )

    def test_encoder_block(self) -> None:
        for normalization in NORMALIZATIONS:
            self.run_layer_test(
                unetv2.EncoderBlock,
                {"filters": 4, "dropout": 0.3, "normalization": normalization, "seed": 1},
                input_shape=(2, 9, 6, 3),
                expected_output_shape=((2, 5, 3, 4), (2, 9, 6, 4)),
                expected_num_trainable_weights=4 if normalization is None else 6,
                expected_num_non_trainable_weights=4 if normalization == "batch" else 0,
                expected_num_seed_generators=1,
            )

    def test_decoder_block(self) -> None:
        for normalization in NORMALIZATIONS:
            self.run_layer_test(
                unetv2.DecoderBlock,
                {"filters": 4, "normalization": normalization},
                input_shape={"inputs_shape": (2, 5, 3, 6), "skip_shape": (2, 9, 6, 3)},
                expected_output_shape=(2, 9, 6, 4),
                expected_num_trainable_weights=6 if normalization is None else 8,
                # The harness trains layers of one argument only, as Keras's own tests of
                # MultiHeadAttention note too; the fit step is tested below.
                run_training_check=False,
            )

    def test_encoder_block_with_all_options(self) -> None:
        self.run_layer_test(
            unetv2.EncoderBlock,
            {"filters": 4, "dropout": 0.3, "residual": True},
            input_shape=(2, 9, 6, 3),
            expected_output_shape=((2, 5, 3, 4), (2, 9, 6, 4)),
            # Two convolutions, a projection without bias.
            expected_num_trainable_weights=4 + 1,
            expected_num_seed_generators=1,
        )

    def test_decoder_block_with_all_options(self) -> None:
        self.run_layer_test(
            unetv2.DecoderBlock,
            {"filters": 4, "upsampling": "bilinear", "residual": True},
            input_shape={"inputs_shape": (2, 5, 3, 6), "skip_shape": (2, 9, 6, 3)},
            expected_output_shape=(2, 9, 6, 4),
            # As above, and the upsampling's.
            expected_num_trainable_weights=4 + 1 + 2,
            run_training_check=False,
        )

    def test_sizes(self) -> None:
        self.run_layer_test(
            CropToSize,
            {},
            input_shape={"inputs_shape": (2, 9, 6, 3), "like_shape": (2, 7, 6, 1)},
            expected_output_shape=(2, 7, 6, 3),
            run_training_check=False,
        )
        self.run_layer_test(
            PadToMultiple,
            {"multiple": 4},
            input_shape=(2, 9, 8, 3),
            expected_output_shape=(2, 12, 8, 3),
            # There is nothing to train.
            run_training_check=False,
        )
        self.run_layer_test(
            Enlarge,
            {},
            input_shape=(2, 9, 8, 3),
            expected_output_shape=(2, 18, 16, 3),
            run_training_check=False,
        )


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


def test_unknown_sizes_stay_unknown_until_called():
    inputs = keras.Input((None, None, 3))
    output, skip = unetv2.EncoderBlock(4)(inputs)
    merged = unetv2.DecoderBlock(4)(output, skip)
    assert output.shape == skip.shape == merged.shape == (None, None, None, 4)
    model = keras.Model(inputs, merged)
    assert model(np.zeros((3, 7, 10, 3))).shape == (3, 7, 10, 4)
    assert model(np.zeros((1, 1, 1, 3))).shape == (1, 1, 1, 4)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_both_blocks_learn_in_a_fit_step_in_every_precision(policy, normalization):
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


def test_the_skip_is_what_is_pooled():
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


def test_dropout_takes_noise_from_outside_and_all_else_stays_as_at_prediction():
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


def test_one_seeded_initializer_gives_every_convolution_its_own_values():
    initializer = keras.initializers.HeNormal(seed=5)
    block = unetv2.EncoderBlock(4, kernel_initializer=initializer)
    block.build((None, 8, 8, 4))
    first, second = (weight.numpy() for weight in block.weights if weight.ndim == 4)
    assert first.shape == second.shape
    assert not np.allclose(first, second)
    again = unetv2.EncoderBlock(4, kernel_initializer=initializer)
    again.build((None, 8, 8, 4))
    np.testing.assert_array_equal(again.weights[0].numpy(), first)


def test_one_initializer_without_a_seed_gives_every_block_its_own_values():
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
def test_a_block_comes_back_from_its_config(block):
    again = type(block).from_config(block.get_config())
    assert again.get_config() == block.get_config()


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
def test_dropout_must_be_a_share(dropout):
    with pytest.raises(ValueError, match=r"`dropout` must be a number in \[0, 1\). Received"):
        unetv2.EncoderBlock(4, dropout=dropout)


@pytest.mark.parametrize("block", [unetv2.EncoderBlock, unetv2.DecoderBlock])
def test_an_unknown_normalization_is_named_with_those_there_are(block):
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
def test_a_skip_that_does_not_fit_is_refused(size):
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


def test_a_global_channels_first_changes_nothing():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        output, skip = unetv2.EncoderBlock(4)(np.zeros((1, 6, 9, 2), "float32"))
    finally:
        keras.config.set_image_data_format(before)
    assert output.shape == (1, 3, 5, 4)
    assert skip.shape == (1, 6, 9, 4)


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
def test_enlarging_is_the_same_in_graphs_of_open_sizes(height, width):
    layer = Enlarge()
    open_sizes = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 2))])
    inputs = features(3, height, width, 2)
    np.testing.assert_allclose(open_sizes(inputs), layer(inputs), atol=1e-6)


def test_enlarging_interpolates_a_quarter_to_each_side():
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


def test_padding_adds_zeros_below_and_right_and_cropping_takes_them_off():
    inputs = 1 + np.arange(30, dtype="float32").reshape(1, 5, 3, 2)
    padded = np.asarray(PadToMultiple(4)(inputs))
    assert padded.shape == (1, 8, 4, 2)
    assert padded.sum() == inputs.sum()
    np.testing.assert_array_equal(CropToSize()(padded, inputs), inputs)


@pytest.mark.parametrize(
    ("block", "options", "message"),
    [
        (unetv2.DecoderBlock, {"upsampling": "nearest"}, "'transpose', 'bilinear'. Received"),
        (unetv2.EncoderBlock, {"residual": None}, "`residual` must be one of False, True."),
    ],
)
def test_unknown_options_are_named_with_those_there_are(block, options, message):
    with pytest.raises(ValueError, match=message):
        block(4, **options)
