"""Notices a training that fails: a loss that is no number, or that jumps; one class everywhere."""

from __future__ import annotations

import logging
import math
from typing import Any

import keras
import numpy as np

# The reference's collapse was a factor of 19; between good epochs of one stage the loss rises by
# a tenth.
_JUMP = 2.0
# Asking for a loss waits for the device, so not after every step.
_STEPS_BETWEEN = 20

_log = logging.getLogger("unetv2")


class Failure(Exception):  # noqa: N818 - it is caught and mended, not an error yet.
    """A training failed and is to go back to its last good checkpoint."""


class Guard(keras.callbacks.Callback):
    """Raises :class:`Failure` where training fails.

    Args:
        lowest_loss: float or None. The lowest loss of an epoch of this stage so far.
    """

    def __init__(self, lowest_loss: float | None) -> None:
        super().__init__()
        self.lowest_loss = lowest_loss

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the mean loss of the epoch so far, now and then."""
        if batch % _STEPS_BETWEEN == 0 and logs is not None:
            self._require_number(float(logs["loss"]))

    def check_epoch(self, loss: float) -> None:
        """Checks the mean loss of an epoch.

        Raises:
            Failure: If it is no number, or more than twice the lowest before.
        """
        self._require_number(loss)
        if self.lowest_loss is not None and loss > _JUMP * self.lowest_loss:
            raise Failure(f"the loss jumped from {self.lowest_loss:.4g} to {loss:.4g}")
        self.lowest_loss = loss if self.lowest_loss is None else min(loss, self.lowest_loss)

    @staticmethod
    def _require_number(loss: float) -> None:
        if not math.isfinite(loss):
            raise Failure(f"the loss became {loss}")


def warn_of_one_class(counts: np.ndarray, epoch: int) -> None:
    """Warns where all validation pixels were given one class but hold several.

    Args:
        counts: Confusion matrix of the validation, ``(n_classes, n_classes)``.
        epoch: int. Its number, from 0.
    """
    predicted = np.flatnonzero(counts.sum(axis=0))
    if len(predicted) != 1 or np.count_nonzero(counts.sum(axis=1)) < 2:
        return
    _log.warning(
        "After epoch %d the model calls every validation pixel class %d. Likely causes: it has "
        "hardly been trained yet; the learning rate is too high; images are not in [0, 1]; masks "
        "hold nearly one class only, so pass class weights; or they belong to other images. "
        "`unetv2 check` looks at the data.",
        epoch + 1,
        predicted[0],
    )
