"""The directories of a TIFF: tags with their values, one directory a page.

References:
    - Adobe, TIFF Revision 6.0, 1992; the BigTIFF design of libtiff.
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO

# Letters of the types that integers come in, and bytes of all types.
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
_MOST_TAGS = 4096


class Directories:
    """The directories of a file, one a page."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.length = file.seek(0, os.SEEK_END)
        self.start = self.read(0, 4)
        self.order = "<" if self.start[:2] == b"II" else ">"
        self.big = b"+" in self.start
        # Bytes of an offset, of a directory's count, and of an entry; letters of the first two.
        self.room, self._counting, self.entry = (8, 8, 20) if self.big else (4, 2, 12)
        self.offset = self.unpack(self.read(self.room, self.room))

    def unpack(self, data: bytes) -> int:
        """Returns an integer in the file's byte order."""
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes of the file."""
        if offset + length > self.length:
            raise OSError("a TIFF that ends within its tags")
        self.file.seek(offset)
        return self.file.read(length)

    def page(self, offset: int) -> Page:
        """Reads a directory."""
        count = self.unpack(self.read(offset, self._counting))
        if not 0 < count <= _MOST_TAGS:
            raise OSError(f"a TIFF directory of {count} tags")
        content = self.read(offset + self._counting, count * self.entry)
        entries: dict[int, bytes] = {}
        for start in range(0, len(content), self.entry):
            raw = content[start : start + self.entry]
            entries.setdefault(self.unpack(raw[:2]), raw)
        behind = offset + self._counting + len(content)
        return Page(self, entries, self.unpack(self.read(behind, self.room)))

    def written(self, tags: dict[int, int], copied: dict[int, bytes]) -> bytes:
        """Returns a directory, the last one, of single values and of copied entries."""
        letters = self.order + ("HHQIxxxx" if self.big else "HHII")
        entries = {tag: struct.pack(letters, tag, 4, 1, value) for tag, value in tags.items()}
        entries |= copied
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(entries))
        return count + b"".join(entries[tag] for tag in sorted(entries)) + bytes(self.room)


class Page:
    """A directory: tags, and where the next directory is."""

    def __init__(self, directories: Directories, entries: dict[int, bytes], following: int) -> None:
        self.directories = directories
        self.entries = entries
        self.next = following
        # Tags may all point to the same bytes, and so stand for any amount of them.
        lengths = (self._location(tag)[2] for tag in entries)
        declared = sum(length for length in lengths if length > directories.room)
        if declared > directories.length:
            raise OSError(f"{declared} bytes of TIFF tags in a file of {directories.length}")

    def _location(self, tag: int) -> tuple[int, int, int]:
        """Returns a tag's type, the number of its values, and of their bytes."""
        directories, raw = self.directories, self.entries[tag]
        kind = directories.unpack(raw[2:4])
        count = directories.unpack(raw[4 : 4 + directories.room])
        return kind, count, _SIZES.get(kind, 0) * count

    def content(self, tag: int) -> bytes:
        """Returns the bytes of a tag, empty if there is none."""
        if tag not in self.entries:
            return b""
        length = self._location(tag)[2]
        place = self.entries[tag][4 + self.directories.room :]
        if length <= len(place):
            return place[:length]
        return self.directories.read(self.directories.unpack(place), length)

    def count(self, tag: int) -> int:
        """Returns how many values a tag has."""
        return self._location(tag)[1] if tag in self.entries else 0

    def integers(self, tag: int) -> tuple[int, ...]:
        """Returns the values of a tag, none if there is no such tag."""
        if tag not in self.entries:
            return ()
        kind, count, _ = self._location(tag)
        if kind not in _INTEGERS or not count:
            raise OSError(f"the TIFF tag {tag} is no integer")
        return struct.unpack(f"{self.directories.order}{count}{_INTEGERS[kind]}", self.content(tag))

    def integer(self, tag: int, default: int) -> int:
        """Returns the first value of a tag."""
        return (*self.integers(tag), default)[0]


class Redirected(io.RawIOBase):
    """A TIFF whose header leads to another directory, behind its end."""

    def __init__(self, directories: Directories, directory: bytes) -> None:
        self._file, self._length = directories.file, directories.length
        # Directories begin at even offsets.
        behind = self._length + self._length % 2
        if not directories.big and behind + len(directory) > 1 << 32:
            raise OSError("a TIFF of more than 4 GB that is no BigTIFF")
        offset = struct.pack(directories.order + ("Q" if directories.big else "I"), behind)
        self._start = directories.read(0, directories.room) + offset
        self._end = bytes(self._length % 2) + directory
        self._place = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place."""
        base = {os.SEEK_CUR: self._place, os.SEEK_END: self._length + len(self._end)}
        self._place = base.get(whence, 0) + offset
        return self._place

    def tell(self) -> int:
        """Returns the place."""
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Returns the bytes from the place on."""
        place, start, length = self._place, self._start, self._length
        rest = max(0, length + len(self._end) - place)
        stop = place + (rest if size is None or size < 0 else min(size, rest))
        parts = [start[place:stop]]
        if stop > len(start) and place < length:
            self._file.seek(max(place, len(start)))
            parts.append(self._file.read(min(stop, length) - max(place, len(start))))
        parts.append(self._end[max(0, place - length) : max(0, stop - length)])
        self._place = stop
        return b"".join(parts)
