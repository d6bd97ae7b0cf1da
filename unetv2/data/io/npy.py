"""Arrays in ``.npy`` files: images of any number of channels, and masks.

Nothing is converted in them: what an array must hold is said, and all else refused. Everything
but the numbers is checked from the header, before memory is taken, and nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import os
from typing import NamedTuple

import numpy as np

from unetv2.checksums import LFS_POINTER

MAGIC = b"\x93NUMPY"

# NumPy itself refuses longer headers than 10,000 bytes.
_LONGEST_HEADER = 16_384
_IDS = np.iinfo(np.int32)


class ArrayHeader(NamedTuple):
    """What an array's file says of itself.

    Attributes:
        shape: tuple of int, none below 1.
        dtype: np.dtype.
        fortran: bool. Whether the first axis is the fastest.
        offset: int. Bytes before the numbers.
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
        """Number of channels, 1 where there is no axis of them."""
        return self.shape[2] if len(self.shape) == 3 else 1

    @property
    def bits(self) -> int:
        """Bits of a channel, as far as they are told apart: 16 or up to 8."""
        return 16 if _is_depth(self.dtype, 2) else 8

    @property
    def mode(self) -> str:
        """The kind of numbers and channels, such as ``"uint8 x 5"``."""
        axis = f" x {self.channels}" if len(self.shape) == 3 else ""
        return f"{self.dtype.name}{axis}"


def is_array(path: str) -> bool:
    """Returns whether a file is to be read as an array, by its extension."""
    return path.lower().endswith(".npy")


def array_header(
    path: str, max_pixels: int, *, mask: bool = False, channels: int | None = None
) -> ArrayHeader:
    """Reads an array's header.

    Args:
        path: str. The file.
        max_pixels: int. Larger arrays are refused.
        mask: bool. Whether it must be a mask, of ids or colors.
        channels: int or None. The number of channels of the image that it must be.

    Returns:
        ArrayHeader.

    Raises:
        ValueError: If it is no array, incomplete, too large, or of another shape or dtype.
    """
    header = _header(path, max_pixels)
    if mask and not _holds_colors(header):
        _require_ids(path, header)
    if channels is not None:
        _require_image(path, header, channels)
    return header


def array_image(path: str, max_pixels: int, channels: int | None) -> np.ndarray:
    """Reads an image.

    Args:
        path: str. The file.
        max_pixels: int. Larger arrays are refused.
        channels: int or None. The number of channels that it must have; None takes any.

    Returns:
        np.ndarray. uint8 or uint16 ``(height, width, channels)``, as in the file.

    Raises:
        ValueError: If it is no array, incomplete, too large, or of another shape or dtype.
    """
    header = _header(path, max_pixels)
    _require_image(path, header, channels)
    return _numbers(path, header).reshape(*header.size, header.channels)


def array_ids(path: str, max_pixels: int) -> np.ndarray:
    """Reads a mask of class ids.

    Args:
        path: str. The file.
        max_pixels: int. Larger arrays are refused.

    Returns:
        np.ndarray. uint8, uint16 or int32 ``(height, width)``, the ids in the file.

    Raises:
        ValueError: If it is no array, incomplete, too large, of another shape or dtype, or an
            id needs more than 32 bits.
    """
    header = _header(path, max_pixels)
    _require_ids(path, header)
    ids = _numbers(path, header).reshape(header.size)
    if ids.dtype == bool:
        return ids.view(np.uint8)
    if ids.dtype in (np.uint8, np.uint16):
        return ids
    low, high = int(ids.min()), int(ids.max())
    if low < _IDS.min or high > _IDS.max:
        raise ValueError(
            f"Mask ids must be in [{_IDS.min}, {_IDS.max}]. Received: {low} to {high} in "
            f"'{path}'. Number the classes from 0."
        )
    return ids.astype(np.int32)


def array_colors(path: str, max_pixels: int) -> np.ndarray:
    """Reads a mask of colors.

    Args:
        path: str. The file.
        max_pixels: int. Larger arrays are refused.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If it is no array, incomplete, too large, or of another shape or dtype.
    """
    header = _header(path, max_pixels)
    _require_colors(path, header)
    return _numbers(path, header)


