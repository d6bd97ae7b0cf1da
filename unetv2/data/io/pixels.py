"""Pixel formats that Pillow reads otherwise than they are, in part, or slower than TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from PIL import BmpImagePlugin, Image, ImageFile, UnidentifiedImageError

from unetv2.checksums import LFS_POINTER
from unetv2.data.io.containers import is_lossless_webp
from unetv2.data.io.npy import MAGIC
from unetv2.data.io.tiff import Tiff

# As Pillow calls a JPEG, and one with others behind it.
JPEGS = ("JPEG", "MPO")

_MOST_CHANNELS = 4
# Pillow's names of what it takes channel by channel; with alpha it multiplies colors by it.
_MODES = {1: "L", 3: "RGB", 4: "RGBX"}
PILLOWS_CHANNELS = tuple(_MODES)
_GREEN_AND_BLUE = 0xFFFF00
_MPO = 0xB002
# Five or six bits a color, which Pillow stretches to eight.
_STRETCHED = ("BGR;15", "BGR;16")


def raw_mode(image: Image.Image) -> str:
    """Returns the pixel format in the file, which Pillow's mode does not always tell."""
    if not isinstance(image, ImageFile.ImageFile) or not image.tile:
        return image.mode
    arguments = image.tile[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def is_16_bit(image: Image.Image) -> bool:
    """Returns whether a file has 16 bits a channel."""
    # BGR;16 is 16 bits a pixel, in BMP.
    stored = raw_mode(image)
    return (";16" in stored and stored != "BGR;16") or image.mode.startswith("I;16")


def gray_stretch(image: Image.Image) -> int:
    """Returns by how much Pillow multiplies the gray of a file of 2 or 4 bits."""
    stored = raw_mode(image)
    return {"L;2": 85, "L;4": 17}.get(stored.removesuffix("R").removesuffix("I"), 1)


def as_stored(path: str, values: np.ndarray, tiff: Tiff) -> np.ndarray:
    """Returns the numbers of a gray TIFF, ``(height, width)``, as they are in the file.

    Args:
        path: str. The file, for messages.
        values: What Pillow makes of them, of as many bytes.
        tiff: What the file's tags say.

    Returns:
        np.ndarray. uint8, uint16 or int32.

    Raises:
        ValueError: If one needs more than 32 bits with a sign.
    """
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    values = (values.byteswap() if tiff.swapped else values).view(tiff.dtype)
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype == np.uint32 and values.max() > np.iinfo(np.int32).max:
        raise ValueError(
            f"Mask ids must be in [0, {np.iinfo(np.int32).max}]. Received: {values.max()} in "
            f"'{path}'. Number the classes from 0."
        )
    return values.astype(np.int32)


def gray_bits(image: Image.Image) -> int:
    """Returns the bits of a gray value in the file, 8 also for what has more."""
    return 1 if image.mode == "1" else {85: 2, 17: 4}.get(gray_stretch(image), 8)


def palette_of(image: Image.Image) -> np.ndarray:
    """Returns a palette's colors, uint8 ``(n, 3)``, from the header alone; none without one."""
    palette = image.palette
    if image.mode not in ("P", "PA") or palette is None:
        return np.zeros((0, 3), np.uint8)
    # Pillow converts a palette to RGB only as it decodes the pixels; this one has one pixel.
    converter = Image.new("P", (1, 1))
    converter.putpalette(palette.palette, palette.rawmode or palette.mode)
    return np.array(converter.getpalette("RGB"), np.uint8).reshape(-1, 3)


def require_colors_vary(path: str, colors: np.ndarray, alpha: np.ndarray) -> None:
    """Raises a MaskError if a mask is drawn in the alpha channel alone.

    Args:
        path: str. The file.
        colors: One row for each pixel or palette index in use, ``(n, channels)``.
        alpha: Its opacity, ``(n,)``.
    """
    # Nearly always the first pixels differ already.
    for sample in (slice(None, None, max(1, len(colors) // 64)), slice(None)):
        if (colors[sample] != colors[0]).any():
            return
    if (alpha == alpha[0]).all():
        return
    color = tuple(colors[0].tolist())
    summary = f"alpha from {alpha.min()} to {alpha.max()}, and {color} everywhere"
    raise MaskError(
        "alpha_mask",
        "A mask must hold its labels in its gray or color channels. Received: "
        f"{summary} in '{path}', drawn in the alpha channel alone. Save that channel as the mask.",
        summary,
    )


def require_palette_varies(path: str, image: Image.Image, indices: np.ndarray) -> None:
    """Raises a MaskError if the indices of a palette differ by their transparency alone."""
    colors, opacity = palette_of(image), image.info.get("transparency")
    if image.mode == "PA" and indices.max() < len(colors):
        alpha = np.asarray(image.getchannel("A"))
        require_colors_vary(path, colors[indices].reshape(-1, 3), alpha.ravel())
    if image.mode != "P" or opacity is None:
        return
    # One index is transparent, or each has an opacity of its own.
    alphas = np.full(256, 255, np.uint8)
    if isinstance(opacity, bytes):
        alphas[: len(opacity)] = np.frombuffer(opacity, np.uint8)
    else:
        alphas[opacity] = 0
    found = np.unique(indices)
    if found[-1] < len(colors):
        require_colors_vary(path, colors[found], alphas[found])


def is_plain_png(image: Image.Image) -> bool:
    """Returns whether TensorFlow reads a file as it is; it does so faster than Pillow."""
    return (
        image.format == "PNG"
        and image.mode in ("L", "LA", "RGB", "RGBA")
        and raw_mode(image) == image.mode
        and "transparency" not in image.info
    )


def png_pixels(path: str, channels: int, dtype: tf.DType) -> np.ndarray:
    """Decodes a PNG, ``(height, width, channels)``, read-only; its own channels where that is 0."""
    try:
        # TensorFlow reads the file too: its bytes as a Python object would be copied twice. A name
        # that is no tensor yet would take it longer than a small file.
        data = tf.io.read_file(tf.constant(os.fsencode(path)))
        pixels = tf.io.decode_png(data, channels=channels, dtype=dtype)
    except tf.errors.InvalidArgumentError as error:
        raise OSError("broken or truncated PNG data") from error
    # The tensor's own memory; `numpy()` would copy it.
    return np.asarray(memoryview(pixels))


def is_pillows(pixels: np.ndarray) -> bool:
    """Returns whether :func:`as_image` takes ``(height, width, channels)``."""
    return pixels.dtype == np.uint8 and pixels.shape[2] in _MODES


def as_image(pixels: np.ndarray) -> Image.Image:
    """Returns uint8 ``(height, width, channels)`` for Pillow; one and four are not copied."""
    height, width, channels = pixels.shape
    mode = _MODES[channels]
    content = np.ascontiguousarray(pixels)
    return Image.frombuffer(mode, (width, height), content, "raw", mode, 0, 1)


def only_red(values: np.ndarray) -> np.ndarray | None:
    """Returns red, uint8, if green and blue are 0 in uint8 ``(height, width, 4)``; else None."""
    if values.ndim != 3 or values.shape[2] != 4 or values.dtype != np.uint8:
        return None
    # A pixel as one number, red in its lowest byte, is ten times as fast to go through.
    pixels = np.ascontiguousarray(values).view("<u4")[..., 0]
    if np.bitwise_or.reduce(pixels, axis=None) & _GREEN_AND_BLUE:
        return None
    return pixels.astype(np.uint8)


def converted(image: Image.Image, mode: str) -> Image.Image:
    """Returns an image in another of Pillow's modes."""
    if image.mode in ("P", "PA"):
        # Straight from a palette, Pillow loses transparency with a warning.
        image = image.convert("RGBA")
    return image.convert(mode)


def convert_16_bit(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Converts between gray and color, with and without alpha."""
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


def require_lossless(path: str, mask: Image.Image, file: BinaryIO) -> None:
    """Raises if a mask is stored with losses."""
    how = None
    if mask.format in JPEGS:
        how = "JPEG"
    elif mask.format == "TIFF" and mask.info.get("compression") in ("jpeg", "tiff_jpeg", "webp"):
        how = f"TIFF with {mask.info['compression']} compression"
    elif mask.format == "WEBP" and not is_lossless_webp(file):
        how = "lossy WebP"
    elif raw_mode(mask) in _STRETCHED:
        how = "BMP of 16 bits a pixel"
    if how is not None:
        raise ValueError(
            f"Masks must be stored without losses: {how} changes ids at every edge. "
            f"Received: '{path}'. Make it again from its source, as PNG."
        )


def require_channels(path: str, channels: int) -> None:
    """Raises unless an image's file can give the channels asked for."""
    if channels > _MOST_CHANNELS:
        raise ValueError(
            f"`channels` must be 1 to {_MOST_CHANNELS} for image files. "
            f"Received: channels={channels} and '{path}'. "
            "Store images of more channels as .npy arrays, (height, width, channels)."
        )


def require_one_image(path: str, image: Image.Image) -> None:
    """Raises for a file of several images or frames, of which Pillow reads the first."""
    count = 1
    if image.format == "MPO":
        # Thumbnails and gain maps belong to the first; other views and angles do not.
        kinds = [entry["Attribute"]["MPType"] for entry in getattr(image, "mpinfo", {})[_MPO]]
        count += sum(kind.startswith("Multi-Frame") for kind in kinds[1:])
    elif getattr(image, "is_animated", False):
        count = getattr(image, "n_frames", 2)
    if count > 1:
        raise ValueError(
            f"'{path}' must hold one image. Received: {count} frames. "
            "Split it into files of one image each."
        )


def correct_bmp(path: str, image: Image.Image) -> None:
    """Has Pillow read a BMP with a palette of grays by its own bits a pixel, or raises.

    Pillow takes black and white for 1 bit and other grays for 8, whatever the header says.
    """
    if not isinstance(image, BmpImagePlugin.BmpImageFile) or image.mode not in ("1", "L"):
        return
    with open(path, "rb") as file:
        start = file.read(30)
    # An older header has shorter sizes.
    place = 24 if start[14] == 12 else 28
    bits = int.from_bytes(start[place : place + 2], "little")
    if bits == (1 if image.mode == "1" else 8):
        return
    (tile,) = image.tile
    if bits != 8 or tile.codec_name != "raw" or not isinstance(tile.args, tuple):
        raise UnidentifiedImageError(f"a palette of grays, and {bits} bits a pixel")
    image.tile = [tile._replace(args=("1;8", *tile.args[1:]))]


def shrink_jpeg(image: Image.Image, at_least: tuple[int, int]) -> None:
    """Has a JPEG decoded at a fraction of its size where that shifts nothing.

    Args:
        image: What Pillow makes of it, not loaded yet.
        at_least: ``(height, width)`` that it keeps, as they are in the file.
    """
    if image.format not in JPEGS:
        return
    height, width = at_least
    for scale in (8, 4, 2):
        fits = image.height >= scale * height and image.width >= scale * width
        # Otherwise the last row or column would stand for less than the others.
        if fits and image.height % scale == 0 and image.width % scale == 0:
            image.draft(image.mode, (image.width // scale, image.height // scale))
            return


def what_it_is(path: str) -> str:
    """Returns what to do with a file that Pillow does not read, a sentence."""
    with open(path, "rb") as file:
        start = file.read(len(LFS_POINTER))
    if start.startswith(MAGIC):
        return "It is a NumPy array: give it the extension .npy."
    if start == LFS_POINTER:
        return "It is a pointer of Git LFS: run `git lfs pull`."
    return "Replace the file, or remove it together with its partner."


class MaskError(ValueError):
    """A mask that cannot be read as labels.

    Args:
        kind: str. The kind of problem, as :func:`unetv2.check_dataset` reports it.
        message: str. The whole text, which names the file.
        summary: str. What was found, without the file and the advice.
        where: bool array or None. The pixels concerned; None for all of them.
    """

    def __init__(
        self, kind: str, message: str, summary: str, where: np.ndarray | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.summary = summary
        self.where = where


@contextmanager
def for_callers() -> Iterator[None]:
    """Makes a MaskError the plain ValueError that callers of the library are promised."""
    try:
        yield
    except MaskError as error:
        raise ValueError(str(error)) from None
