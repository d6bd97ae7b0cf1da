"""A model that was exported, ready to predict."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.preprocess import Geometry
from unetv2.exporting.artifact import Description, Size
from unetv2.exporting.formats.base import Outputs, Runner, eight_bits
from unetv2.inference.inputs import InputImage, unpadded
from unetv2.inference.prediction import (
    OutputOptions,
    Prediction,
    Strip,
    mask_dtype,
    predicted_block,
    resize_strips,
)
from unetv2.inference.predictor import ImagePredictor
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing, class_table

NO_DROPOUT = (
    "`mc_samples` must be 0 for an exported model, which has no dropout. Pass the Keras model to "
    "`unetv2.predict`, or ask for `uncertainty=True`, the entropy, which needs none."
)


class ArtifactNetwork:
    """The :class:`unetv2.inference.network.Network` of an artifact.

    Args:
        description: The artifact's description.
        run: Runs the artifact on frames.
    """

    probabilities = False

    def __init__(self, description: Description, run: Callable[[np.ndarray], Outputs]) -> None:
        self.n_classes = description.n_classes
        self.channels = description.preprocessing.channels
        self.size: Size = description.network_size
        self._frame_size = description.frame_size
        self._low, self._high = description.preprocessing.value_range
        self._run = run

    @property
    def any_size(self) -> bool:
        """See :class:`~unetv2.inference.network.Network`."""
        return self.size == (None, None)

    def prepare(self, size: tuple[int, int], *, sampled: bool = False) -> None:
        """See :class:`~unetv2.inference.network.Network`; an artifact has no dropout."""
        if sampled:
            raise ValueError(NO_DROPOUT)
        if not self.takes(size):
            raise ValueError(
                f"`model` must take images of {size[0]}x{size[1]}. Received: an exported model "
                f"for frames of {self._frame_size} and a network of {self.size}. "
                "Export it without `frame_size`, or with another `image_size`."
            )

    def takes(self, size: Size) -> bool:
        """See :class:`~unetv2.inference.network.Network`."""
        known = zip((*self.size, *self._frame_size), (*size, *size), strict=True)
        return all(own in (None, side) for own, side in known)

    def logits(self, images: Any) -> tf.Tensor:
        """See :class:`~unetv2.inference.network.Network`.

        The artifact takes 8-bit images, so images with more bits lose precision.
        """
        values = (np.asarray(images) - self._low) / (self._high - self._low) * 255
        return tf.constant(self._run(np.rint(values).clip(0, 255).astype(np.uint8)).logits)

    def sampled(self, images: Any, seeds: Any) -> tf.Tensor:
        """Raises a ValueError, as an artifact has no dropout."""
        raise ValueError(NO_DROPOUT)


class ExportedModel:
    """A model of any format, made by :func:`unetv2.load_exported`.

    :func:`unetv2.predict`, :func:`unetv2.predict_directory`, :func:`unetv2.predict_video` and
    :func:`unetv2.evaluate` take it as they take a Keras model, windows and flips included; samples
    of dropout need the Keras model. Several threads may use one at once. A pickled or copied one
    is loaded again from its files, which must still be there.

    Args:
        description: What it is.
        runner: What runs it.
        path: Where it lies.
        load: Loads it again, or None. A copy, as by ``pickle``, is loaded from its files.

    Attributes:
        description: Format, precision, sizes, versions and how far it agrees with the Keras model.
        path: str. Where it lies.
        name: str. The Keras model's name.
        n_classes: int. Number of classes.
        preprocessing: :class:`unetv2.Preprocessing`. How the network's images are prepared.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> exported = unetv2.export(
        ...     model, tmp / "described", format="saved_model", verbose=False)
        >>> exported.description.precision, exported.n_classes
        ('float32', 23)
        >>> frame = np.zeros((48, 64, 3), np.uint8)
        >>> exported.predict(frame).mask.shape
        (48, 64)
        >>> mask, confidence, logits = exported.run(frame[np.newaxis])
        >>> mask.shape, confidence.shape, logits.shape
        ((1, 48, 64), (1, 48, 64), (1, 24, 32, 23))
    """

    def __init__(
        self,
        description: Description,
        runner: Runner,
        path: str | os.PathLike[str],
        *,
        load: Callable[[], ExportedModel] | None = None,
    ) -> None:
        self.description = description
        self.path = os.fspath(path)
        self.name = description.name
        self.n_classes = description.n_classes
        self.preprocessing: Preprocessing = description.preprocessing
        self.preprocessing = preprocessing_of(self, self.n_classes)
        self._runner = runner
        self._load = load
        self._network = ArtifactNetwork(description, self.run)

    def __repr__(self) -> str:
        """Returns what it is."""
        return f"<ExportedModel '{self.path}' {self.description.format}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns how a copy is made: by loading the artifact's files again.

        Raises:
            TypeError: If it was not made by :func:`unetv2.load_exported`.
        """
        if self._load is None:
            raise TypeError(
                "An ExportedModel must come from `unetv2.load_exported` to be pickled or copied. "
                f"Received: {self!r}, which was made of a runner. Load it from its path."
            )
        return self._load, ()

    def run(self, frames: np.ndarray) -> Outputs:
        """Runs the artifact itself.

        Args:
            frames: uint8 ``(batch, height, width, channels)`` of the size that it takes:
                ``description.frame_size``, where None is any.

        Returns:
            tuple ``(mask, confidence, logits)``: class ids ``(batch, height, width)``, float32 of
            the same shape, and float32 ``(batch, *network's size, n_classes)``.

        Raises:
            ValueError: If the frames are of another size or dtype.
        """
        shape = (None, *self.description.frame_size, self.preprocessing.channels)
        if frames.dtype != np.uint8 or not (
            frames.ndim == 4
            and all(own in (None, side) for own, side in zip(shape, frames.shape, strict=True))
        ):
            raise ValueError(
                f"`frames` must be uint8 {shape}, None for any. "
                f"Received: {frames.dtype} {frames.shape}. `predict` takes images of any size "
                "where the artifact was exported without `frame_size`."
            )
        return self._runner(np.ascontiguousarray(frames))

    @overload
    def predict(
        self,
        image: str | os.PathLike[str] | np.ndarray,
        *,
        uncertainty: bool = ...,
        probabilities: bool = ...,
        batch_size: int = ...,
        max_pixels: int = ...,
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        image: list[Any] | tuple[Any, ...],
        *,
        uncertainty: bool = ...,
        probabilities: bool = ...,
        batch_size: int = ...,
        max_pixels: int = ...,
    ) -> list[Prediction]: ...

    def predict(
        self,
        image: Any,
        *,
        uncertainty: bool = False,
        probabilities: bool = False,
        batch_size: int = 8,
        max_pixels: int = MAX_PIXELS,
        mc_samples: int = 0,
    ) -> Prediction | list[Prediction]:
        """Predicts images, resizing them in the artifact where it does that itself.

        Args:
            image: A path, an array or a list of them, as of :func:`unetv2.predict`. Pixels of
                more than 8 bits are brought to 8.
            uncertainty: bool. Whether the entropy is made too.
            probabilities: bool. Whether all classes' probabilities are kept.
            batch_size: int, at least 1. Frames of one size that are run at once, at most.
            max_pixels: int, at least 1. Image files of more pixels are refused from their header.
            mc_samples: int. 0, as no artifact has dropout: others are refused.

        Returns:
            Prediction, with its confidence, or a list of them for a list of images.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If an image is none, or of a size, channels or values not taken, or if
                samples of dropout are asked for.
            TypeError: If it is something else.
        """
        if mc_samples:
            raise ValueError(NO_DROPOUT)
        several = isinstance(image, list | tuple)
        batch_size = require_integer("batch_size", batch_size, 1, "8 is the default.")
        asked = [
            InputImage(one, channels=self.preprocessing.channels, max_pixels=max_pixels)
            for one in (image if several else [image])
        ]
        if not self.description.resizes:
            predictor = ImagePredictor(self, batch_size=batch_size, max_pixels=max_pixels)
            return predictor.predict(image, probabilities=probabilities)
        found = list(self._whole(asked, OutputOptions(uncertainty, probabilities), batch_size))
        return found if several else found[0]

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Returns the classes' probabilities of an image.

        Args:
            image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``.

        Returns:
            np.ndarray. float32 ``(height, width, n_classes)`` in [0, 1], 1 in sum.

        Raises:
            ValueError: If it is no image, or of a size, channels or values not taken.
        """
        prediction: Any = self.predict(image, probabilities=True)
        return prediction.probabilities

    @property
    def network(self) -> ArtifactNetwork:
        """What :func:`unetv2.predict` feeds with prepared images."""
        return self._network

    @property
    def classes(self) -> ClassTable:
        """Names and colors of the ids."""
        return class_table(self.preprocessing, self.n_classes)

    def _whole(
        self, images: Sequence[InputImage], options: OutputOptions, batch_size: int
    ) -> Iterator[Prediction]:
        for _, same in itertools.groupby(images, key=lambda image: image.size):
            left = list(same)
            while left:
                batch, left = left[:batch_size], left[batch_size:]
                frames = np.stack([eight_bits(np.asarray(one.pixels()[:])) for one in batch])
                outputs = self.run(frames)
                for number, image in enumerate(batch):
                    mask, confidence, logits = (one[number] for one in outputs)
                    yield self._prediction(image, mask, confidence, logits, options)

    def _prediction(
        self,
        image: InputImage,
        mask: np.ndarray,
        confidence: np.ndarray,
        logits: np.ndarray,
        options: OutputOptions,
    ) -> Prediction:
        more: dict[str, Any] = {}
        if options != OutputOptions(False, False):
            size = logits.shape[:2]
            geometry = Geometry.plan(image.size, (size[0], size[1]), self.preprocessing.resize)
            rows, columns = unpadded(geometry)
            inside = tf.constant(logits[rows, columns])
            strips = resize_strips([Strip(0, inside)], geometry.resized, image.size)
            parts = [
                predicted_block((row, 0), values, self.n_classes, options, logits=True)
                for row, values in strips
            ]
            for name, asked in (
                ("uncertainty", options.uncertainty),
                ("probabilities", options.probabilities),
            ):
                if asked:
                    more[name] = np.concatenate([getattr(part, name) for part in parts])
        return Prediction(
            ids=mask.astype(mask_dtype(self.n_classes), copy=False), confidence=confidence,
            classes=self.classes, image=image, **more,
        )  # fmt: skip