def _header(path: str, max_pixels: int) -> ArrayHeader:
    """Reads a header and checks that the file holds an image that it describes."""
    with open(path, "rb") as file:
        beginning = io.BytesIO(file.read(_LONGEST_HEADER))
        length = os.fstat(file.fileno()).st_size
    # What a broken header makes of the parser has no end.
    try:
        header = _parsed(beginning)
    except Exception as error:
        advice = "Write it with `np.save`; an image needs the extension of its format."
        if beginning.getvalue().startswith(LFS_POINTER):
            advice = "It is a pointer of Git LFS: run `git lfs pull`."
        raise ValueError(
            f"'{path}' must be a NumPy array. Received: {length} bytes that are none ({error}). "
            f"{advice}"
        ) from error
    if len(header.shape) not in (2, 3) or min(header.shape) < 1:
        raise ValueError(
            f"'{path}' must be an array (height, width) or (height, width, channels), no side "
            f"of 0. Received: {header.shape}. Save one image a file."
        )
    height, width = header.size
    if height * width > max_pixels:
        raise ValueError(
            f"'{path}' must have at most `max_pixels`={max_pixels} pixels. "
            f"Received: {height}x{width} pixels by its header. "
            "Raise `max_pixels` if the array is meant to be that large."
        )
    # Objects have no length of their own; they are refused by their dtype.
    promised = header.offset + math.prod(header.shape) * header.dtype.itemsize
    if length != promised and not header.dtype.hasobject:
        raise ValueError(
            f"'{path}' must be as long as its header says, {promised} bytes. "
            f"Received: {length} bytes. The file is cut off or damaged: write it again."
        )
    return header


def _parsed(beginning: io.BytesIO) -> ArrayHeader:
    version = np.lib.format.read_magic(beginning)
    # 3.0 differs from 2.0 in the names of fields alone, and arrays with fields are refused.
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(beginning)
    elif version in ((2, 0), (3, 0)):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(beginning)
    else:
        raise ValueError(f"version {version} of the format is unknown")
    return ArrayHeader(shape, dtype, fortran, beginning.tell())


def _numbers(path: str, header: ArrayHeader) -> np.ndarray:
    """Reads the numbers behind a header, rows first and in the machine's byte order."""
    count = math.prod(header.shape)
    try:
        # No memory map: a file that is cut off meanwhile would end the process.
        numbers = np.fromfile(path, header.dtype, count, offset=header.offset)
        if numbers.size != count:
            raise ValueError(
                f"'{path}' must not change while it is read. "
                f"Received: {numbers.size} of {count} numbers. Write it again."
            )
        if header.fortran:
            numbers = numbers.reshape(header.shape[::-1]).T
        native = numbers.reshape(header.shape).astype(header.dtype.newbyteorder("="), copy=False)
        return np.ascontiguousarray(native)
    # A sparse file takes no room on the disk and all of it here.
    except MemoryError as error:
        raise ValueError(
            f"'{path}' must fit into memory. Received: {count} numbers of "
            f"{header.dtype.itemsize} bytes. Save it in parts, rows first (not in Fortran order)."
        ) from error


def _is_depth(dtype: np.dtype[np.generic], size: int) -> bool:
    return dtype.kind == "u" and dtype.itemsize == size


def _holds_colors(header: ArrayHeader) -> bool:
    return header.shape[2:] == (3,) and _is_depth(header.dtype, 1)


def _require_image(path: str, header: ArrayHeader, channels: int | None) -> None:
    if not (_is_depth(header.dtype, 1) or _is_depth(header.dtype, 2)):
        floats = "Floats have no range of their own. " if header.dtype.kind == "f" else ""
        raise ValueError(
            f"An image's array must be uint8 or uint16. Received: {header.dtype} in '{path}'. "
            f"{floats}Bring the values of all images by one rule to 0 .. 255 or 0 .. 65535, and "
            "save them as uint8 or uint16."
        )
    if channels in (None, header.channels):
        return
    advice = f"Pass channels={header.channels}, or save the channels that you want."
    # The order of PyTorch and of rasterio.
    if len(header.shape) == 3 and header.shape[0] == channels:
        advice = "Channels come last: save `np.moveaxis(array, 0, -1)`."
    raise ValueError(
        "An image's array must have as many channels as `channels` says. Received: "
        f"channels={channels} and shape {header.shape} in '{path}'. {advice}"
    )


def _require_ids(path: str, header: ArrayHeader) -> None:
    if header.dtype.kind not in "biu":
        raise ValueError(
            "A mask's array must be of integers or bool, an id for each pixel. "
            f"Received: {header.dtype} in '{path}'. Save `mask.astype(np.uint8)` if all its "
            "values are ids, `mask > 0.5` if they are probabilities."
        )
    if header.channels == 1:
        return
    advice = "Save `mask.argmax(axis=-1)` if it holds a channel for each class."
    if _holds_colors(header):
        advice = f"Pass encoding='colors' with `classes` if it holds colors. {advice}"
    raise ValueError(
        "A mask's array must be (height, width) or (height, width, 1), an id for each pixel. "
        f"Received: shape {header.shape} in '{path}'. {advice}"
    )


def _require_colors(path: str, header: ArrayHeader) -> None:
    if not _holds_colors(header):
        raise ValueError(
            "A mask's array of colors must be uint8 (height, width, 3). "
            f"Received: {header.dtype} of shape {header.shape} in '{path}'. "
            "Convert it, or pass encoding='ids' if it holds an id for each pixel."
        )
