"""An image file, opened once: first what it says of itself, then the numbers in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2.data.io.containers import png_orientation, require_few_scans, require_intact_png
from unetv2.data.io.header import Header, is_sideways, orientation_of, turned
from unetv2.data.io.pixels import (
    JPEGS,
    as_stored,
    convert_16_bit,
    converted,
    correct_bmp,
    gray_bits,
    gray_stretch,
    is_16_bit,
    is_plain_png,
    palette_of,
    png_pixels,
    raw_mode,
    require_channels,
    require_colors_vary,
    require_lossless,
    require_one_image,
    require_palette_varies,
    shrink_jpeg,
    what_it_is,
)
from unetv2.data.io.tiff import Tiff, UnsupportedError, is_tiff, read_tiff, require_intact_tiff

PNG = b"\x89PNG"
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")

_IMAGE_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class ImageFile:
    """An open image file. What it holds is asked for once: Pillow then knows less of the file.

    Args:
        path: str. Its path, for messages.
        file: The file, open.
        image: What Pillow makes of it, not loaded yet.
        orientation: int. How it is to be turned, 1 to 8.
        tiff: Tiff or None. What a TIFF's tags say.

    Attributes:
        header: Header. What the file says of itself.
        gray_bits: int. Bits of a gray value in the file, 8 also for what has more.
    """

    def __init__(
        self,
        path: str,
        file: BinaryIO,
        image: Image.Image,
        orientation: int,
        tiff: Tiff | None,
    ) -> None:
        self._path = path
        self._file = file
        self._image = image
        self._orientation = orientation
        self._tiff = tiff
        self._deep = is_16_bit(image)
        self.gray_bits = gray_bits(image)
        height, width = image.height, image.width
        if is_sideways(self._orientation):
            height, width = width, height
        mode = image.mode
        if self._has_no_range():
            assert tiff is not None
            mode = tiff.dtype.name
        name = "JPEG" if image.format in JPEGS else image.format or ""
        bits = 16 if self._deep else 8
        self.header = Header(name, mode, (height, width), bits, orientation)

    def require_image(self, channels: int) -> None:
        """Raises a ValueError unless the file can give an image of so many channels."""
        require_channels(self._path, channels)
        image = self._image
        if image.mode in ("I", "F", "LAB", "HSV") or self._has_no_range():
            raise ValueError(
                "Images must be gray, RGB or CMYK, of up to 16 bits. "
                f"Received: mode '{self.header.mode}' in '{self._path}'. Convert it."
            )

    def require_mask(self) -> None:
        """Raises a ValueError if the file loses something, as no mask may."""
        require_lossless(self._path, self._image, self._file)
        if self._tiff is not None and self._tiff.converted:
            self._refuse_mask()

    def image(
        self, channels: int, *, at_least: tuple[int, int] | None = None, spare: bool = False
    ) -> np.ndarray:
        """Returns an image; see :func:`unetv2.data.io.open.decode_image`."""
        image = self._image
        self.require_image(channels)
        self._require_intact()
        if self._deep:
            return self._seen(convert_16_bit(self._pixels_16_bit(stretched=True), channels))
        if is_plain_png(image) and (channels >= 3 or (channels, image.mode) == (1, "L")):
            stored = spare and (channels, image.mode) == (3, "RGBA")
            return self._upright(png_pixels(self._path, 0 if stored else channels, tf.uint8))
        if at_least is not None:
            sideways = is_sideways(self._orientation)
            shrink_jpeg(image, at_least[::-1] if sideways else at_least)
        pixels = np.asarray(converted(image, _IMAGE_MODES[channels]))
        return self._seen(pixels[..., np.newaxis] if channels == 1 else pixels)

    def mask(self, *, spare: bool = False) -> np.ndarray:
        """Returns the numbers in a mask; see :func:`unetv2.data.io.open.decode_mask`."""
        self.require_mask()
        self._require_intact()
        if self._image.mode in ("RGB", "RGBA", "LA") and self._deep:
            values = self._pixels_16_bit()
        elif is_plain_png(self._image):
            values = png_pixels(self._path, 0, tf.uint8)
        else:
            values = self._plain_values()
        if values.ndim == 3:
            channels = values.shape[2]
            if channels in (2, 4):
                pixels = values.reshape(-1, channels)
                require_colors_vary(self._path, pixels[:, :-1], pixels[:, -1])
            # Alpha is no label.
            if channels < 3:
                values = values[..., 0]
            elif not (spare and is_plain_png(self._image)):
                values = values[..., :3]
        else:
            require_palette_varies(self._path, self._image, values)
        return self._upright(values)

    def colors(self) -> np.ndarray:
        """Returns a mask's colors; see :func:`unetv2.data.io.open.decode_colors`."""
        self.require_mask()
        self._require_intact()
        if self._deep or self._has_no_range():
            raise ValueError(
                f"Masks of colors must have 8 bits. Received: '{self._path}'. Convert it."
            )
        image = self._image
        if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
            pixels = np.asarray(converted(image, "RGBA"))
            require_colors_vary(self._path, pixels[..., :3].reshape(-1, 3), pixels[..., 3].ravel())
            return self._upright(pixels[..., :3])
        return self._upright(np.asarray(converted(image, "RGB")))

    def palette(self) -> np.ndarray:
        """Returns the colors of the indices that :meth:`mask` gives, uint8 ``(n, 3)``.

        Empty where it gives something else.
        """
        return palette_of(self._image)

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        return turned(pixels, self._orientation)

    def _seen(self, pixels: np.ndarray) -> np.ndarray:
        """Returns an image upright, white the largest number, with its alpha as it is."""
        if self._tiff is not None and self._tiff.white_is_zero:
            alpha = pixels.shape[2] in (2, 4)
            inverted = np.iinfo(pixels.dtype).max - pixels
            if alpha:
                inverted[..., -1] = pixels[..., -1]
            pixels = inverted
        return self._upright(pixels)

    def _has_no_range(self) -> bool:
        """Returns whether numbers are signed, floats, or of more than 16 bits."""
        if self._tiff is None:
            return self._image.mode in ("I", "F")
        return self._tiff.dtype.kind != "u" or self._tiff.dtype.itemsize > 2

    def _require_intact(self) -> None:
        """Raises if the file is damaged, or takes more time than its pixels are worth."""
        # Pillow reads on where it was.
        place = self._file.tell()
        if self._image.format == "PNG":
            require_intact_png(self._file)
        elif self._image.format in JPEGS:
            require_few_scans(self._file)
        elif self._tiff is not None:
            require_intact_tiff(self._file, self._tiff)
        self._file.seek(place)

    def _refuse_mask(self) -> NoReturn:
        raise ValueError(
            "Masks must be gray, palette, RGB or RGBA. "
            f"Received: mode '{self._image.mode}' in '{self._path}'. Convert it."
        )

    def _plain_values(self) -> np.ndarray:
        """Returns the numbers in a mask that Pillow reads, ``(height, width[, channels])``."""
        image = self._image
        stretch = gray_stretch(image)
        image.load()
        if image.mode == "PA":
            return np.asarray(image.getchannel("P"))
        if image.mode == "1":
            return np.asarray(image).astype(np.uint8)
        if image.mode not in ("L", "LA", "P", "I", "I;16", "I;16B", "RGB", "RGBA"):
            self._refuse_mask()
        values = np.asarray(image)
        if self._tiff is not None and values.ndim == 2:
            return as_stored(self._path, values, self._tiff) // stretch
        return values // stretch if stretch > 1 else values

    def _pixels_16_bit(self, *, stretched: bool = False) -> np.ndarray:
        """Decodes 16 bits a channel, ``(height, width, channels)``; 12 bits stretched to them."""
        image = self._image
        if image.mode.startswith("I;16"):
            pixels = np.asarray(image).astype(np.uint16)[..., np.newaxis]
            twelve = self._tiff is not None and self._tiff.bits == 12
            return pixels << 4 | pixels >> 8 if stretched and twelve else pixels
        if image.format != "PNG":
            raise ValueError(
                "Color images of 16 bits must be PNG. Received: a "
                f"{image.format} of mode '{raw_mode(image)}', '{self._path}'. Convert it."
            )
        # Pillow drops the lower eight bits of colors.
        return png_pixels(self._path, 0, tf.uint16)


