from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_unet import plain_unet

import unetv2

SIZES = st.integers(1, 70)


def pictures(n, height, width, channels=3, n_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.random((n, height, width, channels), dtype=np.float32)
    return images, rng.integers(0, n_classes, (n, height, width, 1), dtype=np.int32)


def test_the_default_is_the_reference_network():
    model = unetv2.build_unetv2((96, 128, 3), 23)
    assert model.count_params() == 8_640_471
    assert model.output_shape == (None, 96, 128, 23)


def test_weights_of_a_plain_graph_give_its_outputs_and_its_training_step():
    plain = plain_unet((32, 48, 3), 5, filters=8, dropout=0.0)
    model = unetv2.build_unetv2((32, 48, 3), 5, filters=8, dropout=0.0)
    assert [w.shape for w in model.get_weights()] == [w.shape for w in plain.get_weights()]
    model.set_weights(plain.get_weights())
    images, masks = pictures(4, 32, 48)
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


def test_the_full_reference_network_gives_a_plain_graphs_outputs():
    plain = plain_unet((96, 128, 3), 23)
    model = unetv2.build_unetv2((96, 128, 3), 23)
    model.set_weights(plain.get_weights())
    images, _ = pictures(2, 96, 128)
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
def test_a_model_of_free_size_takes_every_size(model_of_free_size, height, width):
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
def test_it_trains_as_returned_in_every_precision(dtype, normalization):
    model = unetv2.build_unetv2(
        (9, 14, 3), 3, filters=4, depth=2, normalization=normalization, dtype=dtype
    )
    history = model.fit(*pictures(4, 9, 14, n_classes=3), batch_size=2, verbose=0).history
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


def test_it_learns_a_picture_by_heart():
    rng = np.random.default_rng(0)
    mask = (rng.random((1, 4, 4, 1)) > 0.5).repeat(4, 1).repeat(4, 2).astype("int32")
    image = (mask + rng.normal(0, 0.1, mask.shape)).astype("float32")
    model = unetv2.build_unetv2((16, 16, 1), 2, filters=8, depth=2, dropout=0.0, seed=0)
    model.fit(image, mask, epochs=60, verbose=0)
    assert model.evaluate(image, mask, verbose=0, return_dict=True)["accuracy"] == 1.0


def test_it_can_be_compiled_again_with_anything_else():
    model = unetv2.build_unetv2((8, 8, 3), 3, filters=2)
    model.compile("sgd", keras.losses.Dice(), metrics=["mae"])
    images, masks = pictures(2, 8, 8, n_classes=3)
    history = model.fit(images, keras.utils.to_categorical(masks, 3), verbose=0).history
    assert set(history) == {"loss", "mae"}


def test_ignored_pixels_change_nothing():
    images, masks = pictures(2, 12, 12, n_classes=3)
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
        model = unetv2.build_unetv2((8, 8, 3), 3, filters=2, seed=seed)
        start = model.get_weights()
        model.fit(*pictures(4, 8, 8, n_classes=3), shuffle=False, epochs=2, verbose=0)
        return start, model.get_weights()

    (start, end), (same_start, same_end), (other, _) = trained(1), trained(1), trained(2)
    for one, two in zip(start + end, same_start + same_end, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(start[0], other[0])


def test_no_two_kernels_start_equal_whatever_the_seed():
    for seed in (None, 0):
        model = unetv2.build_unetv2((8, 8, 32), 3, filters=32, depth=1, seed=seed)
        kernels = [w for w in model.get_weights() if w.shape == (3, 3, 32, 32)]
        assert len(kernels) == 4
        for number, kernel in enumerate(kernels):
            assert not any(np.allclose(kernel, other) for other in kernels[:number])


@pytest.mark.parametrize("argument", ["filters", "depth"])
@pytest.mark.parametrize("value", [0, -1])
def test_filters_and_depth_must_be_positive(argument, value):
    with pytest.raises(
        ValueError, match=f"`{argument}` must be a positive integer. Received: {argument}={value}"
    ):
        unetv2.build_unetv2((8, 8, 3), 3, **{argument: value})


@pytest.mark.parametrize("n_classes", [0, -1, 1])
def test_n_classes_must_be_two_at_least(n_classes):
    message = (
        f"`n_classes` must be an integer of at least 2. Received: n_classes={n_classes}. "
        "The background counts"
    )
    with pytest.raises(ValueError, match=message):
        unetv2.build_unetv2((8, 8, 3), n_classes)


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8, 3), 8, None, (0, 8, 3), (8, -1, 3), (8, 8, 0)])
def test_input_shape_must_be_height_width_channels(shape):
    message = r"`input_shape` must be \(height, width, channels\), .* Received: input_shape="
    with pytest.raises(ValueError, match=message):
        unetv2.build_unetv2(shape, 3)


