"""Images for the calibration and the parity check of an export."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.data.io.open import EXTENSIONS, MAX_PIXELS
from unetv2.exporting.exported_model import to_uint8
from unetv2.inference.inputs import InputImage
from unetv2.preprocessing import Preprocessing

# The ranges of activations do not change with more images.
MAX_IMAGES = 300


def calibration_images(calibration: Any, preprocessing: Preprocessing) -> list[np.ndarray]:
    """Reads up to 300 images.

    Args:
        calibration: A data set of ``make_dataset`` or of batches of images, a folder, or a list of
            paths and arrays.
        preprocessing: Preprocessing of the model.

    Returns:
        list of np.ndarray. uint8 ``(height, width, channels)``, of their own sizes or, of a data
        set, as it prepared them.

    Raises:
        TypeError: If ``calibration`` has another type.
        ValueError: If there is no image, or one is broken.
        FileNotFoundError: If a file does not exist.
    """
    if isinstance(calibration, tf.data.Dataset):
        images = _from_dataset(calibration, preprocessing)
    elif isinstance(calibration, str | os.PathLike):
        images = _from_files(_list_images(Path(calibration)), preprocessing)
    elif isinstance(calibration, list | tuple):
        images = _from_files(calibration, preprocessing)
    else:
        raise TypeError(
            "`calibration` must be a data set, a folder of images, or a list of them. "
            f"Received: {type(calibration).__name__}. Pass the data set of the training."
        )
    listed = list(itertools.islice(images, MAX_IMAGES))
    if not listed:
        raise ValueError(
            "`calibration` must contain an image. Received: none. Pass images of the training."
        )
    return listed


def _from_dataset(dataset: tf.data.Dataset, preprocessing: Preprocessing) -> Iterator[np.ndarray]:
    low, high = preprocessing.value_range
    for element in dataset:
        images = np.asarray(element[0] if isinstance(element, tuple | list) else element)
        if images.ndim != 4 or images.shape[3] != preprocessing.channels:
            raise ValueError(
                "`calibration` must contain batches of images, (batch, height, width, "
                f"{preprocessing.channels}). Received: shape {images.shape}."
            )
        yield from np.rint((images - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def _list_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`calibration` must be a folder. Received: '{folder}', which does not exist or is a "
            "file. Check the path."
        )
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)


def _from_files(images: Sequence[Any], preprocessing: Preprocessing) -> Iterator[np.ndarray]:
    for image in images:
        opened = InputImage(image, channels=preprocessing.channels, max_pixels=MAX_PIXELS)
        yield to_uint8(np.asarray(opened.pixels()[:]))
