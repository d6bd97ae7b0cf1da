"""Image files that Pillow opens: PNG, JPEG, BMP, GIF and WebP.

Pillow changes the values of some pixel formats or reads them incompletely. These are decoded
otherwise here, or are errors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

import numpy as np
import tensorflow as tf
from PIL import BmpImagePlugin, Image, UnidentifiedImageError
from PIL import ImageFile as PillowImageFile

from unetv2.checksums import LFS_POINTER
from unetv2.data.io.base import FileKind, Header, ImageFile, MaskError, swaps_sides, upright
from unetv2.data.io.containers import (
    exif_orientation,
    is_lossless_webp,
    png_orientation,
    require_few_scans,
    require_intact_png,
)
from unetv2.data.io.npy import MAGIC

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
# Pillow's formats of a JPEG, and of a JPEG that contains several images.
_JPEGS = ("JPEG", "MPO")
_PNG = b"\x89PNG"
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_MPO_INDEX = 0xB002
# Pillow stretches five or six bits per color to eight.
_STRETCHED_BMPS = ("BGR;15", "BGR;16")

# Pillow's modes without conversion; in "RGBA" it multiplies colors by alpha.
_PLAIN_MODES = {1: "L", 3: "RGB", 4: "RGBX"}
PILLOW_CHANNELS = tuple(_PLAIN_MODES)


class PillowFile(ImageFile):
    """An image file opened by Pillow.

    Args:
        path: str. Its path.
        file: The open file.
        image: Pillow's image, not loaded yet.
        orientation: int. The EXIF orientation, 1 to 8.
        mode: str or None. The mode in the header; None uses Pillow's.
    """

    def __init__(
        self,
        path: str,
        file: BinaryIO,
        image: Image.Image,
        orientation: int,
        mode: str | None = None,
    ) -> None:
        self.path = path
        self._file = file
        self._image = image
        self._orientation = orientation
        self._raw_mode = _raw_mode(image)
        # BGR;16 is 16 bits per pixel.
        self._is_16_bit = (
            ";16" in self._raw_mode and self._raw_mode != "BGR;16"
        ) or image.mode.startswith("I;16")
        # Pillow multiplies gray values of 2 and 4 bits by this.
        name = self._raw_mode.removesuffix("R").removesuffix("I")
        self._gray_factor = {"L;2": 85, "L;4": 17}.get(name, 1)
        self.gray_bits = 1 if image.mode == "1" else {85: 2, 17: 4}.get(self._gray_factor, 8)
        height, width = image.height, image.width
        if swaps_sides(orientation):
            height, width = width, height
        name = "JPEG" if image.format in _JPEGS else image.format or ""
        bits = 16 if self._is_16_bit else 8
        self.header = Header(name, mode or image.mode, (height, width), bits, orientation)

    def require_image(self, channels: int) -> None:
        """Raises a ValueError unless the file can be converted to that number of channels."""
        if channels > max(_MODES):
            raise ValueError(
                f"`channels` must be 1 to {max(_MODES)} for image files. "
                f"Received: channels={channels} and '{self.path}'. "
                "Store images with more channels as .npy arrays, (height, width, channels)."
            )
        if self._image.mode in ("LAB", "HSV") or not self._is_unsigned():
            raise ValueError(
                "Images must be gray, RGB or CMYK, of up to 16 bits. "
                f"Received: mode '{self.header.mode}' in '{self.path}'. Convert it."
            )

    def require_mask(self) -> None:
        """Raises a ValueError if the file's compression is lossy."""
        lossy = self._lossy_compression()
        if lossy is not None:
            raise ValueError(
                f"Masks must be stored losslessly: {lossy} changes ids at every edge. "
                f"Received: '{self.path}'. Create it again from its source, as PNG."
            )

    def image(
        self,
        channels: int | None,
        *,
        at_least: tuple[int, int] | None = None,
        keep_alpha: bool = False,
    ) -> np.ndarray:
        """Decodes an image; see :func:`unetv2.data.io.open.decode_image`."""
        image = self._image
        channels = 3 if channels is None else channels
        self.require_image(channels)
        self._require_intact()
        if self._is_16_bit:
            return self._visible(_convert_16_bit(self._pixels_16_bit(for_image=True), channels))
        if self._is_plain_png() and (channels >= 3 or (channels, image.mode) == (1, "L")):
            as_is = keep_alpha and (channels, image.mode) == (3, "RGBA")
            return self._upright(_decode_png(self.path, 0 if as_is else channels, tf.uint8))
        if at_least is not None:
            self._shrink_jpeg(at_least[::-1] if swaps_sides(self._orientation) else at_least)
        pixels = np.asarray(_convert(image, _MODES[channels]))
        return self._visible(pixels[..., np.newaxis] if channels == 1 else pixels)

    def mask(self, *, keep_alpha: bool = False) -> np.ndarray:
        """Decodes the values of a mask; see :func:`unetv2.data.io.open.decode_mask`."""
        self.require_mask()
        self._require_intact()
        is_plain = self._is_plain_png()
        if self._image.mode in ("RGB", "RGBA", "LA") and self._is_16_bit:
            values = self._pixels_16_bit()
        elif is_plain:
            values = _decode_png(self.path, 0, tf.uint8)
        else:
            values = self._mask_values()
        if values.ndim == 2:
            self._require_varying_palette(values)
            return self._upright(values)
        channels = values.shape[2]
        if channels in (2, 4):
            pixels = values.reshape(-1, channels)
            _require_varying_colors(self.path, pixels[:, :-1], pixels[:, -1])
        if channels < 3:
            values = values[..., 0]
        elif not (keep_alpha and is_plain):
            values = values[..., :3]
        return self._upright(values)

    def colors(self) -> np.ndarray:
        """Decodes the colors of a mask; see :func:`unetv2.data.io.open.decode_colors`."""
        self.require_mask()
        self._require_intact()
        if self._is_16_bit or not self._is_unsigned():
            raise ValueError(
                f"Masks of colors must have 8 bits. Received: '{self.path}'. Convert it."
            )
        image = self._image
        if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
            pixels = np.asarray(_convert(image, "RGBA"))
            colors, alpha = pixels[..., :3], pixels[..., 3]
            _require_varying_colors(self.path, colors.reshape(-1, 3), alpha.ravel())
            return self._upright(colors)
        return self._upright(np.asarray(_convert(image, "RGB")))

    def palette(self) -> np.ndarray:
        """Returns the colors of the indices that :meth:`mask` returns, uint8 ``(n, 3)``.

        ``n`` is 0 where it does not return indices.
        """
        palette = self._image.palette
        if self._image.mode not in ("P", "PA") or palette is None:
            return np.zeros((0, 3), np.uint8)
        # Pillow converts a palette to RGB only when it decodes the pixels; here it is one pixel.
        converter = Image.new("P", (1, 1))
        converter.putpalette(palette.palette, palette.rawmode or palette.mode)
        return np.array(converter.getpalette("RGB"), np.uint8).reshape(-1, 3)

    def _is_unsigned(self) -> bool:
        """Returns whether values are unsigned, of up to 16 bits."""
        return self._image.mode not in ("I", "F")

    def _lossy_compression(self) -> str | None:
        if self._image.format in _JPEGS:
            return "JPEG"
        if self._image.format == "WEBP" and not is_lossless_webp(self._file):
            return "lossy WebP"
        return "BMP of 16 bits per pixel" if self._raw_mode in _STRETCHED_BMPS else None

    def _require_intact(self) -> None:
        """Raises an OSError if the file is damaged or has too many scans."""
        # Pillow continues to read at this position.
        position = self._file.tell()
        if self._image.format == "PNG":
            require_intact_png(self._file)
        elif self._image.format in _JPEGS:
            require_few_scans(self._file)
        self._file.seek(position)

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        return upright(pixels, self._orientation)

    def _visible(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the decoded pixels upright, with white as the largest value."""
        return self._upright(pixels)

    def _mask_values(self) -> np.ndarray:
        """Returns the values of a mask that Pillow decodes, ``(height, width[, channels])``."""
        image = self._image
        image.load()
        if image.mode == "PA":
            return np.asarray(image.getchannel("P"))
        if image.mode == "1":
            return np.asarray(image).astype(np.uint8)
        if image.mode not in ("L", "LA", "P", "I", "I;16", "I;16B", "RGB", "RGBA"):
            self._refuse_mask()
        values = np.asarray(image)
        return values // self._gray_factor if self._gray_factor > 1 else values

    def _refuse_mask(self) -> NoReturn:
        raise ValueError(
            "Masks must be gray, palette, RGB or RGBA. "
            f"Received: mode '{self._image.mode}' in '{self.path}'. Convert it."
        )

    def _pixels_16_bit(self, *, for_image: bool = False) -> np.ndarray:
        """Decodes 16 bits per channel, ``(height, width, channels)``."""
        image = self._image
        if image.mode.startswith("I;16"):
            return np.asarray(image).astype(np.uint16)[..., np.newaxis]
        if image.format != "PNG":
            raise ValueError(
                "Color images of 16 bits must be PNG. Received: a "
                f"{image.format} of mode '{self._raw_mode}', '{self.path}'. Convert it."
            )
        # Pillow drops the lower eight bits of colors.
        return _decode_png(self.path, 0, tf.uint16)

    def _is_plain_png(self) -> bool:
        """Returns whether TensorFlow, which is faster, decodes the same values as Pillow."""
        image = self._image
        return (
            image.format == "PNG"
            and image.mode in ("L", "LA", "RGB", "RGBA")
            and self._raw_mode == image.mode
            and "transparency" not in image.info
        )

    def _shrink_jpeg(self, at_least: tuple[int, int]) -> None:
        """Lets Pillow decode a JPEG at a fraction of its size if that does not shift the image."""
        image, (height, width) = self._image, at_least
        if image.format not in _JPEGS:
            return
        for scale in (8, 4, 2):
            fits = image.height >= scale * height and image.width >= scale * width
            # Otherwise the last row or column would represent a smaller area than the others.
            if fits and image.height % scale == 0 and image.width % scale == 0:
                image.draft(image.mode, (image.width // scale, image.height // scale))
                return

    def _require_varying_palette(self, indices: np.ndarray) -> None:
        """Raises a MaskError if palette indices differ only by their transparency."""
        image = self._image
        colors, opacity = self.palette(), image.info.get("transparency")
        if image.mode == "PA" and indices.max() < len(colors):
            alpha = np.asarray(image.getchannel("A"))
            _require_varying_colors(self.path, colors[indices].reshape(-1, 3), alpha.ravel())
        if image.mode != "P" or opacity is None:
            return
        # Either one index is transparent, or each has its own opacity.
        alphas = np.full(256, 255, np.uint8)
        if isinstance(opacity, bytes):
            alphas[: len(opacity)] = np.frombuffer(opacity, np.uint8)
        else:
            alphas[opacity] = 0
        used = np.unique(indices)
        if used[-1] < len(colors):
            _require_varying_colors(self.path, colors[used], alphas[used])


@contextmanager
def open_pillow(path: str, max_pixels: int) -> Iterator[ImageFile]:
    """Opens an image file; see :class:`unetv2.data.io.base.FileKind`."""
    # Given a path, Pillow would memory-map uncompressed files, and shift the pixels of some.
    with image_errors(path, max_pixels), open(path, "rb") as file:
        is_png = file.read(len(_PNG)) == _PNG
        orientation = png_orientation(file) if is_png else None
        with pillow_image(file, FORMATS, max_pixels) as image:
            _require_one_image(path, image)
            _correct_bmp(file, image)
            yield PillowFile(path, file, image, orientation or exif_orientation(image))


# The empty signature matches all files: Pillow recognizes its formats itself.
PILLOW = FileKind((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"), (b"",), open_pillow)


@contextmanager
def pillow_image(
    file: BinaryIO, formats: tuple[str, ...], max_pixels: int
) -> Iterator[Image.Image]:
    """Opens an image of limited size with Pillow."""
    file.seek(0)
    with Image.open(file, formats=formats) as image:
        if image.width * image.height > max_pixels:
            raise Image.DecompressionBombError(f"{image.height}x{image.width} pixels by its header")
        yield image


@contextmanager
def image_errors(path: str, max_pixels: int) -> Iterator[None]:
    """Converts errors of decoders to a ValueError that names the file."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"'{path}' must have at most `max_pixels`={max_pixels} pixels. "
            f"Received: {error}. Raise `max_pixels` if the image is meant to be that large; "
            "beyond 178956970 pixels raise `PIL.Image.MAX_IMAGE_PIXELS` as well."
        ) from error
    # Damaged files raise any exception in decoders.
    except Exception as error:
        if isinstance(error, ValueError) and f"'{path}'" in str(error):
            raise
        raise ValueError(
            f"'{path}' must be a readable image ({', '.join((*FORMATS, 'TIFF'))}). "
            f"Received: {os.path.getsize(path)} bytes that are not a valid image "
            f"({str(error) or type(error).__name__}). {_advice_for_unreadable(path)}"
        ) from error


