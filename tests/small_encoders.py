"""Networks on small encoders of every family."""

from __future__ import annotations

import keras
import numpy as np

import unetv2

# The smallest of each family, and every other encoder, with the channels of its features at the
# strides 2, 4, 8, 16 and 32.
FAMILIES = {
    "MobileNet": (64, 128, 256, 512, 1024),
    "MobileNetV2": (96, 144, 192, 576, 1280),
    "MobileNetV3Small": (16, 72, 96, 288, 576),
    "EfficientNetV2B0": (16, 32, 192, 672, 1280),
    "ResNet50": (64, 256, 512, 1024, 2048),
    "ResNet50V2": (64, 64, 128, 256, 2048),
    "DenseNet121": (64, 128, 256, 512, 1024),
}
SMALLEST = "MobileNetV3Small"


def build(encoder=SMALLEST, size=(None, None), **options):
    options = {"filters": 2, "depth": 5, **options}
    return unetv2.build_unetv2((*size, 3), 3, encoder=encoder, **options)


def network(name, size=64):
    return getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(size, size, 3)
    )


def random_images(n, height, width):
    rng = np.random.default_rng(0)
    images = rng.random((n, height, width, 3), dtype=np.float32)
    return images, rng.integers(0, 3, (n, height, width, 1), dtype=np.int32)
