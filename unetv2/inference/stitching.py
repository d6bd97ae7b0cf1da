"""Weighted windows to finished blocks, with no more memory than the overlaps need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from unetv2.inference.windows import Grid


class Block(NamedTuple):
    """A finished part of a picture.

    Attributes:
        row: int. Its first row.
        column: int. Its first column.
        values: ``(height, width, channels)``, float32.
    """

    row: int
    column: int
    values: np.ndarray


def stitch(grid: Grid, windows: Iterable[np.ndarray]) -> Iterator[Block]:
    """Adds up windows and yields each part of the picture as soon as no other counts for it.

    What waits for the next row of windows is the rows that both share; what waits for the next
    window is their columns.

    Args:
        grid: Where they lie.
        windows: One after the other in the grid's order, weighted, float32 ``(window's height,
            window's width, channels)``; they are written to.

    Yields:
        Block. In rows from the top, each from the left; together they cover the picture once.
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
