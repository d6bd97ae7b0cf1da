"""Warnings of a training whose result is doubtful, each with a cause and what cures it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import keras
import numpy as np

from unetv2.metrics import Scores
from unetv2.text import counted
from unetv2.training.checkpoint import State
from unetv2.training.data import Inputs

# Networks have learned something after some hundred steps; after 80, next to nothing.
_FEW_STEPS, _SOME_STEPS = 200, 500
# With 12 images, batches of 2 and 240 steps, batch normalization ended at a mean IoU of 0.14 in
# training and 0.05 in validation, group normalization at 0.13 and 0.12.
_FEW_IMAGES = 4
# Epochs of one class from the start that need no warning.
_WARMING_UP = 5
# A model scores no less on training images than it did in training, unless it computes otherwise.
_OTHERWISE = 0.75
_FAR_BELOW = 0.5
_LOST = 0.9
_LEARNED_NOTHING = 0.005

_log = logging.getLogger("unetv2")


def warn(messages: list[str]) -> list[str]:
    """Logs warnings and returns them."""
    for message in messages:
        _log.warning("%s", message)
    return messages


def at_start(model: keras.Model, inputs: Inputs, *, epochs: int) -> list[str]:
    """Returns what makes a training doubtful before it begins.

    Args:
        model: The user's, as it was given.
        inputs: What it is fed with.
        epochs: int. All epochs.
    """
    found = []
    per_epoch = math.ceil(inputs.n_pairs / inputs.batch_size)
    steps = epochs * per_epoch
    if steps < _FEW_STEPS and not _was_trained(model):
        found.append(
            "A model that has not been trained before learns little in "
            f"{counted(steps, 'step')} ({counted(epochs, 'epoch')} of {per_epoch}). "
            f"Pass epochs={math.ceil(_SOME_STEPS / per_epoch)} or more, which are {_SOME_STEPS} "
            "steps."
        )
    images = min(inputs.batch_size, inputs.n_pairs)
    if images < _FEW_IMAGES and _normalizes_batches(model):
        found.append(
            f"Batches of {counted(images, 'image')} are too small for batch normalization, whose "
            "statistics in training then differ from those in validation. Build the model with "
            "normalization='group'."
        )
    if inputs.preprocessing is None:
        found.append(
            "`train` does not say how its images were prepared, as only what `make_dataset` "
            "returns does, and not what `.map` or `.take` makes of it. Set `model.preprocessing = "
            "unetv2.Preprocessing(image_size=..., ...)` before, so that `predict` and exports "
            "prepare images alike."
        )
    return found


def of_one_class(
    state: State, model: keras.Model, counts: np.ndarray, epoch: int, *, last: bool
) -> list[str]:
    """Returns a warning where the model calls all validation pixels the same class.

    Not in the first epochs, unless training ends there, and once, unless it ends with one class.

    Args:
        state: Counts such epochs, and keeps the warnings so far.
        model: The model.
        counts: Confusion matrix of the validation, ``(n_classes, n_classes)``.
        epoch: int. Its number, from 0.
        last: bool. Whether it is the last one.
    """
    predicted = np.flatnonzero(counts.sum(axis=0))
    if len(predicted) != 1 or np.count_nonzero(counts.sum(axis=1)) < 2:
        state.one_class = 0
        return []
    state.one_class += 1
    patient = _WARMING_UP if state.one_class == epoch + 1 else 1
    if not last and (state.warnings or state.one_class < patient):
        return []
    normalization = (
        "batch normalization has few images or steps, where normalization='group' does better; "
        if _normalizes_batches(model)
        else ""
    )
    return [
        f"After epoch {epoch + 1} the model calls every validation pixel class {predicted[0]}. "
        f"Likely causes: it has hardly been trained yet; {normalization}the learning rate is too "
        "high; images are not in [0, 1]; masks hold nearly one class only, so pass class weights; "
        "or they belong to other images. `unetv2 check` looks at the data."
    ]


def at_end(state: State, model: keras.Model, score_on_training: Callable[[], float]) -> list[str]:
    """Returns what makes the result of a training doubtful.

    Args:
        state: What was logged.
        model: With the weights that are kept.
        score_on_training: Returns its mean IoU on some training images, as it is deployed.
    """
    if state.best is None or state.best_epoch is None:
        return []
    found = []
    row = state.history[state.best_epoch]
    training, best = row["mean_iou"], state.best
    scores = f"mean IoU {best:.3f} in validation and {training:.3f} in training"
    deployed = score_on_training() if _normalizes_batches(model) else training
    if deployed < _OTHERWISE * training:
        found.append(
            f"The model computes otherwise than in training: {scores}, but {deployed:.3f} on "
            "training images when it is used. Its batch normalization has seen too few images or "
            "steps. Build the model with normalization='group'."
        )
    elif best < _FAR_BELOW * training:
        found.append(
            f"Validation is far below training: {scores}. The model knows its training images by "
            "heart, or the validation images are of another kind. Use more images, an "
            "`augmentation`, or a smaller network (`filters`); compare both sets with "
            "`unetv2 check`."
        )
    elif state.trivial is not None and best < state.trivial + _LEARNED_NOTHING:
        found.append(
            f"The model is no better than one that calls every pixel the most frequent class: mean "
            f"IoU {best:.3f} in validation, where that has {state.trivial:.3f}. Train more steps; "
            "where objects are thin or small, use larger images with `crop_size`, and a recipe "
            "with stages=((1, 1),)."
        )
    last = float(np.mean([row["val_mean_iou"] for row in state.history[-3:]]))
    epochs = len(state.history)
    if epochs >= 10 and 2 * (state.best_epoch + 1) <= epochs and last < _LOST * best:
        found.append(
            f"The best epoch was {state.best_epoch + 1} of {epochs}: validation mean IoU fell from "
            f"{best:.3f} to {last:.3f} since. Its weights are kept. More images or an "
            "`augmentation` let a training profit from more epochs; `patience` ends it earlier."
        )
    return found


def trivial_score(counts: np.ndarray) -> float:
    """Returns the mean IoU of calling every pixel the most frequent class.

    Args:
        counts: Confusion matrix of the validation, ``(n_classes, n_classes)``.
    """
    support = counts.sum(axis=1)
    trivial = np.zeros_like(counts)
    trivial[:, support.argmax()] = support
    return float(Scores(trivial).mean_iou)


def _was_trained(model: keras.Model) -> bool:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        return int(optimizer.iterations) > 0
    # Loaded from a file without its optimizer, as `train` saves it.
    return getattr(model, "preprocessing", None) is not None


def _normalizes_batches(model: keras.Model) -> bool:
    """Returns whether a batch normalization learns its statistics."""
    trainable = {variable.path.rpartition("/")[0] for variable in model.trainable_variables}
    return any(
        variable.path.endswith("/moving_mean") and variable.path.rpartition("/")[0] in trainable
        for variable in model.non_trainable_variables
    )
