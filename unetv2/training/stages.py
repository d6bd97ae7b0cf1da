"""The model, compiled for each stage of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from unetv2.distributed.crew import Crew
from unetv2.distributed.pooling import pool
from unetv2.metrics import MeanIoU, PixelAccuracy
from unetv2.recipes import Recipe
from unetv2.training.inputs import Inputs


class Stages:
    """Compiles a model for each stage of a recipe.

    Args:
        model: The model.
        recipe: Its training.
        inputs: What it is fed with.
        epochs: int. All epochs of the training.
        steps: int. All steps of the training.
        class_weights: A number for each class, or None.
        crew: Who trains it.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        inputs: Inputs,
        *,
        epochs: int,
        steps: int,
        class_weights: list[float] | None,
        crew: Crew,
    ) -> None:
        self._model = model
        self._recipe = recipe
        self._inputs = inputs
        self._epochs = epochs
        self._steps = steps
        self._crew = crew
        self._loss = recipe.loss_function(inputs.ignore_class, class_weights)
        if crew.strategy is not None:
            pool(self._loss)

    def span(self, epoch: int) -> tuple[int, int, float]:
        """Returns ``(first epoch, end, scale)`` of the stage that an epoch belongs to."""
        return next(span for span in self._recipe.spans(self._epochs) if epoch < span[1])

    def compile(self, factor: float) -> MeanIoU:
        """Compiles the model and returns its metric.

        Args:
            factor: float. What the learning rate is multiplied by.
        """
        with self._crew.scope():
            return self._compile(factor)

    def _compile(self, factor: float) -> MeanIoU:
        model = self._model
        n_classes, ignore_class = self._inputs.n_classes, self._inputs.ignore_class
        mean_iou = MeanIoU(n_classes, ignore_class)
        accuracy = PixelAccuracy(ignore_class, name="accuracy")
        optimizer: Any = self._recipe.optimizer(model, self._steps, factor=factor)
        model.compile(optimizer=optimizer, loss=self._loss, metrics=[accuracy, mean_iou])
        # Keras makes the metrics' variables with the first batch, which is too late to set them.
        mask = np.zeros((1, 1, 1, 1), np.int32)
        logits = np.zeros((1, 1, 1, n_classes), np.float32)
        self._crew.each(lambda: model.compute_metrics(None, mask, logits))
        return mean_iou

    @contextmanager
    def size(self, scale: float) -> Iterator[None]:
        """Has the model take images of any size, where a stage's are not of its own.

        All layers do; what Keras checks is the size that the model was built for.
        """
        if scale == 1:
            yield
            return
        before = self._model.input_spec
        shape = (None, None, None, self._model.input_shape[-1])
        self._model.input_spec = keras.layers.InputSpec(shape=shape)
        try:
            yield
        finally:
            self._model.input_spec = before
