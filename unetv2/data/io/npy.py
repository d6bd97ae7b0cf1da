"""Arrays in ``.npy`` files: images with any number of channels, and masks.

Values are never converted; unsupported shapes and dtypes are errors. The header is checked before
memory is allocated, and nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import os
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np

from unetv2.checksums import LFS_POINTER
from unetv2.data.io.base import FileKind, Header, ImageFile

MAGIC = b"\x93NUMPY"

# NumPy itself refuses headers of more than 10,000 bytes.
_MAX_HEADER_BYTES = 16_384
_INT32 = np.iinfo(np.int32)


class ArrayHeader(NamedTuple):
    """The header of an ``.npy`` file.

    Attributes:
        shape: tuple of int, none below 1.
        dtype: np.dtype.
        fortran: bool. Whether the values are in Fortran order.
        offset: int. Bytes before the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran: bool
    offset: int

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.shape[0], self.shape[1]

    @property
    def channels(self) -> int:
        """Number of channels, 1 without a channel axis."""
        return self.shape[2] if len(self.shape) == 3 else 1

    @property
    def holds_colors(self) -> bool:
        """Whether the array may be a mask of colors."""
        return self.shape[2:] == (3,) and self.dtype == np.uint8


class NpyFile(ImageFile):
    """An ``.npy`` file."""

    def __init__(self, path: str, max_pixels: int) -> None:
        self.path = path
        self._array = array = array_header(path, max_pixels)
        axis = f" x {array.channels}" if len(array.shape) == 3 else ""
        bits = 16 if _has_bytes(array.dtype, 2) else 8
        self.header = Header("NPY", f"{array.dtype.name}{axis}", array.size, bits)

    def require_image(self, channels: int | None) -> None:
        """Raises a ValueError unless the array is an image with that number of channels."""
        _require_image(self.path, self._array, channels)

    def require_mask(self) -> None:
        """Raises a ValueError unless the array is a mask of ids or colors."""
        if not self._array.holds_colors:
            self._require_ids()

    def image(
        self,
        channels: int | None,
        *,
        at_least: tuple[int, int] | None = None,
        keep_alpha: bool = False,
    ) -> np.ndarray:
        """Returns all of the array, ``(height, width, channels)``."""
        self.require_image(channels)
        return _read(self.path, self._array).reshape(*self._array.size, self._array.channels)

    def mask(self, *, keep_alpha: bool = False) -> np.ndarray:
        """Returns class ids, uint8, uint16 or int32 ``(height, width)``."""
        self._require_ids()
        ids = _read(self.path, self._array).reshape(self._array.size)
        if ids.dtype == bool:
            return ids.view(np.uint8)
        if ids.dtype in (np.uint8, np.uint16):
            return ids
        low, high = int(ids.min()), int(ids.max())
        if low < _INT32.min or high > _INT32.max:
            raise ValueError(
                f"Mask ids must be in [{_INT32.min}, {_INT32.max}]. Received: {low} to {high} in "
                f"'{self.path}'. Number the classes from 0."
            )
        return ids.astype(np.int32)

    def colors(self) -> np.ndarray:
        """Returns colors, uint8 ``(height, width, 3)``."""
        array = self._array
        if not array.holds_colors:
            raise ValueError(
                "A mask's array of colors must be uint8 (height, width, 3). "
                f"Received: {array.dtype} of shape {array.shape} in '{self.path}'. "
                "Convert it, or pass encoding='ids' if it holds an id for each pixel."
            )
        return _read(self.path, array)

    def _require_ids(self) -> None:
        array = self._array
        if array.dtype.kind not in "biu":
            raise ValueError(
                "A mask's array must be of integers or bool, an id for each pixel. "
                f"Received: {array.dtype} in '{self.path}'. Save `mask.astype(np.uint8)` if all "
                "its values are ids, `mask > 0.5` if they are probabilities."
            )
        if array.channels == 1:
            return
        advice = "Save `mask.argmax(axis=-1)` if it holds a channel for each class."
        if array.holds_colors:
            advice = f"Pass encoding='colors' with `classes` if it holds colors. {advice}"
        raise ValueError(
            "A mask's array must be (height, width) or (height, width, 1), an id for each pixel. "
            f"Received: shape {array.shape} in '{self.path}'. {advice}"
        )


def is_array(path: str) -> bool:
    """Returns whether a file is read as an array."""
    return path.lower().endswith(NPY.extensions)


def open_array(path: str, max_pixels: int) -> AbstractContextManager[ImageFile]:
    """Opens an ``.npy`` file; see :class:`unetv2.data.io.base.FileKind`."""
    return nullcontext(NpyFile(path, max_pixels))


