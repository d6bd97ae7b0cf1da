"""A picture file, opened once: first what it says of itself, then the numbers in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2.data.header import Header
from unetv2.data.pixels import (
    convert_16_bit,
    converted,
    correct_bmp,
    gray_bits,
    grey_stretch,
    is_16_bit,
    is_plain_png,
    palette_of,
    png_pixels,
    raw_mode,
    require_channels,
    require_colors_vary,
    require_lossless,
    require_whole_tiff,
    what_it_is,
)
from unetv2.data.turning import is_sideways, orientation_of, turned

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")

_IMAGE_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


class PictureFile:
    """An open picture file. What it holds is asked for once: Pillow then knows less of the file.

    Args:
        path: str. Its path, for messages.
        picture: What Pillow makes of it, not loaded yet.

    Attributes:
        header: Header. What the file says of itself.
        gray_bits: int. Bits of a gray value in the file, 8 also for what has more.
    """

    def __init__(self, path: str, picture: Image.Image) -> None:
        self._path = path
        self._picture = picture
        self._orientation = orientation_of(picture)
        self._deep = is_16_bit(picture)
        self.gray_bits = gray_bits(picture)
        height, width = picture.height, picture.width
        if is_sideways(self._orientation):
            height, width = width, height
        self.header = Header(
            picture.format or "", picture.mode, (height, width), 16 if self._deep else 8
        )

    def require_image(self, channels: int) -> None:
        """Raises a ValueError unless the file can give an image of so many channels."""
        require_channels(self._path, self._picture, channels)

    def require_mask(self) -> None:
        """Raises a ValueError if the file loses something, as no mask may."""
        require_lossless(self._path, self._picture)

    def image(
        self, channels: int, *, at_least: tuple[int, int] | None = None, spare: bool = False
    ) -> np.ndarray:
        """Returns an image; see :func:`unetv2.data.decoding.decode_image`."""
        picture = self._picture
        self.require_image(channels)
        if picture.mode in ("I", "F", "LAB", "HSV"):
            raise ValueError(
                "Images must be grey, RGB or CMYK, of up to 16 bits. "
                f"Received: mode '{picture.mode}' in '{self._path}'. Convert it."
            )
        if self._deep:
            return self._upright(convert_16_bit(self._pixels_16_bit(), channels))
        if is_plain_png(picture) and (channels >= 3 or (channels, picture.mode) == (1, "L")):
            stored = spare and (channels, picture.mode) == (3, "RGBA")
            return png_pixels(self._path, 0 if stored else channels, tf.uint8)
        if at_least is not None:
            self._shrink_jpeg(at_least)
        pixels = self._upright(np.asarray(converted(picture, _IMAGE_MODES[channels])))
        return pixels[..., np.newaxis] if channels == 1 else pixels

    def mask(self, *, spare: bool = False) -> np.ndarray:
        """Returns the numbers in a mask; see :func:`unetv2.data.decoding.decode_mask`."""
        self.require_mask()
        if self._picture.mode in ("RGB", "RGBA", "LA") and self._deep:
            values = self._pixels_16_bit()
        elif is_plain_png(self._picture):
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
            elif not (spare and is_plain_png(self._picture)):
                values = values[..., :3]
        else:
            self._require_palette_varies(values)
        return self._upright(values)

    def colors(self) -> np.ndarray:
        """Returns a mask's colours; see :func:`unetv2.data.decoding.decode_colors`."""
        self.require_mask()
        if self._deep or self._picture.mode in ("I", "F"):
            raise ValueError(
                f"Masks of colours must have 8 bits. Received: '{self._path}'. Convert it."
            )
        picture = self._picture
        if picture.mode in ("P", "PA", "LA", "RGBA") or "transparency" in picture.info:
            pixels = np.asarray(converted(picture, "RGBA"))
            require_colors_vary(self._path, pixels[..., :3].reshape(-1, 3), pixels[..., 3].ravel())
            return self._upright(pixels[..., :3])
        return self._upright(np.asarray(converted(picture, "RGB")))

    def palette(self) -> np.ndarray:
        """Returns the colors of the indices that :meth:`mask` gives, uint8 ``(n, 3)``.

        Empty where it gives something else.
        """
        return palette_of(self._picture)

    def _require_palette_varies(self, indices: np.ndarray) -> None:
        """Raises if the indices of a palette differ by their transparency alone."""
        picture, colors = self._picture, self.palette()
        opacity = picture.info.get("transparency")
        if picture.mode == "PA" and indices.max() < len(colors):
            alpha = np.asarray(picture.getchannel("A"))
            require_colors_vary(self._path, colors[indices].reshape(-1, 3), alpha.ravel())
        if picture.mode != "P" or opacity is None:
            return
        # One index is transparent, or each has an opacity of its own.
        alphas = np.full(256, 255, np.uint8)
        if isinstance(opacity, bytes):
            alphas[: len(opacity)] = np.frombuffer(opacity, np.uint8)
        else:
            alphas[opacity] = 0
        found = np.unique(indices)
        if found[-1] < len(colors):
            require_colors_vary(self._path, colors[found], alphas[found])

    def _upright(self, pixels: np.ndarray) -> np.ndarray:
        return turned(pixels, self._orientation)

    def _plain_values(self) -> np.ndarray:
        """Returns the numbers in a mask that Pillow reads, ``(height, width[, channels])``."""
        picture = self._picture
        stretch = grey_stretch(picture)
        picture.load()
        if picture.mode == "PA":
            return np.asarray(picture.getchannel("P"))
        if picture.mode == "1":
            return np.asarray(picture).astype(np.uint8)
        if picture.mode not in ("L", "LA", "P", "I", "I;16", "I;16B", "RGB", "RGBA"):
            raise ValueError(
                "Masks must be grey, palette, RGB or RGBA. "
                f"Received: mode '{picture.mode}' in '{self._path}'. Convert it."
            )
        values = np.asarray(picture)
        return values // stretch if stretch > 1 else values

    def _pixels_16_bit(self) -> np.ndarray:
        """Decodes 16 bits a channel, ``(height, width, channels)``."""
        picture = self._picture
        if picture.mode.startswith("I;16"):
            return np.asarray(picture).astype(np.uint16)[..., np.newaxis]
        if picture.format != "PNG":
            raise ValueError(
                "Colour pictures of 16 bits must be PNG. Received: a "
                f"{picture.format} of mode '{raw_mode(picture)}', '{self._path}'. Convert it."
            )
        # Pillow drops the lower eight bits of colours.
        return png_pixels(self._path, 0, tf.uint16)

    def _shrink_jpeg(self, at_least: tuple[int, int]) -> None:
        """Has a JPEG decoded at a fraction of its size where that shifts nothing."""
        picture = self._picture
        if picture.format != "JPEG":
            return
        height, width = at_least
        if is_sideways(self._orientation):
            height, width = width, height
        for scale in (8, 4, 2):
            fits = picture.height >= scale * height and picture.width >= scale * width
            # Otherwise the last row or column would stand for less than the others.
            if fits and picture.height % scale == 0 and picture.width % scale == 0:
                picture.draft(picture.mode, (picture.width // scale, picture.height // scale))
                return


@contextmanager
def open_picture(path: str, max_pixels: int) -> Iterator[PictureFile]:
    """Opens a picture; whatever Pillow makes of a broken one becomes one clear error.

    Args:
        path: str. The file.
        max_pixels: int. Larger pictures are refused from their header.

    Yields:
        PictureFile.

    Raises:
        ValueError: If it is no picture or too large, or shows to be broken in the block.
    """
    try:
        # By its name Pillow would map uncompressed files, and misplace the pixels of turned TIFFs.
        with open(path, "rb") as file, Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                raise Image.DecompressionBombError(
                    f"{picture.height}x{picture.width} pixels by its header"
                )
            require_whole_tiff(picture)
            correct_bmp(path, picture)
            yield PictureFile(path, picture)
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
