"""Augmentations, and small batches to augment."""

from __future__ import annotations

import numpy as np

from unetv2.data.augmentation import Augmentation

GEOMETRY = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "scale": (0.6, 1.8),
    "rotation": 30,
    "translation": 0.1,
}
APPEARANCE = {
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "blur": 2.0,
    "noise": 0.1,
}
N_CLASSES = 5
IGNORED = 255


def everything(**changes):
    return Augmentation(**{**GEOMETRY, **APPEARANCE, "cutout": 0.3, **changes})


def batch(n=4, size=(24, 32), channels=3, seed=0):
    """Random images and masks."""
    rng = np.random.default_rng(seed)
    images = rng.random((n, *size, channels), dtype=np.float32)
    masks = rng.integers(0, N_CLASSES, (n, *size, 1), dtype=np.int32)
    return images, masks


def apply(augmentation, images, masks, seed=0):
    return tuple(part.numpy() for part in augmentation(images, masks, seed))


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
