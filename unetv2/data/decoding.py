"""One picture file to the numbers that it holds, or an error that names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2.data.arrays import array_colors, array_header, array_ids, array_image, is_array
from unetv2.data.pixels import (
    convert_16_bit,
    converted,
    grey_stretch,
    is_16_bit,
    is_grey_gif,
    is_plain_png,
    png_pixels,
    raw_mode,
    require_channels,
    require_lossless,
    require_whole_tiff,
    what_it_is,
)

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
# Pillow's own limit, from where on it warns of a decompression bomb.
MAX_PIXELS = 89_478_485

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_IMAGE_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


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


@contextmanager
def _opened(path: str, max_pixels: int) -> Iterator[Image.Image]:
    """Opens a picture; whatever Pillow makes of a broken one becomes one clear error."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                raise Image.DecompressionBombError(
                    f"{picture.height}x{picture.width} pixels by its header"
                )
            require_whole_tiff(picture)
            yield picture
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"'{path}' must have at most `max_pixels`={max_pixels} pixels. "
            f"Received: {error}. Raise `max_pixels` if the picture is meant to be that large; "
            "beyond 178956970 pixels raise `PIL.Image.MAX_IMAGE_PIXELS` as well."
        ) from error
    # A truncated file is an OSError, a broken PNG chunk a SyntaxError, broken TIFF tags a
    # KeyError or TypeError, all from Pillow.
    except (OSError, SyntaxError, EOFError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"'{path}' must be a readable picture ({', '.join(FORMATS)}). "
            f"Received: {os.path.getsize(path)} bytes that are none ({error}). "
            + what_it_is(path, error)
        ) from error


def read_header(
    path: str, max_pixels: int = MAX_PIXELS, *, lossless: bool = False, channels: int | None = None
) -> Header:
    """Reads what a picture or an array says of itself, without decoding it.

    Args:
        path: str. The file.
        max_pixels: int. Larger pictures are refused.
        lossless: bool. Whether formats that lose something are refused too, as for a mask.
        channels: int or None. The channels of an image, to refuse a file that cannot give them.

    Returns:
        Header.

    Raises:
        ValueError: If it is no picture, too large, stored with losses, or without the channels.
    """
    if is_array(path):
        array = array_header(path, max_pixels, mask=lossless, channels=channels)
        return Header("NPY", array.mode, array.size, array.bits)
    with _opened(path, max_pixels) as picture:
        if channels is not None:
            require_channels(path, picture, channels)
        if lossless:
            require_lossless(path, picture)
        height, width = picture.height, picture.width
        if _orientation(picture) in _SIDEWAYS:
            height, width = width, height
        return Header(
            picture.format or "", picture.mode, (height, width), 16 if is_16_bit(picture) else 8
        )


def decode_image(
    path: str,
    *,
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
    spare: bool = False,
) -> np.ndarray:
    """Decodes an image, turned as its EXIF data says.

    Args:
        path: str. The file.
        channels: int. 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha; the
            file's own are converted. An array must have exactly as many, any number.
        max_pixels: int. Larger pictures are refused.
        at_least: ``(height, width)`` or None. A JPEG may be decoded at a half, a quarter or
            an eighth, but not smaller than this.
        spare: bool. Whether RGB may come with the alpha channel of the file, as a fourth that
            nobody asked for: to take it out takes time.

    Returns:
        np.ndarray. uint8, or uint16 where the file has 16 bits, ``(height, width, channels)``;
        maybe read-only.

    Raises:
        ValueError: If it is no picture, too large, or of a kind that has no such channels.
    """
    if is_array(path):
        return array_image(path, max_pixels, channels)
    with _opened(path, max_pixels) as picture:
        require_channels(path, picture, channels)
        if picture.mode in ("I", "F", "LAB", "HSV"):
            raise ValueError(
                "Images must be grey, RGB or CMYK, of up to 16 bits. "
                f"Received: mode '{picture.mode}' in '{path}'. Convert it."
            )
        orientation = _orientation(picture)
        if is_16_bit(picture):
            pixels = convert_16_bit(_pixels_16_bit(path, picture), channels)
            return _turned(pixels, orientation)
        if is_plain_png(picture) and (channels >= 3 or (channels, picture.mode) == (1, "L")):
            stored = spare and (channels, picture.mode) == (3, "RGBA")
            return png_pixels(path, 0 if stored else channels, tf.uint8)
        if at_least is not None:
            _shrink_jpeg(picture, at_least)
        pixels = _turned(np.asarray(converted(picture, _IMAGE_MODES[channels])), orientation)
        return pixels[..., np.newaxis] if channels == 1 else pixels