def _advice_for_unreadable(path: str) -> str:
    with open(path, "rb") as file:
        start = file.read(len(LFS_POINTER))
    if start.startswith(MAGIC):
        return "It is a NumPy array: give it the extension .npy."
    if start == LFS_POINTER:
        return "It is a pointer of Git LFS: run `git lfs pull`."
    return "Replace the file, or remove it together with its partner."


def is_pillow_compatible(pixels: np.ndarray) -> bool:
    """Returns whether :func:`as_pillow` supports dtype and channels of an image."""
    return pixels.dtype == np.uint8 and pixels.shape[2] in _PLAIN_MODES


def as_pillow(pixels: np.ndarray) -> Image.Image:
    """Converts uint8 ``(height, width, channels)`` to Pillow, if possible without a copy."""
    height, width, channels = pixels.shape
    mode = _PLAIN_MODES[channels]
    content = np.ascontiguousarray(pixels)
    return Image.frombuffer(mode, (width, height), content, "raw", mode, 0, 1)


def _raw_mode(image: Image.Image) -> str:
    """Returns the pixel format of the file, which may differ from Pillow's mode."""
    if not isinstance(image, PillowImageFile.ImageFile) or not image.tile:
        return image.mode
    arguments = image.tile[0][3]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _decode_png(path: str, channels: int, dtype: tf.DType) -> np.ndarray:
    """Decodes a PNG, ``(height, width, channels)``, read-only; 0 keeps the file's channels."""
    try:
        # Bytes that Python reads would be copied twice. `read_file` converts a path to a tensor
        # more slowly than it reads a small file.
        data = tf.io.read_file(tf.constant(os.fsencode(path)))
        pixels = tf.io.decode_png(data, channels=channels, dtype=dtype)
    except tf.errors.InvalidArgumentError as error:
        raise OSError("broken or truncated PNG data") from error
    # Without a copy, unlike `numpy()`.
    return np.asarray(memoryview(pixels))


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in ("P", "PA"):
        # Directly from a palette, Pillow loses transparency with a warning.
        image = image.convert("RGBA")
    return image.convert(mode)


