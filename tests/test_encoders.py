"""Encoders of keras.applications in the network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_encoders import FAMILIES, SMALLEST, build, random_images
from small_networks import assert_kept_by_file_and_clone

import unetv2
from unetv2.models import encoders
from unetv2.models.encoders import ENCODERS, ImageNetScaling


def test_every_family_is_tested():
    assert all(set(names) & set(FAMILIES) for names in encoders.FAMILIES.values())
    applications = {name for names in encoders.FAMILIES.values() for name in names}
    assert all(hasattr(keras.applications, name) for name in applications)
    assert set(ENCODERS) - applications <= set(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_skips_are_the_last_features_of_each_resolution(name):
    model = build(name)
    encoder = model.get_layer("encoder")
    features = encoder(np.zeros((1, 64, 96, 3), "float32"))
    strides = [(64 // feature.shape[1], 96 // feature.shape[2]) for feature in features]
    assert strides == [(2, 2), (4, 4), (8, 8), (16, 16), (32, 32)]
    assert tuple(feature.shape[3] for feature in features) == FAMILIES[name]
    # A model has only the layers that lead to its output.
    way = {layer.name for layer in keras.Model(encoder.input, encoder.output[-1]).layers}
    assert set(encoder.output_names) <= way
    assert model(np.zeros((1, 33, 47, 3), "float32")).shape == (1, 33, 47, 3)


@pytest.mark.parametrize(
    ("family", "red"),
    [
        ("mobilenet_v2", (1, -1, -1)),
        # These scale 0 .. 255 themselves.
        ("mobilenet_v3", (255, 0, 0)),
        ("efficientnet_v2", (255, 0, 0)),
        # Blue, green, red, minus the means of ImageNet.
        ("resnet", (-103.939, -116.779, 255 - 123.68)),
        # Minus the means of ImageNet, divided by its standard deviations.
        ("densenet", ((1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225)),
    ],
)
def test_scaling_equals_that_of_the_family(family, red):
    pixel = np.array([1.0, 0.0, 0.0], "float32").reshape(1, 1, 1, 3)
    layer = ImageNetScaling(family)
    np.testing.assert_allclose(np.ravel(layer(pixel)), red, rtol=1e-5)
    again = ImageNetScaling.from_config(layer.get_config())
    assert again.family == family


@pytest.fixture(scope="module")
def model_of_free_size():
    return build(seed=0)


@given(height=st.integers(1, 70), width=st.integers(1, 70))
def test_every_size_works(model_of_free_size, height, width):
    images, _ = random_images(1, height, width)
    logits = model_of_free_size(images)
    assert logits.shape == (1, height, width, 3)
    assert logits.dtype == "float32"


def test_one_graph_supports_every_size(model_of_free_size):
    for size in ((33, 47), (64, 32)):
        images, _ = random_images(2, *size)
        logits = model_of_free_size.predict(images, verbose=0)
        np.testing.assert_allclose(logits, model_of_free_size(images), rtol=1e-4, atol=1e-4)


@settings(max_examples=5)
@given(height=st.integers(1, 70), width=st.integers(1, 70), depth=st.integers(1, 5))
def test_outputs_do_not_depend_on_a_fixed_input_size(height, width, depth):
    fixed, free = (build(size=size, depth=depth) for size in ((height, width), (None, None)))
    assert fixed.output_shape == (None, height, width, 3)
    free.set_weights(fixed.get_weights())
    images, _ = random_images(1, height, width)
    np.testing.assert_allclose(free(images), fixed(images), rtol=1e-4, atol=1e-4)


def test_divisible_sizes_are_neither_padded_nor_cropped():
    names = {layer.name for layer in build(size=(32, 64)).layers}
    assert not names & {"padding", "cropping"}
    assert {"padding", "cropping"} <= {layer.name for layer in build(size=(32, 63)).layers}


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_depth_removes_later_layers(depth):
    model = build(depth=depth, dropout=0.4)
    encoder = model.get_layer("encoder")
    assert len(encoder.outputs) == depth
    features = keras.tree.flatten(encoder(np.zeros((1, 64, 64, 3), "float32")))
    assert [feature.shape[1] for feature in features] == [32, 16, 8, 4, 2][:depth]
    dropouts = {layer.name for layer in model.layers if layer.name.startswith("dropout")}
    assert dropouts == {f"dropout_{level}" for level in (depth - 1, depth) if level}


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_it_trains_and_is_restored_from_files_and_clones(tmp_path, dtype):
    options = {"residual": True, "upsampling": "bilinear"}
    model = build(
        size=(33, 47), depth=3, dtype=dtype, normalization="batch", normalization_start=1, **options
    )
    images, masks = random_images(2, 33, 47)
    assert np.isfinite(model.train_on_batch(images, masks, return_dict=True)["loss"])
    encoder = model.get_layer("encoder")
    for kind, expected in (
        (keras.layers.Conv2D, model.dtype_policy.compute_dtype),
        (keras.layers.Rescaling, "float32"),
    ):
        layers = [layer for layer in encoder.layers if isinstance(layer, kind)]
        assert {layer.compute_dtype for layer in layers} == {expected}
    assert_kept_by_file_and_clone(model, images, tmp_path)


def test_a_frozen_encoder_keeps_its_weights(tmp_path):
    model = build(size=(32, 32), depth=3, encoder_trainable=False)
    images, masks = random_images(2, 32, 32)
    for _ in range(2):
        encoder = model.get_layer("encoder")
        assert not encoder.trainable_weights
        before, decoder = encoder.get_weights(), model.get_layer("decoder_0").get_weights()
        model.train_on_batch(images, masks)
        for old, new in zip(before, encoder.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
        assert not np.array_equal(decoder[0], model.get_layer("decoder_0").get_weights()[0])
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")


def test_training_changes_the_weights_and_moving_averages_of_an_encoder():
    model = build(size=(32, 32), depth=3)
    encoder = model.get_layer("encoder")
    before = [weight.numpy() for weight in encoder.weights]
    model.train_on_batch(*random_images(2, 32, 32))
    for kind in ("kernel", "moving_mean"):
        assert any(
            not np.array_equal(old, new.numpy())
            for old, new in zip(before, encoder.weights, strict=True)
            if new.name == kind
        )


def test_the_same_seed_gives_the_same_weights_and_dropout():
    # EfficientNetV2 drops whole paths in training.
    one, same, other = (build("EfficientNetV2B0", depth=4, seed=seed) for seed in (1, 1, 2))
    images, _ = random_images(2, 32, 32)
    for weight, again in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, again)
    np.testing.assert_array_equal(one(images, training=True), same(images, training=True))
    kernels = [weight for weight in one.get_layer("encoder").get_weights() if weight.ndim == 4]
    others = [weight for weight in other.get_layer("encoder").get_weights() if weight.ndim == 4]
    assert not any(np.array_equal(*pair) for pair in zip(kernels, others, strict=True))
    for number, kernel in enumerate(kernels):
        assert not any(np.array_equal(kernel, earlier) for earlier in kernels[:number])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": "VGG16"},
            "`encoder` must be one of None, 'MobileNet', .*'DenseNet201'.* "
            "Received: encoder='VGG16'.",
        ),
        (
            {"stem": "strided"},
            "`stem` must be None with an `encoder`. Received: stem='strided'. ",
        ),
        ({"depth": 6}, "`depth` must be at most 5 with an `encoder`. Received: depth=6. "),
        (
            {"normalization": "batch", "normalization_start": 5},
            "`normalization_start` must be at most 4, the deepest level with blocks. Received",
        ),
        ({"encoder_trainable": "no"}, "`encoder_trainable` must be one of False, True."),
    ],
)
def test_options_that_conflict_with_an_encoder_raise(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_an_encoder_needs_color_images_with_channels_last():
    message = (
        "`input_shape` must have three channels, .* with an `encoder`.* "
        r"Received: input_shape=\(8, 8, 1\). Omit `encoder`."
    )
    with pytest.raises(ValueError, match=message):
        unetv2.build_unetv2((8, 8, 1), 3, encoder=SMALLEST)
    with pytest.raises(ValueError, match="`inputs` must have three channels, red, green and blue"):
        ImageNetScaling("resnet")(np.zeros((1, 8, 8, 4), "float32"))
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="`encoder` must be None where Keras puts channels"):
            build()
    finally:
        keras.config.set_image_data_format(before)
