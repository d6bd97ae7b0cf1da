"""TIFF files, whose tags are parsed here and whose pixels are decoded by Pillow.

Pillow inverts some files, reads signed values as unsigned, drops channels, and ignores all pages
but the first. Files whose stored values cannot be recovered are therefore errors. For all others,
Pillow reads a replaced directory: only the tags that decoding needs, with values for which it does
not change pixels. Sign, byte order and inversion are applied afterwards.

References:
    - Adobe, TIFF Revision 6.0, 1992, and the TIFF Technical Notes; the BigTIFF design of libtiff.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as Tag

from unetv2.data.io.base import FileKind, ImageFile
from unetv2.data.io.containers import valid_orientation, xmp_orientation
from unetv2.data.io.pillow import PillowFile, image_errors, pillow_image
from unetv2.text import counted

# `struct` letters of the integer types, and bytes of all types, by type number.
_INTEGER_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
               16: 8, 17: 8, 18: 8}  # fmt: skip
_MAX_TAGS, _MAX_PAGES = 4096, 4096
_INFLATE_BYTES = 1 << 20
# Tags of data, compression, palette, JPEG and YCbCr; `_Layout.tags_for_pillow` has the others.
_COPIED_TAGS = (
    Tag.FillOrder, Tag.StripOffsets, Tag.RowsPerStrip, Tag.StripByteCounts, Tag.T4Options,
    Tag.T6Options, Tag.Predictor, Tag.ColorMap, Tag.TileWidth, Tag.TileLength, Tag.TileOffsets,
    Tag.TileByteCounts, Tag.JPEGTables, *range(512, 522), Tag.YCbCrCoefficients,
    Tag.YCbCrSubSampling, Tag.YCbCrPositioning, Tag.ReferenceBlackWhite,
)  # fmt: skip

# Values of tags.
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_FORMAT_NAMES = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating-point"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_UNCOMPRESSED, _OLD_JPEG, _JPEG, _WEBP = 1, 6, 7, 50001
_DEFLATE = (8, 32946)
# CCITT, LZW, JPEG, deflate, PackBits, LZMA, Zstandard, WebP.
_COMPRESSIONS = (
    _UNCOMPRESSED, 2, 3, 4, 5, _OLD_JPEG, _JPEG, *_DEFLATE, 32773, 34925, 50000, _WEBP,
)  # fmt: skip
_LOSSY_NAMES = {_OLD_JPEG: "tiff_jpeg", _JPEG: "jpeg", _WEBP: "webp"}
_UNSPECIFIED, _PREMULTIPLIED_ALPHA, _ALPHA = 0, 1, 2
_REDUCED_SIZE, _TRANSPARENCY_MASK = 1, 4

_COLOR_CHANNELS = {
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3,
}  # fmt: skip
_GRAY_KINDS = {(bits, _UNSIGNED) for bits in (1, 2, 4, 8, 12, 16, 32)}
_GRAY_KINDS |= {(8, _SIGNED), (16, _SIGNED), (32, _SIGNED), (32, _FLOAT)}
_UINT8 = {(8, _UNSIGNED)}
_UINT8_OR_16 = _UINT8 | {(16, _UNSIGNED)}
# (PhotometricInterpretation, has alpha) -> supported (bits, SampleFormat). 16-bit colors and floats
# are opened, for specific errors later.
_SUPPORTED = {
    (_WHITE_IS_ZERO, False): _GRAY_KINDS,
    (_BLACK_IS_ZERO, False): _GRAY_KINDS,
    (_WHITE_IS_ZERO, True): _UINT8,
    (_BLACK_IS_ZERO, True): _UINT8,
    (_RGB, False): _UINT8_OR_16,
    (_RGB, True): _UINT8_OR_16,
    (_PALETTE, False): {(bits, _UNSIGNED) for bits in (1, 2, 4, 8)},
    (_PALETTE, True): _UINT8,
    (_CMYK, False): _UINT8_OR_16,
    (_YCBCR, False): _UINT8,
    (_LAB, False): _UINT8,
}
# Colors for which Pillow supports separate planes, and bits in reversed order.
_PLANAR = (_RGB, _CMYK)
_REVERSIBLE_BITS = {
    _WHITE_IS_ZERO: {1, 2, 4, 8, 16}, _BLACK_IS_ZERO: {1, 2, 4, 8, 16}, _RGB: {8},
    _PALETTE: {1, 2, 4, 8},
}  # fmt: skip

_CONVERT = "Convert it, or store it as a .npy array, (height, width, channels)"
_SPLIT = "Split it into files of one page each, or store the pages as .npy arrays"


class TiffFile(PillowFile):
    """An open TIFF.

    Args:
        path: str. Its path.
        file: The open file.
        image: Pillow's image, read through :class:`_ReplacedDirectory`.
        layout: How its pixels are stored.
    """

    def __init__(self, path: str, file: BinaryIO, image: Image.Image, layout: _Layout) -> None:
        self._layout = layout
        mode = None if self._is_unsigned() else layout.dtype.name
        super().__init__(path, file, image, layout.orientation, mode)

    def require_mask(self) -> None:
        """Raises a ValueError if compression or color conversion changes values."""
        super().require_mask()
        if self._layout.photometric in (_CMYK, _YCBCR, _LAB):
            self._refuse_mask()

    def _is_unsigned(self) -> bool:
        dtype = self._layout.dtype
        return dtype.kind == "u" and dtype.itemsize <= 2

    def _lossy_compression(self) -> str | None:
        name = _LOSSY_NAMES.get(self._layout.compression)
        return f"TIFF with {name} compression" if name else None

    def _require_intact(self) -> None:
        """Raises an OSError if deflated data is damaged: libtiff reads no checksum."""
        for offset, length in self._layout.deflated:
            self._file.seek(offset)
            rest, inflater = self._file.read(length), zlib.decompressobj()
            try:
                while rest and not inflater.eof:
                    inflater.decompress(rest, _INFLATE_BYTES)
                    rest = inflater.unconsumed_tail
            except zlib.error as error:
                raise OSError(f"broken TIFF data at byte {offset}: {error}") from error

    def _visible(self, pixels: np.ndarray) -> np.ndarray:
        if self._layout.photometric == _WHITE_IS_ZERO:
            inverted = np.iinfo(pixels.dtype).max - pixels
            if pixels.shape[2] in (2, 4):
                inverted[..., -1] = pixels[..., -1]
            pixels = inverted
        return self._upright(pixels)

    def _pixels_16_bit(self, *, for_image: bool = False) -> np.ndarray:
        pixels = super()._pixels_16_bit(for_image=for_image)
        # Images of 12 bits are stretched to 16.
        return pixels << 4 | pixels >> 8 if for_image and self._layout.bits == 12 else pixels

    def _mask_values(self) -> np.ndarray:
        values = super()._mask_values()
        if values.ndim > 2 or self._image.mode == "1":
            return values
        # Pillow's values have as many bytes as the stored ones.
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        values = values.byteswap() if self._layout.is_swapped else values
        values = values.view(self._layout.dtype)
        if values.dtype in (np.uint8, np.uint16):
            return values
        limit = np.iinfo(np.int32).max
        if values.dtype == np.uint32 and values.max() > limit:
            raise ValueError(
                f"Mask ids must be in [0, {limit}]. Received: {values.max()} in '{self.path}'. "
                "Number the classes from 0."
            )
        return values.astype(np.int32)


@contextmanager
def open_tiff(path: str, max_pixels: int) -> Iterator[ImageFile]:
    """Opens a TIFF; see :class:`unetv2.data.io.base.FileKind`."""
    with image_errors(path, max_pixels), open(path, "rb") as file:
        reader = _Reader(file)
        page = reader.page(reader.first_offset)
        layout = _Layout(page)
        reason = next(_unsupported(layout, page), None) or _unsupported_pages(reader)
        if reason:
            raise ValueError(
                f"'{path}' must be a TIFF of one image whose values can be read as stored. "
                f"Received: {reason}."
            )
        copied = {tag: page.entries[tag] for tag in _COPIED_TAGS if tag in page.entries}
        # It implements all methods that Pillow calls.
        replaced = cast("BinaryIO", _ReplacedDirectory(reader, layout.tags_for_pillow(), copied))
        with pillow_image(replaced, ("TIFF",), max_pixels) as image:
            yield TiffFile(path, file, image, layout)


# TIFF and BigTIFF, each in both byte orders.
TIFF = FileKind((".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), open_tiff)


class _Reader:
    """Reads the directories of a TIFF, one per page."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.length = file.seek(0, os.SEEK_END)
        start = self.read(0, 4)
        self.is_big_endian = start[:2] == b"MM"
        self.is_big_tiff = b"+" in start
        self.order = ">" if self.is_big_endian else "<"
        # Bytes of an offset, of a directory's tag count, and of an entry.
        self.offset_bytes, self._count_bytes, self._entry_bytes = (
            (8, 8, 20) if self.is_big_tiff else (4, 2, 12)
        )
        self.first_offset = self.unpack(self.read(self.offset_bytes, self.offset_bytes))

    def unpack(self, data: bytes) -> int:
        return int.from_bytes(data, "big" if self.is_big_endian else "little")

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.length:
            raise OSError("a TIFF that ends within its tags")
        self.file.seek(offset)
        return self.file.read(length)

    def page(self, offset: int) -> _Page:
        count = self.unpack(self.read(offset, self._count_bytes))
        if not 0 < count <= _MAX_TAGS:
            raise OSError(f"a TIFF directory of {count} tags")
        offset += self._count_bytes
        content = self.read(offset, count * self._entry_bytes)
        entries: dict[int, bytes] = {}
        for start in range(0, len(content), self._entry_bytes):
            entry = content[start : start + self._entry_bytes]
            entries.setdefault(self.unpack(entry[:2]), entry)
        next_offset = self.unpack(self.read(offset + len(content), self.offset_bytes))
        return _Page(self, entries, next_offset)