def _convert_16_bit(pixels: np.ndarray, channels: int) -> np.ndarray:
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


def _require_varying_colors(path: str, colors: np.ndarray, alpha: np.ndarray) -> None:
    """Raises a MaskError if a mask is drawn in the alpha channel alone.

    Args:
        path: str. The file.
        colors: One row for each pixel or used palette index, ``(n, channels)``.
        alpha: Its opacity, ``(n,)``.
    """
    # In nearly all masks, the colors of a small sample already differ.
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


def _require_one_image(path: str, image: Image.Image) -> None:
    """Raises a ValueError for a file of several images, of which Pillow reads the first."""
    count = 1
    if image.format == "MPO":
        # Thumbnails and gain maps are parts of the first image; other views are not.
        kinds = [entry["Attribute"]["MPType"] for entry in getattr(image, "mpinfo", {})[_MPO_INDEX]]
        count += sum(kind.startswith("Multi-Frame") for kind in kinds[1:])
    elif getattr(image, "is_animated", False):
        count = getattr(image, "n_frames", 2)
    if count > 1:
        raise ValueError(
            f"'{path}' must hold one image. Received: {count} frames. "
            "Split it into files of one image each."
        )


def _correct_bmp(file: BinaryIO, image: Image.Image) -> None:
    """Corrects the bits per pixel of a BMP with a gray palette, or raises an error.

    Pillow ignores the header, and assumes 1 bit for black and white and 8 bits for other grays.
    """
    if not isinstance(image, BmpImagePlugin.BmpImageFile) or image.mode not in ("1", "L"):
        return
    position = file.tell()
    file.seek(0)
    start = file.read(30)
    file.seek(position)
    # The oldest header has shorter sizes.
    offset = 24 if start[14] == 12 else 28
    bits = int.from_bytes(start[offset : offset + 2], "little")
    if bits == (1 if image.mode == "1" else 8):
        return
    (tile,) = image.tile
    if bits != 8 or tile.codec_name != "raw" or not isinstance(tile.args, tuple):
        raise UnidentifiedImageError(f"a palette of grays, and {bits} bits per pixel")
    image.tile = [tile._replace(args=("1;8", *tile.args[1:]))]
