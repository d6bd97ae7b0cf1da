"""Invalid arguments of ``build_unetv2``."""

from __future__ import annotations

import pytest

import unetv2


@pytest.mark.parametrize("argument", ["filters", "depth"])
@pytest.mark.parametrize("value", [0, -1])
def test_filters_and_depth_must_be_positive(argument, value):
    with pytest.raises(
        ValueError, match=f"`{argument}` must be a positive integer. Received: {argument}={value}"
    ):
        unetv2.build_unetv2((8, 8, 3), 3, **{argument: value})


@pytest.mark.parametrize("n_classes", [0, -1, 1])
def test_n_classes_must_be_at_least_two(n_classes):
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
            "encoder_weights='imagenet'.",
        ),
        (
            {"encoder_trainable": False},
            "`encoder_trainable` must be True without an `encoder`. Received: "
            "encoder_trainable=False.",
        ),
    ],
)
def test_options_that_would_have_no_effect_raise(options, message):
    with pytest.raises(ValueError, match=message):
        unetv2.build_unetv2((8, 8, 3), 3, **{"depth": 2, **options})


def test_dropout_and_normalization_are_checked():
    with pytest.raises(ValueError, match="`dropout` must be a number in"):
        unetv2.build_unetv2((8, 8, 3), 3, dropout=1.0)
    with pytest.raises(ValueError, match="`normalization` must be one of"):
        unetv2.build_unetv2((8, 8, 3), 3, normalization="layer")
    with pytest.raises(ValueError, match="`seed` must be a non-negative integer"):
        unetv2.build_unetv2((8, 8, 3), 3, seed=-1)
