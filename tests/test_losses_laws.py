"""Properties of all losses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from loss_cases import LOSSES, N_CLASSES, VOID, batch, every_loss, make, value_and_gradient

from unetv2.losses import CrossEntropy, CrossEntropyDice, Sum


@every_loss
def test_a_perfect_prediction_has_zero_loss(name):
    kind, arguments = LOSSES[name]
    arguments = {key: value for key, value in arguments.items() if key != "label_smoothing"}
    truth, _ = batch(0, ignored=0.0)
    logits = np.where(np.eye(N_CLASSES)[truth] > 0, 30.0, -30.0)
    assert 0 <= float(kind(**arguments)(truth, logits)) < 1e-6


@every_loss
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_extreme_logits_give_finite_losses(name, precision):
    truth, logits = batch(5)
    right = np.where(truth == VOID, 0, truth)
    for scores in (
        1e4 * np.sign(logits),
        2e4 * np.eye(N_CLASSES)[right] - 1e4,
        1e4 - 2e4 * np.eye(N_CLASSES)[right],
        np.zeros_like(logits),
        np.full_like(logits, -1e4),
    ):
        narrow = tf.cast(scores, precision)
        value, gradient = value_and_gradient(make(name), truth, narrow)
        assert value.dtype == "float32"
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        wide = make(name)(truth, tf.cast(narrow, "float32"))
        assert value == wide


@every_loss
def test_the_global_precision_changes_nothing(name):
    truth, logits = batch(6)
    value = float(make(name)(truth, logits))
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        keras.config.set_floatx("float16")
        assert float(make(name)(truth, logits)) == value
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)


@every_loss
def test_copies_of_a_batch_have_the_same_loss(name):
    truth, logits = batch(7)
    value = float(make(name)(truth, logits))
    copies = make(name)(np.tile(truth, (3, 1, 1)), np.tile(logits, (3, 1, 1, 1)))
    assert float(copies) == pytest.approx(value, rel=1e-5)


@every_loss
def test_xla_and_unknown_sizes_give_the_same(name):
    truth, logits = batch(8)
    loss = make(name)
    value, gradient = value_and_gradient(loss, truth, logits)
    compiled = value_and_gradient(loss, truth, logits, jit_compile=True)
    assert compiled[0] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(compiled[1], gradient, rtol=1e-4, atol=1e-7)
    free = tf.function(
        loss,
        input_signature=[
            tf.TensorSpec((None, None, None, 1), tf.int32),
            tf.TensorSpec((None, None, None, N_CLASSES)),
        ],
    )
    for number in (1, 2):
        part = truth[:number, :, number:], logits[:number, :, number:]
        assert float(free(part[0][..., None], part[1])) == pytest.approx(
            float(loss(*part)), rel=1e-5
        )


@every_loss
def test_weights_of_images_scale_their_loss(name):
    truth, logits = batch(10, ignored=0.0, shape=(2, 6, 7))
    loss = make(name)
    value = float(loss(truth, logits))
    for weights in (np.array([3.0, 3.0]), np.array([[3], [3]])):
        assert float(loss(truth, logits, weights)) == pytest.approx(3 * value, rel=1e-6)
    none = value_and_gradient(loss, truth, logits, sample_weight=[0.0, 0.0])
    assert none[0] == 0
    assert not none[1].any()
    one, gradient = value_and_gradient(loss, truth, logits, sample_weight=[1.0, 0.0])
    assert not gradient[1].any()
    alone, alone_gradient = value_and_gradient(loss, truth[:1], logits[:1])
    if isinstance(loss, CrossEntropyDice):
        return  # Each part has a share of its own.
    # The share of the first image in the weights of pixels, or of images.
    share = one / alone
    assert 0 < share < 1
    np.testing.assert_allclose(gradient[0], share * alone_gradient[0], rtol=1e-4, atol=1e-7)


@every_loss
def test_the_mean_over_images_is_the_loss_of_the_batch(name):
    truth, logits = batch(12)
    images = make(name, reduction=None)(truth, logits)
    assert images.shape == (2,)
    value = float(make(name)(truth, logits))
    assert np.mean(images) == pytest.approx(value, rel=1e-6)
    assert float(make(name, reduction="sum")(truth, logits)) == pytest.approx(2 * value, rel=1e-6)


@every_loss
def test_losses_are_restored_from_their_config(name):
    truth, logits = batch(13)
    loss = make(name, dtype="float64", name="other")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(copy) is type(loss)
    assert copy.name == "other"
    assert copy.get_config() == loss.get_config()
    assert set(copy.get_config()) > {*LOSSES[name][1], "ignore_class", "reduction", "dtype"}
    assert copy(truth, logits) == loss(truth, logits)


def test_a_saved_model_keeps_its_loss(tmp_path):
    truth, _ = batch(14)
    images = np.random.default_rng(0).random((*truth.shape, 3), "float32")
    model = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(N_CLASSES, 3, padding="same")]
    )
    losses = Sum([make(name) for name in LOSSES], list(range(len(LOSSES))))
    model.compile("adam", Sum([losses, CrossEntropy(ignore_class=VOID)]))
    model.fit(images, truth[..., None], sample_weight=np.array([1.0, 2.0]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == model.loss.get_config()
    assert loaded.evaluate(images, truth, verbose=0) == model.evaluate(images, truth, verbose=0)


@every_loss
def test_gradient_descent_reduces_the_loss(name):
    truth, logits = batch(15, scale=1.0)
    values = []
    for _ in range(10):
        value, gradient = value_and_gradient(make(name), truth, logits)
        values.append(value)
        logits = logits - (3 * gradient / np.linalg.norm(gradient)).astype("float32")
    assert values[-1] < 0.9 * values[0]
