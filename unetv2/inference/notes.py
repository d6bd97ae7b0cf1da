"""What made a mask, as a note in its PNG file: the model, the options, and the image."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from unetv2.sealing import read_json

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
