"""Orientation and integrity of PNG, JPEG and WebP files, checked before decoding.

References:
    - W3C, Portable Network Graphics (PNG) Specification (Third Edition), 2025.
    - ITU-T T.81, Digital Compression and Coding of Continuous-tone Still Images (JPEG), 1992.
    - Google, WebP Container Specification.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image
from PIL.ExifTags import Base as Tag

# Deflate's largest ratio.
_MAX_INFLATION = 1032
# The orientation is in the first kilobytes of metadata.
_BLOCK_BYTES = 1 << 20
_EXIF = b"Exif\0\0"
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_KNOWN_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_PROFILE_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1")
_XMP_URL = b"http://ns.adobe.com/"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Encoders write about ten.
_MAX_SCANS = 100
_FIRST_BYTES = 1 << 16
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_SEQUENTIAL = {0xC0, 0xC1, 0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCD, 0xCF}
_SCAN, _END = 0xDA, 0xD9
# Markers without content: restarts, start, temporary.
_WITHOUT_CONTENT = {*range(0xD0, 0xD9), 0x01}
_MARKER = re.compile(rb"\xff+([^\x00\xff])")


def valid_orientation(orientation: Any) -> int:
    """Returns an EXIF orientation of 1 to 8, or 0 for anything else."""
    return orientation if orientation in range(1, 9) else 0


def exif_orientation(image: Image.Image) -> int:
    """Returns the orientation, 1 to 8, of a JPEG, WebP, GIF or BMP that Pillow opened."""
    return valid_orientation(image.getexif().get(Tag.Orientation)) or 1


def xmp_orientation(data: bytes) -> int:
    """Returns the orientation in XMP data, 0 without one; matched as by Pillow."""
    match = _XMP.search(data)
    return valid_orientation(int(match[1])) if match else 0


def png_orientation(file: BinaryIO) -> int:
    """Returns the orientation of a PNG, from a chunk at any position.

    Returns:
        int. 1 to 8, from the ``eXIf`` chunk, a raw EXIF profile, or XMP data, in this order.

    Raises:
        OSError: If the file is truncated or not a sequence of PNG chunks, or the checksum of a
            chunk other than the pixel data is wrong.
    """
    exif = profile = xmp = 0
    for name, start, length in _chunks(file):
        if name == b"IDAT":
            continue
        content = _read_chunk(file, name, start, length)
        if name == b"eXIf":
            exif = _orientation_in_exif(content)
        elif name in _PNG_TEXTS:
            keyword, text = _png_text(name, content)
            if keyword == _XMP_KEYWORD:
                xmp = xmp_orientation(text)
            elif keyword in _PROFILE_KEYWORDS:
                data = _profile(text)
                # APP1 may hold XMP data instead.
                if data.startswith(_XMP_URL):
                    xmp = xmp or xmp_orientation(data)
                else:
                    profile = _orientation_in_exif(data) or profile
    return exif or profile or xmp or 1


def require_intact_png(file: BinaryIO) -> None:
    """Raises an OSError if pixel data of a PNG is missing or has a wrong checksum.

    Decoders would first allocate memory for all pixels, and ignore the checksum.
    """
    header, data_bytes = b"", 0
    for name, start, length in _chunks(file):
        if name in (b"IHDR", b"IDAT"):
            content = _read_chunk(file, name, start, length)
            header, data_bytes = header or content, data_bytes + length
    width, height, bits, kind = struct.unpack(">IIBB", header[:10])
    row = width * bits * _CHANNELS.get(kind, 1) // 8
    if row * height > _MAX_INFLATION * data_bytes:
        raise OSError(f"{data_bytes} bytes of PNG data, too few for {height}x{width} pixels")


def _orientation_in_exif(data: bytes) -> int:
    exif = Image.Exif()
    exif.load(data if data.startswith(_EXIF) else _EXIF + data)
    return valid_orientation(exif.get(Tag.Orientation))


def _read_chunk(file: BinaryIO, name: bytes, start: int, length: int) -> bytes:
    """Returns the first megabyte of a chunk's content, after a check of its checksum."""
    file.seek(start)
    content = file.read(min(length, _BLOCK_BYTES))
    checksum, rest = zlib.crc32(content, zlib.crc32(name)), length - len(content)
    while rest > 0:
        block = file.read(min(rest, _BLOCK_BYTES))
        checksum, rest = zlib.crc32(block, checksum), rest - len(block)
    if checksum != int.from_bytes(file.read(4), "big"):
        raise OSError(f"broken PNG file: the checksum of a chunk {name.decode()} is wrong")
    return content


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, offset of the content, and its length for each chunk of a PNG."""
    end = file.seek(0, os.SEEK_END)
    position, last, data_ended = 8, b"", False
    while last != b"IEND":
        file.seek(position)
        header = file.read(8)
        length, name = int.from_bytes(header[:4], "big"), header[4:]
        if len(header) < 8 or position + 12 + length > end:
            raise OSError("truncated PNG file")
        if not (name.isalpha() and name.isascii()):
            raise OSError("broken PNG file: no chunk where one must start")
        data_ended |= last == b"IDAT" and name != b"IDAT"
        if name[:1].isupper():
            _require_known(name, last, data_ended)
        yield name, position + 8, length
        position += 12 + length
        last = name


def _require_known(name: bytes, last: bytes, data_ended: bool) -> None:
    """Raises unless a critical chunk is known and in the right order."""
    if name not in _KNOWN_CRITICAL:
        raise OSError(f"broken PNG file: an unknown critical chunk {name!r}")
    first = name == b"IHDR"
    if first != (not last) or (data_ended and name in (b"IDAT", b"PLTE")):
        raise OSError(f"broken PNG file: a chunk {name.decode()} in the wrong position")


def _png_text(name: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Returns the keyword and the text of a chunk; the text is empty for other keywords."""
    keyword, _, rest = content.partition(b"\0")
    if keyword != _XMP_KEYWORD and keyword not in _PROFILE_KEYWORDS:
        return keyword, b""
    compressed = name == b"zTXt"
    if compressed:
        rest = rest[1:]
    elif name == b"iTXt":
        compressed = rest[:1] != b"\0"
        rest = (rest[2:].split(b"\0", 2) + [b""] * 2)[2]
    return keyword, _inflated(rest) if compressed else rest


