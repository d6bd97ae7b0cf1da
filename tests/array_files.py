""".npy files, and folders of them."""

from __future__ import annotations

import io

import numpy as np
from conftest import save


def write(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def stored(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def folders(directory, images, masks, mask_extension="npy"):
    """Writes arrays and masks, and returns the two folders."""
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        write(image, directory / "images" / f"{number}.npy")
        path = directory / "masks" / f"{number}.{mask_extension}"
        write(mask, path) if mask_extension == "npy" else save(mask, path)
    return directory / "images", directory / "masks"


def random_folders(directory, n=4, size=(12, 16), channels=5, dtype=np.uint8, seed=0, **options):
    rng = np.random.default_rng(seed)
    high = np.iinfo(dtype).max
    images = [rng.integers(0, high, (*size, channels), dtype, endpoint=True) for _ in range(n)]
    masks = [rng.integers(0, 3, size, dtype=np.uint8) for _ in range(n)]
    return folders(directory, images, masks, **options)


UINT8 = np.zeros((4, 6, 5), np.uint8)
