"""Exported models: loading them, and predicting with them."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.preprocess import Geometry
from unetv2.exporting.artifact import BrokenArtifactError, Description, read
from unetv2.exporting.formats.base import Run, get_format
from unetv2.exporting.graph import Outputs, Size
from unetv2.inference.inputs import InputImage, unpadded
from unetv2.inference.prediction import (
    OutputOptions,
    Prediction,
    Strip,
    mask_dtype,
    predicted_block,
    resize_strips,
)
from unetv2.inference.predictor import ImagePredictor, PredictorOptions
from unetv2.models.segmentation_model import preprocessing_of
from unetv2.preprocessing import Preprocessing, class_table

# Maximum number of attempts to load an artifact that other processes replace.
_ATTEMPTS = 10
_NO_DROPOUT = (
    "`mc_samples` must be 0 for an exported model, which has no dropout. Received: "
    "mc_samples={}. Pass the Keras model to `unetv2.predict`, or pass `uncertainty=True` for the "
    "entropy, which needs none."
)


class ArtifactNetwork:
    """An exported model with the interface of :class:`unetv2.inference.network.Network`.

    Args:
        description: Description of the artifact.
        run: Runs it on frames.

    Attributes:
        n_classes: int. Number of classes.
        channels: int. Number of channels.
        size: ``(height, width)`` of the input of the network, None for any.
        probabilities: False, as exported models return logits.
    """

    probabilities = False

    def __init__(self, description: Description, run: Run) -> None:
        self.n_classes = description.n_classes
        self.channels = description.preprocessing.channels
        self.size: Size = description.network_size
        self._frame_size = description.frame_size
        self._low, self._high = description.preprocessing.value_range
        self._run = run

    @property
    def any_size(self) -> bool:
        """Whether the network accepts images of any size."""
        return self.size == (None, None)

    def prepare(self, size: tuple[int, int], *, sampled: bool = False) -> None:
        """Raises an error for a size that is not accepted, or if dropout is requested."""
        if sampled:
            raise ValueError(_NO_DROPOUT.format("1 or more"))
        if not self.takes(size):
            raise ValueError(
                f"`model` must take images of {size[0]}x{size[1]}. Received: an exported model "
                f"for frames of {self._frame_size} and a network of {self.size}. "
                "Export it without `frame_size`, or with another `image_size`."
            )

    def takes(self, size: Size) -> bool:
        """Returns whether prepared images of a size are accepted."""
        sides = zip((*self.size, *self._frame_size), (*size, *size), strict=True)
        return all(own in (None, side) for own, side in sides)

    def logits(self, images: Any) -> tf.Tensor:
        """Returns the logits of prepared images.

        Args:
            images: float32 ``(batch, height, width, channels)``. They are rounded to 8 bits.

        Returns:
            tf.Tensor. float32 ``(batch, height, width, n_classes)``.
        """
        values = (np.asarray(images) - self._low) / (self._high - self._low) * 255
        return tf.constant(self._run(np.rint(values).clip(0, 255).astype(np.uint8)).logits)

    def sampled(self, images: Any, seeds: Any) -> tf.Tensor:
        """Raises an error, as exported models have no dropout."""
        raise ValueError(_NO_DROPOUT.format("1 or more"))


class ExportedModel:
    """A model of any format, loaded by :func:`unetv2.load_exported`.

    :func:`unetv2.predict`, :func:`unetv2.predict_directory`, :func:`unetv2.predict_video` and
    :func:`unetv2.evaluate` accept it as they accept a Keras model, with windows and flips; only
    Monte Carlo dropout needs the Keras model. It can be used from several threads. A pickled or
    copied one is loaded again from its files, which must still exist.

    Args:
        description: Content of ``unetv2.json``.
        runner: Runs the network on frames.
        path: Path of the artifact.
        load: Loads it again, for pickling, or None.

    Attributes:
        description: Format, precision, sizes, versions and ``parity``, the agreement with the
            Keras model.
        path: str. Path of the artifact.
        name: str. Name of the Keras model.
        n_classes: int. Number of classes.
        preprocessing: :class:`unetv2.Preprocessing`. Preprocessing of the network's images.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> exported = unetv2.export(model, tmp / "described", format="saved_model")
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
        runner: Run,
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
        """Returns path and format."""
        return f"<ExportedModel '{self.path}' {self.description.format}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the path, from which a copy is loaded.

        Raises:
            TypeError: If it was not created by :func:`unetv2.load_exported`.
        """
        if self._load is None:
            raise TypeError(
                "An ExportedModel must come from `unetv2.load_exported` to be pickled or copied. "
                f"Received: {self!r}, which was created directly. Load it from its path."
            )
        return self._load, ()

    @property
    def network(self) -> ArtifactNetwork:
        """The network, which :func:`unetv2.predict` runs on prepared images."""
        return self._network

    @property
    def classes(self) -> ClassTable:
        """Names and colors of the classes."""
        return class_table(self.preprocessing, self.n_classes)

    def run(self, frames: np.ndarray) -> Outputs:
        """Runs the exported graph.

        Args:
            frames: uint8 ``(batch, height, width, channels)`` of ``description.frame_size``, with
                None for any size.

        Returns:
            tuple ``(mask, confidence, logits)``: class ids ``(batch, height, width)``, float32 of
            the same shape, and float32 ``(batch, network_height, network_width, n_classes)``.

        Raises:
            ValueError: If the frames have another shape or dtype.
        """
        shape = (None, *self.description.frame_size, self.preprocessing.channels)
        if frames.dtype != np.uint8 or not (
            frames.ndim == 4
            and all(own in (None, side) for own, side in zip(shape, frames.shape, strict=True))
        ):
            raise ValueError(
                f"`frames` must be uint8 {shape}, None for any. "
                f"Received: {frames.dtype} {frames.shape}. `predict` accepts images of any size "
                "if the model was exported without `frame_size`."
            )
        return self._runner(np.ascontiguousarray(frames))

    @overload
    def predict(
        self, image: str | os.PathLike[str] | np.ndarray, *, uncertainty: bool | None = ...,
        probabilities: bool = ..., **options: Unpack[PredictorOptions],
    ) -> Prediction: ...  # fmt: skip

    @overload
    def predict(
        self, image: list[Any] | tuple[Any, ...], *, uncertainty: bool | None = ...,
        probabilities: bool = ..., **options: Unpack[PredictorOptions],
    ) -> list[Prediction]: ...  # fmt: skip

    def predict(
        self,
        image: Any,
        *,
        uncertainty: bool | None = None,
        probabilities: bool = False,
        **options: Unpack[PredictorOptions],
    ) -> Prediction | list[Prediction]:
        """Predicts images as :func:`unetv2.predict` does, with the same options and defaults.

        If the exported graph contains the resizing, it resizes images that are neither tiled,
        scaled nor flipped. Pixels of more than 8 bits are rounded to 8.

        Args:
            image: A path, an array or a list of them, as in :func:`unetv2.predict`.
            uncertainty: bool or None. Whether to compute confidence and uncertainty; None does.
            probabilities: bool. Whether to keep the probabilities of all classes.
            **options: Options of :class:`unetv2.Predictor`, such as ``batch_size``.
                ``mc_samples`` must be 0, as exported models have no dropout.

        Returns:
            Prediction, or a list of them for a list of images.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If an image is invalid, or has a size, channels or values that the model
                does not accept, or if an option is not supported.
            TypeError: If an argument has a wrong type.
        """
        if options.get("mc_samples"):
            raise ValueError(_NO_DROPOUT.format(options["mc_samples"]))
        predictor = ImagePredictor(self, **options)
        prepared = any(predictor.options[name] is not None for name in ("window", "scale", "tta"))
        if prepared or not self.description.resizes:
            return predictor.predict(image, uncertainty=uncertainty, probabilities=probabilities)
        is_list = isinstance(image, list | tuple)
        images = [predictor.engine.open(item) for item in (image if is_list else [image])]
        outputs = OutputOptions(uncertainty is not False, probabilities)
        predictions = list(self._predict_whole(images, outputs, predictor.batch_size))
        return predictions if is_list else predictions[0]

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Returns the probabilities of all classes.

        Args:
            image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``.

        Returns:
            np.ndarray. float32 ``(height, width, n_classes)`` in [0, 1]; they sum to 1.

        Raises:
            ValueError: If the image is invalid, or has a size, channels or values that the model
                does not accept.
        """
        prediction: Any = self.predict(image, probabilities=True)
        return prediction.probabilities

    def _predict_whole(
        self, images: Sequence[InputImage], options: OutputOptions, batch_size: int
    ) -> Iterator[Prediction]:
        for _, group in itertools.groupby(images, key=lambda image: image.size):
            left = list(group)
            while left:
                batch, left = left[:batch_size], left[batch_size:]
                frames = np.stack([to_uint8(np.asarray(image.pixels()[:])) for image in batch])
                for image, *outputs in zip(batch, *self.run(frames), strict=True):
                    yield self._prediction(image, Outputs(*outputs), options)

    def _prediction(
        self, image: InputImage, outputs: Outputs, options: OutputOptions
    ) -> Prediction:
        optional: dict[str, Any] = {}
        if options.uncertainty or options.probabilities:
            size = outputs.logits.shape[:2]
            geometry = Geometry.plan(image.size, (size[0], size[1]), self.preprocessing.resize)
            rows, columns = unpadded(geometry)
            logits = [Strip(0, tf.constant(outputs.logits[rows, columns]))]
            parts = [
                predicted_block((row, 0), values, self.n_classes, options, logits=True)
                for row, values in resize_strips(logits, geometry.resized, image.size)
            ]
            if options.uncertainty:
                optional["uncertainty"] = np.concatenate([part.uncertainty for part in parts])
            if options.probabilities:
                optional["probabilities"] = np.concatenate([part.probabilities for part in parts])
        return Prediction(
            ids=outputs.mask.astype(mask_dtype(self.n_classes), copy=False),
            confidence=outputs.confidence, classes=self.classes, image=image, **optional,
        )  # fmt: skip


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Converts pixels of 16 bits, or floats in [0, 1], to 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels
    maximum = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    return np.rint(pixels.astype(np.float32) * (255 / maximum)).clip(0, 255).astype(np.uint8)