@pytest.mark.parametrize("shape", [(8, 8, None), (8.0, 8, 3)])
def test_input_shape_must_hold_integers(shape):
    with pytest.raises(TypeError, match="`input_shape` must be .* Received: input_shape="):
        unetv2.build_unetv2(shape, 3)


OPTIONS = {
    "normalization_start": {"normalization": "batch", "normalization_start": 1},
    "bilinear": {"upsampling": "bilinear"},
    "residual": {"residual": True},
    "stem": {"stem": "strided"},
    "all": {
        "normalization": "group",
        "normalization_start": 2,
        "upsampling": "bilinear",
        "residual": True,
        "stem": "strided",
    },
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


# Against the reference network of 8,640,471; F are a level's filters, 32, 64, ..., 512.
@pytest.mark.parametrize(
    ("name", "difference"),
    [
        # Four figures a channel instead of a bias, two convolutions in encoder levels 1 to 4
        # and decoder levels 1 to 3: 3 * 2 * (64 + 128 + 256 + 512 + 64 + 128 + 256).
        ("normalization_start", 8_448),
        # 1x1 kernels instead of 3x3: -8 * 2F * F of levels 0 to 3,
        # -8 * (64 * 32 + 128 * 64 + 256 * 128 + 512 * 256).
        ("bilinear", -1_392_640),
        # 1x1 from the block's input: 3 * 32 and F/2 * F of levels 1 to 4, 2F * F of 0 to 3:
        # 96 + 2 * (64 * 32 + 128 * 64 + 256 * 128 + 512 * 256).
        ("residual", 348_256),
        # The stem, 4 * 4 * 3 * 32 + 32; 32 channels instead of 3 into the first block, 9 * 29
        # * 32; 16 times the head's kernel, 15 * 32 * 23.
        ("stem", 20_960),
    ],
)
def test_an_options_parameters_are_those_of_its_paper(name, difference):
    model = unetv2.build_unetv2((96, 128, 3), 23, **OPTIONS[name])
    assert model.count_params() == 8_640_471 + difference


@each_option
@settings(max_examples=5)
@given(height=SIZES, width=SIZES, depth=st.integers(2, 4))
def test_the_output_has_the_inputs_size_with_every_option(options, height, width, depth):
    fixed = unetv2.build_unetv2((height, width, 3), 4, filters=2, depth=depth, **options)
    assert fixed.output_shape == (None, height, width, 4)
    free = unetv2.build_unetv2((None, None, 3), 4, filters=2, depth=depth, **options)
    assert free.output_shape == (None, None, None, 4)
    free.set_weights(fixed.get_weights())
    images, _ = pictures(2, height, width)
    logits = fixed(images)
    assert logits.shape == (2, height, width, 4)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(free(images), logits, rtol=1e-5, atol=1e-5)


@each_option
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_every_option_trains_and_comes_back_from_a_file_and_a_clone(tmp_path, options, dtype):
    model = unetv2.build_unetv2((9, 14, 3), 3, filters=4, depth=2, dtype=dtype, **options)
    images, masks = pictures(2, 9, 14, n_classes=3)
    before = model.get_weights()
    loss = model.train_on_batch(images, masks, return_dict=True)["loss"]
    assert np.isfinite(loss)
    # All but dead ReLUs.
    changed = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    assert np.mean(changed) > 0.8
    expected = model(images)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), expected)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(images), expected)


