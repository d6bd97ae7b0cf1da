"""What a file says of itself before it is decoded."""

from __future__ import annotations

from typing import NamedTuple

from unetv2.data.turning import is_sideways

# Pillow's own limit, from where on it warns of a decompression bomb.
MAX_PIXELS = 89_478_485


class Header(NamedTuple):
    """What a file says of itself before it is decoded.

    Attributes:
        format: str. ``"PNG"``, ``"JPEG"``, ...
        mode: str. Pillow's name of the pixel format.
        size: ``(height, width)`` as seen, after turning by EXIF.
        bits: int. Bits of a channel, as far as they are told apart: 16 or up to 8.
        orientation: int. The EXIF orientation, 1 to 8, by which the size is upright already.
    """

    format: str
    mode: str
    size: tuple[int, int]
    bits: int
    orientation: int = 1

    @property
    def stored_size(self) -> tuple[int, int]:
        """``(height, width)`` in the file, before turning."""
        return self.size[::-1] if is_sideways(self.orientation) else self.size


def is_turn_ambiguous(image: Header, mask: Header) -> bool:
    """Returns whether an image is turned and its mask otherwise, and sizes do not say which fits.

    A mask that was made from the pixels as they are stored and one that was made from the upright
    image have the same size where the image is square, upside down or mirrored.
    """
    same_size = image.size == mask.size and image.stored_size == mask.stored_size
    return image.orientation != mask.orientation and same_size


def fits_as_stored(image: Header, mask: Header) -> bool:
    """Returns whether image and mask differ in size, and would not if neither were turned."""
    return image.size != mask.size and image.stored_size == mask.stored_size
