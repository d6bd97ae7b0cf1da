"""What a model says of images, whatever the model is."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
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
from unetv2.preprocessing import Preprocessing

_log = logging.getLogger("unetv2")


@runtime_checkable
class Segmenter(Protocol):
    """What can be evaluated beside Keras models.

    Attributes:
        n_classes: int.
        preprocessing: :class:`unetv2.Preprocessing`. Its channels, classes and ``ignore_class``
            are those of the data.
    """

    n_classes: int
    preprocessing: Preprocessing

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Returns the classes' probabilities, ``(height, width, n_classes)``, of an image.

        Args:
            image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``, of any size.
        """


class Answer(NamedTuple):
    """What a model says of an image.

    Attributes:
        predicted: Ids, ``(height, width)``.
        confidence: Probability of the predicted class, ``(height, width)``.
    """

    predicted: np.ndarray
    confidence: np.ndarray


class Answers:
    """A model that answers, at the network's resolution or at that of the images.

    Args:
        model: A Keras model, the path of a ``.keras`` file, or a :class:`Segmenter`.

    Attributes:
        name: str. The model's name, or the path of its file.
        path: Path or None. Its file.
        n_classes: int.
        channels: int.
        input_shape: ``(batch, height, width, channels)`` that it takes, None where it is open.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If it is something else.
        ValueError: If it is no segmentation model.
    """

    def __init__(self, model: Any) -> None:
        self.path = Path(model) if isinstance(model, str | os.PathLike) else None
        if self.path is not None:
            model = load(self.path)
        self._segmenter: Segmenter | None = None
        self._model: Any = None
        if isinstance(model, keras.Model) or _takes_prepared(model):
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
        self.name = name if self.path is None else os.fspath(self.path)
        self.input_shape = (None, *size, self.channels)

    @property
    def record(self) -> Preprocessing | None:
        """How its images are prepared, and what its classes are; None if it does not tell."""
        model = self._segmenter or self._model
        if isinstance(getattr(model, "preprocessing", None), Preprocessing):
            return preprocessing_of(model, self.n_classes)
        return None

    def require_range(self, value_range: tuple[float, float]) -> None:
        """Checks that prepared images have the range that the model takes.

        Args:
            value_range: Two numbers, as of :class:`unetv2.Preprocessing`.

        Raises:
            ValueError: If the model's record has another one. Where it has none and the first
                layer scales images of 8 bits down, the logger ``unetv2`` warns.
        """
        if self._segmenter is not None or expected_range(self._model) == value_range:
            return
        received = (
            f"images in {list(value_range)} for the model '{self.name}', which takes images in "
            f"{list(expected_range(self._model))}"
        )
        if self.record is None:
            _log.warning(
                "%s by its first layer. If it was trained on such images, scale these with "
                "`dataset.map`.", received[0].upper() + received[1:],
            )  # fmt: skip
            return
        raise ValueError(
            "Images in `dataset` must have the `value_range` of `model.preprocessing`. "
            f"Received: {received}. Scale them with `dataset.map`, or pass two folders, whose "
            "images are prepared as the record says."
        )

    def to_batch(self, images: tf.Tensor) -> Iterator[Answer]:
        """Yields what the model says of prepared images, at their size.

        Args:
            images: float32 ``(batch, height, width, channels)``.
        """
        if self._segmenter is not None:
            for image in np.asarray(images):
                yield _answer(self._segmenter.probabilities(image))
            return
        logits = network_of(self._model).logits(images)
        highest, predicted = tf.math.top_k(logits, 1)
        confidence = tf.exp(highest[..., 0] - tf.reduce_logsumexp(logits, axis=-1)).numpy()
        yield from map(Answer, predicted[..., 0].numpy(), confidence)

    def to_images(self, images: Iterable[InputImage]) -> Iterator[Answer]:
        """Yields what the model says of images, at their own size, in their order.

        Args:
            images: They are read as they are needed, a batch ahead at most.
        """
        if self._segmenter is not None:
            for image in images:
                yield _answer(self._segmenter.probabilities(np.asarray(image.pixels()[:])))
            return
        for image, parts in ImagePredictor(self._model).engine.predict(images, OutputOptions()):
            whole = Answer(np.empty(image.size, np.int32), np.empty(image.size, np.float32))
            for part in parts:
                height, width = part.mask.shape
                place = np.s_[part.row : part.row + height, part.column : part.column + width]
                whole.predicted[place] = part.mask
                whole.confidence[place] = part.confidence
            yield whole


def _takes_prepared(model: Any) -> bool:
    """Returns whether it is an exported model that can be fed as its Keras model is."""
    return isinstance(model, ExportedModel) and model.network.takes(model.network.size)


def _answer(probabilities: np.ndarray) -> Answer:
    return Answer(probabilities.argmax(axis=-1), probabilities.max(axis=-1))
