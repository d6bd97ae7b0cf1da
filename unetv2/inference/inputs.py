"""Images of any kind, and how they are resized or tiled for a network."""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.arguments import require_image_size
from unetv2.data.io.npy import ArrayHeader, array_header, is_array
from unetv2.data.io.open import decode_image, read_header
from unetv2.data.preprocess import Geometry, pixels_needed, resize_image
from unetv2.inference.network import Network
from unetv2.inference.tiling import reflected
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing
from unetv2.text import printable

# Values of a float array whose range is checked together.
_VALUES_AT_ONCE = 2**24
_ANY = 2**62
# Larger images are tiled by default: a U-Net needs about 1 kB per pixel.
_LARGEST_WHOLE = 2**21
_WINDOW = 1024
# Most networks that do not support every size need multiples of this.
_MULTIPLE = 32

_log = logging.getLogger("unetv2")
_warned_models: weakref.WeakSet[Any] = weakref.WeakSet()


class StoredRows:
    """An array ``(height, width, channels)`` in a file, whose rows are read on access.

    A memory map would count as memory of the process until the system reclaims it.
    """

    def __init__(
        self, path: str, shape: tuple[int, int, int], dtype: np.dtype[Any], offset: int
    ) -> None:
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self._path, self._stored, self._offset = path, dtype, offset

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Returns the rows of a slice, ``(rows, width, channels)``."""
        start, stop, _ = rows.indices(self.shape[0])
        width = math.prod(self.shape[1:])
        offset = self._offset + start * width * self.dtype.itemsize
        count = (stop - start) * width
        values = np.fromfile(self._path, self._stored, count, offset=offset)
        if values.size != count:
            raise ValueError(
                f"'{self._path}' must not change while it is read. "
                f"Received: {values.size} of {count} numbers. Write it again."
            )
        return values.astype(self.dtype, copy=False).reshape(stop - start, *self.shape[1:])


Pixels = np.ndarray | StoredRows


class InputImage:
    """An image to predict: a path or an array, see :meth:`unetv2.Predictor.predict`.

    Attributes:
        size: ``(height, width)``.
        path: str or None. Its file, also that of a memory map.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not an image, empty, or has other channels or values.
        TypeError: If it is neither a path nor an array of numbers.
    """

    def __init__(self, image: Any, *, channels: int, max_pixels: int = _ANY) -> None:
        self._channels, self._max_pixels = channels, max_pixels
        self.path: str | None = None
        self._pixels: Pixels | None = None
        if not isinstance(image, str | os.PathLike):
            self._pixels = _array(image, channels)
            if isinstance(image, np.memmap) and image.filename is not None:
                self.path = os.fspath(image.filename)
            self.size: tuple[int, int] = self._pixels.shape[:2]
            return
        self.path = os.fspath(image)
        if not os.path.lexists(self.path):
            raise FileNotFoundError(
                f"`image` must be a file. Received: '{self.path}', which does not exist. "
                "Check the path."
            )
        if not is_array(self.path):
            self.size = read_header(self.path, max_pixels, channels=channels).size
            return
        # Arrays are read row by row, so any size is allowed.
        header = array_header(self.path, _ANY, channels=channels)
        self.size = header.size
        self._pixels = _stored(self.path, header, channels)

    def pixels(self, at_least: tuple[int, int] | None = None) -> Pixels:
        """Returns the pixels, ``(height, width, channels)``, uint8, uint16 or float.

        A file may be decoded at a reduced size of ``at_least`` ``(height, width)``.
        """
        if self._pixels is not None:
            return self._pixels
        assert self.path is not None
        return decode_image(
            self.path, channels=self._channels, max_pixels=self._max_pixels, at_least=at_least
        )


def _stored(path: str, header: ArrayHeader, channels: int) -> Pixels:
    if header.fortran:
        return decode_image(path, channels=channels, max_pixels=_ANY)
    return StoredRows(path, (*header.size, header.channels), header.dtype, header.offset)


def _array(image: Any, channels: int) -> Pixels:
    array = image if isinstance(image, np.ndarray) else np.asarray(image)
    if array.dtype.kind == "O":
        raise TypeError(
            "`image` must be a path, an array or a list of these. "
            f"Received: {type(image).__name__}. Pass pixels as a NumPy array."
        )
    if array.ndim not in (2, 3) or not array.size:
        raise ValueError(
            "`image` must be (height, width) or (height, width, channels), no side of 0. "
            f"Received: an array of shape {array.shape}. "
            "Pass several images as a list."
        )
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.shape[2] != channels:
        raise ValueError(
            f"`image` must have the model's number of channels, {channels}. "
            f"Received: an array of shape {np.shape(image)}. {_channel_advice(array, channels)}"
        )
    if array.dtype in (np.uint8, np.uint16):
        return _as_stored_rows(array)
    if array.dtype.kind != "f":
        raise TypeError(
            "`image` must be uint8, uint16 or float in [0, 1]. "
            f"Received: {array.dtype}. Convert it, as by `image.astype(np.uint8)`."
        )
    _require_range(array)
    return array


def _channel_advice(array: np.ndarray, channels: int) -> str:
    if array.shape[0] == channels:
        return "Channels come last: pass `np.moveaxis(image, 0, -1)`."
    if array.shape[2] == 1:
        return f"Pass `np.repeat(image.reshape(*image.shape[:2], 1), {channels}, axis=2)`."
    return f"Pass `image[..., :{channels}]` to use the first channels."


def _require_range(array: np.ndarray) -> None:
    rows = max(1, _VALUES_AT_ONCE // math.prod(array.shape[1:]))
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        low, high = part.min(), part.max()
        # Also false for NaN.
        if not (low >= 0 and high <= 1):
            raise ValueError(
                "`image` of floats must hold numbers in [0, 1]. "
                f"Received: values from {low:g} to {high:g} in rows {start} to "
                f"{start + len(part) - 1}. Divide 8-bit values by 255."
            )


def _as_stored_rows(array: np.ndarray) -> Pixels:
    """Returns a memory map of a whole file as `StoredRows`, and other arrays unchanged."""
    path = getattr(array, "filename", None)
    if path is None or not isinstance(array, np.memmap) or array.mode == "c":
        return array
    # A slice of a map has the map's offset but a smaller size; a transposed one is not contiguous.
    whole = array.offset + array.nbytes == Path(path).stat().st_size
    if not whole or not array.flags.c_contiguous:
        return array
    if array.mode != "r":
        array.flush()
    height, width, channels = array.shape
    return StoredRows(os.fspath(path), (height, width, channels), array.dtype, array.offset)


class PreparedImage:
    """An image of size ``(height, width)`` at a network's scale, from which tiles are read."""

    def __init__(
        self,
        pixels: Pixels,
        geometry: Geometry,
        interpolation: str,
        value_range: tuple[float, float],
    ) -> None:
        if geometry != (pixels.shape[:2], pixels.shape[:2]):
            pixels = resize_image(np.asarray(pixels[:]), geometry, interpolation)
        self._pixels = pixels
        self._low, self._high = value_range
        self._rows: tuple[int, int, np.ndarray] | None = None
        self.size = geometry.size

    def whole(self) -> np.ndarray:
        """Returns the image, float32 ``(height, width, channels)``."""
        return self._scaled(np.asarray(self._pixels[:]))

    def tile(self, start: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Returns a tile, float32 ``(height, width, channels)``, padded by reflection.

        Its first ``(row, column)`` is negative in the padding.
        """
        rows, columns = (
            reflected(first, count, length)
            for first, count, length in zip(start, size, self.size, strict=True)
        )
        top, bottom = int(rows.min()), int(rows.max()) + 1
        # All tiles in a row of the grid share these rows of pixels.
        if self._rows is None or self._rows[:2] != (top, bottom):
            self._rows = top, bottom, np.asarray(self._pixels[top:bottom])
        pixels = self._rows[2]
        left, right = int(columns.min()), int(columns.max()) + 1
        if (bottom - top, right - left) == size:
            return self._scaled(pixels[:, left:right])
        return self._scaled(pixels[rows - top][:, columns])

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        """Returns float32 values, identical to those of `make_dataset`."""
        values = pixels.astype(np.float32)
        if pixels.dtype.kind != "f":
            values /= np.float32(np.iinfo(pixels.dtype).max)
        if (self._low, self._high) != (0.0, 1.0):
            values *= np.float32(self._high - self._low)
            values += np.float32(self._low)
        return values


def unpadded(geometry: Geometry) -> tuple[slice, slice]:
    """Returns the slices of the image within its padding."""
    rows, columns = (
        slice((whole - part) // 2, (whole - part) // 2 + part)
        for whole, part in zip(geometry.size, geometry.resized, strict=True)
    )
    return rows, columns


@dataclass(frozen=True)
class InputPlan:
    """Resizing to the network's scale, and the ``(height, width)`` of tiles if it is tiled."""

    geometry: Geometry
    window: tuple[int, int] | None

    @property
    def input_size(self) -> tuple[int, int]:
        """``(height, width)`` of the network's input."""
        return self.window or self.geometry.size


class InputPlanner:
    """Plans the inputs of a model: as in training unless ``window`` or ``scale`` is given."""

    def __init__(
        self, model: Any, network: Network, window: Sequence[int] | None, scale: float | None
    ) -> None:
        self._model, self._network = model, network
        self.preprocessing: Preprocessing = preprocessing_of(model, network.n_classes)
        self.window = None if window is None else require_image_size(window, "window")
        if scale is not None and (
            isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < scale < 100
        ):
            raise ValueError(
                "`scale` must be a positive number. "
                f"Received: scale={scale!r}. 1 is native scale, 0.5 halves height and width."
            )
        self.scale = None if scale is None else float(scale)
        if self.preprocessing.channels != network.channels:
            raise ValueError(
                "`model.preprocessing` must be of images that the model takes. Received: "
                f"channels={self.preprocessing.channels} and a model of {network.channels} "
                "channels. Set it to what the model was trained with."
            )
        expected = self.preprocessing.window or self.preprocessing.input_size
        if expected is not None and window is None and scale is None:
            sides = zip(network.size, expected, strict=True)
            fits = all(own in (None, side) for own, side in sides)
            # A network may support other windows than the images that it was built for.
            if not fits and not (self.preprocessing.window and network.takes(expected)):
                raise ValueError(
                    "`model.preprocessing` must be of images that the model takes. Received: "
                    f"images of {expected} and a model for {network.size}. Set it to what the "
                    "model was trained with."
                )

    def plan(self, size: tuple[int, int]) -> InputPlan:
        """Returns the plan for an image of ``(height, width)``."""
        trained = self.preprocessing
        if self.window is None and self.scale is None:
            if trained.image_size is None:
                return self._tiled(size, self._stored_window(size) or trained.crop_size)
            geometry = Geometry.plan(size, trained.image_size, trained.resize)
            if trained.takes_whole_images:
                return InputPlan(geometry, None)
            # Tiles also cover the parts that were cut off in training.
            window = self._stored_window(geometry.resized) or trained.input_size
            return self._tiled(geometry.resized, window)
        scale = self.scale or 1.0
        height, width = (max(1, round(side * scale)) for side in size)
        self._warn_of_scale(size, (height, width))
        return self._tiled((height, width), self.window or self._stored_window((height, width)))

    def prepared(self, image: InputImage, geometry: Geometry) -> PreparedImage:
        """Reads an image and resizes it to the network's scale."""
        preprocessing = self.preprocessing
        # JPEG files are decoded at a reduced size, as in training.
        pixels = image.pixels(pixels_needed(geometry, preprocessing.interpolation))
        return PreparedImage(
            pixels, geometry, preprocessing.interpolation, preprocessing.value_range
        )

    def _stored_window(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Returns the window of the preprocessing, smaller for a small image if possible."""
        window = self.preprocessing.window
        if window is None or not self._network.any_size:
            return window
        for multiple in (1, _MULTIPLE):
            height, width = (
                min(own, -(-side // multiple) * multiple)
                for own, side in zip(window, size, strict=True)
            )
            if self._network.takes((height, width)):
                return height, width
        return window

    def _tiled(self, size: tuple[int, int], window: tuple[int, int] | None) -> InputPlan:
        window = window or self._largest_window(size)
        return InputPlan(Geometry(size, size), None if window == size else window)

    def _largest_window(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the largest window that the network supports at once."""
        height, width = size
        if height * width > _LARGEST_WHOLE:
            height, width = min(height, _WINDOW), min(width, _WINDOW)
        height, width = self._network.size[0] or height, self._network.size[1] or width
        if self._network.takes((height, width)):
            return height, width
        rounded_height, rounded_width = (
            own or -(-side // _MULTIPLE) * _MULTIPLE
            for own, side in zip(self._network.size, (height, width), strict=True)
        )
        return rounded_height, rounded_width

    def _warn_of_scale(self, size: tuple[int, int], scaled: tuple[int, int]) -> None:
        """Warns once if the scale differs from that of the training."""
        preprocessing = self.preprocessing
        trained = size
        if preprocessing.image_size is not None:
            trained = Geometry.plan(size, preprocessing.image_size, preprocessing.resize).resized
        if trained == scaled or self._model in _warned_models:
            return
        _warned_models.add(self._model)
        _log.warning(
            "The model '%s' was trained on such images at %dx%d, but predicts this one at %dx%d: "
            "it may not recognize objects of that size.",
            printable(self._model.name), *trained, *scaled,
        )  # fmt: skip
