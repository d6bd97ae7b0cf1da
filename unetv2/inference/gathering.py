"""The parts of a picture to a prediction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unetv2.classes import ClassTable
from unetv2.inference.figures import Part, Wanted, mask_dtype
from unetv2.inference.pictures import Picture
from unetv2.inference.prediction import Prediction
from unetv2.inference.predictor import Predictor
from unetv2.inference.writing import MaskFile, mask_file


class Gathering:
    """Gathers the parts of a picture, in memory or in a file.

    Args:
        picture: The picture.
        predictor: What predicts it.
        wanted: What is made of each pixel.
        path: The mask's file, or None to keep it in memory.
    """

    def __init__(
        self, picture: Picture, predictor: Predictor, wanted: Wanted, path: Path | None
    ) -> None:
        self._picture, self._predictor, self._wanted = picture, predictor, wanted
        self._path = path
        self._file: MaskFile | None = None
        self._whole: dict[str, np.ndarray] = {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Opens the file, which is whole afterwards or not there."""
        if self._path is None:
            yield
            return
        dtype = mask_dtype(self._predictor.network.n_classes)
        with mask_file(self._path, self._picture.size, dtype) as self._file:
            yield

    def add(self, part: Part) -> None:
        """Takes the next part."""
        height, width = part.mask.shape
        place = np.s_[part.row : part.row + height, part.column : part.column + width]
        for name, values in part._asdict().items():
            if not isinstance(values, np.ndarray):
                continue
            if name == "mask" and self._file is not None:
                self._file.add(part.column, values)
                continue
            if name not in self._whole:
                self._whole[name] = np.empty((*self._picture.size, *values.shape[2:]), values.dtype)
            self._whole[name][place] = values

    def prediction(self) -> Prediction:
        """Returns all of them."""
        known = self._predictor.preprocessing
        n_classes = self._predictor.network.n_classes
        classes = known.classes or ClassTable.numbered(n_classes, known.ignore_class)
        return Prediction(
            ids=self._whole.pop("mask", None), **self._whole, classes=classes,
            picture=self._picture, path=self._path,
        )  # fmt: skip
