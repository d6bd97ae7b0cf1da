"""Mask files: written row by row, with a note on their origin in PNG files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from unetv2.files import atomic_path, temporary_file

SUFFIXES = (".npy", ".png", ".tif", ".tiff")
_MODES = {1: "L", 2: "I;16"}
# The keyword of the text in a PNG file.
_KEY = "unetv2"


def png_note(note: str | None) -> PngInfo | None:
    """Returns a note as Pillow writes it to a PNG file."""
    if note is None:
        return None
    info = PngInfo()
    info.add_text(_KEY, note)
    return info


def read_note(path: Path) -> str | None:
    """Returns the note of a PNG file, or None; the pixels are not read."""
    try:
        # Not `Image.open`, which warns of large images.
        with PngImageFile(path) as image:
            note = image.info.get(_KEY)
    # Pillow raises errors of many types for damaged files.
    except Exception:
        return None
    return note if isinstance(note, str) else None


def require_mask_path(name: str, path: str | os.PathLike[str], dtype: np.dtype[Any]) -> Path:
    """Returns the path of a mask file to write, which is the argument ``name``.

    Raises:
        ValueError: If the format is unknown or does not support the dtype.
        FileNotFoundError: If the folder does not exist.
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
            f"`{name}` must be in an existing folder. Received: {name}='{path}'. "
            "Create the folder first."
        )
    return path


RowWriter = Callable[[int, np.ndarray], None]


@contextlib.contextmanager
def mask_writer(
    path: Path, size: tuple[int, int], dtype: np.dtype[Any], note: str | None = None
) -> Iterator[RowWriter]:
    """Opens a mask file that appears when it is complete, with a note in a PNG file.

    Yields:
        A function of the first column and the ids ``(height, width)`` of a block. It is called
        from the top, and in each row of blocks from the left.

    Raises:
        OSError: If it cannot be written; an existing file is unchanged.
    """
    with atomic_path(path, "predict it again") as temporary:
        if path.suffix.lower() == ".npy":
            with temporary.open("wb") as file:
                _write_header(file, size, dtype)
                yield _row_writer(file, size[1], dtype)
            return
        with temporary_file(path.parent) as rows:
            with rows.open("wb") as file:
                yield _row_writer(file, size[1], dtype)
            # Mapped, so that the mask is not in memory.
            encode(np.memmap(rows, dtype, "r", shape=size), temporary, note)


def _row_writer(file: IO[bytes], width: int, dtype: np.dtype[Any]) -> RowWriter:
    rows = np.empty((0, width), dtype)

    def write(column: int, ids: np.ndarray) -> None:
        nonlocal rows
        if column == 0:
            rows = np.empty((len(ids), width), dtype)
        end = column + ids.shape[1]
        rows[:, column:end] = ids
        if end == width:
            file.write(rows.data)

    return write


def encode(ids: np.ndarray, path: Path, note: str | None = None) -> None:
    """Writes a mask ``(height, width)`` in the format of the path's extension, not atomically."""
    pixels = np.ascontiguousarray(ids)
    if path.suffix.lower() == ".npy":
        with path.open("wb") as file:
            _write_header(file, ids.shape, ids.dtype)
            # The errors of `np.save` have no `errno`.
            file.write(pixels.data)
        return
    mode = _MODES[ids.dtype.itemsize]
    image = Image.frombuffer(mode, ids.shape[::-1], pixels, "raw", mode, 0, 1)
    if path.suffix.lower() == ".png":
        image.save(path, pnginfo=png_note(note))
    else:
        image.save(path, compression="tiff_deflate")


def _write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