def decode_mask(path: str, *, max_pixels: int = MAX_PIXELS, spare: bool = False) -> np.ndarray:
    """Decodes a mask: exactly the numbers in the file, nothing scaled or converted.

    Args:
        path: str. The file.
        max_pixels: int. Larger pictures are refused.
        spare: bool. Whether colours may come with the file's alpha channel, as a fourth that
            means nothing: to take it out takes time.

    Returns:
        np.ndarray. uint8, uint16 or int32 ``(height, width)`` for one channel or a palette,
        where it holds the indices; uint8 or uint16 ``(height, width, 3)`` for colours. Maybe
        read-only.

    Raises:
        ValueError: If it is no picture, too large, or stored with losses.
    """
    if is_array(path):
        return array_ids(path, max_pixels)
    with _opened(path, max_pixels) as picture:
        require_lossless(path, picture)
        orientation = _orientation(picture)
        if picture.mode in ("RGB", "RGBA", "LA") and is_16_bit(picture):
            values = _pixels_16_bit(path, picture)
        elif is_plain_png(picture):
            values = png_pixels(path, 0, tf.uint8)
            if spare and values.shape[2] == 4:
                return values
        else:
            values = _plain_values(path, picture)
        if values.ndim == 3:
            # Alpha is no label.
            values = values[..., :3] if values.shape[2] >= 3 else values[..., 0]
        return _turned(values, orientation)


def decode_colors(path: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a mask of colours, those of a palette included.

    Args:
        path: str. The file.
        max_pixels: int. Larger pictures are refused.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If it is no picture, too large, stored with losses, or of 16 bits.
    """
    if is_array(path):
        return array_colors(path, max_pixels)
    with _opened(path, max_pixels) as picture:
        require_lossless(path, picture)
        if is_16_bit(picture) or picture.mode in ("I", "F"):
            raise ValueError(f"Masks of colours must have 8 bits. Received: '{path}'. Convert it.")
        orientation = _orientation(picture)
        return _turned(np.asarray(converted(picture, "RGB")), orientation)


def palette(path: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns the colours of the indices that :func:`decode_mask` gives, uint8 ``(n, 3)``.

    Empty where it gives something else.
    """
    if is_array(path):
        return np.zeros((0, 3), np.uint8)
    with _opened(path, max_pixels) as picture:
        if picture.mode not in ("P", "PA") or is_grey_gif(picture):
            return np.zeros((0, 3), np.uint8)
        return np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)


def _orientation(picture: Image.Image) -> int:
    """Returns how a picture is to be turned, 1 to 8 as in EXIF; before it is loaded."""
    # Pillow decodes the whole of a PNG to look for EXIF data behind the pixels, and turns TIFF.
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return 1
    return int(picture.getexif().get(_ORIENTATION, 1))


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns ``(height, width[, channels])`` upright; the EXIF specification numbers the ways."""
    if orientation in _SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _plain_values(path: str, picture: Image.Image) -> np.ndarray:
    """Returns the numbers in a mask that Pillow reads, ``(height, width[, channels])``."""
    stretch = grey_stretch(picture)
    picture.load()
    if is_grey_gif(picture):
        return np.asarray(picture.convert("L"))
    if picture.mode == "PA":
        return np.asarray(picture.getchannel("P"))
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if picture.mode not in ("L", "LA", "P", "I", "I;16", "I;16B", "RGB", "RGBA"):
        raise ValueError(
            "Masks must be grey, palette, RGB or RGBA. "
            f"Received: mode '{picture.mode}' in '{path}'. Convert it."
        )
    values = np.asarray(picture)
    return values // stretch if stretch > 1 else values


def _pixels_16_bit(path: str, picture: Image.Image) -> np.ndarray:
    """Decodes 16 bits a channel, ``(height, width, channels)``."""
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)[..., np.newaxis]
    if picture.format != "PNG":
        raise ValueError(
            "Colour pictures of 16 bits must be PNG. "
            f"Received: a {picture.format} of mode '{raw_mode(picture)}', '{path}'. Convert it."
        )
    return png_pixels(path, 0, tf.uint16)  # Pillow drops the lower eight bits of colours.


def _shrink_jpeg(picture: Image.Image, at_least: tuple[int, int]) -> None:
    """Has a JPEG decoded at a fraction of its size where that shifts nothing."""
    if picture.format != "JPEG":
        return
    height, width = at_least
    if _orientation(picture) in _SIDEWAYS:
        height, width = width, height
    for scale in (8, 4, 2):
        fits = picture.height >= scale * height and picture.width >= scale * width
        # Otherwise the last row or column would stand for less than the others.
        if fits and picture.height % scale == 0 and picture.width % scale == 0:
            picture.draft(picture.mode, (picture.width // scale, picture.height // scale))
            return
