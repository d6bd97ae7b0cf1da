"""Batches of prepared pictures, by the numbers of their pairs."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from unetv2.data.cache import Pictures
from unetv2.data.gate import call_python
from unetv2.data.reading import Preparation
from unetv2.data.sampling import random_crop
from unetv2.data.source import Source


class Batches:
    """Reads batches on threads of its own, which end with it.

    Args:
        source: Where the pictures come from.
        preparation: How they are prepared.
        crop_size: ``(height, width)`` of the parts that are cut out of them, or None.
        balanced: bool. See :func:`unetv2.data.sampling.random_crop`.
    """

    def __init__(
        self,
        source: Source,
        preparation: Preparation,
        crop_size: tuple[int, int] | None,
        *,
        balanced: bool,
    ) -> None:
        self._source = source
        self._size = crop_size or preparation.image_size
        self._channels = preparation.channels
        self._crop_size = crop_size
        self._balanced = balanced
        self._ignore_class = preparation.labels.ignore_class
        # More than cores, as some wait for the disk or for Python's lock.
        self.threads = ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="unetv2")

    def load(self, numbers: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the images and masks of a batch, as tensors that are read when they are needed.

        Args:
            numbers: int64 ``(batch,)``.
            draws: int64 ``(batch,)``. They decide the crops.

        Returns:
            tuple ``(images, masks)``, of fewer rows where pairs were skipped.
        """
        # A batch a call, on threads of our own: TensorFlow's wait for each other in Python.
        images, masks = call_python(
            self._read, [numbers, draws], [self._source.pixel_dtype, tf.int32], stateful=False
        )
        height, width = self._size or (None, None)
        images = tf.ensure_shape(images, (None, height, width, self._channels))
        return images, tf.ensure_shape(masks, (None, height, width, 1))

    def _read(self, numbers: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = list(self.threads.map(self._read_one, numbers.tolist(), draws.tolist()))
        pictures = [pair for pair in found if pair is not None]
        if not pictures:
            empty = np.zeros((0, *(self._size or (1, 1)), 1))
            image = empty.repeat(self._channels, axis=3).astype(self._source.pixel_dtype)
            return image, empty.astype(np.int32)
        images, masks = zip(*pictures, strict=True)
        return np.stack(images), np.stack([mask.astype(np.int32) for mask in masks])

    def _read_one(self, number: int, draw: int) -> Pictures | None:
        pictures = self._source.read(number)
        if pictures is None or self._crop_size is None:
            return pictures
        image, mask = pictures
        return random_crop(
            image, mask, self._crop_size,
            draw=draw, balanced=self._balanced, ignore_class=self._ignore_class,
        )  # fmt: skip
