"""Drawings of a training: predictions on varied validation images, and curves."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2.classes import ClassTable
from unetv2.training.checkpoint import BEST, CURVES, IMAGES, write_whole
from unetv2.training.clock import Clock
from unetv2.visualization.panels import panel
from unetv2.visualization.plots import require_matplotlib, training_curves

_MOST_IMAGES = 6
# Validation images among which they are chosen, and the classes that count.
_MOST_READ, _MOST_CLASSES = 1000, 24
# Larger images are cropped, in pixels.
_MOST_PIXELS = 640
_CURVES = ("loss", "accuracy", "mean_iou")

_log = logging.getLogger("unetv2")


class Drawings:
    """Draws predictions on a few validation images, and the curves of the history.

    Args:
        model: The model in training.
        validation: Batches of ``(image, mask)``, or None for curves only.
        classes: The class table.
        folder: The output folder.
        ignore_class: int or None. Id of unlabeled pixels.
        every: int. Number of epochs between two drawings.
        writer: A writer of ``tf.summary``, or None.
        clock: Clock, which limits the time of drawing, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        validation: tf.data.Dataset | None,
        classes: ClassTable,
        folder: Path,
        *,
        ignore_class: int | None,
        every: int,
        writer: Any,
        clock: Clock | None,
    ) -> None:
        self._model = model
        self._classes = classes
        self._folder = folder
        self._ignore_class = ignore_class
        self._every = every
        self._writer = writer
        self._clock = clock
        self._images: list[np.ndarray] = []
        self._masks: list[np.ndarray] = []
        if validation is not None:
            any_size = model.input_shape[1:3] == (None, None)
            chosen = varied_images(
                validation, len(classes), crop=_MOST_PIXELS if any_size else None
            )
            self._images, self._masks = map(list, zip(*chosen, strict=True))
        self._has_curves = True
        try:
            require_matplotlib()
        except ImportError as error:
            self._has_curves = False
            _log.info("There will be no '%s'. %s", CURVES, error)

    def epoch_ended(self, epoch: int, history: Sequence[Mapping[str, float]]) -> None:
        """Draws every few epochs.

        Args:
            epoch: int. Index of the epoch, from 0.
            history: The logs of each epoch.
        """
        if epoch % self._every or (self._clock is not None and not self._clock.may_draw):
            return
        with nullcontext() if self._clock is None else self._clock.drawing():
            self._draw(epoch, history)

    def _draw(self, epoch: int, history: Sequence[Mapping[str, float]]) -> None:
        if self._images:
            drawn = self._predict(self._model)
            (self._folder / IMAGES).mkdir(exist_ok=True)
            _write_png(self._folder / IMAGES / f"epoch_{epoch + 1:04d}.png", drawn)
            if self._writer is not None:
                with self._writer.as_default():
                    title = "image, ground truth, prediction"
                    tf.summary.image(title, drawn[np.newaxis], step=epoch)
                self._writer.flush()
        self._draw_curves(history)

    def training_ended(self, model: keras.Model, history: Sequence[Mapping[str, float]]) -> None:
        """Draws the predictions of the best epoch, and the curves of all epochs.

        Args:
            model: The model, with the best weights.
            history: The logs of each epoch.
        """
        if self._images:
            _write_png(self._folder / BEST, self._predict(model))
        self._draw_curves(history)

    def _predict(self, model: keras.Model) -> np.ndarray:
        predicted = [
            np.asarray(model(image[np.newaxis], training=False))[0].argmax(axis=-1)
            for image in self._images
        ]
        return panel(
            self._images, self._masks, predicted, self._classes, ignore_class=self._ignore_class
        )

    def _draw_curves(self, history: Sequence[Mapping[str, float]]) -> None:
        names = [f"{prefix}{name}" for name in _CURVES for prefix in ("", "val_")]
        logs = {name: [row[name] for row in history if name in row] for name in names}
        logs = {name: values for name, values in logs.items() if values}
        if self._has_curves and logs:
            encoded = io.BytesIO()
            training_curves(logs).savefig(encoded, format="png")
            write_whole(self._folder / CURVES, lambda file: file.write(encoded.getvalue()))


def varied_images(
    dataset: tf.data.Dataset, n_classes: int, *, most: int = _MOST_IMAGES, crop: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns a few images that are spread over a data set and contain its classes.

    Args:
        dataset: Batches of ``(image, mask)``, of which the first thousand images are read.
        n_classes: int. Number of classes.
        most: int. Largest number of images.
        crop: int or None. Largest height and width, of the center; None takes whole images.

    Returns:
        list of tuples: image, float32 ``(height, width, channels)``, and mask ``(height, width,
        1)``, in the order of the data set.
    """
    # Only candidates are kept: every n-th image, those with the most classes, and the one with the
    # most pixels of each class.
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    shares: dict[int, np.ndarray] = {}
    spread: list[int] = []
    of_class: dict[int, tuple[float, int]] = {}
    stride, index = 1, 0
    for images, masks in dataset:
        for image, mask in zip(np.asarray(images, np.float32), np.asarray(masks), strict=True):
            image, mask = _center(image, crop), _center(mask, crop)
            ids = mask[(mask >= 0) & (mask < n_classes)]
            shares[index] = np.bincount(ids, minlength=n_classes) / mask.size
            for number in np.flatnonzero(shares[index]).tolist():
                is_known = number in of_class or len(of_class) < _MOST_CLASSES
                if is_known and shares[index][number] > of_class.get(number, (0.0, 0))[0]:
                    of_class[number] = (shares[index][number], index)
            if index % stride == 0:
                spread.append(index)
            if len(spread) > 2 * most:
                spread, stride = spread[::2], 2 * stride
            rich = sorted(shares, key=lambda number: -np.count_nonzero(shares[number]))[:most]
            candidates = {*spread, *rich, *(number for _, number in of_class.values())}
            if index in candidates:
                # Copies, as views would keep the whole batch in memory.
                kept[index] = image.copy(), mask.copy()
            kept = {number: pair for number, pair in kept.items() if number in candidates}
            shares = {number: shares[number] for number in kept}
            index += 1
        if index >= _MOST_READ:
            break
    chosen: list[int] = []
    missing = set(of_class)

    def visibility(number: int) -> tuple[float, float]:
        """Counts missing classes; a quarter of the most pixels of a class is enough."""
        parts = [shares[number][one] / of_class[one][0] for one in missing]
        return sum(min(1.0, 4 * part) for part in parts), sum(parts)

    while len(chosen) < min(most, len(kept)):
        left = [number for number in kept if number not in chosen]
        if missing:
            chosen.append(max(left, key=visibility))
            missing.difference_update(np.flatnonzero(shares[chosen[-1]]).tolist())
        else:
            distances = {
                number: min((abs(number - other) for other in chosen), default=0) for number in left
            }
            chosen.append(max(left, key=distances.__getitem__))
    return [kept[number] for number in sorted(chosen)]


def _center(array: np.ndarray, most: int | None) -> np.ndarray:
    """Returns the center of an array ``(height, width, channels)``."""
    if most is None:
        return array
    top, left = (max(0, size - most) // 2 for size in array.shape[:2])
    return array[top : top + most, left : left + most]


def _write_png(path: Path, image: np.ndarray) -> None:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="PNG")
    write_whole(path, lambda file: file.write(encoded.getvalue()))
