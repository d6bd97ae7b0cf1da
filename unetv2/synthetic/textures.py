"""Tileable noise, made once and indexed in world coordinates afterwards."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]

TILE = 512
_OCTAVES = (8, 16, 32, 64, 128, 256)


@lru_cache(maxsize=1)
def cloudy_tile() -> Floats:
    """Returns smooth noise over six octaves, ``(512, 512)`` float32 in [0, 1], median 0.5.

    The values are spread evenly over the range, so that a threshold ``t`` cuts off the share ``t``.
    """
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
    """Returns falling rain, ``(256, 256)`` float32 in [0, 1]: short, steep, sparse streaks."""
    generator = np.random.default_rng(np.random.SeedSequence(20_262))
    drops = (generator.random((256, 256)) > 0.9975).astype(np.float32)
    streaks = np.zeros_like(drops)
    for step in range(14):
        streaks += np.roll(drops, (step, -(step // 5)), axis=(0, 1)) * (step / 14)
    return _read_only(np.minimum(streaks, 1))


def cloudy(down: Floats, right: Floats) -> Floats:
    """Looks smooth noise up.

    Args:
        down: Coordinates in texels, any float or integer array.
        right: Coordinates in texels, broadcastable against ``down``.

    Returns:
        float32 in [0, 1], of the shape the two broadcast to.
    """
    rows = down.astype(np.int32) & (TILE - 1)
    columns = right.astype(np.int32) & (TILE - 1)
    return cloudy_tile().reshape(-1).take(rows * TILE + columns)


def smooth(down: Floats, right: Floats) -> Floats:
    """Looks smooth noise up like `cloudy`, but interpolates where a texel spans many pixels."""
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
    """Interpolates a periodic grid along one axis to ``TILE`` samples with a cosine's ease."""
    cells = grid.shape[axis]
    position = np.arange(TILE) * (cells / TILE)
    first = position.astype(int)
    weight = 0.5 - 0.5 * np.cos(np.pi * (position - first))
    weight = weight.reshape([-1 if dimension == axis else 1 for dimension in range(2)])
    ahead = np.take(grid, (first + 1) % cells, axis=axis)
    blended: NDArray[np.float64] = np.take(grid, first, axis=axis) * (1 - weight) + ahead * weight
    return blended
