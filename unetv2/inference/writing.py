"""Masks to files, row by row, whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from unetv2.files import beside
from unetv2.inference.notes import with_note
from unetv2.scratch import scratch_file

SUFFIXES = (".npy", ".png", ".tif", ".tiff")

_MODES = {1: "L", 2: "I;16"}


def require_mask_path(name: str, path: str | os.PathLike[str], dtype: np.dtype[Any]) -> Path:
    """Returns the path of a mask to write, or says why none can be written there.

    Args:
        name: str. The argument's name, for the message.
        path: The file.
        dtype: np.dtype. Of the ids.

    Returns:
        Path.

    Raises:
        ValueError: If its format is unknown, or holds no such ids.
        FileNotFoundError: If its folder is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"`{name}` must end in {', '.join(SUFFIXES)}. Received: {name}='{path}'. "
            "PNG and TIFF hold ids of up to 16 bits."
        )
    if path.suffix.lower() != ".npy" and dtype.itemsize not in _MODES:
        raise ValueError(
            f"`{name}` must end in .npy for ids of {8 * dtype.itemsize} bits. "
            f"Received: {name}='{path}'."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"`{name}` must lie in a folder. Received: {name}='{path}', where there is none. "
            "Make it before."
        )
    return path


class MaskFile:
    """Writes a mask from the top to the bottom; use :func:`mask_file`.

    Args:
        file: Where the rows go.
        size: ``(height, width)``.
        dtype: np.dtype. Of the ids.
    """

    def __init__(self, file: IO[bytes], size: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._file, self._width, self._dtype = file, size[1], dtype
        self._band: np.ndarray | None = None

    def add(self, column: int, ids: np.ndarray) -> None:
        """Writes the next part: in bands from the top, each from the left.

        Args:
            column: int. Its first column.
            ids: ``(height, width)``.
        """
        height, width = ids.shape
        if self._band is None or column == 0:
            self._band = np.empty((height, self._width), self._dtype)
        self._band[:, column : column + width] = ids
        if column + width == self._width:
            self._file.write(self._band.data)


@contextlib.contextmanager
def mask_file(
    path: Path, size: tuple[int, int], dtype: np.dtype[Any], note: str | None = None
) -> Iterator[MaskFile]:
    """Writes a mask beside its place and renames it into it, if nothing fails.

    Args:
        path: Where to, as of :func:`require_mask_path`.
        size: ``(height, width)``.
        dtype: np.dtype. Of the ids.
        note: str or None. What made it, kept in a PNG file.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    with beside(path, "predict it again") as other:
        if path.suffix.lower() == ".npy":
            with other.open("wb") as file:
                _write_header(file, size, dtype)
                yield MaskFile(file, size, dtype)
            return
        with scratch_file(path.parent) as rows:
            with rows.open("wb") as file:
                yield MaskFile(file, size, dtype)
            # In a file, and not in memory as well.
            encode(np.memmap(rows, dtype, "r", shape=size), other, note)


def _write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def encode(ids: np.ndarray, path: Path, note: str | None = None) -> None:
    """Writes a mask to a path as it is, in the format of its extension.

    Args:
        ids: ``(height, width)``.
        path: The file, of a name as of :func:`require_mask_path`.
        note: str or None. What made it, kept in a PNG file.
    """
    pixels = np.ascontiguousarray(ids)
    if path.suffix.lower() == ".npy":
        with path.open("wb") as file:
            _write_header(file, ids.shape, ids.dtype)
            # The errors of `np.save` have no number.
            file.write(pixels.data)
        return
    mode = _MODES[ids.dtype.itemsize]
    picture = Image.frombuffer(mode, ids.shape[::-1], pixels, "raw", mode, 0, 1)
    if path.suffix.lower() == ".png":
        picture.save(path, pnginfo=with_note(note))
    else:
        picture.save(path, compression="tiff_deflate")
