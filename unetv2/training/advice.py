"""Warnings about training problems, each with a cause and a remedy."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from unetv2.metrics import Scores
from unetv2.text import counted
from unetv2.training.checkpoint import TrainingState
from unetv2.training.data import DataSpec

# Networks learn very little in 80 steps; a few hundred are required.
_FEW_STEPS, _ENOUGH_STEPS = 200, 500
# With 12 images, batches of 2 and 240 steps, the mean IoU in training and validation was 0.14 and
# 0.05 with batch normalization, 0.13 and 0.12 with group normalization.
_FEW_IMAGES = 4
# Number of first epochs in which a single predicted class is not reported.
_WARM_UP_EPOCHS = 5
# Ratios of mean IoU. On training images it is lower in inference mode than in training mode only if
# the moving statistics of batch normalization are poor.
_SAME_AS_IN_TRAINING = 0.75
_OVERFITTED = 0.5
_DECLINED = 0.9
# Epochs in a third of the training that are enough for a trend. As the learning rate decays, the
# score usually rises at the end: on CamVid by 0.07 in a training that is too short, and by 0.01 in
# one that is four times as long.
_LEAST_THIRD, _PAYS, _PAYS_LITTLE = 2, 0.02, 0.005
# Minimum difference to the score of predicting one class.
_NEGLIGIBLE = 0.005

_log = logging.getLogger("unetv2")


def warn(messages: list[str]) -> list[str]:
    """Logs warnings and returns them."""
    for message in messages:
        _log.warning("%s", message)
    return messages


def start_warnings(model: keras.Model, spec: DataSpec, *, epochs: int | None) -> list[str]:
    """Returns warnings before a training.

    Args:
        model: The user's model.
        spec: DataSpec. The properties of the data.
        epochs: int or None. Number of epochs; None is not limited.
    """
    warnings = []
    steps_per_epoch = math.ceil(spec.n_pairs / spec.batch_size)
    steps = None if epochs is None else epochs * steps_per_epoch
    if epochs is not None and steps is not None and steps < _FEW_STEPS and not was_trained(model):
        warnings.append(
            "A new model learns little in "
            f"{counted(steps, 'step')} ({counted(epochs, 'epoch')} of {steps_per_epoch}). "
            f"Pass epochs={math.ceil(_ENOUGH_STEPS / steps_per_epoch)} or more, for at least "
            f"{_ENOUGH_STEPS} steps."
        )
    images = min(spec.batch_size, spec.n_pairs)
    if images < _FEW_IMAGES and _learns_batch_statistics(model):
        warnings.append(
            f"Batches of {counted(images, 'image')} are too small for batch normalization: its "
            "statistics in training differ from those in validation. Build the model with "
            "normalization='group'."
        )
    if spec.preprocessing is None:
        warnings.append(
            "The preprocessing of the images is unknown, as `train` is not a data set of "
            "`make_dataset`. Set `model.preprocessing = unetv2.Preprocessing(image_size=..., ...)` "
            "before, so that `predict` and exported models use the same preprocessing."
        )
    return warnings


def few_steps_warning(steps: int) -> list[str]:
    """Returns a warning after a training of a new model for a given time, if it had few steps.

    Args:
        steps: int. Number of steps.
    """
    if steps >= _FEW_STEPS:
        return []
    return [
        f"A new model learns little in {counted(steps, 'step')}. Pass more `minutes`, or use "
        f"smaller images or batches, for at least {_ENOUGH_STEPS} steps."
    ]


def one_class_warnings(
    state: TrainingState, model: keras.Model, counts: np.ndarray, epoch: int, *, is_last: bool
) -> list[str]:
    """Returns a warning if the model predicts the same class for all validation pixels.

    The first epochs are exempt unless training ends there. The warning is repeated only if training
    ends with one class.

    Args:
        state: TrainingState. Its count of such epochs is updated.
        model: The model in training.
        counts: Confusion matrix of the validation, ``(n_classes, n_classes)``.
        epoch: int. Index of the epoch, from 0.
        is_last: bool. Whether it is the last epoch.
    """
    predicted = np.flatnonzero(counts.sum(axis=0))
    if len(predicted) != 1 or np.count_nonzero(counts.sum(axis=1)) < 2:
        state.one_class_epochs = 0
        return []
    state.one_class_epochs += 1
    exempt = _WARM_UP_EPOCHS if state.one_class_epochs == epoch + 1 else 1
    if not is_last and (state.warnings or state.one_class_epochs < exempt):
        return []
    normalization = (
        "too few images or steps for batch normalization, for which normalization='group' helps; "
        if _learns_batch_statistics(model)
        else ""
    )
    return [
        f"After epoch {epoch + 1} the model predicts class {predicted[0]} for every validation "
        f"pixel. Likely causes: too few steps; {normalization}too high a learning rate; images "
        "that are not in [0, 1]; masks of nearly one class, which need class weights; masks that "
        "do not match the images. Check the data with `unetv2 check`."
    ]


def end_warnings(
    state: TrainingState, model: keras.Model, score_on_training: Callable[[], float]
) -> list[str]:
    """Returns warnings about the result of a training.

    Args:
        state: The logs of the training.
        model: The model with the best weights.
        score_on_training: Returns its mean IoU on training images, in inference mode.
    """
    if state.best is None or state.best_epoch is None:
        return []
    warnings = []
    training, best = state.history[state.best_epoch]["mean_iou"], state.best
    scores = f"mean IoU {best:.3f} in validation and {training:.3f} in training"
    inference = score_on_training() if _learns_batch_statistics(model) else training
    if inference < _SAME_AS_IN_TRAINING * training:
        warnings.append(
            f"The model predicts differently in use than in training: {scores}, but "
            f"{inference:.3f} on training images in inference mode. Its batch normalization has "
            "seen too few images or steps. Build the model with normalization='group'."
        )
    elif best < _OVERFITTED * training:
        warnings.append(
            f"Validation is far below training: {scores}. The model overfits, or the validation "
            "images differ from the training images. Use more images, an `augmentation`, or a "
            "smaller network (`filters`); compare both sets with `unetv2 check`."
        )
    elif state.trivial_score is not None and best < state.trivial_score + _NEGLIGIBLE:
        warnings.append(
            "The model is no better than predicting the most frequent class for every pixel: mean "
            f"IoU {best:.3f} in validation, compared with {state.trivial_score:.3f}. Train for "
            "more steps; for thin or small objects use larger images with `crop_size`, and a "
            "recipe with progressive_resizing=((1, 1),)."
        )
    last = float(np.mean([row["val_mean_iou"] for row in state.history[-3:]]))
    epochs = len(state.history)
    if epochs >= 10 and 2 * (state.best_epoch + 1) <= epochs and last < _DECLINED * best:
        warnings.append(
            f"The best epoch was {state.best_epoch + 1} of {epochs}: validation mean IoU declined "
            f"from {best:.3f} to {last:.3f} afterwards. The model has the weights of the best "
            "epoch. To benefit from more epochs, use more images or an `augmentation`; `patience` "
            "ends the training earlier."
        )
    return warnings


def more_time_advice(
    history: Sequence[Mapping[str, float]], *, epochs: int | None, minutes: float | None
) -> list[str]:
    """Returns whether a longer training would probably improve the model.

    Args:
        history: The logs of each epoch.
        epochs: int or None. The number of epochs of the training.
        minutes: float or None. The time of the training.
    """
    scores = [row["val_mean_iou"] for row in history if "val_mean_iou" in row]
    last = len(scores) // 3
    if last < _LEAST_THIRD:
        return []
    rise = max(scores[-last:]) - max(scores[:-last])
    rose = f"Validation mean IoU rose by {max(0.0, rise):.3f} in the last third of the training"
    if minutes is not None:
        longer = f"Twice the time (minutes={2 * minutes:g})"
    else:
        longer = f"Twice the epochs (epochs={2 * (epochs or len(scores))})"
    if rise >= _PAYS:
        return [f"{rose}. {longer} would probably improve the model."]
    if rise < _PAYS_LITTLE:
        return [f"{rose}. {longer} would probably improve the model little."]
    return []


def trivial_score(counts: np.ndarray) -> float:
    """Returns the mean IoU of predicting the most frequent class for every pixel.

    Args:
        counts: Confusion matrix of the validation, ``(n_classes, n_classes)``.
    """
    support = counts.sum(axis=1)
    trivial = np.zeros_like(counts)
    trivial[:, support.argmax()] = support
    return float(Scores(trivial).mean_iou)


def was_trained(model: keras.Model) -> bool:
    """Returns whether a model comes from a training."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        return int(optimizer.iterations) > 0
    # `train` saves models with their preprocessing and without an optimizer.
    return getattr(model, "preprocessing", None) is not None


def _learns_batch_statistics(model: keras.Model) -> bool:
    """Returns whether the model has a trainable batch normalization."""
    trainable = {variable.path.rpartition("/")[0] for variable in model.trainable_variables}
    return any(
        variable.path.endswith("/moving_mean") and variable.path.rpartition("/")[0] in trainable
        for variable in model.non_trainable_variables
    )
