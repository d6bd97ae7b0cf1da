"""The reference network: sizes, precisions and seeds."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_unet import plain_unet
from random_images import random_images

import unetv2

SIZES = st.integers(1, 70)


def test_the_default_is_the_reference_network():
    model = unetv2.build_unetv2((96, 128, 3), 23)
    assert model.count_params() == 8_640_471
    assert model.output_shape == (None, 96, 128, 23)


def test_outputs_and_training_step_equal_those_of_a_plain_graph():
    plain = plain_unet((32, 48, 3), 5, filters=8, dropout=0.0)
    model = unetv2.build_unetv2((32, 48, 3), 5, filters=8, dropout=0.0)
    assert [w.shape for w in model.get_weights()] == [w.shape for w in plain.get_weights()]
    model.set_weights(plain.get_weights())
    images, masks = random_images(4, 32, 48)
    np.testing.assert_allclose(model(images), plain(images), rtol=1e-5, atol=1e-5)

    for either in (plain, model):
        either.compile(
            keras.optimizers.Adam(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=[],
        )
    losses = [either.train_on_batch(images, masks) for either in (plain, model)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model(images), plain(images), rtol=1e-5, atol=1e-5)


def test_the_full_reference_network_equals_a_plain_graph():
    plain = plain_unet((96, 128, 3), 23)
    model = unetv2.build_unetv2((96, 128, 3), 23)
    model.set_weights(plain.get_weights())
    images, _ = random_images(2, 96, 128)
    np.testing.assert_allclose(model(images), plain(images), rtol=1e-5, atol=1e-5)


@given(
    height=SIZES,
    width=SIZES,
    channels=st.integers(1, 6),
    n_classes=st.integers(2, 9),
    filters=st.integers(1, 3),
    depth=st.integers(1, 5),
    batch=st.integers(1, 3),
)
def test_the_output_has_the_inputs_size(height, width, channels, n_classes, filters, depth, batch):
    model = unetv2.build_unetv2((height, width, channels), n_classes, filters=filters, depth=depth)
    assert model.output_shape == (None, height, width, n_classes)
    logits = model(np.zeros((batch, height, width, channels), "float32"))
    assert logits.shape == (batch, height, width, n_classes)
    assert logits.dtype == "float32"


@pytest.fixture(scope="module")
def model_of_free_size():
    return unetv2.build_unetv2((None, None, 3), 4, filters=2)


@given(height=SIZES, width=SIZES)
def test_a_model_for_any_size_accepts_every_size(model_of_free_size, height, width):
    logits = model_of_free_size(np.zeros((1, height, width, 3), "float32"))
    assert logits.shape == (1, height, width, 4)


@settings(max_examples=8)
@given(depth=st.integers(1, 5))
def test_dropout_is_in_the_two_deepest_encoder_blocks(depth):
    model = unetv2.build_unetv2((16, 16, 3), 3, filters=1, depth=depth, dropout=0.4)
    rates = [model.get_layer(f"encoder_{level}").dropout for level in range(depth + 1)]
    assert rates == [0.0] * (depth - 1) + [0.4] * 2


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("normalization", [None, "batch", "group"])
def test_the_compiled_model_trains_in_every_precision(dtype, normalization):
    model = unetv2.build_unetv2(
        (9, 14, 3), 3, filters=4, depth=1, normalization=normalization, dtype=dtype
    )
    history = model.fit(*random_images(4, 9, 14, n_classes=3), batch_size=2, verbose=0).history
    assert set(history) == {"loss", "accuracy", "mean_iou"}
    assert np.isfinite(list(history.values())).all()
    assert model.output.dtype == "float32"
    compute = keras.DTypePolicy(dtype).compute_dtype
    assert model.get_layer("encoder_0").compute_dtype == compute
    assert model.get_layer("logits").compute_dtype == "float32"


def test_the_loss_is_scaled_in_float16_only():
    for dtype, scaled in (("mixed_float16", True), ("mixed_bfloat16", False)):
        model = unetv2.build_unetv2((8, 8, 3), 2, filters=2, depth=1, dtype=dtype)
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scaled
        model.compile("sgd", "mse")
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scaled


def test_the_global_policy_is_the_default_dtype():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = unetv2.build_unetv2((8, 8, 3), 2, filters=2)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("refinement").compute_dtype == "bfloat16"


def test_the_network_overfits_one_image():
    rng = np.random.default_rng(0)
    mask = (rng.random((1, 4, 4, 1)) > 0.5).repeat(4, 1).repeat(4, 2).astype("int32")
    image = (mask + rng.normal(0, 0.1, mask.shape)).astype("float32")
    model = unetv2.build_unetv2((16, 16, 1), 2, filters=8, depth=2, dropout=0.0, seed=0)
    model.fit(image, mask, epochs=60, verbose=0)
    assert model.evaluate(image, mask, verbose=0, return_dict=True)["accuracy"] == 1.0


def test_the_model_can_be_compiled_again():
    model = unetv2.build_unetv2((8, 8, 3), 3, filters=2)
    model.compile("sgd", keras.losses.Dice(), metrics=["mae"])
    images, masks = random_images(2, 8, 8, n_classes=3)
    history = model.fit(images, keras.utils.to_categorical(masks, 3), verbose=0).history
    assert set(history) == {"loss", "mae"}


def test_ignored_pixels_change_nothing():
    images, masks = random_images(2, 12, 12, n_classes=3)
    masks[:, :5] = 255
    model = unetv2.build_unetv2((12, 12, 3), 3, filters=2, ignore_class=255, seed=0)
    figures = model.evaluate(images, masks, verbose=0, return_dict=True)
    logits = model.predict(images, verbose=0)[:, 5:]
    truth = masks[:, 5:, :, 0]
    shifted = logits - logits.max(-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_probabilities, truth[..., None], -1).mean()
    assert figures["loss"] == pytest.approx(expected, rel=1e-5)
    assert figures["accuracy"] == pytest.approx(np.mean(logits.argmax(-1) == truth))


def test_the_same_seed_gives_the_same_weights_and_training():
    def trained(seed):
        model = unetv2.build_unetv2((8, 8, 3), 3, filters=2, depth=2, seed=seed)
        start = model.get_weights()
        model.fit(*random_images(4, 8, 8, n_classes=3), shuffle=False, epochs=2, verbose=0)
        return start, model.get_weights()

    (start, end), (same_start, same_end), (other, _) = trained(1), trained(1), trained(2)
    for one, two in zip(start + end, same_start + same_end, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(start[0], other[0])


def test_all_kernels_have_different_initial_values():
    for seed in (None, 0):
        model = unetv2.build_unetv2((8, 8, 32), 3, filters=32, depth=1, seed=seed)
        kernels = [w for w in model.get_weights() if w.shape == (3, 3, 32, 32)]
        assert len(kernels) == 4
        for number, kernel in enumerate(kernels):
            assert not any(np.allclose(kernel, other) for other in kernels[:number])
