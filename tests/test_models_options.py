"""Options of ``build_unetv2``."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_images import random_images
from small_networks import assert_kept_by_file_and_clone

import unetv2

SIZES = st.integers(1, 70)


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
# Half precision with all options together, each of them in float32.
TRAINED = [*((name, "float32") for name in OPTIONS), ("all", "mixed_bfloat16")]


# Against the reference network of 8,640,471; F are a level's filters, 32, 64, ..., 512.
@pytest.mark.parametrize(
    ("name", "difference"),
    [
        # Four numbers per channel instead of a bias, two convolutions in encoder levels 1 to 4
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
def test_numbers_of_parameters_equal_those_of_the_papers(name, difference):
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
    images, _ = random_images(2, height, width)
    logits = fixed(images)
    assert logits.shape == (2, height, width, 4)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(free(images), logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "dtype"), TRAINED)
def test_every_option_trains_and_is_restored_from_files_and_clones(tmp_path, name, dtype):
    options = OPTIONS[name]
    model = unetv2.build_unetv2((9, 14, 3), 3, filters=4, depth=2, dtype=dtype, **options)
    images, masks = random_images(2, 9, 14, n_classes=3)
    before = model.get_weights()
    loss = model.train_on_batch(images, masks, return_dict=True)["loss"]
    assert np.isfinite(loss)
    # All but dead ReLUs.
    changed = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    assert np.mean(changed) > 0.8
    assert_kept_by_file_and_clone(model, images, tmp_path)


def test_a_model_for_any_size_works_in_graphs_with_all_options():
    model = unetv2.build_unetv2((None, None, 3), 3, filters=2, depth=2, **OPTIONS["all"])
    images, masks = random_images(2, 9, 14, n_classes=3)
    # Two sizes in the same graph.
    model.fit(images, masks, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), model(images), atol=1e-5)
    images, masks = random_images(2, 16, 5, n_classes=3)
    model.fit(images, masks, verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), model(images), atol=1e-5)


def test_options_do_not_affect_the_levels_they_exclude():
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


def test_the_strided_stem_halves_the_resolution_of_the_blocks():
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
