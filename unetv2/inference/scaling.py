"""How one image is fed to a network: at which size, whole or in windows."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import keras

from unetv2.arguments import require_image_size
from unetv2.data.preprocess import Geometry
from unetv2.inference.compiled_model import Network
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing
from unetv2.text import printable

# Larger images are fed in windows where nobody says how: a U-Net needs about 1 kB for each of
# their pixels.
_LARGEST_WHOLE = 2**21
_WINDOW = 1024
# What most networks halve their images by, where they do not take any size.
_MULTIPLE = 32

_log = logging.getLogger("unetv2")
_told: weakref.WeakSet[Any] = weakref.WeakSet()


@dataclass(frozen=True)
class Plan:
    """How an image is fed to a network.

    Args:
        geometry: How it comes to the network's scale. Padded only if it is fed whole.
        window: ``(height, width)`` of windows, or None to feed it whole.
    """

    geometry: Geometry
    window: tuple[int, int] | None

    @property
    def fed(self) -> tuple[int, int]:
        """``(height, width)`` of what the network is fed with."""
        return self.window or self.geometry.size


class Planner:
    """Plans how a model's images are fed to it: as in training, unless told otherwise.

    Args:
        model: The model.
        network: The same, compiled.
        window: ``(height, width)`` or None. Windows at native scale.
        scale: float or None. Another scale than native.

    Raises:
        ValueError: If an argument is out of its range, or the model tells of images that it
            does not take.
        TypeError: If an argument is of the wrong type.
    """

    def __init__(
        self,
        model: keras.Model,
        network: Network,
        *,
        window: Sequence[int] | None,
        scale: float | None,
    ) -> None:
        self._model, self._network = model, network
        self.preprocessing: Preprocessing = preprocessing_of(model, network.n_classes)
        self._window = None if window is None else require_image_size(window, "window")
        if scale is not None and (
            isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < scale < 100
        ):
            raise ValueError(
                "`scale` must be a positive number. "
                f"Received: scale={scale!r}. 1 is native scale, 0.5 halves height and width."
            )
        self._scale = scale
        if self.preprocessing.channels != network.channels:
            raise ValueError(
                "`model.preprocessing` must be of images that the model takes. Received: "
                f"channels={self.preprocessing.channels} and a model of {network.channels} "
                "channels. Set it to what the model was trained with."
            )
        fed = self.preprocessing.crop_size or self.preprocessing.image_size
        if fed is not None and window is None and scale is None:
            sides = zip(network.size, fed, strict=True)
            if any(own not in (None, side) for own, side in sides):
                raise ValueError(
                    "`model.preprocessing` must be of images that the model takes. Received: "
                    f"images of {fed} and a model for {network.size}. Set it to what the model "
                    "was trained with."
                )

    def plan(self, size: tuple[int, int]) -> Plan:
        """Plans for an image.

        Args:
            size: Its ``(height, width)``.

        Returns:
            Plan.
        """
        known = self.preprocessing
        if self._window is None and self._scale is None:
            if known.image_size is None:
                return self._at(size, known.crop_size)
            geometry = Geometry.plan(size, known.image_size, known.resize)
            if known.crop_size is None and known.resize != "crop":
                return Plan(geometry, None)
            # Nothing is cut off: what the crops in training left out is seen by other windows.
            return self._at(geometry.resized, known.crop_size or known.image_size)
        scale = 1.0 if self._scale is None else float(self._scale)
        height, width = (max(1, round(side * scale)) for side in size)
        self._warn(size, (height, width))
        return self._at((height, width), self._window)

    def _at(self, size: tuple[int, int], window: tuple[int, int] | None) -> Plan:
        geometry = Geometry(size, size)
        window = self._fitting(size) if window is None else window
        return Plan(geometry, None if window == size else window)

    def _fitting(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the largest window that the network takes in one piece."""
        height, width = size
        if height * width > _LARGEST_WHOLE:
            height, width = min(height, _WINDOW), min(width, _WINDOW)
        height, width = (
            own or side for own, side in zip(self._network.size, (height, width), strict=True)
        )
        if self._network.takes((height, width)):
            return height, width
        rounded = tuple(
            own or -(-side // _MULTIPLE) * _MULTIPLE
            for own, side in zip(self._network.size, (height, width), strict=True)
        )
        return rounded[0], rounded[1]

    def _warn(self, size: tuple[int, int], scaled: tuple[int, int]) -> None:
        """Says once that a model is fed at another scale than it was trained."""
        known = self.preprocessing
        trained = size
        if known.image_size is not None:
            trained = Geometry.plan(size, known.image_size, known.resize).resized
        if trained == scaled or self._model in _told:
            return
        _told.add(self._model)
        _log.warning(
            "The model '%s' was trained on images like this one at %dx%d, and is now fed with it "
            "at %dx%d: it may not know things of that size.",
            printable(self._model.name), *trained, *scaled,
        )  # fmt: skip
