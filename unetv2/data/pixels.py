"""Pixel formats that Pillow reads otherwise than they are, or slower than TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageFile


def raw_mode(picture: Image.Image) -> str:
    """Returns the pixel format in the file, which Pillow's mode does not always tell."""
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile:
        return picture.mode
    arguments = picture.tile[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def is_16_bit(picture: Image.Image) -> bool:
    """Returns whether a file has 16 bits a channel."""
    # BGR;16 is 16 bits a pixel, in BMP.
    stored = raw_mode(picture)
    return (";16" in stored and stored != "BGR;16") or picture.mode.startswith("I;16")


def is_plain_png(picture: Image.Image) -> bool:
    """Returns whether TensorFlow reads a file as it is; it does so faster than Pillow."""
    return (
        picture.format == "PNG"
        and picture.mode in ("L", "LA", "RGB", "RGBA")
        and raw_mode(picture) == picture.mode
        and not {"transparency", "exif"} & picture.info.keys()
    )


def png_pixels(path: str, channels: int, dtype: tf.DType) -> np.ndarray:
    """Decodes a PNG, ``(height, width, channels)``; its own channels where that is 0."""
    try:
        pixels = tf.io.decode_png(Path(path).read_bytes(), channels=channels, dtype=dtype)
    except tf.errors.InvalidArgumentError as error:
        raise OSError("broken or truncated PNG data") from error
    return np.asarray(pixels.numpy())


def convert_16_bit(pixels: np.ndarray, channels: int) -> np.ndarray:
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
