"""Tiling: positions and weights of overlapping tiles, and their sum."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Tiles of ``window`` pixels along a side of ``length`` pixels, evenly spaced and symmetric.

    Tiles that are larger than the side extend beyond it at both ends, from negative starts.
    """

    length: int
    window: int
    starts: tuple[int, ...]

    @classmethod
    def plan(cls, length: int, window: int, overlap: float, *, symmetric: bool = False) -> Axis:
        """Returns the fewest tiles that cover each pixel.

        Args:
            length: int. Pixels of the side.
            window: int. Pixels of a tile.
            overlap: float in [0, 1). Minimum overlap of neighbors as a fraction of a tile.
            symmetric: bool. Whether a middle tile must be exactly in the middle; if that is
                impossible, there are two.

        Raises:
            ValueError: If the tiles would overlap completely.
        """
        span = length - window
        # The decimal number: 0.1 is a tenth, not the slightly larger float.
        stride = window - math.ceil(window * Fraction(str(float(overlap))))
        if stride < 1 and span > 0:
            most = math.floor(100 * (window - 1) / window) / 100
            raise ValueError(
                "`overlap` must leave at least one pixel from one window to the next. "
                f"Received: overlap={overlap} and windows of {window} pixels along {length}. "
                f"Pass at most {most}, or a larger `window`."
            )
        n = 1 if span <= 0 else -(-span // stride) + 1
        if symmetric and n % 2 and span % 2:
            n += 1
        # Rounded up in the first half, so that no step exceeds the stride, nor the middle one.
        first = [-(-number * span // max(1, n - 1)) for number in range(n // 2)]
        middle = [-(-span // 2)] * (n % 2)
        last = [span - start for start in reversed(first)]
        if span < 0 and n > 1:
            first, last = [span // 2], [-(-span // 2)]
        return cls(length, window, tuple(first + middle + last))

    def __len__(self) -> int:
        """Returns the number of tiles."""
        return len(self.starts)

    def inside(self, number: int) -> tuple[int, int]:
        """Returns the first pixel of the side in a tile, and the end of the tile within it."""
        start = self.starts[number]
        return max(0, start), min(self.length, start + self.window)

    def done(self, number: int) -> int:
        """Returns the first pixel that later tiles contribute to."""
        if number + 1 < len(self):
            return self.inside(number + 1)[0]
        return self.length

    def weights(self) -> np.ndarray:
        """Returns the weight of each tile at each of its pixels, float32 ``(n, window)``.

        A squared sine, normalized so that the weights of all tiles sum to one at each pixel. It is
        0 beyond the side.
        """
        centers = (np.arange(self.window) + 0.5) / self.window
        profile = np.sin(np.pi * centers) ** 2
        total = np.zeros(self.length)
        spans = [self.inside(number) for number in range(len(self))]
        for start, (first, end) in zip(self.starts, spans, strict=True):
            total[first:end] += profile[first - start : end - start]
        weights = np.zeros((len(self), self.window), np.float32)
        for number, (start, (first, end)) in enumerate(zip(self.starts, spans, strict=True)):
            part = slice(first - start, end - start)
            weights[number, part] = profile[part] / total[first:end]
        return weights


class Tile(NamedTuple):
    """A tile: its number in order, and its row and column in the grid."""

    number: int
    row: int
    column: int


@dataclass(frozen=True)
class Grid:
    """Tiles of an image, in rows from the top, each from the left."""

    rows: Axis
    columns: Axis

    @classmethod
    def plan(
        cls,
        size: tuple[int, int],
        window: tuple[int, int],
        overlap: float,
        *,
        symmetric: tuple[bool, bool] = (False, False),
    ) -> Grid:
        """Returns the tiles of an image; see :meth:`Axis.plan`."""
        rows, columns = (
            Axis.plan(length, extent, overlap, symmetric=mirrored)
            for length, extent, mirrored in zip(size, window, symmetric, strict=True)
        )
        return cls(rows, columns)

    @property
    def window(self) -> tuple[int, int]:
        """``(height, width)`` of a tile."""
        return self.rows.window, self.columns.window

    def start(self, tile: Tile) -> tuple[int, int]:
        """Returns the first ``(row, column)`` of a tile."""
        return self.rows.starts[tile.row], self.columns.starts[tile.column]

    def __len__(self) -> int:
        """Returns the number of tiles."""
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Tile]:
        """Yields the tiles in order."""
        for number in range(len(self)):
            yield Tile(number, *divmod(number, len(self.columns)))


def reflected(start: int, count: int, length: int) -> np.ndarray:
    """Returns pixel indices from ``start`` on, reflected into ``[0, length)``."""
    # Reflecting twice gives the side again.
    period = max(1, 2 * (length - 1))
    indices = np.arange(start, start + count) % period
    return np.minimum(indices, period - indices) if length > 1 else np.zeros_like(indices)


class Block(NamedTuple):
    """A finished part of an image, float32 ``(height, width, channels)``, and its position."""

    row: int
    column: int
    values: np.ndarray


def stitch(grid: Grid, tiles: Iterable[np.ndarray]) -> Iterator[Block]:
    """Sums tiles and yields each part of the image once it is complete.

    Only the overlap with the next row of tiles and with the next tile is kept.

    Args:
        grid: The grid.
        tiles: Weighted tiles in order, float32 ``(height, width, channels)``; they are modified.

    Yields:
        Block. In rows from the top, each from the left; together they cover the image once.
    """
    values = iter(tiles)
    below: np.ndarray | None = None
    kept_rows = 0
    for row in range(len(grid.rows)):
        top, bottom = grid.rows.inside(row)
        end = grid.rows.done(row)
        above = kept_rows
        kept_rows = bottom - end
        beside: np.ndarray | None = None
        for column in range(len(grid.columns)):
            left, _ = grid.columns.inside(column)
            total = _cropped(next(values), grid, row, column)
            if beside is not None:
                total[:, : beside.shape[1]] += beside
            done = grid.columns.done(column) - left
            beside, total = total[:, done:], total[:, :done]
            if above and below is not None:
                total[:above] += below[:above, left : left + done]
            if kept_rows:
                if below is None:
                    below = _overlap_buffer(grid, total)
                # Replaces the rows that have just been added.
                below[:kept_rows, left : left + done] = total[end - top :]
            # Two tiles that extend beyond both ends have the same first pixel.
            if done and end > top:
                yield Block(top, left, total[: end - top])


def join(blocks: Iterable[Block], most: float = math.inf) -> Iterator[Block]:
    """Joins neighboring blocks of the same rows, up to a number of pixels."""
    group: list[Block] = []
    pixels = 0
    for block in blocks:
        size = block.values.shape[0] * block.values.shape[1]
        if group and (block.row != group[0].row or pixels + size > most):
            yield _joined(group)
            group, pixels = [], 0
        group.append(block)
        pixels += size
    if group:
        yield _joined(group)


def split(block: Block, most_bytes: int) -> Iterator[Block]:
    """Yields a few rows of a block at a time."""
    height, width, channels = block.values.shape
    step = max(1, most_bytes // (4 * width * channels))
    for start in range(0, height, step):
        yield Block(block.row + start, block.column, block.values[start : start + step])


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    values = np.concatenate([block.values for block in blocks], axis=1)
    return Block(blocks[0].row, blocks[0].column, values)


def _cropped(values: np.ndarray, grid: Grid, row: int, column: int) -> np.ndarray:
    """Returns the part of a tile within the image."""
    rows, columns = (
        slice(first - axis.starts[number], end - axis.starts[number])
        for axis, number in ((grid.rows, row), (grid.columns, column))
        for first, end in (axis.inside(number),)
    )
    return values[rows, columns]


def _overlap_buffer(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Returns zeros for the rows that two rows of tiles share."""
    shared = max(
        grid.rows.inside(row)[1] - grid.rows.done(row) for row in range(len(grid.rows) - 1)
    )
    return np.zeros((shared, grid.columns.length, values.shape[2]), values.dtype)
