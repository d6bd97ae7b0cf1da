"""What a file says of itself before it is decoded."""

from __future__ import annotations

from typing import NamedTuple

# Pillow's own limit, from where on it warns of a decompression bomb.
MAX_PIXELS = 89_478_485


class Header(NamedTuple):
    """What a file says of itself before it is decoded.

    Attributes:
        format: str. ``"PNG"``, ``"JPEG"``, ...
        mode: str. Pillow's name of the pixel format.
        size: ``(height, width)`` as seen, after turning by EXIF.
        bits: int. Bits of a channel, as far as they are told apart: 16 or up to 8.
    """

    format: str
    mode: str
    size: tuple[int, int]
    bits: int
