"""What was predicted of a picture."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.data.decoding import decode_mask
from unetv2.files import beside
from unetv2.inference.pictures import Picture
from unetv2.inference.writing import encode, require_mask_path
from unetv2.visualization.masks import overlay

_ANY = 2**62


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """What a model predicts of a picture, at the picture's own size.

    Attributes:
        ids: Class ids ``(height, width)``, the smallest of uint8, uint16 and uint32 that holds all
            classes; None where they were written to ``path``. See :attr:`mask`.
        confidence: float32 ``(height, width)`` in [0, 1]: the highest probability; None if it was
            not asked for.
        uncertainty: float32 ``(height, width)``: predictive entropy in nats, from 0 to
            ``log(n_classes)``; None if it was not asked for.
        mutual_information: float32 ``(height, width)`` in nats: how much of the uncertainty is
            that the samples disagree, from 0 to ``uncertainty``; None without ``mc_samples``.
        probabilities: float32 ``(height, width, n_classes)``; None if they were not asked for.
        classes: ClassTable. Names and colours of the ids.
        picture: What was predicted; its ``size`` is ``(height, width)``, its ``path`` a str or
            None.
        path: pathlib.Path or None. The file that the mask was written to.

    Example:
        >>> model = unetv2.build_unetv2((16, 24, 3), 5, filters=2, depth=2)
        >>> prediction = unetv2.predict(model, np.zeros((30, 40, 3), np.uint8))
        >>> prediction.mask.shape, prediction.mask.dtype.name, prediction.confidence.dtype.name
        ((30, 40), 'uint8', 'float32')
        >>> prediction.overlay().shape
        (30, 40, 3)
        >>> prediction.save(tmp / "mask.png")
    """

    ids: np.ndarray | None = field(repr=False)
    confidence: np.ndarray | None = field(default=None, repr=False)
    uncertainty: np.ndarray | None = field(default=None, repr=False)
    mutual_information: np.ndarray | None = field(default=None, repr=False)
    probabilities: np.ndarray | None = field(default=None, repr=False)
    classes: ClassTable = field(repr=False)
    picture: Picture = field(repr=False)
    path: Path | None = None

    @property
    def mask(self) -> np.ndarray:
        """Class ids ``(height, width)``, of the dtype of ``ids``.

        A memory map where a ``.npy`` file holds them; read anew each time from another file.
        """
        if self.ids is not None:
            return self.ids
        assert self.path is not None
        if self.path.suffix.lower() == ".npy":
            return np.load(self.path, mmap_mode="r")
        return decode_mask(os.fspath(self.path), max_pixels=_ANY)

    def overlay(self, *, opacity: float = 0.5) -> np.ndarray:
        """Returns the picture with the classes' colours over it.

        Args:
            opacity: float in [0, 1]. 0 shows the picture, 1 the colours.

        Returns:
            np.ndarray. uint8 ``(height, width, 3)``.

        Raises:
            ValueError: If ``opacity`` is out of its range.
        """
        image: Any = self.picture.pixels()
        return overlay(np.asarray(image[:]), self.mask, self.classes, opacity=opacity)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the mask's ids, beside the place and renamed into it.

        Args:
            path: The file: ``.png``, of 16 bits where ids need them, ``.tif`` or ``.npy``.

        Raises:
            ValueError: If the format is another.
            FileNotFoundError: If the folder is missing.
            OSError: If it cannot be written; what was there stays.
        """
        mask = self.mask
        where = require_mask_path("path", path, mask.dtype)
        with beside(where, "predict it again") as other:
            encode(mask, other)
