"""Images that an export is calibrated with and checked on."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.data.io.open import EXTENSIONS, MAX_PIXELS
from unetv2.data.preprocess import Geometry, resize_image
from unetv2.exporting.formats.base import eight_bits
from unetv2.exporting.graph import Plan
from unetv2.inference.inputs import InputImage
from unetv2.synthetic import driving_scene

# More tell a calibration nothing new.
MOST = 300
_SCENE = (240, 320)


def calibration_images(calibration: Any, plan: Plan, most: int = MOST) -> list[np.ndarray]:
    """Reads images.

    Args:
        calibration: A data set of ``make_dataset`` or of batches of its images, a folder, or a
            list of paths and arrays.
        plan: What the artifact takes.
        most: int. How many are read.

    Returns:
        list of np.ndarray. uint8 ``(height, width, channels)``, of their own sizes or, of a data
        set, as it prepared them.

    Raises:
        TypeError: If ``calibration`` is something else.
        ValueError: If there is none, or one is broken.
        FileNotFoundError: If a file is missing.
    """
    if isinstance(calibration, tf.data.Dataset):
        found = _of_dataset(calibration, plan)
    elif isinstance(calibration, str | os.PathLike):
        found = _of_files(_listed(Path(calibration)), plan)
    elif isinstance(calibration, list | tuple):
        found = _of_files(calibration, plan)
    else:
        raise TypeError(
            "`calibration` must be a data set, a folder of images, or a list of them. "
            f"Received: {type(calibration).__name__}. Pass the training's data set."
        )
    some = list(itertools.islice(found, most))
    if not some:
        raise ValueError("`calibration` must hold an image. Received: none.")
    return some


def scenes(plan: Plan, count: int) -> list[np.ndarray]:
    """Returns synthetic driving scenes, for who has no images at hand."""
    height, width = (
        own or other
        for own, other in zip(
            plan.frame_size if not _is_whole(plan) else (None, None), _SCENE, strict=True
        )
    )
    channels = np.arange(plan.preprocessing.channels) % 3
    return [
        driving_scene(index, image_size=(height, width))[0][..., channels] for index in range(count)
    ]


def fitted(image: np.ndarray, plan: Plan) -> np.ndarray:
    """Brings an image to the size that an artifact takes, if that is fixed."""
    size = (
        plan.frame_size[0] or image.shape[0],
        plan.frame_size[1] or image.shape[1],
    )
    if image.shape[:2] == size:
        return image
    known = plan.preprocessing
    if plan.resizes:
        return resize_image(image, Geometry(size, size))
    if _is_whole(plan):
        geometry = Geometry.plan(image.shape[:2], size, known.resize)
        return resize_image(image, geometry, known.interpolation)
    # A window in the middle; the smaller side of a smaller image is enlarged.
    return resize_image(image, Geometry.plan(image.shape[:2], size, "crop"))


def _is_whole(plan: Plan) -> bool:
    known = plan.preprocessing
    return known.image_size is not None and known.crop_size is None and known.resize != "crop"


def _of_dataset(dataset: tf.data.Dataset, plan: Plan) -> Iterator[np.ndarray]:
    low, high = plan.preprocessing.value_range
    for element in dataset:
        images = np.asarray(element[0] if isinstance(element, tuple | list) else element)
        if images.ndim != 4 or images.shape[3] != plan.preprocessing.channels:
            raise ValueError(
                "`calibration` must hold batches of images, (batch, height, width, "
                f"{plan.preprocessing.channels}). Received: shape {images.shape}."
            )
        yield from np.rint((images - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`calibration` must be a folder. Received: '{folder}', where there is none."
        )
    return sorted(one for one in folder.rglob("*") if one.suffix.lower() in EXTENSIONS)


def _of_files(images: Sequence[Any], plan: Plan) -> Iterator[np.ndarray]:
    for image in images:
        opened = InputImage(image, channels=plan.preprocessing.channels, max_pixels=MAX_PIXELS)
        yield eight_bits(np.asarray(opened.pixels()[:]))
