"""Evaluations of generated masks, without a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import unetv2
from unetv2.evaluation.evaluate import Case, count_images
from unetv2.evaluation.evaluation import Evaluation
from unetv2.evaluation.models import ModelOutput
from unetv2.progress import Progress


class Image(NamedTuple):
    """An image, its mask, and the output of a model."""

    name: str
    image: np.ndarray
    mask: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray


def images(n=6, size=(12, 16), n_classes=4, seed=0, ignore_class=None, error=0.3):
    """Yields images of blocks, with a prediction that is wrong for a share of the pixels."""
    rng = np.random.default_rng(seed)
    for number in range(n):
        blocks = rng.integers(0, n_classes, (size[0] // 4 + 1, size[1] // 4 + 1))
        mask = blocks.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]].copy()
        noise = rng.integers(0, n_classes, size)
        predicted = np.where(rng.random(size) < error, noise, mask)
        if ignore_class is not None:
            mask[rng.random(size) < 0.1] = ignore_class
        confidence = rng.uniform(1 / n_classes, 1, size).astype(np.float32)
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        name = f"{seed}-{number:03d}"
        yield Image(name, image, mask, predicted, confidence)


def evaluated(shown, n_classes=4, ignore_class=None, tolerance=1, **settings):
    """Returns the evaluation of images."""
    cases = [
        Case(
            image.name,
            f"'{image.name}'",
            lambda image=image: image.image,
            lambda image=image: image.mask,
            ModelOutput(image.predicted, image.confidence),
        )
        for image in shown
    ]
    counted = count_images(
        cases,
        n_classes=n_classes,
        ignore_class=ignore_class,
        tolerance=tolerance,
        progress=Progress(None, "images", shown=False),
    )
    table = unetv2.ClassTable.numbered(n_classes, ignore_class)
    return Evaluation(classes=table, settings={"seed": 0, **settings}, **counted)
