"""Time and memory of training steps on this machine."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from unetv2.training.recipes import Recipe

_STEPS_MEASURED = 3
# The size of a GPU's memory is not available, so that of a small one is assumed.
_GPU_MEMORY = 6 * 10**9


@dataclass(frozen=True)
class Speed:
    """The measured speed of a network in training.

    Args:
        pixels_per_second: float. Training pixels per second.
        startup: float. Seconds of the first step, most of them to build the graph.
    """

    pixels_per_second: float
    startup: float


def measure_speed(
    model: keras.Model, recipe: Recipe, shape: tuple[int, int, int, int], n_classes: int
) -> Speed:
    """Times training steps of a model on random images.

    Args:
        model: The model; its weights change.
        recipe: Recipe. Its optimizer and loss.
        shape: ``(batch, height, width, channels)`` of the images.
        n_classes: int. Number of classes.
    """
    model.compile(
        optimizer=recipe.optimizer(model, _STEPS_MEASURED + 1),
        loss=recipe.loss_function(None, None),
    )
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random(shape, np.float32))
    masks = tf.constant(rng.integers(0, n_classes, (*shape[:3], 1), np.int32))
    seconds = []
    for _ in range(_STEPS_MEASURED + 1):
        start = time.perf_counter()
        model.train_on_batch(images, masks)
        seconds.append(time.perf_counter() - start)
    step = statistics.median(seconds[1:])
    return Speed(shape[0] * shape[1] * shape[2] / step, seconds[0])


def free_memory() -> int:
    """Returns the free memory in bytes: of the machine, or an assumed amount with a GPU."""
    if tf.config.list_physical_devices("GPU"):
        return _GPU_MEMORY
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        # Includes the system's caches of files, which it can release.
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return _GPU_MEMORY
