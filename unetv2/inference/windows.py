"""Where windows lie on a picture, and how much each of them counts: geometry, no pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Windows along one side of a picture.

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
        """Lays windows so that each pixel is in one, and neighbours overlap.

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
    """Windows over a picture, in rows from the top, each from the left.

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
        """Lays windows over a picture, see :meth:`Axis.plan`.

        Args:
            size: ``(height, width)`` of the picture.
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
