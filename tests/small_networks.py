"""Networks of a few weights, and checks of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

import unetv2

N_CLASSES = 4


def network(
    shape: tuple[int | None, ...] = (None, None, 3), *layers: Any, kernel: int = 1,
    n_classes: int = N_CLASSES, seed: int = 0, **record: Any,
) -> unetv2.SegmentationModel:  # fmt: skip
    """One convolution after some layers; with a kernel of 1, pixels do not affect each other."""
    image = keras.Input(shape)
    features = image
    for layer in layers:
        features = layer(features)
    initializer = keras.initializers.RandomNormal(stddev=3.0, seed=seed)
    logits = keras.layers.Conv2D(
        n_classes, kernel, padding="same", kernel_initializer=initializer,
        data_format="channels_last",
    )(features)  # fmt: skip
    record = {"channels": shape[-1], **record}
    return unetv2.SegmentationModel(image, logits, preprocessing=unetv2.Preprocessing(**record))


def random_image(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Returns random pixels, uint8."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def softmax(logits: Any) -> np.ndarray:
    """Returns probabilities, float64."""
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def asked(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """Returns the probabilities that a model itself computes for a uint8 image."""
    return softmax(model(image[np.newaxis].astype(np.float32) / np.float32(255)))[0]


def assert_kept_by_file_and_clone(model: keras.Model, images: Any, folder: Path) -> None:
    """Checks that a saved model and a clone have the same outputs."""
    expected = model(images)
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_array_equal(loaded(images), expected)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(images), expected)
