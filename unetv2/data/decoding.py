"""One picture file to the numbers that it holds, or an error that names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFile, ImageOps

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
# Pillow's own limit, from where on it warns of a decompression bomb.
MAX_PIXELS = 89_478_485

_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
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
            yield picture
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"'{path}' must have at most `max_pixels`={max_pixels} pixels. "
            f"Received: {error}. Raise `max_pixels` if the picture is meant to be that large."
        ) from error
    # A truncated file is an OSError, a broken PNG chunk a SyntaxError, broken TIFF tags a
    # KeyError or TypeError, all from Pillow.
    except (OSError, SyntaxError, EOFError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"'{path}' must be a readable picture ({', '.join(FORMATS)}). "
            f"Received: {os.path.getsize(path)} bytes that are none ({error}). "
            "Replace the file, or remove it together with its partner."
        ) from error


def read_header(path: str, max_pixels: int = MAX_PIXELS, *, lossless: bool = False) -> Header:
    """Reads what a picture says of itself, without decoding it.

    Args:
        path: str. The file.
        max_pixels: int. Larger pictures are refused.
        lossless: bool. Whether formats that lose something are refused too.

    Returns:
        Header.

    Raises:
        ValueError: If it is no picture, too large, or stored with losses.
    """
    with _opened(path, max_pixels) as picture:
        if lossless:
            _require_lossless(path, picture)
        height, width = picture.height, picture.width
        if _is_turned(picture):
            height, width = width, height
        return Header(
            picture.format or "", picture.mode, (height, width), 16 if _is_16_bit(picture) else 8
        )


def decode_image(
    path: str,
    *,
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
) -> np.ndarray:
    """Decodes an image, turned as its EXIF data says.

    Args:
        path: str. The file.
        channels: int. 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha; the
            file's own are converted.
        max_pixels: int. Larger pictures are refused.
        at_least: ``(height, width)`` or None. A JPEG may be decoded at a half, a quarter or
            an eighth, but not smaller than this.

    Returns:
        np.ndarray. uint8, or uint16 where the file has 16 bits, ``(height, width, channels)``.

    Raises:
        ValueError: If it is no picture, too large, or of a kind that has no such channels.
    """
    with _opened(path, max_pixels) as picture:
        if picture.mode in ("I", "F", "LAB", "HSV"):
            raise ValueError(
                "Images must be grey, RGB or CMYK, of up to 16 bits. "
                f"Received: mode '{picture.mode}' in '{path}'. Convert it."
            )
        if _is_16_bit(picture):
            return _convert_16_bit(_pixels_16_bit(path, picture), channels)
        if _is_plain_png(picture) and (channels >= 3 or (channels, picture.mode) == (1, "L")):
            return _png_pixels(path, channels, tf.uint8)
        if at_least is not None:
            _shrink_jpeg(picture, at_least)
        picture.load()
        turned = _upright(picture)
        if turned.mode in ("P", "PA"):
            turned = turned.convert("RGBA")  # Straight to RGB loses transparency with a warning.
        pixels = np.asarray(turned.convert(_IMAGE_MODES[channels]))
        return pixels[..., np.newaxis] if channels == 1 else pixels


def decode_mask(path: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a mask: exactly the numbers in the file, nothing scaled or converted.

    Args:
        path: str. The file.
        max_pixels: int. Larger pictures are refused.

    Returns:
        np.ndarray. uint8, uint16 or int32 ``(height, width)`` for one channel or a palette,
        where it holds the indices; uint8 or uint16 ``(height, width, 3)`` for colours.

    Raises:
        ValueError: If it is no picture, too large, or stored with losses.
    """
    with _opened(path, max_pixels) as picture:
        _require_lossless(path, picture)
        if picture.mode in ("RGB", "RGBA", "LA") and _is_16_bit(picture):
            pixels = _pixels_16_bit(path, picture)
            return pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
        if _is_plain_png(picture):
            pixels = _png_pixels(path, 0, tf.uint8)
            return pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0]
        stretch = _grey_stretch(picture)
        picture.load()
        turned = _upright(picture)
        values = np.asarray(turned)
        if turned.mode in ("LA", "PA"):
            return values[..., 0] if turned.mode == "LA" else np.asarray(turned.getchannel("P"))
        if turned.mode == "1":
            return values.astype(np.uint8)
        if turned.mode in ("RGB", "RGBA"):
            return values[..., :3]
        if turned.mode == "P" and picture.format == "GIF":
            values = _gif_values(turned)
        if turned.mode in ("L", "P", "I", "I;16", "I;16B"):
            return values // stretch if stretch > 1 else values
        raise ValueError(
            "Masks must be grey, palette, RGB or RGBA. "
            f"Received: mode '{turned.mode}' in '{path}'. Convert it."
        )


def palette(path: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns a palette picture's colours, uint8 ``(n, 3)``; empty if it has none."""
    with _opened(path, max_pixels) as picture:
        if picture.mode not in ("P", "PA"):
            return np.zeros((0, 3), np.uint8)
        return np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)