def _inflated(data: bytes) -> bytes:
    # A small text may inflate to any size.
    return zlib.decompressobj().decompress(data, _BLOCK_BYTES)


def _profile(text: bytes) -> bytes:
    """Returns the content of ImageMagick's and ExifTool's raw profiles, hexadecimal digits."""
    # A line break, the name and the length of the profile, and the digits.
    return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))


def require_few_scans(file: BinaryIO) -> None:
    """Raises an OSError for a JPEG with too many scans, each of which takes decoding time."""
    file.seek(0)
    # Most files have a single scan, which starts in the first kilobytes.
    content, is_complete = file.read(_FIRST_BYTES), False
    position, components, progressive, scans = 2, 0, False, 0
    while True:
        marker = _MARKER.search(content, position)
        if marker is None or marker.end() + 8 > len(content):
            if is_complete:
                return
            content, is_complete = content + file.read(), True
            continue
        kind, position = marker[1][0], marker.end()
        if kind == _END:
            return
        if kind in _WITHOUT_CONTENT:
            continue
        if kind in _PROGRESSIVE or kind in _SEQUENTIAL:
            components, progressive = content[position + 7], kind in _PROGRESSIVE
        if kind == _SCAN:
            # A decoder stops after a sequential scan of all components.
            if not progressive and content[position + 2] >= components:
                return
            scans += 1
            if scans > _MAX_SCANS:
                raise OSError(f"a JPEG of more than {_MAX_SCANS} scans")
        position += int.from_bytes(content[position : position + 2], "big")


def is_lossless_webp(file: BinaryIO) -> bool:
    """Returns whether the first bitstream of a WebP is lossless."""
    position, end = 12, file.seek(0, os.SEEK_END)
    while position + 8 <= end:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name in (b"VP8 ", b"VP8L"):
            return bool(name == b"VP8L")
        # A frame's chunks follow its position and duration.
        position += 24 if name == b"ANMF" else 8 + length + length % 2
    return False