class _Page:
    """The tags of a page, and the offset of the next page's directory."""

    def __init__(self, reader: _Reader, entries: dict[int, bytes], next_offset: int) -> None:
        self.reader = reader
        self.entries = entries
        self.next_offset = next_offset
        # If many tags reference the same bytes, their total could exceed the memory.
        lengths = (self._type_count_bytes(tag)[2] for tag in entries)
        total = sum(length for length in lengths if length > reader.offset_bytes)
        if total > reader.length:
            raise OSError(f"{total} bytes of TIFF tags in a file of {reader.length}")

    def _type_count_bytes(self, tag: int) -> tuple[int, int, int]:
        entry, reader = self.entries[tag], self.reader
        kind = reader.unpack(entry[2:4])
        count = reader.unpack(entry[4 : 4 + reader.offset_bytes])
        return kind, count, _TYPE_BYTES.get(kind, 0) * count

    def content(self, tag: int) -> bytes:
        """Returns the bytes of a tag's values, empty without the tag."""
        if tag not in self.entries:
            return b""
        length = self._type_count_bytes(tag)[2]
        inline = self.entries[tag][4 + self.reader.offset_bytes :]
        if length <= len(inline):
            return inline[:length]
        return self.reader.read(self.reader.unpack(inline), length)

    def count(self, tag: int) -> int:
        """Returns the number of a tag's values."""
        return self._type_count_bytes(tag)[1] if tag in self.entries else 0

    def integers(self, tag: int) -> tuple[int, ...]:
        """Returns the values of a tag, none without the tag."""
        if tag not in self.entries:
            return ()
        kind, count, _ = self._type_count_bytes(tag)
        if kind not in _INTEGER_LETTERS or not count:
            raise OSError(f"the TIFF tag {tag} is not an integer")
        letters = f"{self.reader.order}{count}{_INTEGER_LETTERS[kind]}"
        return struct.unpack(letters, self.content(tag))

    def integer(self, tag: int, default: int) -> int:
        """Returns the first value of a tag."""
        return (*self.integers(tag), default)[0]