def _require_lossless(path: str, mask: Image.Image) -> None:
    how = None
    if mask.format == "JPEG":
        how = "JPEG"
    elif mask.format == "TIFF" and mask.info.get("compression") in ("jpeg", "tiff_jpeg", "webp"):
        how = f"TIFF with {mask.info['compression']} compression"
    elif mask.format == "WEBP" and b"VP8L" not in Path(path).read_bytes()[:4096]:
        how = "lossy WebP"
    if how is not None:
        raise ValueError(
            f"Masks must be stored without losses: {how} changes ids at every edge. "
            f"Received: '{path}'. Make it again from its source, as PNG."
        )


def _is_turned(picture: Image.Image) -> bool:
    # Pillow decodes the whole of a PNG to look for EXIF data behind the pixels.
    if picture.format == "PNG" and "exif" not in picture.info:
        return False
    return picture.getexif().get(_ORIENTATION) in _TURNED


def _upright(picture: Image.Image) -> Image.Image:
    has_exif = _ORIENTATION in picture.getexif()
    # Without, Pillow would return a copy.
    return ImageOps.exif_transpose(picture) if has_exif else picture


def _raw_mode(picture: Image.Image) -> str:
    """Returns the pixel format in the file, which Pillow's mode does not always tell."""
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile:
        return picture.mode
    arguments = picture.tile[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _is_16_bit(picture: Image.Image) -> bool:
    return ";16" in _raw_mode(picture) or picture.mode.startswith("I;16")


def _grey_stretch(picture: Image.Image) -> int:
    # Pillow stretches 2 and 4 bits of grey to 0..255.
    raw_mode = _raw_mode(picture)
    return {"L;2": 85, "L;4": 17}.get(raw_mode.removesuffix("R").removesuffix("I"), 1)


def _gif_values(picture: Image.Image) -> np.ndarray:
    """Returns a GIF's grey values if all of its colours are grey, else its indices.

    GIF knows no grey, and whoever writes one numbers its colours anew.
    """
    colors = np.asarray(picture.convert("RGB"))
    is_grey = (colors == colors[..., :1]).all()
    return colors[..., 0] if is_grey else np.asarray(picture)


def _pixels_16_bit(path: str, picture: Image.Image) -> np.ndarray:
    """Decodes 16 bits a channel, ``(height, width, channels)``."""
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)[..., np.newaxis]
    if picture.format != "PNG":
        raise ValueError(
            "Colour pictures of 16 bits must be PNG. "
            f"Received: a {picture.format} of mode '{_raw_mode(picture)}', '{path}'. Convert it."
        )
    return _png_pixels(path, 0, tf.uint16)  # Pillow drops the lower eight bits of colours.


def _is_plain_png(picture: Image.Image) -> bool:
    """Returns whether TensorFlow reads a file as it is; it does so faster than Pillow."""
    return (
        picture.format == "PNG"
        and picture.mode in ("L", "LA", "RGB", "RGBA")
        and _raw_mode(picture) == picture.mode
        and not {"transparency", "exif"} & picture.info.keys()
    )


def _png_pixels(path: str, channels: int, dtype: tf.DType) -> np.ndarray:
    """Decodes a PNG, ``(height, width, channels)``; its own channels where that is 0."""
    try:
        pixels = tf.io.decode_png(tf.io.read_file(path), channels=channels, dtype=dtype)
    except tf.errors.InvalidArgumentError as error:
        raise OSError("broken or truncated PNG data") from error
    return np.asarray(pixels.numpy())


def _convert_16_bit(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Converts between grey and colour, with and without alpha."""
    present = pixels.shape[2]
    alpha = pixels[..., -1:] if present in (2, 4) else np.full_like(pixels[..., :1], 65535)
    color = pixels[..., :-1] if present in (2, 4) else pixels
    if channels <= 2 and color.shape[2] == 3:
        # ITU-R 601-2 luma, as Pillow for 8 bits.
        luma = color.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        color = np.rint(luma)[..., np.newaxis].astype(np.uint16)
    elif channels >= 3 and color.shape[2] == 1:
        color = np.repeat(color, 3, axis=2)
    return np.concatenate([color, alpha], axis=2) if channels in (2, 4) else color


def _shrink_jpeg(picture: Image.Image, at_least: tuple[int, int]) -> None:
    """Has a JPEG decoded at a fraction of its size where that shifts nothing."""
    if picture.format != "JPEG":
        return
    height, width = at_least
    if _is_turned(picture):
        height, width = width, height
    for scale in (8, 4, 2):
        fits = picture.height >= scale * height and picture.width >= scale * width
        # Otherwise the last row or column would stand for less than the others.
        if fits and picture.height % scale == 0 and picture.width % scale == 0:
            picture.draft(picture.mode, (picture.width // scale, picture.height // scale))
            return
