"""Where windows lie on an image, and how much each of them counts: geometry, no pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Windows along one side of an image.

    They lie evenly and mirror each other: from the right they start where they do from the left.
    Where the side is shorter than a window, that stands over at both ends.

    Args:
        length: int. Pixels of the side.
        window: int. Pixels of a window.
        starts: The first pixel of each window, ascending; negative where it stands over.
    """

    length: int
    window: int
    starts: tuple[int, ...]

    @classmethod
    def plan(cls, length: int, window: int, overlap: float, *, symmetric: bool = False) -> Axis:
        """Lays windows so that each pixel is in one, and neighbors overlap.

        Args:
            length: int. Pixels of the side.
            window: int. Pixels of a window.
            overlap: float in [0, 1). The least share of a window that the next one covers too,
                rounded up to whole pixels.
            symmetric: bool. Whether a middle window must lie exactly in the middle; where none
                can, there are two.

        Returns:
            Axis.

        Raises:
            ValueError: If windows that overlap by so much never reach the end of the side.
        """
        span = length - window
        # As it is written: 0.1 is a tenth, not the float a little above it.
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
        # Rounded up in the first half: so no step is longer than the stride, also the middle one.
        first = [-(-number * span // max(1, n - 1)) for number in range(n // 2)]
        middle = [-(-span // 2)] * (n % 2)
        last = [span - start for start in reversed(first)]
        if span < 0 and n > 1:
            first, last = [span // 2], [-(-span // 2)]
        return cls(length, window, tuple(first + middle + last))

    def __len__(self) -> int:
        """Returns the number of windows."""
        return len(self.starts)

    def inside(self, number: int) -> tuple[int, int]:
        """Returns the first pixel of the side in a window, and the one behind the last."""
        start = self.starts[number]
        return max(0, start), min(self.length, start + self.window)

    def done(self, number: int) -> int:
        """Returns the first pixel that windows behind a window still count for."""
        if number + 1 < len(self):
            return self.inside(number + 1)[0]
        return self.length

    def weights(self) -> np.ndarray:
        """Returns how much each window counts at each of its pixels, float32 ``(n, window)``.

        A squared sine, low at a window's ends, over the sum of all windows' there: so the weights
        of a pixel sum to one, and go over smoothly from one window to the next. They are 0 where a
        window stands over.
        """
        places = (np.arange(self.window) + 0.5) / self.window
        bump = np.sin(np.pi * places) ** 2
        total = np.zeros(self.length)
        spans = [self.inside(number) for number in range(len(self))]
        for start, (first, end) in zip(self.starts, spans, strict=True):
            total[first:end] += bump[first - start : end - start]
        weights = np.zeros((len(self), self.window), np.float32)
        for number, (start, (first, end)) in enumerate(zip(self.starts, spans, strict=True)):
            part = slice(first - start, end - start)
            weights[number, part] = bump[part] / total[first:end]
        return weights


class Window(NamedTuple):
    """One window: its place in the order, and its numbers along both sides."""

    number: int
    row: int
    column: int


@dataclass(frozen=True)
class Grid:
    """Windows over an image, in rows from the top, each from the left.

    Args:
        rows: Their places from the top.
        columns: Their places from the left.
    """

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
        """Lays windows over an image, see :meth:`Axis.plan`.

        Args:
            size: ``(height, width)`` of the image.
            window: ``(height, width)`` of a window.
            overlap: float in [0, 1).
            symmetric: Along the height, and along the width.

        Returns:
            Grid.
        """
        rows, columns = (
            Axis.plan(length, extent, overlap, symmetric=mirrored)
            for length, extent, mirrored in zip(size, window, symmetric, strict=True)
        )
        return cls(rows, columns)

    @property
    def window(self) -> tuple[int, int]:
        """``(height, width)`` of a window."""
        return self.rows.window, self.columns.window

    def __len__(self) -> int:
        """Returns the number of windows."""
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Window]:
        """Yields the windows in their order."""
        for number in range(len(self)):
            yield Window(number, *divmod(number, len(self.columns)))


def reflected(start: int, count: int, length: int) -> np.ndarray:
    """Returns the pixels of a side that a window sees, mirrored where it stands over.

    Args:
        start: int. The window's first pixel, negative before the side's.
        count: int. Pixels of the window.
        length: int. Pixels of the side. The ones at its ends are not repeated.

    Returns:
        np.ndarray. int64 ``(count,)``, all in ``[0, length)``.
    """
    # A reflection of a reflection is the side again.
    period = max(1, 2 * (length - 1))
    places = np.arange(start, start + count) % period
    return np.minimum(places, period - places) if length > 1 else np.zeros_like(places)


class Block(NamedTuple):
    """A finished part of an image.

    Attributes:
        row: int. Its first row.
        column: int. Its first column.
        values: ``(height, width, channels)``, float32.
    """

    row: int
    column: int
    values: np.ndarray


def stitch(grid: Grid, windows: Iterable[np.ndarray]) -> Iterator[Block]:
    """Adds up windows and yields each part of the image as soon as no other counts for it.

    What waits for the next row of windows is the rows that both share; what waits for the next
    window is their columns.

    Args:
        grid: Where they lie.
        windows: One after the other in the grid's order, weighted, float32 ``(window's height,
            window's width, channels)``; they are written to.

    Yields:
        Block. In rows from the top, each from the left; together they cover the image once.
    """
    values = iter(windows)
    below: np.ndarray | None = None
    waiting = 0
    for row in range(len(grid.rows)):
        top, bottom = grid.rows.inside(row)
        end = grid.rows.done(row)
        above = waiting
        waiting = bottom - end
        beside: np.ndarray | None = None
        for column in range(len(grid.columns)):
            left, _ = grid.columns.inside(column)
            total = _inside(next(values), grid, row, column)
            if beside is not None:
                total[:, : beside.shape[1]] += beside
            done = grid.columns.done(column) - left
            beside, total = total[:, done:], total[:, :done]
            if above and below is not None:
                total[:above] += below[:above, left : left + done]
            if waiting:
                if below is None:
                    below = _room(grid, total)
                # In the place of what has just been added.
                below[:waiting, left : left + done] = total[end - top :]
            # Two windows that stand over at both ends begin with the same pixel.
            if done and end > top:
                yield Block(top, left, total[: end - top])


def join(blocks: Iterable[Block], most: float = math.inf) -> Iterator[Block]:
    """Joins blocks that lie side by side.

    Args:
        blocks: As :func:`stitch` yields them.
        most: Pixels from which on no more are joined; all of the width by default.

    Yields:
        Block. In the same order.
    """
    waiting: list[Block] = []
    pixels = 0
    for block in blocks:
        size = block.values.shape[0] * block.values.shape[1]
        if waiting and (block.row != waiting[0].row or pixels + size > most):
            yield _joined(waiting)
            waiting, pixels = [], 0
        waiting.append(block)
        pixels += size
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    values = np.concatenate([block.values for block in blocks], axis=1)
    return Block(blocks[0].row, blocks[0].column, values)


def _inside(values: np.ndarray, grid: Grid, row: int, column: int) -> np.ndarray:
    """Cuts off what stands over."""
    rows, columns = (
        slice(first - axis.starts[number], end - axis.starts[number])
        for axis, number in ((grid.rows, row), (grid.columns, column))
        for first, end in (axis.inside(number),)
    )
    return values[rows, columns]


def _room(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Returns memory for the rows that two rows of windows share."""
    shared = max(
        grid.rows.inside(row)[1] - grid.rows.done(row) for row in range(len(grid.rows) - 1)
    )
    return np.zeros((shared, grid.columns.length, values.shape[2]), values.dtype)
