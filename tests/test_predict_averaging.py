"""Test-time augmentation and Monte Carlo dropout."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_networks import N_CLASSES, asked, network, random_image, softmax

import unetv2

MODEL = network(kernel=5, seed=1)
SYMMETRIES = {
    "horizontal": np.fliplr,
    "vertical": np.flipud,
    "transpose": lambda image: np.swapaxes(image, 0, 1),
}


def probabilities(model, image, **options):
    return unetv2.predict(model, image, probabilities=True, **options).probabilities


def test_flips_are_averaged_as_probabilities():
    image = random_image(9, 12)
    both = asked(MODEL, image) + np.fliplr(asked(MODEL, np.fliplr(image)))
    found = probabilities(MODEL, image, tta=True)
    np.testing.assert_allclose(found, both / 2, atol=1e-6)
    np.testing.assert_array_equal(found, probabilities(MODEL, image, tta=["horizontal"]))
    four = both + np.flipud(asked(MODEL, np.flipud(image)))
    four += np.flipud(np.fliplr(asked(MODEL, np.fliplr(np.flipud(image)))))
    found = probabilities(MODEL, image, tta=("vertical", "horizontal"))
    np.testing.assert_allclose(found, four / 4, atol=1e-6)


def test_transposed_images_are_averaged_as_well():
    image = random_image(9, 12)
    swap = SYMMETRIES["transpose"]
    both = asked(MODEL, image) + swap(asked(MODEL, np.ascontiguousarray(swap(image))))
    found = probabilities(MODEL, image, tta=("transpose",))
    np.testing.assert_allclose(found, both / 2, atol=1e-6)
    # The rotations and reflections of a square.
    total = np.zeros_like(both)
    for quarter_turns in range(4):
        for mirrored in (False, True):
            turned = np.rot90(np.fliplr(image) if mirrored else image, quarter_turns)
            back = np.rot90(asked(MODEL, np.ascontiguousarray(turned)), -quarter_turns)
            total += np.fliplr(back) if mirrored else back
    found = probabilities(MODEL, image, tta=("transpose", "vertical", "horizontal"))
    np.testing.assert_allclose(found, total / 8, atol=1e-6)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.sampled_from([None, (8, 8), (7, 12)]), overlap=st.sampled_from([0.0, 0.25, 0.6]),
    tta=st.sampled_from([
        ("horizontal",), ("vertical",), ("horizontal", "vertical"), ("transpose",),
        ("horizontal", "vertical", "transpose"),
    ]),
)  # fmt: skip
def test_transformed_images_give_transformed_predictions(size, window, overlap, tta):
    image = random_image(*size)
    options = {"window": window, "overlap": overlap, "tta": tta}
    expected = probabilities(MODEL, image, **options)
    # Windows that are not square have other positions in a transposed image.
    square = window is None or window[0] == window[1]
    for name in tta if square else set(tta) - {"transpose"}:
        transform = SYMMETRIES[name]
        found = probabilities(MODEL, np.ascontiguousarray(transform(image)), **options)
        np.testing.assert_allclose(transform(found), expected, atol=1e-5)


@pytest.mark.parametrize("symmetries", [(), ("transpose",)])
def test_scales_are_averaged_with_the_original_image(symmetries):
    # A network that does not see its surroundings gives the transposed prediction anyway.
    model = network() if symmetries else MODEL
    image = random_image(10, 12)
    values = image[np.newaxis] / np.float32(255)
    total = asked(model, image)
    for scale, method in ((0.5, "area"), (1.5, "bilinear")):
        size = (round(10 * scale), round(12 * scale))
        logits = tf.nn.log_softmax(model(tf.image.resize(values, size, method)))
        total += softmax(tf.image.resize(logits, (10, 12)))[0]
    found = probabilities(model, image, tta=(0.5, *symmetries, 1.5))
    np.testing.assert_allclose(found, total / 3, atol=1e-5)


def block(x, seed=0, **options):
    return unetv2.EncoderBlock(3, dropout=0.4, pool=False, seed=seed, **options)(x)[1]


def inner(x):
    image = keras.Input((None, None, 3))
    dropped = keras.layers.Dropout(0.4, seed=0)(keras.layers.Conv2D(3, 1)(image))
    return keras.Model(image, dropped, name="inner")(x)


WITH_DROPOUT = {
    "an encoder block": block,
    "a layer": keras.layers.Dropout(0.4, seed=0),
    "channels": keras.layers.SpatialDropout2D(0.4, seed=0),
    "a model inside": inner,
}


@pytest.fixture(params=WITH_DROPOUT)
def dropping(request):
    return network((None, None, 3), WITH_DROPOUT[request.param], kernel=3)


def test_dropout_samples_depend_only_on_the_seed(dropping):
    image = random_image(12, 14)
    before = [np.asarray(variable) for variable in dropping.variables]
    one = unetv2.predict(dropping, image, mc_samples=4, seed=3)
    tf.random.set_seed(7)
    other = unetv2.predict(dropping, image, mc_samples=4, seed=3)
    np.testing.assert_array_equal(one.uncertainty, other.uncertainty)
    assert (unetv2.predict(dropping, image, mc_samples=4, seed=4).confidence
            != one.confidence).any()  # fmt: skip
    assert (unetv2.predict(dropping, image).confidence != one.confidence).any()
    # Nothing is trained by it, and no random state moves.
    for value, variable in zip(before, dropping.variables, strict=True):
        np.testing.assert_array_equal(value, np.asarray(variable))


@pytest.mark.parametrize("window", [None, (8, 8)])
def test_samples_do_not_depend_on_order_and_batch_size(dropping, window):
    images = [random_image(12, 14, seed=number) for number in range(3)]
    options = {"mc_samples": 2, "window": window, "tta": True}
    alone = [unetv2.predict(dropping, image, **options) for image in images]
    for batch_size in (1, 5):
        turned = unetv2.predict(dropping, images[::-1], batch_size=batch_size, **options)
        for one, other in zip(alone, turned[::-1], strict=True):
            np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-6)
            np.testing.assert_allclose(one.mutual_information, other.mutual_information, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"window": (8, 8)}, {"tta": True}, {"scale": 2.0}])
def test_mutual_information_is_bounded_by_the_entropy(dropping, options):
    image = random_image(10, 11)
    prediction = unetv2.predict(dropping, image, mc_samples=5, **options)
    information, entropy = prediction.mutual_information, prediction.uncertainty
    assert (information >= 0).all()
    assert (information <= entropy + 1e-5).all()
    assert (entropy <= np.log(N_CLASSES) + 1e-5).all()
    assert information.max() > 0.01
    assert information.dtype == np.float32


def test_one_sample_has_no_mutual_information():
    model = network((None, None, 3), block)
    prediction = unetv2.predict(model, random_image(6, 7), mc_samples=1)
    np.testing.assert_allclose(prediction.mutual_information, 0, atol=1e-5)


def test_dropout_rate_and_scaling_are_those_of_training():
    # Features of 1 through a dropout of 0.25, then summed up: 4/3 for each that is kept.
    image = keras.Input((None, None, 1))
    dropped = keras.layers.Dropout(0.25)(keras.layers.Concatenate()([image, 1 - image]))
    logits = keras.layers.Conv2D(
        2, 1, use_bias=False, kernel_initializer=keras.initializers.Constant([[1.0, 0], [0, 0]])
    )(dropped)
    model = unetv2.SegmentationModel(image, logits, preprocessing=unetv2.Preprocessing(channels=1))
    white = np.full((200, 200), 255, np.uint8)
    found = unetv2.predict(model, white, mc_samples=1, probabilities=True).probabilities[..., 0]
    kept = np.isclose(found, 1 / (1 + np.exp(-4 / 3)), atol=1e-4)
    np.testing.assert_allclose(found[~kept], 0.5, atol=1e-6)
    # The standard error is 0.002.
    assert kept.mean() == pytest.approx(0.75, abs=0.01)


def test_other_layers_stay_in_inference_mode():
    # Dropout of features that are 0 leaves them alone; a batch normalization in training mode
    # would not.
    def layers(x):
        zeros = keras.layers.Rescaling(0.0)(x)
        dropped = keras.layers.Dropout(0.5)(zeros)
        normalized = keras.layers.BatchNormalization(momentum=0.5)(x)
        return keras.layers.Add()([normalized, dropped])

    model = network((None, None, 3), layers)
    image = random_image(6, 7)
    plain = probabilities(model, image)
    np.testing.assert_allclose(probabilities(model, image, mc_samples=3), plain, atol=1e-6)


def test_spatial_dropout_drops_whole_channels():
    model = network((None, None, 3), keras.layers.SpatialDropout2D(0.5))
    flat = np.full((9, 9, 3), 200, np.uint8)
    for seed in range(4):
        found = probabilities(model, flat, mc_samples=1, seed=seed)
        np.testing.assert_allclose(found, np.broadcast_to(found[0, 0], found.shape), atol=1e-6)


def test_many_samples_of_all_flips_are_averaged():
    model = network((None, None, 3), keras.layers.Dropout(0.5), kernel=1)
    flat = np.full((4, 4, 3), 255, np.uint8)
    kernel, bias = model.get_weights()
    # Each of the three features is kept, doubled, or dropped: eight cases of the same chance.
    cases = [
        2 * np.array(case) @ kernel[0, 0] + bias for case in itertools.product((0, 1), repeat=3)
    ]
    found = probabilities(model, flat, mc_samples=300, tta=("horizontal", "vertical"))
    np.testing.assert_allclose(found.mean((0, 1)), softmax(cases).mean(0), atol=0.02)


@pytest.mark.parametrize("options", [{"tta": True}, {"mc_samples": 2}])
def test_a_probability_of_zero_gives_no_nan(options):
    model = network((8, 8, 3), keras.layers.Dropout(0.5), kernel=1)
    kernel, bias = model.get_weights()
    # A probability that float32 has no normal number for.
    model.set_weights([np.zeros_like(kernel), np.linspace(0, -200, len(bias))])
    found = unetv2.predict(model, random_image(16, 16), **options)
    assert (found.mask == 0).all()
    np.testing.assert_allclose(found.confidence, 1, atol=1e-6)
    np.testing.assert_allclose(found.uncertainty, 0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tta": ("diagonal",)}, "`tta` must be a bool, or hold .*Received: tta=.'diagonal',"),
        ({"tta": (0,)}, "`tta` must be a bool, or hold .* positive scales. Received: tta=\\(0,\\)"),
        ({"tta": "horizontal"}, "`tta` must be a bool, or hold .*Received: tta='horizontal'"),
        ({"tta": 2}, "`tta` must be a bool, or hold .*Received: tta=2"),
        ({"mc_samples": -1}, "`mc_samples` must be a non-negative integer"),
        ({"mc_samples": 2}, "`mc_samples` must be 0 for a model without dropout. Received: the m"),
        ({"seed": -1}, "`seed` must be a non-negative integer"),
    ],
)
def test_invalid_options_raise(options, message):
    with pytest.raises(ValueError, match=message):
        unetv2.predict(MODEL, random_image(4, 4), **options)


def test_scales_need_layers_that_support_other_sizes():
    image, options = random_image(8, 8), {"tta": (0.5, "vertical"), "probabilities": True}
    own, free = (
        unetv2.predict(model, image, **options).probabilities
        for model in (network((8, 8, 3)), network())
    )
    np.testing.assert_allclose(own, free, atol=1e-6)
    with pytest.raises(ValueError, match="`tta` must have no scales for a model that takes one s"):
        unetv2.predict(of_one_size(8, 8), random_image(8, 8), tta=(0.5,))


def of_one_size(height, width):
    image = keras.Input((height, width, 3))
    flat = keras.layers.Dense(height * width * N_CLASSES)(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Reshape((height, width, N_CLASSES))(flat))
    model.preprocessing = unetv2.Preprocessing(image_size=(height, width))
    return model


def test_transposing_needs_square_inputs_or_layers_that_support_other_sizes():
    image = random_image(8, 8)
    swap = SYMMETRIES["transpose"]
    square = of_one_size(8, 8)
    both = asked(square, image) + swap(asked(square, np.ascontiguousarray(swap(image))))
    found = probabilities(square, image, tta=("transpose",))
    np.testing.assert_allclose(found, both / 2, atol=1e-6)
    pixelwise = network((8, 6, 3), crop_size=(8, 6))
    expected = asked(network(), image)
    found = probabilities(pixelwise, image, tta=("transpose",))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(ValueError, match="`tta` must have no 'transpose' for a model that takes o"):
        unetv2.predict(of_one_size(8, 6), image, tta=("transpose",))


@pytest.mark.parametrize("window", [None, (8, 8)])
def test_windows_and_transforms_of_the_model_are_the_defaults(window):
    tta = ("horizontal", "vertical", "transpose", 1.5)
    image = random_image(20, 29)
    model = network(kernel=5, seed=1, crop_size=(6, 6), window=window, tta=tta)
    explicit = network(kernel=5, seed=1)
    expected = probabilities(explicit, image, window=window or (6, 6), tta=tta)
    np.testing.assert_allclose(probabilities(model, image), expected, atol=1e-6)
    predictor = unetv2.Predictor(model)
    assert predictor.options["tta"] == ["vertical", "horizontal", "transpose", 1.5]
    for choice, options in ((False, {}), (True, {"tta": True}), ((2.0,), {"tta": (2.0,)})):
        np.testing.assert_allclose(
            probabilities(model, image, tta=choice),
            probabilities(explicit, image, window=window or (6, 6), **options),
            atol=1e-6,
        )
    assert unetv2.Predictor(model, tta=False).options["tta"] is None
    for scale in (None, 0.5):
        np.testing.assert_allclose(
            probabilities(model, image, window=(9, 7), scale=scale, tta=False),
            probabilities(explicit, image, window=(9, 7), scale=scale),
            atol=1e-6,
        )


def test_nothing_is_averaged_unless_it_is_stored():
    image = random_image(9, 12)
    np.testing.assert_allclose(probabilities(MODEL, image), asked(MODEL, image), atol=1e-6)
    assert unetv2.Predictor(MODEL).options["tta"] is None


def test_windows_of_resized_images_are_at_the_scale_of_the_training():
    image = random_image(40, 52)
    options = {"image_size": (20, 26), "interpolation": "area", "kernel": 5, "seed": 1}
    windows = network(**options, window=(8, 8))
    crops = network(**options, crop_size=(8, 8))
    whole = network(**options)
    found = probabilities(windows, image)
    np.testing.assert_allclose(found, probabilities(crops, image), atol=1e-6)
    assert np.abs(found - probabilities(whole, image)).max() > 1e-3
    # A network for crops of one size predicts larger windows.
    fixed = network((8, 8, 3), kernel=5, seed=1, crop_size=(8, 8), window=(16, 16))
    np.testing.assert_allclose(
        probabilities(fixed, image), probabilities(MODEL, image, window=(16, 16)), atol=1e-6
    )
    rigid = of_one_size(8, 8)
    rigid.preprocessing = unetv2.Preprocessing(crop_size=(8, 8), window=(16, 16))
    with pytest.raises(ValueError, match=r"`model.preprocessing` must be .* images of \(16, 16\)"):
        unetv2.predict(rigid, image)


@pytest.mark.parametrize("shape", [(None, None, 3), (32, 32, 3)])
def test_small_images_have_smaller_windows_if_the_model_takes_any_size(shape):
    model = network(shape, kernel=5, seed=1, crop_size=(32, 32), window=(64, 96))
    for size, window in (((20, 300), (20, 96)), ((40, 65), (40, 65)), ((70, 33), (64, 33))):
        image = random_image(*size)
        expected = probabilities(MODEL, image, window=window)
        np.testing.assert_allclose(probabilities(model, image), expected, atol=1e-6)


def test_small_images_have_windows_that_the_model_takes():
    options = {"filters": 4, "depth": 2, "stem": "strided", "seed": 0}
    model = unetv2.build_unetv2((32, 32, 3), 3, **options)
    model.preprocessing = unetv2.Preprocessing(crop_size=(32, 32), window=(96, 64))
    image = random_image(41, 70)
    expected = probabilities(model, image, window=(64, 64))
    np.testing.assert_allclose(probabilities(model, image), expected, atol=1e-6)


def test_errors_of_unknown_options_name_the_public_class():
    for call in (
        lambda: unetv2.predict(MODEL, random_image(4, 4), mirror=True),
        lambda: unetv2.Predictor(MODEL, mirror=True),
    ):
        with pytest.raises(TypeError, match=r"^Predictor\.__init__\(\) got .*'mirror'"):
            call()
