"""The divergence guard, and the rollback to the last good epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetv2.training.checkpoint import CHECKPOINT, WITHIN_EPOCH, TrainingState

# The loss of one batch is a poor estimate of that of an epoch.
_MOST_INCREASE_FROM_ONE_BATCH = 10.0
# Doubling of a loss below this is no divergence.
_NEGLIGIBLE_LOSS = 0.01
# Reading the loss waits for the device.
_STEPS_BETWEEN_CHECKS = 20
# If training fails at 1/32 of the learning rate, the rate is not the cause.
_MOST_HALVINGS = 5
# If the loss of an epoch hardly depends on the rate in three attempts, its images are the cause,
# unless the loss is as high as after a collapse.
_ATTEMPTS = 3
_SAME_LOSS = 0.1
_COLLAPSE = 10.0

_log = logging.getLogger("unetv2")


class DivergenceError(Exception):
    """The training diverges and must be rolled back.

    Args:
        message: str. The cause.
        increase: The loss before and after an increase, or an empty sequence.
    """

    def __init__(self, message: str, increase: Sequence[float] = ()) -> None:
        super().__init__(message)
        self.increase = list(increase)


class DivergenceGuard:
    """Raises :class:`DivergenceError` when loss or weights diverge.

    Args:
        state: TrainingState. Its losses are updated.
    """

    def __init__(self, state: TrainingState) -> None:
        self._state = state

    def check_batch(self, batch: int, logs: dict[str, Any], *, always: bool = False) -> None:
        """Checks the running mean of the loss, every 20 steps unless ``always``."""
        if (always or batch % _STEPS_BETWEEN_CHECKS == 0) and "loss" in logs:
            loss = float(logs["loss"])
            self.check_finite("loss", loss)
            if self._state.first_loss is None:
                self._state.first_loss = loss

    def check_epoch(self, loss: float) -> None:
        """Checks an epoch's mean loss.

        Raises:
            DivergenceError: If it is not finite, too far above the lowest one, or in the first
                epoch of a phase far above that of the first batch.
        """
        self.check_finite("loss", loss)
        state = self._state
        before, most = state.lowest_loss, state.most_increase
        if before is None:
            before, most = state.first_loss, _MOST_INCREASE_FROM_ONE_BATCH
        if before is not None and loss > most * max(before, _NEGLIGIBLE_LOSS):
            raise DivergenceError(
                f"the loss jumped from {before:.4g} to {loss:.4g}",
                (max(before, _NEGLIGIBLE_LOSS), loss),
            )
        state.lowest_loss = loss if state.lowest_loss is None else min(loss, state.lowest_loss)

    @staticmethod
    def check_weights(arrays: Sequence[np.ndarray]) -> None:
        """Raises :class:`DivergenceError` if a weight is not finite."""
        if not all(np.isfinite(array).all() for array in arrays):
            raise DivergenceError("a weight became infinite or NaN")

    @staticmethod
    def check_finite(name: str, loss: float) -> None:
        """Raises :class:`DivergenceError` if a loss is not finite."""
        if not math.isfinite(loss):
            raise DivergenceError(f"the {name} became {loss}")


def initial_state(folder: Path, model: keras.Model, *, resume: bool) -> TrainingState:
    """Returns the state of the latest checkpoint, or the initial one, which is saved.

    Args:
        folder: The output folder.
        model: The compiled model.
        resume: bool. Whether there is a checkpoint.
    """
    if resume:
        state = TrainingState.load(folder / CHECKPOINT)
        if (folder / WITHIN_EPOCH).exists():
            within = TrainingState.load(folder / WITHIN_EPOCH)
            # After a kill at the end of an epoch, the file may be of the previous epoch.
            return within if within.epoch == state.epoch else state
        return state
    state = TrainingState()
    state.capture(model)
    # A run that is killed in its first epoch is resumed with the same weights.
    state.save(folder / CHECKPOINT)
    return state


def roll_back(folder: Path, error: DivergenceError, clock: Mapping[str, float]) -> TrainingState:
    """Returns the state at the end of the last good epoch, with half the learning rate.

    If the images cause the increase of the loss, the rate is restored and such increases are then
    allowed.

    Args:
        folder: The output folder.
        error: DivergenceError. The cause.
        clock: The used time, which is not given back.

    Raises:
        RuntimeError: If the training was rolled back too often.
    """
    state = TrainingState.load(folder / CHECKPOINT)
    state.clock = dict(clock)
    state.increases = [*state.increases, error.increase] if error.increase else []
    if _is_due_to_images(state.increases):
        before, loss = error.increase
        state.rate_factor *= 2 ** (_ATTEMPTS - 1)
        state.most_increase = 2 * loss / before
        state.increases = []
        event = (
            f"in epoch {state.epoch + 1} {error}, also at a half and a quarter of the learning "
            "rate, so the images cause it; rolled back to its start with "
            f"{state.rate_factor:g} times the recipe's learning rate"
        )
        _log.warning(
            "Training continues: %s. From now on the loss may be %.2g times the lowest one.",
            event, state.most_increase,
        )  # fmt: skip
    elif state.rate_factor <= 2**-_MOST_HALVINGS:
        raise RuntimeError(
            f"The training failed for the {_MOST_HALVINGS + 1}th time in epoch {state.epoch + 1}. "
            f"Received: {error}. Before: {'; '.join(state.events)}. The learning rate was halved "
            "each time, so it is not the cause: check the data with `unetv2 check`, and the loss."
        )
    else:
        state.rate_factor /= 2
        event = (
            f"in epoch {state.epoch + 1} {error}; rolled back to its start with "
            f"{state.rate_factor:g} times the recipe's learning rate"
        )
        _log.warning("Training failed: %s.", event)
    state.events.append(event)
    (folder / WITHIN_EPOCH).unlink(missing_ok=True)
    state.save(folder / CHECKPOINT)
    return state


def _is_due_to_images(increases: list[list[float]]) -> bool:
    losses = [loss for _, loss in increases]
    if len(increases) < _ATTEMPTS or max(losses) - min(losses) > _SAME_LOSS * max(losses):
        return False
    return all(loss < _COLLAPSE * before for before, loss in increases)
