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

import zlib
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from unetv2.data.tiff_directories import Directories, Page, Redirected
from unetv2.data.tiff_layout import CONVERT, COPIED, Layout, UnsupportedError
from unetv2.data.turning import ORIENTATION, from_xmp

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
