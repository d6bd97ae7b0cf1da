"""A picture at the network's scale, prepared as in training."""

from __future__ import annotations

import numpy as np

from unetv2.data.resizing import Geometry, resize_image
from unetv2.inference.pictures import Pixels
from unetv2.inference.windows import reflected


class Canvas:
    """A picture brought to a size, read in windows.

    Args:
        pixels: ``(height, width, channels)``, uint8, uint16 or float in [0, 1].
        geometry: How it comes to its size; padding is black.
        interpolation: str. As of :func:`unetv2.make_dataset`.
        value_range: What the darkest and the brightest value become.

    Attributes:
        size: ``(height, width)``.
    """

    def __init__(
        self,
        pixels: Pixels,
        geometry: Geometry,
        interpolation: str,
        value_range: tuple[float, float],
    ) -> None:
        if geometry != (pixels.shape[:2], pixels.shape[:2]):
            pixels = resize_image(np.asarray(pixels[:]), geometry, interpolation)
        self._pixels = pixels
        self._low, self._high = value_range
        self._rows: tuple[int, int, np.ndarray] | None = None
        self.size = geometry.size

    def whole(self) -> np.ndarray:
        """Returns all of it, float32 ``(height, width, channels)``."""
        return self._values(np.asarray(self._pixels[:]))

    def window(self, start: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Returns a part, mirrored at the edges.

        Args:
            start: ``(row, column)``, negative where it stands over.
            size: ``(height, width)``.

        Returns:
            np.ndarray. float32 ``(height, width, channels)``.
        """
        rows, columns = (
            reflected(first, count, length)
            for first, count, length in zip(start, size, self.size, strict=True)
        )
        top, bottom = int(rows.min()), int(rows.max()) + 1
        # All windows of a row see the same rows.
        if self._rows is None or self._rows[:2] != (top, bottom):
            self._rows = top, bottom, np.asarray(self._pixels[top:bottom])
        band = self._rows[2]
        left, right = int(columns.min()), int(columns.max()) + 1
        if (bottom - top, right - left) == size:
            return self._values(band[:, left:right])
        return self._values(band[rows - top][:, columns])

    def _values(self, pixels: np.ndarray) -> np.ndarray:
        """Returns numbers as `make_dataset` makes them, to the bit."""
        values = pixels.astype(np.float32)
        if pixels.dtype.kind != "f":
            values /= np.float32(np.iinfo(pixels.dtype).max)
        if (self._low, self._high) != (0.0, 1.0):
            values *= np.float32(self._high - self._low)
            values += np.float32(self._low)
        return values


def place(geometry: Geometry) -> tuple[slice, slice]:
    """Returns where the picture lies on its canvas, without the padding."""
    rows, columns = (
        slice((whole - part) // 2, (whole - part) // 2 + part)
        for whole, part in zip(geometry.size, geometry.resized, strict=True)
    )
    return rows, columns
