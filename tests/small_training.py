"""Trainings of about a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import unetv2

SIZE = (16, 24)
N_CLASSES = 3
PLAIN = unetv2.recipes.get("reference", schedule="constant", learning_rate=3e-3)


def random_images(n: int = 6, size: tuple[int, int] = SIZE, channels: int = 3, seed: int = 0):
    """Returns images whose brightness is the class, and their masks in blocks of 4 pixels."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, N_CLASSES, (n, -(-size[0] // 4), -(-size[1] // 4), 1), dtype=np.int32)
    masks = blocks.repeat(4, 1).repeat(4, 2)[:, : size[0], : size[1]]
    noise = rng.normal(0, 0.05, (n, *size, channels))
    return np.clip(masks / N_CLASSES + noise, 0, 1).astype(np.float32), masks


def batches(n: int = 6, batch_size: int = 2, **options: Any) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(random_images(n, **options)).batch(batch_size)


def unet(shape: tuple[int | None, ...] = (*SIZE, 3), seed: int = 0, **options: Any):
    return unetv2.build_unetv2(shape, N_CLASSES, filters=2, depth=1, seed=seed, **options)


def network(shape: tuple[int | None, ...] = (*SIZE, 3), seed: int = 0, dtype: str = "float32"):
    """Two convolutions, which are compiled faster than a U-Net."""
    keras.utils.set_random_seed(seed)
    options = {"data_format": "channels_last", "dtype": dtype}
    image = keras.Input(shape)
    features = keras.layers.Conv2D(4, 3, padding="same", activation="relu", **options)(image)
    features = keras.layers.Dropout(0.1, seed=seed)(features)
    options["dtype"] = "float32"
    logits = keras.layers.Conv2D(N_CLASSES, 1, name="logits", **options)(features)
    model = keras.Model(image, logits)
    model.dtype_policy = keras.dtype_policies.get(dtype)
    return model


def train(folder: Path, model: Any = None, data: Any = None, **options: Any) -> unetv2.Training:
    """Trains two epochs with validation on the same images, by default."""
    model = network() if model is None else model
    data = batches() if data is None else data
    options = {"validation": data, "recipe": PLAIN, "epochs": 2, "progress": False, **options}
    return unetv2.train(model, data, options.pop("validation"), output_dir=folder, **options)


class Meddler(keras.callbacks.Callback):
    """Multiplies all weights once, at the beginning of an epoch or after one of its batches."""

    def __init__(self, factor: float, epoch: int, batch: int | None = None) -> None:
        super().__init__()
        self.factor, self.at, self.epoch, self.done = factor, (epoch, batch), 0, False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        self._meddle(None)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._meddle(batch)

    def _meddle(self, batch: int | None) -> None:
        if (self.epoch, batch) == self.at and not self.done:
            self.done = True
            self.model.set_weights([weight * self.factor for weight in self.model.get_weights()])


class Watcher(keras.callbacks.Callback):
    """Records epochs, batches, and the weights after each."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.batches: list[int] = []
        self.weights: list[list[np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun.append(epoch)
        self.batches.append(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ended.append(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches[-1] += 1
        self.weights.append(self.model.get_weights())
