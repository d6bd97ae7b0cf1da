"""Weights of encoders."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from small_encoders import FAMILIES, SMALLEST, build, network, random_images

from unetv2.models import encoders


@pytest.mark.parametrize("name", [name for name in FAMILIES if hasattr(keras.applications, name)])
def test_a_file_of_weights_gives_what_the_network_makes_of_its_own_preprocessing(tmp_path, name):
    original = network(name)
    # Weights that differ from all initial values.
    rng = np.random.default_rng(0)
    original.set_weights(
        [weight * rng.uniform(0.9, 1.1, weight.shape) for weight in original.get_weights()]
    )
    original.save_weights(tmp_path / "encoder.weights.h5")
    model = build(name, size=(64, 64), encoder_weights=tmp_path / "encoder.weights.h5")
    images, _ = random_images(2, 64, 64)
    (family,) = (one for one, names in encoders.FAMILIES.items() if name in names)
    preprocess_input = getattr(keras.applications, family).preprocess_input
    expected = np.asarray(original(preprocess_input(255 * images)))
    scaled = model.get_layer("scaling")(images)
    found = np.asarray(model.get_layer("encoder")(scaled)[-1])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_weights_are_restored_in_another_model(tmp_path, dtype):
    encoder = build(depth=5).get_layer("encoder")
    path = tmp_path / "trained.weights.h5"
    encoder.save_weights(path)
    again = build(depth=5, encoder_weights=str(path), dtype=dtype).get_layer("encoder")
    for old, new in zip(encoder.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_file_of_the_old_h5_format_is_read(tmp_path):
    original = network(SMALLEST)
    original.save(tmp_path / "old.h5")
    encoder = build(encoder_weights=tmp_path / "old.h5").get_layer("encoder")
    for old, new in zip(original.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_file_of_another_network_raises(tmp_path):
    path = tmp_path / "other.weights.h5"
    network("MobileNetV2").save_weights(path)
    message = (
        "`encoder_weights` must be a .weights.h5 or .h5 file of MobileNetV3Small without its "
        "classifier. Received: encoder_weights='.*other.weights.h5', and: .*"
        r"Save one with keras.applications.MobileNetV3Small\(include_top=False\).save_weights"
    )
    with pytest.raises(ValueError, match=f"(?s){message}"):
        build(encoder_weights=path)


@pytest.mark.parametrize("name", ["broken.weights.h5", "broken.h5", "weights.bin"])
def test_a_file_without_weights_raises(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match="`encoder_weights` must be a .weights.h5 or .h5 file of"):
        build(encoder_weights=tmp_path / name)


@pytest.mark.parametrize("weights", [True, 5])
def test_weights_must_be_a_path(weights):
    message = "`encoder_weights` must be None, 'imagenet' or the path of a file. Received: .*Pass a"
    with pytest.raises(TypeError, match=message):
        build(encoder_weights=weights)


def test_a_missing_file_is_named(tmp_path):
    message = (
        "`encoder_weights` must be None, 'imagenet' or the path of a file. Received: "
        "encoder_weights='.*nowhere.h5', which does not exist. Check the path."
    )
    with pytest.raises(FileNotFoundError, match=message):
        build(encoder_weights=tmp_path / "nowhere.h5")


OFFLINE = """
import unetv2
try:
    unetv2.build_unetv2((32, 32, 3), 2, encoder="MobileNetV3Small", encoder_weights="imagenet")
except ConnectionError as error:
    print("refused:", error)
"""


def test_an_error_without_internet_contains_the_url_and_a_remedy(tmp_path, monkeypatch):
    # An empty cache, and a proxy that does not exist.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    result = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    message = result.stdout[result.stdout.index("refused:") :]
    assert "`encoder_weights` must be a file or None where 'imagenet' cannot be" in message
    assert "Received: encoder='MobileNetV3Small', encoder_weights='imagenet', and: " in message
    assert "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5" in message
    assert "Download that file elsewhere and pass its path." in message