def test_a_model_of_free_size_works_in_graphs_with_all_options():
    model = unetv2.build_unetv2((None, None, 3), 3, filters=2, depth=2, **OPTIONS["all"])
    images, masks = pictures(2, 9, 14, n_classes=3)
    # The second size is another one of the same graph.
    model.fit(images, masks, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), model(images), atol=1e-5)
    images, masks = pictures(2, 16, 5, n_classes=3)
    model.fit(images, masks, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), model(images), atol=1e-5)


def test_no_option_acts_in_the_levels_it_leaves_out():
    options = {
        "normalization": "batch",
        "normalization_start": 2,
    }
    model = unetv2.build_unetv2((16, 16, 3), 3, filters=2, depth=3, **options)
    encoders = [model.get_layer(f"encoder_{level}") for level in range(4)]
    decoders = [model.get_layer(f"decoder_{level}") for level in range(3)]
    for blocks in (encoders, decoders):
        normalizations = [block.normalization for block in blocks]
        assert normalizations == [None, None, "batch", "batch"][: len(blocks)]
    assert model.get_layer("refinement").normalization is None


def test_the_strided_stem_halves_what_the_blocks_see():
    model = unetv2.build_unetv2((9, 14, 3), 3, filters=2, depth=1, stem="strided")
    assert model.get_layer("decoder_0").output.shape == (None, 5, 7, 2)
    # Only odd sizes are cropped.
    assert model.get_layer("cropping").output.shape == (None, 9, 14, 3)
    even = unetv2.build_unetv2((8, 14, 3), 3, filters=2, depth=1, stem="strided")
    assert even.layers[-1].name == "logits"


def test_the_same_seed_gives_the_same_weights_with_every_option():
    one, same, other = (
        unetv2.build_unetv2((8, 8, 3), 3, filters=8, depth=2, seed=seed, **OPTIONS["all"])
        for seed in (1, 1, 2)
    )
    for weight, again in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, again)
    kernels = [weight for weight in one.get_weights() if weight.ndim > 1]
    for kernel, differing in zip(
        kernels, (weight for weight in other.get_weights() if weight.ndim > 1), strict=True
    ):
        assert not np.array_equal(kernel, differing)
    for number, kernel in enumerate(kernels):
        assert not any(np.array_equal(kernel, earlier) for earlier in kernels[:number])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"normalization_start": 1},
            "`normalization_start` must be 0 without a normalization. Received: "
            "normalization_start=1. Pass `normalization` too.",
        ),
        (
            {"normalization": "batch", "normalization_start": 3},
            "`normalization_start` must be at most 2, the deepest level with blocks. Received: "
            "normalization_start=3.",
        ),
        ({"normalization_start": -1}, "`normalization_start` must be a non-negative integer."),
        ({"upsampling": "nearest"}, "`upsampling` must be one of 'transpose', 'bilinear'."),
        ({"stem": "patch"}, "`stem` must be one of None, 'strided'. Received: stem='patch'"),
        ({"residual": "yes"}, "`residual` must be one of False, True. Received: residual='yes'"),
        (
            {"encoder_weights": "imagenet"},
            "`encoder_weights` must be None without an `encoder`. Received: "
            "encoder_weights='imagenet'. Say which",
        ),
        (
            {"encoder_trainable": False},
            "`encoder_trainable` must be True without an `encoder`. Received: "
            "encoder_trainable=False.",
        ),
    ],
)
def test_options_that_would_be_ignored_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        unetv2.build_unetv2((8, 8, 3), 3, **{"depth": 2, **options})


def test_dropout_and_normalization_are_checked():
    with pytest.raises(ValueError, match="`dropout` must be a number in"):
        unetv2.build_unetv2((8, 8, 3), 3, dropout=1.0)
    with pytest.raises(ValueError, match="`normalization` must be one of"):
        unetv2.build_unetv2((8, 8, 3), 3, normalization="layer")
    with pytest.raises(ValueError, match="`seed` must be a non-negative integer"):
        unetv2.build_unetv2((8, 8, 3), 3, seed=-1)
