"""A folder of images of many kinds, and what is made of it."""

from __future__ import annotations

import keras
import numpy as np
from conftest import save

import unetv2

SIZES = [(20, 24), (20, 24), (13, 31), (20, 24), (40, 16), (20, 24)]
NAMES = ["a.png", "b.jpg", "in/a.png", "in/deep/c.webp", "in/deep/d.bmp", "z.png"]
MASKS = ["a.png", "b.png", "in/a.png", "in/deep/c.png", "in/deep/d.png", "z.png"]


def small_model(seed=0, *, size=(16, 24), **options):
    keras.utils.set_random_seed(seed)
    network = unetv2.build_unetv2((None, None, 3), 4, filters=2, depth=2, **options)
    network.preprocessing = unetv2.Preprocessing(image_size=size)
    return network


def write_images(directory):
    rng = np.random.default_rng(0)
    for name, size in zip(NAMES, SIZES, strict=True):
        save(rng.integers(0, 256, (*size, 3), np.uint8), directory / "images" / name)
    (directory / "images" / "notes.txt").write_text("no image")
    (directory / "images" / ".hidden.png").write_text("no image")
    return directory / "images"


def predict(model, images, output, **options):
    return unetv2.predict_directory(model, images, output, progress=False, **options)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