def load_exported(path: str | os.PathLike[str], *, threads: int | None = None) -> ExportedModel:
    """Loads an exported model.

    Only the runtime of its format is imported. No code in the artifact is run: its files must have
    the SHA-256 that its description lists, and graphs that contain ops such as reading files are
    refused.

    Args:
        path: The folder of the exported model, or its ``.tflite`` or ``.onnx`` file.
        threads: int, at least 1, or None. Number of threads of the runtime; None uses its default.
            TensorFlow has one number for the process, so it must be None for a SavedModel.

    Returns:
        ExportedModel. It predicts as the Keras model does, in every format.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        ValueError: If it is not an exported model, or damaged, or ``threads`` is out of range.
        TypeError: If ``threads`` is not an integer.
        ImportError: If the runtime of the format is not installed.

    Example:
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32))
        >>> exported = unetv2.export(model, tmp / "loaded", format="saved_model")
        >>> exported = unetv2.load_exported(tmp / "loaded")
        >>> prediction = exported.predict(np.zeros((30, 40, 3), np.uint8))
        >>> prediction.mask.shape, prediction.confidence.dtype.name
        ((30, 40), 'float32')
    """
    if threads is not None:
        threads = require_integer("threads", threads, 1, "None uses the runtime's default.")
    attempts = _ATTEMPTS
    while True:
        before = _identity(path)
        attempts -= 1
        # If another process replaces the artifact meanwhile, files of two may be mixed.
        try:
            loaded = _load(path, threads)
        except (FileNotFoundError, BrokenArtifactError):
            if attempts and _identity(path) != before:
                continue
            raise
        if not attempts or _identity(path) == before:
            return loaded


def _identity(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Returns numbers that change when the artifact at a path is replaced."""
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_ctime_ns


def _load(path: str | os.PathLike[str], threads: int | None) -> ExportedModel:
    description, files = read(path)
    format = get_format(description.format)
    if threads is not None and format.threads_advice:
        raise ValueError(
            f"`threads` must be None for format='{format.name}'. Received: threads={threads}. "
            f"{format.threads_advice}"
        )
    try:
        run = format.load(
            files[format.main], size=description.files[format.main]["bytes"],
            precision=description.precision, threads=threads,
        )  # fmt: skip
    except ImportError:
        raise
    # Each runtime has its own errors for files that it cannot read.
    except Exception as error:
        raise BrokenArtifactError(path, f"it cannot be loaded: {error}") from error
    again = functools.partial(load_exported, Path(path).resolve(), threads=threads)
    return ExportedModel(description, run, path, load=again)
