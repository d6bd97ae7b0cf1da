"""Notices a training that fails: a loss that is no number, or that jumps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

# The reference's collapse was a factor of 19; between good epochs of one stage the loss rises by
# a tenth, unless there are few pictures.
JUMP = 2.0
# One batch is a poor estimate.
_JUMP_FROM_ONE_BATCH = 10.0
# Below, where twice as much is still learnt by heart.
_NOTHING = 0.01
# Asking for a loss waits for the device, so not after every step.
_STEPS_BETWEEN = 20


class Failure(Exception):  # noqa: N818 - it is caught and mended, not an error yet.
    """A training failed and is to go back to its last good checkpoint.

    Args:
        what: str. What happened.
        jump: A pair of floats: the loss before it jumped and after; empty if it did not.
    """

    def __init__(self, what: str, jump: Sequence[float] = ()) -> None:
        super().__init__(what)
        self.jump = list(jump)


class Guard(keras.callbacks.Callback):
    """Raises :class:`Failure` where training fails.

    Args:
        first_loss: float or None. The loss of this stage's first batch.
        lowest_loss: float or None. The lowest loss of an epoch of this stage so far.
        jump: float. How many times that an epoch's loss may be.
    """

    def __init__(
        self, first_loss: float | None, lowest_loss: float | None, jump: float = JUMP
    ) -> None:
        super().__init__()
        self.first_loss = first_loss
        self.lowest_loss = lowest_loss
        self._jump = jump

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the mean loss of the epoch so far, now and then."""
        if batch % _STEPS_BETWEEN == 0 and logs is not None and "loss" in logs:
            loss = float(logs["loss"])
            self.require_number("loss", loss)
            if self.first_loss is None:
                self.first_loss = loss

    def check_epoch(self, loss: float) -> None:
        """Checks the mean loss of an epoch.

        Raises:
            Failure: If it is no number, too far above the lowest before, or in a stage's first
                epoch far above the first batch's.
        """
        self.require_number("loss", loss)
        before, jump = self.lowest_loss, self._jump
        if before is None:
            before, jump = self.first_loss, _JUMP_FROM_ONE_BATCH
        if before is not None and loss > jump * max(before, _NOTHING):
            what = f"the loss jumped from {before:.4g} to {loss:.4g}"
            raise Failure(what, (max(before, _NOTHING), loss))
        self.lowest_loss = loss if self.lowest_loss is None else min(loss, self.lowest_loss)

    @staticmethod
    def check_weights(arrays: Sequence[np.ndarray]) -> None:
        """Raises :class:`Failure` where a weight is infinite or no number."""
        if not all(np.isfinite(array).all() for array in arrays):
            raise Failure("a weight became infinite or no number")

    @staticmethod
    def require_number(name: str, loss: float) -> None:
        """Raises :class:`Failure` where a loss is infinite or no number."""
        if not math.isfinite(loss):
            raise Failure(f"the {name} became {loss}")
