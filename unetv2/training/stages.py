"""The model as each stage of a training sees it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from unetv2.distributed.crew import Crew
from unetv2.distributed.pooling import pool
from unetv2.metrics import MeanIoU, PixelAccuracy
from unetv2.recipes import Recipe
from unetv2.training.folder import same_layers
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

    def compiled(self, scale: float, factor: float) -> tuple[keras.Model, MeanIoU]:
        """Returns the model, ready for a stage, and its metric.

        Args:
            scale: float. Height and width of the pictures as a share of the data set's.
            factor: float. What the learning rate is multiplied by.

        Returns:
            tuple ``(model, metric)``. The model itself or one that shares its weights.
        """
        with self._crew.scope():
            return self._compiled(scale, factor)

    def _compiled(self, scale: float, factor: float) -> tuple[keras.Model, MeanIoU]:
        model = self._model if scale == 1 else _of_any_size(self._model)
        n_classes, ignore_class = self._inputs.n_classes, self._inputs.ignore_class
        mean_iou = MeanIoU(n_classes, ignore_class)
        accuracy = PixelAccuracy(ignore_class, name="accuracy")
        optimizer: Any = self._recipe.optimizer(model, self._steps, factor=factor)
        model.compile(optimizer, self._loss, metrics=[accuracy, mean_iou])
        # Keras makes the metrics' variables with the first batch, which is too late to set them.
        mask = np.zeros((1, 1, 1, 1), np.int32)
        logits = np.zeros((1, 1, 1, n_classes), np.float32)
        self._crew.each(lambda: model.compute_metrics(None, mask, logits))
        return model, mean_iou


def _of_any_size(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers that takes pictures of any size."""
    if model.input_shape[1:3] == (None, None):
        return model
    return same_layers(model, (None, None, model.input_shape[-1]))
