"""What images can be: files and arrays, read whole or row by row."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.data.io.npy import ArrayHeader, array_header, is_array
from unetv2.data.io.open import decode_image, read_header
from unetv2.data.preprocess import Geometry, resize_image
from unetv2.inference.tiling import reflected

# Rows of an array of floats whose range is looked at together.
_VALUES_AT_ONCE = 2**24
_ANY = 2**62


class StoredRows:
    """Rows of an array in a file, read when they are asked for.

    Not a memory map: what is read of one counts as this process's memory until the system needs
    it.

    Args:
        path: The file.
        shape: ``(height, width, channels)``.
        dtype: np.dtype of the numbers in the file.
        offset: int. Bytes before them.
    """

    def __init__(
        self, path: str, shape: tuple[int, int, int], dtype: np.dtype[Any], offset: int
    ) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self._path, self._stored, self._offset = path, dtype, offset

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Returns the rows of a slice, ``(rows, width, channels)``."""
        start, stop, _ = rows.indices(self.shape[0])
        width = math.prod(self.shape[1:])
        offset = self._offset + start * width * self.dtype.itemsize
        count = (stop - start) * width
        numbers = np.fromfile(self._path, self._stored, count, offset=offset)
        if numbers.size != count:
            raise ValueError(
                f"'{self._path}' must not change while it is read. "
                f"Received: {numbers.size} of {count} numbers. Write it again."
            )
        return numbers.astype(self.dtype, copy=False).reshape(stop - start, *self.shape[1:])


Pixels = np.ndarray | StoredRows


class InputImage:
    """An image to predict.

    Args:
        image: The path of an image or ``.npy`` file, or an array ``(height, width)`` or
            ``(height, width, channels)``: uint8, uint16, or float in [0, 1].
        channels: int. Channels that the model takes.
        max_pixels: int. Larger image files are refused from their header.

    Attributes:
        size: ``(height, width)``.
        path: str or None. Its file, also that of a memory map.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image, empty, or of other channels or values.
        TypeError: If it is something else.
    """

    def __init__(self, image: Any, *, channels: int, max_pixels: int) -> None:
        self._channels, self._max_pixels = channels, max_pixels
        self.path: str | None = None
        self._pixels: Pixels | None = None
        if not isinstance(image, str | os.PathLike):
            self._pixels = _array(image, channels)
            if isinstance(image, np.memmap) and image.filename is not None:
                self.path = os.fspath(image.filename)
            self.size: tuple[int, int] = self._pixels.shape[:2]
            return
        self.path = os.fspath(image)
        if not os.path.lexists(self.path):
            raise FileNotFoundError(
                f"`image` must be a file. Received: '{self.path}', where there is none. "
                "Check the path."
            )
        if not is_array(self.path):
            self.size = read_header(self.path, max_pixels, channels=channels).size
            return
        # Arrays are read row by row, so they may be of any size.
        header = array_header(self.path, _ANY, channels=channels)
        self.size = header.size
        self._pixels = _stored(self.path, header, channels)

    def pixels(self, at_least: tuple[int, int] | None = None) -> Pixels:
        """Returns the pixels, ``(height, width, channels)``, uint8, uint16 or float32.

        Args:
            at_least: ``(height, width)`` or None. As of
                :func:`unetv2.data.io.open.decode_image`.
        """
        if self._pixels is not None:
            return self._pixels
        assert self.path is not None
        return decode_image(
            self.path, channels=self._channels, max_pixels=self._max_pixels, at_least=at_least
        )


def _stored(path: str, header: ArrayHeader, channels: int) -> Pixels:
    if header.fortran:
        return decode_image(path, channels=channels, max_pixels=_ANY)
    return StoredRows(path, (*header.size, header.channels), header.dtype, header.offset)


def _array(image: Any, channels: int) -> Pixels:
    array = image if isinstance(image, np.ndarray) else np.asarray(image)
    if array.dtype.kind == "O":
        raise TypeError(
            "`image` must be a path, an array or a list of these. "
            f"Received: {type(image).__name__}. Pass pixels as a NumPy array."
        )
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(
            "`image` must be (height, width) or (height, width, channels), no side of 0. "
            f"Received: an array of shape {array.shape}. "
            "Pass several images as a list."
        )
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.shape[2] != channels:
        raise ValueError(
            f"`image` must have the model's number of channels, {channels}. "
            f"Received: an array of shape {np.shape(image)}. {_channel_advice(array, channels)}"
        )
    if array.dtype in (np.uint8, np.uint16):
        return _on_disk(array)
    if array.dtype.kind != "f":
        raise TypeError(
            "`image` must be uint8, uint16 or float in [0, 1]. "
            f"Received: {array.dtype}. Convert it, as by `image.astype(np.uint8)`."
        )
    _require_range(array)
    return array


def _channel_advice(array: np.ndarray, channels: int) -> str:
    if array.shape[0] == channels:
        return "Channels come last: pass `np.moveaxis(image, 0, -1)`."
    if array.shape[2] == 1:
        return f"Pass `np.repeat(image.reshape(*image.shape[:2], 1), {channels}, axis=2)`."
    return f"Pass `image[..., :{channels}]` if these are the ones."


def _require_range(array: np.ndarray) -> None:
    rows = max(1, _VALUES_AT_ONCE // math.prod(array.shape[1:]))
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        low, high = part.min(), part.max()
        # NaN fails both.
        if not (low >= 0 and high <= 1):
            raise ValueError(
                "`image` of floats must hold numbers in [0, 1]. "
                f"Received: values from {low:g} to {high:g} in rows {start} to "
                f"{start + len(part) - 1}. Divide those of 8 bits by 255."
            )


def _on_disk(array: np.ndarray) -> Pixels:
    """Returns the rows of a memory map of a whole file from the file, see `StoredRows`."""
    path = getattr(array, "filename", None)
    if path is None or not isinstance(array, np.memmap) or array.mode == "c":
        return array
    # A part of a map has its offset too, so the size tells them apart; one turned is no longer
    # contiguous.
    whole = array.offset + array.nbytes == Path(path).stat().st_size
    if not whole or not array.flags.c_contiguous:
        return array
    if array.mode != "r":
        array.flush()
    height, width, channels = array.shape
    return StoredRows(os.fspath(path), (height, width, channels), array.dtype, array.offset)


class Canvas:
    """An image brought to a size, read in windows.

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
    """Returns where the image lies on its canvas, without the padding."""
    rows, columns = (
        slice((whole - part) // 2, (whole - part) // 2 + part)
        for whole, part in zip(geometry.size, geometry.resized, strict=True)
    )
    return rows, columns
