"""How the numbers of a TIFF are stored, and whether they are read as they are."""

from __future__ import annotations

import numpy as np

from unetv2.data.tiff_directories import Page

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
