"""PNG, JPEG and WebP: what their chunks and segments say, before anything is decoded.

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
from typing import BinaryIO

from unetv2.data.io.header import from_exif, from_xmp

# Bytes that deflate makes of one, at most.
_MOST_INFLATED = 1032
# Of metadata no more is looked at: the orientation is in its first kilobytes.
_PIECE = 1 << 20
_KNOWN_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_PROFILE_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1")
_XMP_URL = b"http://ns.adobe.com/"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Encoders write about ten, and one for each bit of each coefficient would be no more than this.
_MOST_SCANS = 100
_START = 1 << 16
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_SEQUENTIAL = {0xC0, 0xC1, 0xC3, 0xC5, 0xC7, 0xC9, 0xCB, 0xCD, 0xCF}
_SCAN, _END = 0xDA, 0xD9
# Markers without content: restarts, start, temporary.
_BARE = {*range(0xD0, 0xD9), 0x01}
_MARKER = re.compile(rb"\xff+([^\x00\xff])")


def png_orientation(file: BinaryIO) -> int:
    """Returns the orientation that a PNG's chunks give, wherever they are.

    Args:
        file: The file, open.

    Returns:
        int. 1 to 8: of an ``eXIf`` chunk, else of a raw EXIF profile, else of XMP data.

    Raises:
        OSError: If the file is cut off, its chunks are not those of a PNG, or one but the pixels'
            does not fit its checksum.
    """
    exif = profile = xmp = 0
    for name, place, length in _chunks(file):
        if name == b"IDAT":
            continue
        content = _checked(file, name, place, length)
        if name == b"eXIf":
            exif = from_exif(content)
        elif name in _PNG_TEXTS:
            keyword, text = _png_text(name, content)
            if keyword == _XMP_KEYWORD:
                xmp = from_xmp(text)
            elif keyword in _PROFILE_KEYWORDS:
                data = _profile(text)
                # APP1 may hold XMP data instead.
                if data.startswith(_XMP_URL):
                    xmp = xmp or from_xmp(data)
                else:
                    profile = from_exif(data) or profile
    return exif or profile or xmp or 1


def require_intact_png(file: BinaryIO) -> None:
    """Raises an OSError if a PNG's pixels are missing, or do not fit their checksums.

    Decoders take memory for all of them first, and go on with wrong ones.
    """
    header, data_bytes = b"", 0
    for name, place, length in _chunks(file):
        if name in (b"IHDR", b"IDAT"):
            content = _checked(file, name, place, length)
            header, data_bytes = header or content, data_bytes + length
    width, height, bits, kind = struct.unpack(">IIBB", header[:10])
    row = width * bits * _CHANNELS.get(kind, 1) // 8
    if row * height > _MOST_INFLATED * data_bytes:
        raise OSError(f"{data_bytes} bytes of PNG data, too few for {height}x{width} pixels")


def _checked(file: BinaryIO, name: bytes, place: int, length: int) -> bytes:
    """Returns the first megabyte of a chunk's content, if its checksum is right."""
    file.seek(place)
    content = file.read(min(length, _PIECE))
    checksum, rest = zlib.crc32(content, zlib.crc32(name)), length - len(content)
    while rest > 0:
        piece = file.read(min(rest, _PIECE))
        checksum, rest = zlib.crc32(piece, checksum), rest - len(piece)
    if checksum != int.from_bytes(file.read(4), "big"):
        raise OSError(f"broken PNG file: the checksum of a chunk {name.decode()} is wrong")
    return content


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, place and length of the content of each chunk of a PNG."""
    end = file.seek(0, os.SEEK_END)
    place, last, data_ended = 8, b"", False
    while last != b"IEND":
        file.seek(place)
        header = file.read(8)
        length, name = int.from_bytes(header[:4], "big"), header[4:]
        if len(header) < 8 or place + 12 + length > end:
            raise OSError("truncated PNG file")
        if not (name.isalpha() and name.isascii()):
            raise OSError("broken PNG file: no chunk where one must begin")
        data_ended |= last == b"IDAT" and name != b"IDAT"
        if name[:1].isupper():
            _require_known(name, last, data_ended)
        yield name, place + 8, length
        place += 12 + length
        last = name


def _require_known(name: bytes, last: bytes, data_ended: bool) -> None:
    """Raises unless a critical chunk is a known one, in its place."""
    if name not in _KNOWN_CRITICAL:
        raise OSError(f"broken PNG file: a critical chunk {name!r} that is unknown")
    first = name == b"IHDR"
    if first != (not last) or (data_ended and name in (b"IDAT", b"PLTE")):
        raise OSError(f"broken PNG file: a chunk {name.decode()} in the wrong place")


def _png_text(name: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Returns keyword and text of a chunk; no text where the keyword is of no interest."""
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
    # Of a bomb no more is made than this.
    return zlib.decompressobj().decompress(data, _PIECE)


def _profile(text: bytes) -> bytes:
    """Returns what ImageMagick's and ExifTool's raw profiles hold: lines of hexadecimal digits."""
    # A line break, the profile's name, its length, then the digits.
    return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))


def require_few_scans(file: BinaryIO) -> None:
    """Raises an OSError for a JPEG of more scans than an image needs: each takes time."""
    file.seek(0)
    # Most files have a single scan, which begins in the first kilobytes.
    content, whole = file.read(_START), False
    place, components, progressive, scans = 2, 0, False, 0
    while True:
        marker = _MARKER.search(content, place)
        if marker is None or marker.end() + 8 > len(content):
            if whole:
                return
            content, whole = content + file.read(), True
            continue
        kind, place = marker[1][0], marker.end()
        if kind == _END:
            return
        if kind in _BARE:
            continue
        if kind in _PROGRESSIVE or kind in _SEQUENTIAL:
            components, progressive = content[place + 7], kind in _PROGRESSIVE
        if kind == _SCAN:
            # A decoder stops behind a scan that holds all.
            if not progressive and content[place + 2] >= components:
                return
            scans += 1
            if scans > _MOST_SCANS:
                raise OSError(f"a JPEG of more than {_MOST_SCANS} scans")
        place += int.from_bytes(content[place : place + 2], "big")


def is_lossless_webp(file: BinaryIO) -> bool:
    """Returns whether the first bitstream of a WebP is a lossless one."""
    place, end = 12, file.seek(0, os.SEEK_END)
    while place + 8 <= end:
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        if name in (b"VP8 ", b"VP8L"):
            return bool(name == b"VP8L")
        # A frame's chunks begin behind its place and duration.
        place += 24 if name == b"ANMF" else 8 + length + length % 2
    return False