@contextmanager
def open_image(path: str, max_pixels: int) -> Iterator[ImageFile]:
    """Opens an image; whatever Pillow makes of a broken one becomes one clear error.

    Args:
        path: str. The file.
        max_pixels: int. Larger images are refused from their header.

    Yields:
        ImageFile.

    Raises:
        ValueError: If it is no image or too large, or shows to be broken in the block.
    """
    try:
        # By its name Pillow would map uncompressed files, and misplace the pixels of some.
        with open(path, "rb") as file:
            start = file.read(4)
            tiff = read_tiff(file) if is_tiff(start) else None
            orientation = tiff.orientation if tiff else 1
            if start == PNG:
                orientation = png_orientation(file)
            source = tiff.file if tiff else file
            source.seek(0)
            formats = ["TIFF"] if tiff else [name for name in FORMATS if name != "TIFF"]
            with Image.open(source, formats=formats) as image:
                if image.width * image.height > max_pixels:
                    raise Image.DecompressionBombError(
                        f"{image.height}x{image.width} pixels by its header"
                    )
                require_one_image(path, image)
                correct_bmp(path, image)
                if not tiff and start != PNG:
                    orientation = orientation_of(image)
                yield ImageFile(path, file, image, orientation, tiff)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"'{path}' must have at most `max_pixels`={max_pixels} pixels. "
            f"Received: {error}. Raise `max_pixels` if the image is meant to be that large; "
            "beyond 178956970 pixels raise `PIL.Image.MAX_IMAGE_PIXELS` as well."
        ) from error
    except UnsupportedError as error:
        raise ValueError(
            f"'{path}' must be a TIFF of one image whose numbers are read as they are stored. "
            f"Received: {error}."
        ) from error
    # What a broken file makes of decoders has no end; and errors that name the file are ours.
    except Exception as error:
        if isinstance(error, ValueError) and f"'{path}'" in str(error):
            raise
        raise ValueError(
            f"'{path}' must be a readable image ({', '.join(FORMATS)}). "
            f"Received: {os.path.getsize(path)} bytes that are none "
            f"({str(error) or type(error).__name__}). {what_it_is(path)}"
        ) from error
