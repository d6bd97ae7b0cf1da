"""The images that a model does worst and best, kept small."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from unetv2.data.preprocess import Geometry, resize_image, resize_mask
from unetv2.visualization.masks import visible

# Of each kind.
SHOWN = 6
_LONGEST_SIDE = 480


class Example(NamedTuple):
    """An image with both masks.

    Attributes:
        name: str.
        mean_iou: float. Over the classes that are in it or predicted.
        image: uint8 ``(height, width, 3)``.
        truth: ids ``(height, width)``.
        predicted: ids ``(height, width)``.
    """

    name: str
    mean_iou: float
    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


class Gallery:
    """Keeps the worst and the best of all images that it is shown."""

    def __init__(self, examples: Iterable[Example] = ()) -> None:
        self._kept: list[Example] = []
        for example in examples:
            self.offer(example.name, example.mean_iou, partial(Example._make, example))

    def offer(self, name: str, mean_iou: float, make: Callable[[], Example]) -> None:
        """Keeps an image if it is among the worst or the best so far.

        Args:
            name: str. Decides between equals.
            mean_iou: float. NaN, of an image where no pixel counts, is not kept.
            make: Makes the example if it is kept.
        """
        if np.isnan(mean_iou):
            return
        if len(self._kept) == 2 * SHOWN:
            low, high = self._kept[SHOWN - 1], self._kept[SHOWN]
            if (low.mean_iou, low.name) < (mean_iou, name) < (high.mean_iou, high.name):
                return
        self._kept.append(make())
        self._kept.sort(key=lambda example: (example.mean_iou, example.name))
        if len(self._kept) > 2 * SHOWN:
            del self._kept[SHOWN]

    @property
    def examples(self) -> tuple[Example, ...]:
        """Those kept, the worst first."""
        return tuple(self._kept)


def make_example(
    name: str, mean_iou: float, image: np.ndarray, truth: np.ndarray, predicted: np.ndarray
) -> Example:
    """Returns an example of an image, scaled down.

    Args:
        name: str.
        mean_iou: float.
        image: uint8, uint16, or float in [0, 1], ``(height, width, channels)``. The first three
            channels are shown, or the first where there are fewer.
        truth: ids ``(height, width)``.
        predicted: ids ``(height, width)``.
    """
    height, width = truth.shape
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    geometry = Geometry(size, size)
    return Example(
        name,
        mean_iou,
        resize_image(np.rint(visible(image)).astype(np.uint8), geometry),
        resize_mask(truth, geometry),
        resize_mask(predicted, geometry),
    )
