"""TIFF: what its tags say of the numbers in it, decided before anything is decoded.

Pillow decodes the strips and tiles, but it inverts some files, reads signed numbers as unsigned
ones, drops channels, and ignores all pages but the first. So the tags are read here, what cannot be
read as it is stored is refused by name, and Pillow gets a directory of its own: only the tags that
decoding needs, with values under which it changes no number. What is left to do, such as the sign,
is returned in :class:`Tiff`.

References:
    - Adobe, TIFF Revision 6.0, 1992, and the TIFF Technical Notes; the BigTIFF design of libtiff.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from unetv2.data.io.header import ORIENTATION, from_xmp

# The directories of a TIFF: tags with their values, one directory a page.
#
# References:
#     - Adobe, TIFF Revision 6.0, 1992; the BigTIFF design of libtiff.

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


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _SAMPLES, _STRIP_ROWS, _PLANES = 266, 273, 277, 278, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _INK_SET, _EXTRA, _FORMAT = 322, 323, 324, 332, 338, 339
_SUBSAMPLING = 530
# What decoders need besides: byte counts, options of the compressions, predictor, palette, JPEG
# tables, YCbCr.
COPIED = (
    _FILL_ORDER, _STRIPS, _STRIP_ROWS, 279, 292, 293, 317, 320, _TILE_WIDTH, _TILE_HEIGHT, _TILES,
    325, 347, *range(512, 522), 529, _SUBSAMPLING, 531, 532,
)  # fmt: skip

_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_FORMATS = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating-point"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLORS = {
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3,
}  # fmt: skip
# The combinations that are read: photometric interpretation and whether there is alpha, then
# (bits, sample format). Sixteen bits of colors and floats are opened so that images and masks can
# say what they are.
_GREY = {(bits, _UNSIGNED) for bits in (1, 2, 4, 8, 12, 16, 32)}
_GREY |= {(8, _SIGNED), (16, _SIGNED), (32, _SIGNED), (32, _FLOAT)}
_BYTES = {(8, _UNSIGNED)}
_DEEP = _BYTES | {(16, _UNSIGNED)}
_READ = {
    (_WHITE_IS_ZERO, False): _GREY,
    (_BLACK_IS_ZERO, False): _GREY,
    (_WHITE_IS_ZERO, True): _BYTES,
    (_BLACK_IS_ZERO, True): _BYTES,
    (_RGB, False): _DEEP,
    (_RGB, True): _DEEP,
    (_PALETTE, False): {(bits, _UNSIGNED) for bits in (1, 2, 4, 8)},
    (_PALETTE, True): _BYTES,
    (_CMYK, False): _DEEP,
    (_YCBCR, False): _BYTES,
    (_LAB, False): _BYTES,
}
# One channel behind the other, of 8 bits: where Pillow knows them.
_IN_PLANES = {_RGB, _CMYK}
# Bits from the lowest on: where Pillow knows them.
_REVERSED = {
    _WHITE_IS_ZERO: {1, 2, 4, 8, 16}, _BLACK_IS_ZERO: {1, 2, 4, 8, 16}, _RGB: {8},
    _PALETTE: {1, 2, 4, 8},
}  # fmt: skip
_UNCOMPRESSED = 1
_OLD_JPEG = 6
# CCITT, LZW, JPEG, deflate, PackBits, deflate again, LZMA, Zstandard, WebP.
_COMPRESSIONS = {
    _UNCOMPRESSED, 2, 3, 4, 5, _OLD_JPEG, 7, 8, 32773, 32946, 34925, 50000, 50001,
}  # fmt: skip
_UNSPECIFIED, _PREMULTIPLIED, _ALPHA = 0, 1, 2
CONVERT = "Convert it, or store it as a .npy array, (height, width, channels)"


class UnsupportedError(ValueError):
    """A property of a file that is not read, in words; the caller adds the file."""


class Layout:
    """How the numbers of a page are stored."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.height, self.width = page.integer(_HEIGHT, 0), page.integer(_WIDTH, 0)
        self.compression = page.integer(_COMPRESSION, _UNCOMPRESSED)
        colors = 3 if self.compression == _OLD_JPEG else 1
        self.samples = page.integer(_SAMPLES, colors)
        # Required, and missing in some files; libtiff's tools take these.
        default = {1: _BLACK_IS_ZERO, 3: _RGB}.get(self.samples, -1)
        self.photometric = page.integer(_PHOTOMETRIC, default)
        if self.compression == _OLD_JPEG:
            self.photometric = _YCBCR if self.samples == 3 else _BLACK_IS_ZERO
        self.extra = page.integers(_EXTRA)
        self.planes = page.integer(_PLANES, 1) if self.samples > 1 else 1
        # Some writers give more values than channels.
        self._depths = set(page.integers(_BITS)[: self.samples] or (1,))
        formats = set(page.integers(_FORMAT)[: self.samples] or (_UNSIGNED,))
        # 4 is "undefined", which all take for unsigned.
        self._formats = {_UNSIGNED if value == 4 else value for value in formats}
        self._reversed = page.integer(_FILL_ORDER, 1) == 2
        self._big_endian = page.directories.order == ">"

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return max(self._depths)

    @property
    def format(self) -> int:
        """Sample format of the numbers."""
        return max(self._formats)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """What a number is."""
        size = max(1, 1 << (self.bits - 1).bit_length() >> 3)
        return np.dtype(f"{'_uif'[self.format]}{size}")

    @property
    def white_is_zero(self) -> bool:
        """Whether larger numbers are darker."""
        return self.photometric == _WHITE_IS_ZERO

    @property
    def converted(self) -> bool:
        """Whether decoding converts the colors."""
        return self.photometric in (_CMYK, _YCBCR, _LAB)

    @property
    def alpha(self) -> int:
        """Kind of the channel behind the colors, -1 where there is none."""
        behind = self.samples - _COLORS.get(self.photometric, self.samples)
        # Pillow and others take a fourth channel of RGB for alpha where no tag says what it is.
        default = _ALPHA if self.photometric == _RGB else _UNSPECIFIED
        return (*self.extra, default)[0] if behind else -1

    @property
    def shown_format(self) -> int:
        """Sample format for Pillow, of as many bytes."""
        # It knows 32 bits signed in both byte orders, and 8 and 16 unsigned.
        if self.format == _FLOAT:
            return _FLOAT
        return _SIGNED if self.bits == 32 else _UNSIGNED

    @property
    def swapped(self) -> bool:
        """Whether Pillow takes the bytes of numbers in the wrong order."""
        # libtiff returns them in the machine's, which Pillow minds for 16 bits alone.
        return self._big_endian and self.bits == 32 and self.compression != _UNCOMPRESSED

    def shown(self) -> dict[int, int]:
        """Returns the tags under which Pillow changes no number."""
        photometric = self.photometric
        tags = {
            _WIDTH: self.width,
            _HEIGHT: self.height,
            _BITS: self.bits,
            _COMPRESSION: self.compression,
            _PHOTOMETRIC: _BLACK_IS_ZERO if photometric == _WHITE_IS_ZERO else photometric,
            _SAMPLES: self.samples,
            _PLANES: self.planes,
            _FORMAT: self.shown_format,
        }
        # It would divide colors by a premultiplied alpha.
        return tags | ({_EXTRA: _ALPHA} if self.alpha >= 0 else {})

    def require_support(self) -> None:
        """Raises unless all of the numbers are read, as they are stored."""
        if self.width < 1 or self.height < 1:
            raise OSError(f"a TIFF of {self.height}x{self.width} pixels")
        if self.compression not in _COMPRESSIONS:
            raise UnsupportedError(f"Compression={self.compression}. {CONVERT}")
        if self.photometric < 0:
            raise UnsupportedError(
                f"{self._channels()} without PhotometricInterpretation. {CONVERT}"
            )
        if self.photometric not in _COLORS:
            raise UnsupportedError(f"PhotometricInterpretation={self.photometric}. {CONVERT}")
        self._require_channels()
        if len(self._depths) > 1 or len(self._formats) > 1:
            raise UnsupportedError(f"channels of different depth or sign. {CONVERT}")
        kind = _READ.get((self.photometric, self.alpha >= 0), set())
        if (self.bits, self.format) not in kind:
            word = _FORMATS.get(self.format, f"SampleFormat={self.format}")
            raise UnsupportedError(
                f"{self._channels()} of {self.bits} bits, {word}, with "
                f"PhotometricInterpretation={self.photometric}. {CONVERT}"
            )
        if self.planes != 1 and (self.bits != 8 or self.photometric not in _IN_PLANES):
            raise UnsupportedError(
                f"{self._channels()} of {self.bits} bits in planes (PlanarConfiguration="
                f"{self.planes}). {CONVERT}"
            )
        known = _REVERSED.get(self.photometric, set()) - ({16} if self._big_endian else set())
        if self._reversed and self.bits not in known:
            raise UnsupportedError(f"FillOrder=2 with {self.bits} bits. {CONVERT}")
        if self.bits == 12 and self._big_endian:
            raise UnsupportedError(f"numbers of 12 bits in a big-endian file. {CONVERT}")
        self._require_subsampling()
        self._require_data()

    def _channels(self) -> str:
        return f"{self.samples} channel{'s' if self.samples > 1 else ''}"

    def _require_channels(self) -> None:
        behind = self.samples - _COLORS[self.photometric]
        if behind < 0:
            raise OSError(
                f"a TIFF of {self._channels()} with PhotometricInterpretation={self.photometric}"
            )
        if behind > 1 or (behind and self.alpha not in (_PREMULTIPLIED, _ALPHA)):
            kinds = ",".join(map(str, self.extra)) or "missing"
            raise UnsupportedError(
                f"{self._channels()}, of which {behind} behind the colors and no alpha "
                f"(ExtraSamples={kinds}), such as near infrared. {CONVERT}"
            )
        if self.photometric == _CMYK and self._page.integer(_INK_SET, 1) != 1:
            raise UnsupportedError(f"inks other than CMYK. {CONVERT}")

    def _require_subsampling(self) -> None:
        if self.photometric != _YCBCR or self.compression != _UNCOMPRESSED:
            return
        if (self._page.integers(_SUBSAMPLING) or (2, 2)) != (1, 1):
            raise UnsupportedError(f"uncompressed YCbCr of reduced resolution. {CONVERT}")

    def _require_data(self) -> None:
        """Raises if strips or tiles are missing, or the file is too short to hold them."""
        page = self._page
        if _STRIPS in page.entries:
            rows = page.integer(_STRIP_ROWS, self.height)
            across, found = 1, page.count(_STRIPS)
        else:
            rows, across = page.integer(_TILE_HEIGHT, 0), page.integer(_TILE_WIDTH, 0)
            found = page.count(_TILES)
            across = -(-self.width // across) if across else 0
        planes = self.samples if self.planes == 2 else 1
        expected = across * -(-self.height // rows) * planes if rows > 0 else 0
        # Decoders leave the rest black. In one place old JPEG keeps all of it.
        if self.compression != _OLD_JPEG and (found < expected or not expected):
            raise OSError(f"{found} of {expected} strips or tiles")
        line = -(-self.width * self.samples * self.bits // 8)
        length = page.directories.length
        if self.compression == _UNCOMPRESSED and line * self.height > length:
            raise OSError(f"{length} bytes, too few for {self.height}x{self.width} pixels")


_SUBFILE, _XMP = 254, 700
# Offsets and lengths of strips, and of tiles.
_DATA = ((273, 279), (324, 325))
_DEFLATE = (8, 32946)
_INFLATED_AT_ONCE = 1 << 20
_MOST_PAGES = 4096
# Of a page's subfile type: a smaller version of another page, or its transparency.
_REDUCED, _TRANSPARENCY = 1, 4
_SPLIT = "Split it into files of one page each, or store the pages as .npy arrays"


class Tiff(NamedTuple):
    """What the tags of a TIFF say.

    Attributes:
        file: The TIFF for Pillow, which reads from it the numbers as they are stored.
        orientation: int. How the image is to be turned, 1 to 8.
        dtype: np.dtype. What a number in the file is; Pillow's is of as many bytes.
        bits: int. Bits of a number.
        swapped: bool. Whether Pillow takes its bytes in the wrong order.
        white_is_zero: bool. Whether white is 0 in an image.
        converted: bool. Whether decoding converts the colors, as from YCbCr.
        deflated: Offset and length of each strip or tile of a file that is compressed by deflate.
    """

    file: BinaryIO
    orientation: int
    dtype: np.dtype[np.generic]
    bits: int
    swapped: bool
    white_is_zero: bool
    converted: bool
    deflated: tuple[tuple[int, int], ...]


def is_tiff(start: bytes) -> bool:
    """Returns whether the first four bytes are those of a TIFF."""
    return start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(file: BinaryIO) -> Tiff:
    """Reads the tags of a TIFF.

    Args:
        file: The file, open; it must stay open.

    Returns:
        Tiff.

    Raises:
        UnsupportedError: If the file holds several pages, or numbers that are not read as they are
            stored.
        OSError: If it is damaged.
    """
    directories = Directories(file)
    if directories.big and directories.order == ">":
        # Pillow takes it for a TIFF with short offsets.
        raise UnsupportedError(f"a BigTIFF of big-endian byte order. {CONVERT}")
    page = directories.page(directories.offset)
    layout = Layout(page)
    layout.require_support()
    pages = _pages(directories)
    if pages != 1:
        raise UnsupportedError(f"{pages} pages. {_SPLIT}")
    copied = {tag: page.entries[tag] for tag in COPIED if tag in page.entries}
    return Tiff(
        # It has all that Pillow asks of a file.
        file=cast("BinaryIO", Redirected(directories, directories.written(layout.shown(), copied))),
        orientation=_orientation(page),
        dtype=layout.dtype,
        bits=layout.bits,
        swapped=layout.swapped,
        white_is_zero=layout.white_is_zero,
        converted=layout.converted,
        deflated=_locations(page) if layout.compression in _DEFLATE else (),
    )


def require_intact_tiff(file: BinaryIO, tiff: Tiff) -> None:
    """Raises an OSError if what is compressed by deflate does not fit its checksums.

    libtiff stops behind the pixels and reads no checksum.
    """
    for offset, length in tiff.deflated:
        file.seek(offset)
        rest, inflater = file.read(length), zlib.decompressobj()
        try:
            while rest and not inflater.eof:
                inflater.decompress(rest, _INFLATED_AT_ONCE)
                rest = inflater.unconsumed_tail
        except zlib.error as error:
            raise OSError(f"broken TIFF data at byte {offset}: {error}") from error


def _locations(page: Page) -> tuple[tuple[int, int], ...]:
    for offsets, lengths in _DATA:
        found = page.integers(offsets)
        if found:
            return tuple(zip(found, page.integers(lengths), strict=False))
    return ()


def _pages(directories: Directories) -> int:
    """Returns how many pages hold an image of their own."""
    count, seen, offset = 0, set[int](), directories.offset
    # A directory that leads back ends the file, as for libtiff.
    while offset and offset not in seen:
        if len(seen) >= _MOST_PAGES:
            raise UnsupportedError(f"more than {_MOST_PAGES} pages. {_SPLIT}")
        seen.add(offset)
        page = directories.page(offset)
        # The first one is what is read, whatever it is.
        part_of_another = page.integer(_SUBFILE, 0) & (_REDUCED | _TRANSPARENCY)
        count += len(seen) == 1 or not part_of_another
        offset = page.next
    return count


def _orientation(page: Page) -> int:
    if ORIENTATION in page.entries:
        found = page.integer(ORIENTATION, 1)
        return found if found in range(1, 9) else 1
    return from_xmp(page.content(_XMP)) or 1
