"""The same validation pictures every few epochs, to see what a model learns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2.classes import ClassTable
from unetv2.training.folder import PICTURES, write_whole
from unetv2.visualization.masks import overlay

_SHOWN = 4
_OPACITY = 0.5


class Pictures:
    """Draws image, truth and prediction of a few validation pictures.

    Args:
        validation: Batches of ``(image, mask)``.
        classes: The table of the ids.
    """

    def __init__(self, validation: tf.data.Dataset, classes: ClassTable) -> None:
        images, masks = next(iter(validation))
        self._images = np.asarray(images[:_SHOWN], np.float32)
        self._masks = np.asarray(masks[:_SHOWN])
        self._classes = classes

    def draw(self, model: keras.Model) -> np.ndarray:
        """Returns a row for each picture, uint8 ``(rows, height, 3 * width, 3)``."""
        logits = np.asarray(model(self._images, training=False))
        predicted = logits.argmax(axis=-1)
        rows = []
        for image, truth, guess in zip(self._images, self._masks, predicted, strict=True):
            parts = [
                overlay(image, mask, self._classes, opacity=opacity)
                for mask, opacity in ((truth, 0.0), (truth, _OPACITY), (guess, _OPACITY))
            ]
            rows.append(np.concatenate(parts, axis=1))
        return np.stack(rows)


def save_pictures(rows: np.ndarray, folder: Path, epoch: int, writer: Any) -> None:
    """Saves what :meth:`Pictures.draw` drew as a PNG, and for TensorBoard where there is one.

    Args:
        rows: uint8 ``(rows, height, width, 3)``.
        folder: The training's output folder.
        epoch: int. Its number, from 0.
        writer: Of ``tf.summary``, or None.
    """
    (folder / PICTURES).mkdir(exist_ok=True)
    encoded = io.BytesIO()
    Image.fromarray(np.concatenate(list(rows))).save(encoded, format="PNG")
    path = folder / PICTURES / f"epoch_{epoch + 1:04d}.png"
    write_whole(path, lambda file: file.write(encoded.getvalue()))
    if writer is not None:
        with writer.as_default():
            tf.summary.image("image, truth, prediction", rows, step=epoch, max_outputs=len(rows))
        writer.flush()
