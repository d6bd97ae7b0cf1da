"""Random numbers for scenes, independent of the image's size, and noise textures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Choice = TypeVar("Choice")
RGB = tuple[float, float, float]

_BATCH = 512


class RandomStream:
    """A stream of random numbers, determined by a seed and the index of a scene.

    Numbers are drawn in batches: a scene needs hundreds of them, and one call to NumPy for each
    would take longer than painting a small image.

    Args:
        seed: int, at least 0. Chooses the data set.
        index: int, at least 0. Chooses the scene within it.

    Example:
        >>> RandomStream(0, 7).uniform(2, 3) == RandomStream(0, 7).uniform(2, 3)
        True
    """

    def __init__(self, seed: int, index: int) -> None:
        self._draws = _uniform_stream(seed, index)

    def uniform(self, low: float, high: float) -> float:
        """Returns a number drawn evenly from ``[low, high)``."""
        return low + (high - low) * next(self._draws)

    def integer(self, low: int, high: int) -> int:
        """Returns an integer drawn evenly from ``low`` to ``high``, both included."""
        return low + int((high - low + 1) * next(self._draws))

    def happens(self, probability: float) -> bool:
        """Returns True with the given probability."""
        return next(self._draws) < probability

    def sign(self) -> int:
        """Returns -1 or 1."""
        return 1 if self.happens(0.5) else -1

    def choice(self, options: Sequence[Choice]) -> Choice:
        """Returns one of ``options``, each as likely as the others."""
        return options[int(len(options) * next(self._draws))]

    def weighted_choice(self, options: Sequence[Choice], weights: Sequence[float]) -> Choice:
        """Returns one of ``options`` with a probability proportional to its weight."""
        remaining = sum(weights) * next(self._draws)
        for option, weight in zip(options, weights, strict=True):
            remaining -= weight
            if remaining < 0:
                return option
        return options[-1]

    def vary(self, rgb: RGB, spread: float = 0.05) -> RGB:
        """Returns a color like ``rgb``: brighter or darker, and shifted a little in hue."""
        gain = 1 + 3 * spread * self.uniform(-1, 1)
        red, green, blue = (gain * channel + spread * self.uniform(-1, 1) for channel in rgb)
        return (max(red, 0.02), max(green, 0.02), max(blue, 0.02))


def _uniform_stream(seed: int, index: int) -> Iterator[float]:
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    while True:
        yield from generator.random(_BATCH).tolist()


Floats: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]

TILE = 512
_OCTAVES = (8, 16, 32, 64, 128, 256)


@lru_cache(maxsize=1)
def cloudy_tile() -> Floats:
    """Returns smooth noise, ``(512, 512)`` float32, uniformly distributed in [0, 1]."""
    generator = np.random.default_rng(np.random.SeedSequence(20_260))
    total = np.zeros((TILE, TILE))
    for number, cells in enumerate(_OCTAVES):
        grid = generator.random((cells, cells))
        total += 0.62**number * _stretch(_stretch(grid, 0), 1)
    ranks = total.ravel().argsort().argsort().reshape(total.shape)
    return _read_only((ranks / (ranks.size - 1)).astype(np.float32))


@lru_cache(maxsize=1)
def grain_tile() -> Floats:
    """Returns white noise, ``(256, 256)`` float32, mean 0 and standard deviation 1."""
    generator = np.random.default_rng(np.random.SeedSequence(20_261))
    return _read_only(generator.standard_normal((256, 256), dtype=np.float32))


@lru_cache(maxsize=1)
def streak_tile() -> Floats:
    """Returns streaks of rain, ``(256, 256)`` float32 in [0, 1]."""
    generator = np.random.default_rng(np.random.SeedSequence(20_262))
    drops = (generator.random((256, 256)) > 0.9975).astype(np.float32)
    streaks = np.zeros_like(drops)
    for step in range(14):
        streaks += np.roll(drops, (step, -(step // 5)), axis=(0, 1)) * (step / 14)
    return _read_only(np.minimum(streaks, 1))


def cloudy(down: Floats, right: Floats) -> Floats:
    """Returns smooth noise at coordinates in texels, float32 in [0, 1]."""
    rows = down.astype(np.int32) & (TILE - 1)
    columns = right.astype(np.int32) & (TILE - 1)
    return cloudy_tile().reshape(-1).take(rows * TILE + columns)


def smooth(down: Floats, right: Floats) -> Floats:
    """Returns noise like `cloudy`, interpolated for texels larger than a pixel."""
    top, left = np.floor(down), np.floor(right)
    below, beside = down - top, right - left
    upper, lower = (
        cloudy(row, left) * (1 - beside) + cloudy(row, left + 1) * beside for row in (top, top + 1)
    )
    return upper * (1 - below) + lower * below


def repeat_to(tile: Floats, image_size: tuple[int, int], start: tuple[int, int]) -> Floats:
    """Repeats a tile over ``image_size``, beginning at the texel ``start``."""
    sides = zip(image_size, start, tile.shape, strict=True)
    repeats = [-(-(side + first) // period) for side, first, period in sides]
    (height, width), (top, left) = image_size, start
    return np.tile(tile, repeats)[top : top + height, left : left + width]


def _read_only(tile: Floats) -> Floats:
    tile.setflags(write=False)
    return tile


def _stretch(grid: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Interpolates a periodic grid along one axis to ``TILE`` samples by cosines."""
    cells = grid.shape[axis]
    position = np.arange(TILE) * (cells / TILE)
    first = position.astype(int)
    weight = 0.5 - 0.5 * np.cos(np.pi * (position - first))
    weight = weight.reshape([-1 if dimension == axis else 1 for dimension in range(2)])
    ahead = np.take(grid, (first + 1) % cells, axis=axis)
    blended: NDArray[np.float64] = np.take(grid, first, axis=axis) * (1 - weight) + ahead * weight
    return blended
