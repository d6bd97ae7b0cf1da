"""The worst and the best images of an evaluation, downscaled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from unetv2.data.preprocess import Geometry, resize_image, resize_mask
from unetv2.visualization.masks import to_rgb

# Number of worst images, and of best images.
N_EXAMPLES = 6
_LONGEST_SIDE = 480


class Example(NamedTuple):
    """An image with its ground truth and its prediction.

    Attributes:
        name: str.
        mean_iou: float. Mean IoU over the classes of the image.
        image: uint8 ``(height, width, 3)``.
        mask: Ground-truth ids, ``(height, width)``.
        predicted: Predicted ids, ``(height, width)``.
    """

    name: str
    mean_iou: float
    image: np.ndarray
    mask: np.ndarray
    predicted: np.ndarray


class Gallery:
    """Keeps the worst and the best examples."""

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        self._examples: list[Example] = []
        for example in examples:
            self.add(example.name, example.mean_iou, partial(Example._make, example))

    def add(self, name: str, mean_iou: float, make: Callable[[], Example]) -> None:
        """Adds an image if it is among the worst or the best so far.

        Args:
            name: str. Order of images with the same score.
            mean_iou: float. An image with NaN, of which all pixels are ignored, is not added.
            make: Returns the example; called only if it is added.
        """
        if np.isnan(mean_iou):
            return
        if len(self._examples) == 2 * N_EXAMPLES:
            low, high = self._examples[N_EXAMPLES - 1], self._examples[N_EXAMPLES]
            if (low.mean_iou, low.name) < (mean_iou, name) < (high.mean_iou, high.name):
                return
        self._examples.append(make())
        self._examples.sort(key=lambda example: (example.mean_iou, example.name))
        if len(self._examples) > 2 * N_EXAMPLES:
            del self._examples[N_EXAMPLES]

    @property
    def examples(self) -> tuple[Example, ...]:
        """The examples, the worst first."""
        return tuple(self._examples)


def make_example(
    name: str, mean_iou: float, image: np.ndarray, mask: np.ndarray, predicted: np.ndarray
) -> Example:
    """Returns a downscaled example.

    ``image`` is uint8, uint16, or float in [0, 1], ``(height, width, channels)``; ``mask`` and
    ``predicted`` are ids ``(height, width)``.
    """
    height, width = mask.shape
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    geometry = Geometry(size, size)
    return Example(
        name,
        mean_iou,
        resize_image(np.rint(to_rgb(image)).astype(np.uint8), geometry),
        resize_mask(mask, geometry),
        resize_mask(predicted, geometry),
    )