NPY = FileKind((".npy",), (), open_array)


def array_header(path: str, max_pixels: int, *, channels: int | None = None) -> ArrayHeader:
    """Reads the header of an ``.npy`` file and checks it against the file's length.

    Args:
        path: str. The file.
        max_pixels: int. Larger arrays are refused.
        channels: int or None. The channels that an image must have; None checks no image.

    Raises:
        ValueError: If it is not an array, truncated, too large, or of another shape or dtype.
    """
    with open(path, "rb") as file:
        start = io.BytesIO(file.read(_MAX_HEADER_BYTES))
        length = os.fstat(file.fileno()).st_size
    # Damaged headers raise any exception in NumPy's parser.
    try:
        header = _parse(start)
    except Exception as error:
        advice = "Write it with `np.save`; an image needs the extension of its format."
        if start.getvalue().startswith(LFS_POINTER):
            advice = "It is a pointer of Git LFS: run `git lfs pull`."
        raise ValueError(
            f"'{path}' must be a NumPy array. Received: {length} bytes that are not a valid .npy "
            f"file ({error}). {advice}"
        ) from error
    if len(header.shape) not in (2, 3) or min(header.shape) < 1:
        raise ValueError(
            f"'{path}' must be an array (height, width) or (height, width, channels), no side "
            f"of 0. Received: {header.shape}. Save one image per file."
        )
    height, width = header.size
    if height * width > max_pixels:
        raise ValueError(
            f"'{path}' must have at most `max_pixels`={max_pixels} pixels. "
            f"Received: {height}x{width} pixels by its header. "
            "Raise `max_pixels` if the array is meant to be that large."
        )
    # Objects have no fixed length; their dtype is checked below.
    expected = header.offset + math.prod(header.shape) * header.dtype.itemsize
    if length != expected and not header.dtype.hasobject:
        raise ValueError(
            f"'{path}' must have the length given by its header, {expected} bytes. "
            f"Received: {length} bytes. The file is truncated or damaged: write it again."
        )
    if channels is not None:
        _require_image(path, header, channels)
    return header


def _parse(start: io.BytesIO) -> ArrayHeader:
    version = np.lib.format.read_magic(start)
    # Versions 3.0 and 2.0 differ in the names of fields only; arrays with fields are errors.
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(start)
    elif version in ((2, 0), (3, 0)):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(start)
    else:
        raise ValueError(f"version {version} of the format is unknown")
    return ArrayHeader(shape, dtype, fortran, start.tell())


def _read(path: str, header: ArrayHeader) -> np.ndarray:
    """Reads the values of an ``.npy`` file, in C order and the machine's byte order."""
    count = math.prod(header.shape)
    try:
        # With a memory map, the process would be killed if the file was truncated meanwhile.
        values = np.fromfile(path, header.dtype, count, offset=header.offset)
        if values.size != count:
            raise ValueError(
                f"'{path}' must not change while it is read. "
                f"Received: {values.size} of {count} values. Write it again."
            )
        if header.fortran:
            values = values.reshape(header.shape[::-1]).T
        native = values.reshape(header.shape).astype(header.dtype.newbyteorder("="), copy=False)
        return np.ascontiguousarray(native)
    # A sparse file may be larger than the memory.
    except MemoryError as error:
        raise ValueError(
            f"'{path}' must fit into memory. Received: {count} values of "
            f"{header.dtype.itemsize} bytes. Save it in parts, rows first (not in Fortran order)."
        ) from error


def _require_image(path: str, header: ArrayHeader, channels: int | None) -> None:
    if not (_has_bytes(header.dtype, 1) or _has_bytes(header.dtype, 2)):
        floats = "Floats have no fixed range. " if header.dtype.kind == "f" else ""
        raise ValueError(
            f"An image's array must be uint8 or uint16. Received: {header.dtype} in '{path}'. "
            f"{floats}Scale the values of all images in the same way to 0 .. 255 or 0 .. 65535, "
            "and save them as uint8 or uint16."
        )
    if channels in (None, header.channels):
        return
    advice = f"Pass channels={header.channels}, or save only the channels to use."
    # The order of PyTorch and of rasterio.
    if len(header.shape) == 3 and header.shape[0] == channels:
        advice = "Channels come last: save `np.moveaxis(array, 0, -1)`."
    raise ValueError(
        "An image's array must have `channels` channels. Received: "
        f"channels={channels} and shape {header.shape} in '{path}'. {advice}"
    )


def _has_bytes(dtype: np.dtype[np.generic], n_bytes: int) -> bool:
    return dtype.kind == "u" and dtype.itemsize == n_bytes
