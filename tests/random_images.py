"""Random images and masks."""

from __future__ import annotations

import numpy as np


def random_images(n, height, width, channels=3, n_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.random((n, height, width, channels), dtype=np.float32)
    return images, rng.integers(0, n_classes, (n, height, width, 1), dtype=np.int32)
