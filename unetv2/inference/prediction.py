"""What was predicted of an image."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from unetv2.checksums import read_json
from unetv2.classes import ClassTable
from unetv2.data.io.open import decode_mask
from unetv2.files import atomic_path, temporary_file
from unetv2.inference.inputs import InputImage
from unetv2.visualization.masks import overlay

_KEY = "unetv2"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A note stands at the beginning of a file, and is a few hundred bytes long.
_BEGINNING = 4096


class Made(Enum):
    """By what a file that is there was made."""

    SAME = "the same model, options and image"
    OTHER_IMAGE = "the same model and options, of another image"
    OTHER = "something else"


class Maker:
    """Who predicts, and how: what it writes carries a note of that.

    Args:
        model: str. Digest of the model.
        preprocessing: How its images are prepared, of types that JSON knows.
        options: Those that change a prediction, of types that JSON knows.
    """

    def __init__(
        self, model: str, preprocessing: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        prepared = json.dumps(preprocessing, sort_keys=True).encode("ascii")
        self._values = {
            "model": model,
            "preprocessing": hashlib.sha256(prepared).hexdigest(),
            **options,
        }

    def note(self, image: str) -> str:
        """Returns the note of what is made of an image, told from others by its size in bytes.

        Args:
            image: str. Its path.
        """
        return json.dumps({"made": self._values, "image_bytes": Path(image).stat().st_size})

    def made(self, path: Path, image: str) -> Made:
        """Returns by what a file was made.

        Args:
            path: The file.
            image: str. The path of the image that it should be made of.
        """
        note = read_note(path)
        if note == self.note(image):
            return Made.SAME
        return Made.OTHER_IMAGE if self.differences(path) == [] else Made.OTHER

    def differences(self, path: Path) -> list[str] | None:
        """Returns in what the maker of a file differs; None if its file does not tell.

        Args:
            path: The file.
        """
        try:
            made = read_json(read_note(path) or "")["made"]
        except (ValueError, KeyError, TypeError):
            return None
        if not isinstance(made, dict):
            return None
        return [
            f"another {name}" if name in ("model", "preprocessing") else f"{name}={made.get(name)}"
            for name in sorted({*made, *self._values})
            if made.get(name) != self._values.get(name)
        ]


def with_note(note: str | None) -> PngInfo | None:
    """Returns a note as Pillow writes it into a PNG file."""
    if note is None:
        return None
    info = PngInfo()
    info.add_text(_KEY, note)
    return info


def read_note(path: Path) -> str | None:
    """Returns the note of a PNG file, or None if there is none; no more of the file is read.

    Args:
        path: The file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_BEGINNING)
    except OSError:
        return None
    place = len(_SIGNATURE)
    wanted = _KEY.encode("ascii") + b"\0"
    while start.startswith(_SIGNATURE) and place + 12 <= len(start):
        length, kind = struct.unpack_from(">I4s", start, place)
        content = start[place + 8 : place + 8 + length]
        if kind == b"IDAT":
            break
        if kind == b"tEXt" and content.startswith(wanted):
            checksum = start[place + 8 + length : place + 12 + length]
            if checksum != struct.pack(">I", zlib.crc32(kind + content)):
                break
            return content.removeprefix(wanted).decode("latin-1")
        place += 12 + length
    return None


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
    with atomic_path(path, "predict it again") as other:
        if path.suffix.lower() == ".npy":
            with other.open("wb") as file:
                _write_header(file, size, dtype)
                yield MaskFile(file, size, dtype)
            return
        with temporary_file(path.parent) as rows:
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
    image = Image.frombuffer(mode, ids.shape[::-1], pixels, "raw", mode, 0, 1)
    if path.suffix.lower() == ".png":
        image.save(path, pnginfo=with_note(note))
    else:
        image.save(path, compression="tiff_deflate")


_ANY = 2**62


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What a model predicts of an image, at the image's own size.

    Attributes:
        ids: Class ids ``(height, width)``, the smallest of uint8, uint16 and uint32 that holds all
            classes; None where they were written to ``path``. See :attr:`mask`.
        confidence: float32 ``(height, width)`` in [0, 1]: the highest probability; None if it was
            not asked for.
        uncertainty: float32 ``(height, width)``: predictive entropy in nats, from 0 to
            ``log(n_classes)``; None if it was not asked for.
        mutual_information: float32 ``(height, width)`` in nats: how much of the uncertainty is
            that the samples disagree, from 0 to ``uncertainty``; None without ``mc_samples``.
        probabilities: float32 ``(height, width, n_classes)``; None if they were not asked for.
        classes: ClassTable. Names and colors of the ids.
        image: What was predicted; its ``size`` is ``(height, width)``, its ``path`` a str or
            None.
        path: pathlib.Path or None. The file that the mask was written to.

    Example:
        >>> model = unetv2.build_unetv2((16, 24, 3), 5, filters=2, depth=2)
        >>> prediction = unetv2.predict(model, np.zeros((30, 40, 3), np.uint8))
        >>> prediction.mask.shape, prediction.mask.dtype.name, prediction.confidence.dtype.name
        ((30, 40), 'uint8', 'float32')
        >>> prediction.overlay().shape
        (30, 40, 3)
        >>> prediction.save(tmp / "mask.png")
    """

    ids: np.ndarray | None = field(repr=False)
    confidence: np.ndarray | None = field(default=None, repr=False)
    uncertainty: np.ndarray | None = field(default=None, repr=False)
    mutual_information: np.ndarray | None = field(default=None, repr=False)
    probabilities: np.ndarray | None = field(default=None, repr=False)
    classes: ClassTable = field(repr=False)
    image: InputImage = field(repr=False)
    path: Path | None = None

    @property
    def mask(self) -> np.ndarray:
        """Class ids ``(height, width)``, of the dtype of ``ids``.

        A memory map where a ``.npy`` file holds them; read anew each time from another file.
        """
        if self.ids is not None:
            return self.ids
        assert self.path is not None
        if self.path.suffix.lower() == ".npy":
            return np.load(self.path, mmap_mode="r")
        return decode_mask(os.fspath(self.path), max_pixels=_ANY)

    def overlay(self, *, opacity: float = 0.5) -> np.ndarray:
        """Returns the image with the classes' colors over it.

        Args:
            opacity: float in [0, 1]. 0 shows the image, 1 the colors.

        Returns:
            np.ndarray. uint8 ``(height, width, 3)``.

        Raises:
            ValueError: If ``opacity`` is out of its range.
        """
        image: Any = self.image.pixels()
        return overlay(np.asarray(image[:]), self.mask, self.classes, opacity=opacity)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the mask's ids, beside the place and renamed into it.

        Args:
            path: The file: ``.png``, of 16 bits where ids need them, ``.tif`` or ``.npy``.

        Raises:
            ValueError: If the format is another.
            FileNotFoundError: If the folder is missing.
            OSError: If it cannot be written; what was there stays.
        """
        mask = self.mask
        where = require_mask_path("path", path, mask.dtype)
        with atomic_path(where, "predict it again") as other:
            encode(mask, other)
