"""Networks that are worth exporting, and pictures for them: what the tests of exports share."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import unetv2

N_CLASSES = 5


def lively(shape: tuple[int | None, ...] = (24, 32, 3), **options: Any) -> keras.Model:
    """Returns a small U-Net whose weights are all in use, and sure of its classes."""
    model = unetv2.build_unetv2(
        shape, N_CLASSES, **{"filters": 4, "depth": 2, "seed": 0, **options}
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("bias", "beta", "moving_mean")):
            weight.assign(rng.uniform(-0.2, 0.2, weight.shape))
    head = model.layers[-1].kernel
    head.assign(rng.normal(0, 1, head.shape))
    return model


def whole(size: tuple[int, int] = (24, 32), **record: Any) -> unetv2.Preprocessing:
    """Returns that pictures were resized whole."""
    return unetv2.Preprocessing(image_size=size, **record)


def recorded(**options: Any) -> keras.Model:
    """Returns such a network that knows how its pictures were prepared."""
    model = lively(**options)
    model.preprocessing = whole()
    return model


def scenes(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Returns made-up scenes."""
    return [unetv2.data.driving_scene(index, image_size=size)[0] for index in range(count)]
