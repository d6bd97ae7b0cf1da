"""One interface for all models that can be evaluated."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf

from unetv2.exporting.exported_model import ExportedModel
from unetv2.inference.inputs import InputImage
from unetv2.inference.network import network_of
from unetv2.inference.prediction import OutputOptions
from unetv2.inference.predictor import ImagePredictor
from unetv2.models.segmentation_model import expected_range, preprocessing_of
from unetv2.prediction.predictor import load
from unetv2.preprocessing import Preprocessing, require_tta

_log = logging.getLogger("unetv2")


@runtime_checkable
class Segmenter(Protocol):
    """A model other than a Keras model.

    Attributes:
        n_classes: int. Number of classes.
        preprocessing: :class:`unetv2.Preprocessing`, with the channels, classes and
            ``ignore_class`` of the data.
    """

    n_classes: int
    preprocessing: Preprocessing

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Returns the probabilities of the classes, ``(height, width, n_classes)``.

        Args:
            image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``, of any size.
        """


class ModelOutput(NamedTuple):
    """The output of a model for one image.

    Attributes:
        predicted: Ids, ``(height, width)``.
        confidence: Probability of the predicted class, ``(height, width)``.
    """

    predicted: np.ndarray
    confidence: np.ndarray


class EvaluatedModel:
    """A model that predicts prepared batches, or images at their own size.

    Args:
        model: A Keras model, an exported model, the path of one, or a :class:`Segmenter`.
        tta: Test-time augmentation of images at their own size, see :func:`unetv2.predict`.

    Attributes:
        name: str. Name of the model, or the path of its file.
        path: Path or None. Its file.
        n_classes: int.
        channels: int.
        input_shape: ``(batch, height, width, channels)``, None where any size is supported.

    Raises:
        FileNotFoundError: If the file does not exist.
        TypeError: If it is not a model.
        ValueError: If it is not a segmentation model, or cannot do the test-time augmentation.
    """

    def __init__(self, model: Any, tta: bool | Sequence[str | float] | None = None) -> None:
        self.path = Path(model) if isinstance(model, str | os.PathLike) else None
        if self.path is not None:
            model = load(self.path)
        self._segmenter: Segmenter | None = None
        self._model: Any = None
        if isinstance(model, keras.Model) or _supports_batches(model):
            self._model = model
            network = network_of(model)
            self.n_classes, self.channels, size = network.n_classes, network.channels, network.size
            name = model.name
        elif isinstance(model, Segmenter):
            self._segmenter = model
            self.n_classes, size = model.n_classes, (None, None)
            self.channels = model.preprocessing.channels
            name = type(model).__name__
        else:
            raise TypeError(
                "`model` must be a keras.Model, the path of a .keras file, or have `n_classes`, "
                f"`preprocessing` and `probabilities(image)`. Received: {type(model).__name__}."
            )
        self._tta = None if tta is None else require_tta(tta)
        if self._tta and self._segmenter is not None:
            raise ValueError(
                "`tta` must be None for a model that gives `probabilities(image)` itself. "
                f"Received: tta={tta!r} for {name}. Average them in that method."
            )
        self.name = name if self.path is None else os.fspath(self.path)
        self.input_shape = (None, *size, self.channels)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing that is stored with the model, or None."""
        model = self._segmenter or self._model
        if isinstance(getattr(model, "preprocessing", None), Preprocessing):
            return preprocessing_of(model, self.n_classes)
        return None

    def require_range(self, value_range: tuple[float, float]) -> None:
        """Checks the value range of prepared images.

        Raises:
            ValueError: If the stored preprocessing has another range. Without one, the logger
                ``unetv2`` warns if the first layer of the model rescales 8-bit images.
        """
        if self._segmenter is not None or expected_range(self._model) == value_range:
            return
        received = (
            f"images in {list(value_range)} for the model '{self.name}', which expects images in "
            f"{list(expected_range(self._model))}"
        )
        if self.preprocessing is None:
            _log.warning(
                "%s according to its first layer. If it was trained on such images, scale these "
                "with `dataset.map`.", received[0].upper() + received[1:],
            )  # fmt: skip
            return
        raise ValueError(
            "Images in `data` must have the `value_range` of `model.preprocessing`. "
            f"Received: {received}. Scale them with `dataset.map`, or pass two folders, whose "
            "images are preprocessed as in training."
        )

    def predict_batch(self, images: tf.Tensor) -> Iterator[ModelOutput]:
        """Yields the outputs for prepared images, float32 ``(batch, height, width, channels)``."""
        if self._segmenter is not None:
            for image in np.asarray(images):
                yield _output(self._segmenter.probabilities(image))
            return
        logits = network_of(self._model).logits(images)
        highest, predicted = tf.math.top_k(logits, 1)
        confidence = tf.exp(highest[..., 0] - tf.reduce_logsumexp(logits, axis=-1)).numpy()
        yield from map(ModelOutput, predicted[..., 0].numpy(), confidence)

    @cached_property
    def _predictor(self) -> ImagePredictor:
        return ImagePredictor(self._model, tta=self._tta)

    @property
    def prediction_options(self) -> dict[str, Any]:
        """The window and the test-time augmentation of images at their own size, if any."""
        if self._segmenter is not None:
            return {}
        window = self._predictor.engine.preprocessing.window
        options = {"window": window and list(window), "tta": self._predictor.options["tta"]}
        return {name: value for name, value in options.items() if value is not None}

    def predict_images(self, images: Iterable[InputImage]) -> Iterator[ModelOutput]:
        """Yields the outputs for images at their own size, in order."""
        if self._segmenter is not None:
            for image in images:
                yield _output(self._segmenter.probabilities(image_array(image)))
            return
        for image, blocks in self._predictor.engine.predict(images, OutputOptions()):
            output = ModelOutput(np.empty(image.size, np.int32), np.empty(image.size, np.float32))
            for block in blocks:
                height, width = block.mask.shape
                area = np.s_[block.row : block.row + height, block.column : block.column + width]
                output.predicted[area] = block.mask
                output.confidence[area] = block.confidence
            yield output


def image_array(image: InputImage) -> np.ndarray:
    """Returns the pixels of an image, ``(height, width, channels)``."""
    return np.asarray(image.pixels()[:])


def _supports_batches(model: Any) -> bool:
    """Returns whether it is an exported model that accepts batches like its Keras model."""
    return isinstance(model, ExportedModel) and model.network.takes(model.network.size)


def _output(probabilities: np.ndarray) -> ModelOutput:
    return ModelOutput(probabilities.argmax(axis=-1), probabilities.max(axis=-1))
