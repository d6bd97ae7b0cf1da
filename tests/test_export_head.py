"""The head of an exported model, fitted anew to quantized layers below it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from unetv2.exporting.folding import deployable
from unetv2.exporting.head import head_of, refitted

N_CLASSES = 4


def network(**options):
    inputs = keras.Input((6, 8, 5))
    options = {"filters": N_CLASSES, "kernel_size": 1, "name": "logits", **options}
    return keras.Model(inputs, keras.layers.Conv2D(data_format="channels_last", **options)(inputs))


def test_a_head_undoes_what_is_the_same_in_all_pictures():
    rng = np.random.default_rng(0)
    head = head_of(network())
    head.bias.assign(rng.normal(0, 1, N_CLASSES))
    features = rng.normal(0, 3, (5, 6, 8, 5))
    after = features @ np.asarray(head.kernel)[0, 0] + np.asarray(head.bias)
    mixed = np.eye(N_CLASSES) + rng.normal(0, 0.1, (N_CLASSES, N_CLASSES))
    before = after @ mixed + rng.normal(0, 0.3, N_CLASSES) + rng.normal(0, 0.01, after.shape)
    weights = refitted(head, zip(before, after, strict=True))
    found = features @ weights["logits/kernel"][0, 0] + weights["logits/bias"]
    assert np.abs(after - before).mean() > 0.2
    assert np.abs(found - before).mean() < 0.015


def test_a_head_stays_what_it_is_where_nothing_changed_or_nothing_is_seen():
    head = head_of(network())
    logits = np.random.default_rng(0).normal(0, 3, (3, 6, 8, N_CLASSES))
    for same in (logits, np.zeros_like(logits), np.repeat(logits[..., :1], N_CLASSES, axis=-1)):
        weights = refitted(head, zip(same, same, strict=True))
        np.testing.assert_allclose(weights["logits/kernel"], head.kernel, atol=1e-6)
        np.testing.assert_allclose(weights["logits/bias"], head.bias, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"kernel_size": 3}, {"strides": 2}, {"activation": "softmax"}, {"use_bias": False}],
    ids=str,
)
def test_what_is_no_affine_map_of_each_pixel_is_no_head(options):
    assert head_of(network(**options)) is None


def test_the_head_is_what_comes_last():
    model = network()
    assert head_of(model) is model.layers[-1]
    assert head_of(deployable(model, "float16")).name == "logits"
    doubled = keras.Model(model.inputs, keras.ops.multiply(model.outputs[0], 2))
    assert head_of(doubled) is None
