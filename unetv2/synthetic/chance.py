"""Random draws that describe a scene, the same whatever the image's size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")
RGB = tuple[float, float, float]

_BATCH = 512


class Chance:
    """Draws from a stream fixed by a seed and a scene's index.

    Numbers are drawn in batches: a scene takes hundreds of them, and one call to NumPy for each
    would cost more than the painting of a small image.

    Args:
        seed: int, at least 0. Chooses the data set.
        index: int, at least 0. Chooses the scene within it.

    Example:
        >>> Chance(0, 7).between(2, 3) == Chance(0, 7).between(2, 3)
        True
    """

    def __init__(self, seed: int, index: int) -> None:
        """Starts the stream at its first draw."""
        self._draws = _uniform_stream(seed, index)

    def between(self, low: float, high: float) -> float:
        """Returns a number drawn evenly from ``[low, high)``."""
        return low + (high - low) * next(self._draws)

    def count(self, low: int, high: int) -> int:
        """Returns an integer drawn evenly from ``low`` to ``high``, both included."""
        return low + int((high - low + 1) * next(self._draws))

    def happens(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return next(self._draws) < probability

    def sign(self) -> int:
        """Returns -1 or 1."""
        return 1 if self.happens(0.5) else -1

    def choose(self, options: Sequence[Choice]) -> Choice:
        """Returns one of ``options``, each as likely as the others."""
        return options[int(len(options) * next(self._draws))]

    def choose_weighted(self, options: Sequence[Choice], weights: Sequence[float]) -> Choice:
        """Returns one of ``options``, as likely as its share of the ``weights``."""
        left = sum(weights) * next(self._draws)
        for option, weight in zip(options, weights, strict=True):
            left -= weight
            if left < 0:
                return option
        return options[-1]

    def near(self, rgb: RGB, spread: float = 0.05) -> RGB:
        """Returns a color like ``rgb``: brighter or darker, and shifted a little in hue."""
        gain = 1 + 3 * spread * self.between(-1, 1)
        red, green, blue = (gain * channel + spread * self.between(-1, 1) for channel in rgb)
        return (max(red, 0.02), max(green, 0.02), max(blue, 0.02))


def _uniform_stream(seed: int, index: int) -> Iterator[float]:
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    while True:
        yield from generator.random(_BATCH).tolist()