class _Layout:
    """How the pixels of a page are stored."""

    def __init__(self, page: _Page) -> None:
        self.is_big_endian = page.reader.is_big_endian
        self.height = page.integer(Tag.ImageLength, 0)
        self.width = page.integer(Tag.ImageWidth, 0)
        self.compression = page.integer(Tag.Compression, _UNCOMPRESSED)
        is_old_jpeg = self.compression == _OLD_JPEG
        self.channels = page.integer(Tag.SamplesPerPixel, 3 if is_old_jpeg else 1)
        # Some files lack this required tag; libtiff's tools assume these.
        default = {1: _BLACK_IS_ZERO, 3: _RGB}.get(self.channels, -1)
        self.photometric = page.integer(Tag.PhotometricInterpretation, default)
        if is_old_jpeg:
            self.photometric = _YCBCR if self.channels == 3 else _BLACK_IS_ZERO
        self.planar = page.integer(Tag.PlanarConfiguration, 1) if self.channels > 1 else 1
        self.is_reversed = page.integer(Tag.FillOrder, 1) == 2
        # Some writers store more values than channels.
        depths = set(page.integers(Tag.BitsPerSample)[: self.channels] or (1,))
        formats = set(page.integers(Tag.SampleFormat)[: self.channels] or (_UNSIGNED,))
        formats = {_UNSIGNED if value == _UNDEFINED else value for value in formats}
        self.bits, self.format = max(depths), max(formats)
        self.is_mixed = len(depths) > 1 or len(formats) > 1
        self.extra_channels = self.channels - _COLOR_CHANNELS.get(self.photometric, self.channels)
        # Pillow and others use a fourth channel of RGB as alpha where no tag defines it.
        default = _ALPHA if self.photometric == _RGB else _UNSPECIFIED
        self.extra = page.integer(Tag.ExtraSamples, default) if self.extra_channels else -1
        # libtiff returns the machine's byte order, which Pillow expects for 16 bits only.
        self.is_swapped = (
            self.is_big_endian and self.bits == 32 and self.compression != _UNCOMPRESSED
        )
        orientation = page.integer(Tag.Orientation, 1) if Tag.Orientation in page.entries else None
        if orientation is None:
            orientation = xmp_orientation(page.content(Tag.XMLPacket))
        self.orientation = valid_orientation(orientation) or 1
        # Offset and length of each deflated strip or tile.
        self.deflated: list[tuple[int, int]] = []
        if self.compression in _DEFLATE:
            strips = page.integers(Tag.StripOffsets), page.integers(Tag.StripByteCounts)
            tiles = page.integers(Tag.TileOffsets), page.integers(Tag.TileByteCounts)
            self.deflated = list(zip(*(strips if strips[0] else tiles), strict=False))

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the stored values."""
        n_bytes = max(1, 1 << (self.bits - 1).bit_length() >> 3)
        return np.dtype(f"{'_uif'[self.format]}{n_bytes}")

    def tags_for_pillow(self) -> dict[int, int]:
        """Returns tags with which Pillow reads the same bytes and does not change values."""
        inverts = self.photometric == _WHITE_IS_ZERO
        # Pillow reads 32 bits as signed, 8 and 16 as unsigned.
        format = _FLOAT if self.format == _FLOAT else _SIGNED if self.bits == 32 else _UNSIGNED
        tags: dict[int, int] = {
            Tag.ImageWidth: self.width,
            Tag.ImageLength: self.height,
            Tag.BitsPerSample: self.bits,
            Tag.Compression: self.compression,
            Tag.PhotometricInterpretation: _BLACK_IS_ZERO if inverts else self.photometric,
            Tag.SamplesPerPixel: self.channels,
            Tag.PlanarConfiguration: self.planar,
            Tag.SampleFormat: format,
        }
        # Pillow would divide colors by a premultiplied alpha.
        return tags | ({Tag.ExtraSamples: _ALPHA} if self.extra >= 0 else {})


def _unsupported(layout: _Layout, page: _Page) -> Iterator[str]:
    """Yields reasons why values cannot be recovered; raises an OSError for damaged files."""
    photometric = f"PhotometricInterpretation={layout.photometric}"
    channels = counted(layout.channels, "channel")
    values = f"{channels} of {layout.bits} bits"
    has_extra = layout.extra_channels > 0
    if layout.width < 1 or layout.height < 1:
        raise OSError(f"a TIFF of {layout.height}x{layout.width} pixels")
    if layout.compression not in _COMPRESSIONS:
        yield f"Compression={layout.compression}. {_CONVERT}"
    if layout.photometric < 0:
        yield f"{channels} without PhotometricInterpretation. {_CONVERT}"
    if layout.photometric not in _COLOR_CHANNELS:
        yield f"{photometric}. {_CONVERT}"
    if layout.extra_channels < 0:
        raise OSError(f"a TIFF of {channels} with {photometric}")
    if layout.extra_channels > 1 or (
        has_extra and layout.extra not in (_PREMULTIPLIED_ALPHA, _ALPHA)
    ):
        kinds = ",".join(map(str, page.integers(Tag.ExtraSamples))) or "missing"
        yield (
            f"{channels}, of which {layout.extra_channels} in addition to the colors and not alpha "
            f"(ExtraSamples={kinds}), such as near infrared. {_CONVERT}"
        )
    if layout.photometric == _CMYK and page.integer(Tag.InkSet, 1) != 1:
        yield f"inks other than CMYK. {_CONVERT}"
    if layout.is_mixed:
        yield f"channels of different depth or sign. {_CONVERT}"
    if (layout.bits, layout.format) not in _SUPPORTED.get((layout.photometric, has_extra), set()):
        kind = _FORMAT_NAMES.get(layout.format, f"SampleFormat={layout.format}")
        yield f"{values}, {kind}, with {photometric}. {_CONVERT}"
    if layout.planar != 1 and (layout.bits != 8 or layout.photometric not in _PLANAR):
        yield f"{values} in planes (PlanarConfiguration={layout.planar}). {_CONVERT}"
    reversible = _REVERSIBLE_BITS.get(layout.photometric, set())
    if layout.is_big_endian:
        reversible = reversible - {16}
    if layout.is_reversed and layout.bits not in reversible:
        yield f"FillOrder=2 with {layout.bits} bits. {_CONVERT}"
    if layout.bits == 12 and layout.is_big_endian:
        yield f"values of 12 bits in a big-endian file. {_CONVERT}"
    is_subsampled = (page.integers(Tag.YCbCrSubSampling) or (2, 2)) != (1, 1)
    is_raw_ycbcr = layout.photometric == _YCBCR and layout.compression == _UNCOMPRESSED
    if is_raw_ycbcr and is_subsampled:
        yield f"uncompressed YCbCr of reduced resolution. {_CONVERT}"
    _require_all_data(layout, page)


def _require_all_data(layout: _Layout, page: _Page) -> None:
    """Raises an OSError if strips or tiles are missing, or the file is too short for them."""
    if Tag.StripOffsets in page.entries:
        rows, across = page.integer(Tag.RowsPerStrip, layout.height), 1
        found = page.count(Tag.StripOffsets)
    else:
        rows, columns = page.integer(Tag.TileLength, 0), page.integer(Tag.TileWidth, 0)
        across = -(-layout.width // columns) if columns else 0
        found = page.count(Tag.TileOffsets)
    planes = layout.channels if layout.planar == 2 else 1
    expected = across * -(-layout.height // rows) * planes if rows > 0 else 0
    # Decoders leave missing parts black. Old-style JPEG may be stored as one stream.
    if layout.compression != _OLD_JPEG and (found < expected or not expected):
        raise OSError(f"{found} of {expected} strips or tiles")
    row_bytes = -(-layout.width * layout.channels * layout.bits // 8)
    if layout.compression == _UNCOMPRESSED and row_bytes * layout.height > page.reader.length:
        size = f"{layout.height}x{layout.width}"
        raise OSError(f"{page.reader.length} bytes, too few for {size} pixels")


def _unsupported_pages(reader: _Reader) -> str | None:
    """Returns why the pages of a file cannot be read as one image, or None."""
    if reader.is_big_tiff and reader.is_big_endian:
        # Pillow reads it as a TIFF with 32-bit offsets.
        return f"a BigTIFF of big-endian byte order. {_CONVERT}"
    count, seen, offset = 0, set[int](), reader.first_offset
    # A reference to an earlier directory ends the file, as in libtiff.
    while offset and offset not in seen:
        if len(seen) >= _MAX_PAGES:
            return f"more than {_MAX_PAGES} pages. {_SPLIT}"
        seen.add(offset)
        page = reader.page(offset)
        # The first page is read whatever its type.
        is_auxiliary = page.integer(Tag.NewSubfileType, 0) & (_REDUCED_SIZE | _TRANSPARENCY_MASK)
        count += len(seen) == 1 or not is_auxiliary
        offset = page.next_offset
    return None if count == 1 else f"{count} pages. {_SPLIT}"


class _ReplacedDirectory(io.RawIOBase):
    """A view of a TIFF with a replaced directory, which is appended to the file.

    Args:
        reader: The file.
        tags: Integer values by tag.
        entries: Entries by tag, copied from the file's directory.
    """

    def __init__(self, reader: _Reader, tags: dict[int, int], entries: dict[int, bytes]) -> None:
        self._file, self._length, big = reader.file, reader.length, reader.is_big_tiff
        entry = struct.Struct(reader.order + ("HHQIxxxx" if big else "HHII"))
        entries = {tag: entry.pack(tag, 4, 1, value) for tag, value in tags.items()} | entries
        directory = struct.pack(reader.order + ("Q" if big else "H"), len(entries))
        directory += b"".join(entries[tag] for tag in sorted(entries)) + bytes(reader.offset_bytes)
        # Directories begin at even offsets.
        padding = self._length % 2
        if not big and self._length + padding + len(directory) > 1 << 32:
            raise OSError("a TIFF of more than 4 GB that is not a BigTIFF")
        offset = struct.pack(reader.order + ("Q" if big else "I"), self._length + padding)
        self._start = reader.read(0, reader.offset_bytes) + offset
        self._end = bytes(padding) + directory
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_CUR: self._position, os.SEEK_END: self._length + len(self._end)}
        self._position = base.get(whence, 0) + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        first, start, length = self._position, self._start, self._length
        available = max(0, length + len(self._end) - first)
        last = first + (available if size is None or size < 0 else min(size, available))
        parts = [start[first:last]]
        if last > len(start) and first < length:
            self._file.seek(max(first, len(start)))
            parts.append(self._file.read(min(last, length) - max(first, len(start))))
        parts.append(self._end[max(0, first - length) : max(0, last - length)])
        self._position = last
        return b"".join(parts)
