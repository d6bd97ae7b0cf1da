from __future__ import annotations

import keras
import numpy as np
import pytest
from exporting import N_CLASSES, lively, recorded

import unetv2
from unetv2.exporting.optimize import deployable


@pytest.mark.parametrize(
    "options",
    [
        {"normalization": "batch"},
        {"normalization": "batch", "normalization_start": 1},
        {"normalization": "batch", "residual": True, "upsampling": "bilinear"},
        {"normalization": "batch", "stem": "strided"},
        {"normalization": "batch", "encoder": "MobileNetV3Small", "shape": (32, 32, 3)},
    ],
)
def test_folding_changes_no_logits(options):
    model = lively(**options)
    folded = deployable(model, "float32")
    images = np.random.default_rng(1).random((2, *model.input_shape[1:]), np.float32)
    np.testing.assert_allclose(folded(images), model(images), atol=2e-4, rtol=1e-4)


def test_a_folded_model_has_no_batch_normalization():
    model = lively(normalization="batch")
    names = [weight.path for weight in deployable(model, "float32").weights]
    assert any("normalization" in weight.path for weight in model.weights)
    assert not any("normalization" in name for name in names)


def test_a_model_without_changes_is_returned_unchanged():
    model = lively()
    assert deployable(model, "float32") is model
    grouped = lively(normalization="group")
    assert deployable(grouped, "float32") is grouped


def test_folding_does_not_change_the_original_model():
    model = lively(normalization="batch")
    before = model.get_weights()
    deployable(model, "bfloat16")
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_all_layers_but_the_last_get_the_precision(precision):
    model = deployable(recorded(normalization="batch"), precision)
    *others, last = [layer for layer in model.layers if layer.weights]
    assert {layer.dtype_policy.name for layer in others} == {precision}
    assert last.dtype_policy.name == "float32"


def test_a_model_of_mixed_precision_becomes_one_of_float32():
    model = lively(dtype="mixed_bfloat16")
    assert {layer.dtype_policy.name for layer in deployable(model, "float32").layers} == {"float32"}


class Nameless(keras.layers.Layer):
    def __init__(self, factor, **layer):
        super().__init__(**layer)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config()


def test_a_layer_that_cannot_be_rebuilt_is_named():
    image = keras.Input((8, 8, 3))
    features = Nameless(2.0, name="odd")(image)
    model = unetv2.SegmentationModel(image, keras.layers.Conv2D(N_CLASSES, 1)(features))
    assert deployable(model, "float32") is model
    with pytest.raises(ValueError, match=r"(?s)'odd' \(Nameless\), which fails with .*get_config"):
        deployable(model, "bfloat16")
